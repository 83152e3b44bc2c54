//! Two sites on one service, and others who deploy it too.

use wharfinger_decisions::rollout::Failure;

use super::*;

impl Stage {
    /// The blog and the docs, both of the service `web`, have been changed.
    pub(super) async fn two_sites(now: i64) -> Self {
        let stage = Self::new();
        stage.put_site("docs", 1, &[("mount_path", "/docs")], 2);
        let batch = [upload(1, "/sites/blog/a", at(now)), upload(2, "/sites/docs/a", at(now + 1))];
        assert_eq!(stage.send(&batch, at(now + 1)).await, [""; 0]);
        stage
    }

    /// The containers' mounts in what `web` runs: path and volume.
    pub(super) fn mounts(&self) -> Vec<(String, String)> {
        let ecs = self.ecs.lock().unwrap();
        let number: usize = ecs.web["taskDefinition"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        let definition = ecs.revisions[number - 1].clone().unwrap();
        let points = definition["containerDefinitions"][0]["mountPoints"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        points.iter().map(|point| (text(&point["containerPath"]), text(&point["sourceVolume"]))).collect()
    }

    /// Somebody else registers a revision with this image, and deploys it.
    fn others_deploy(&self, image: &str, state: &str) {
        let mut ecs = self.ecs.lock().unwrap();
        let others = json!({"family": "web", "containerDefinitions": [{"name": "web", "image": image}]});
        ecs.revisions.push(Some(others));
        let number = ecs.revisions.len();
        ecs.web["taskDefinition"] = json!(arn(number));
        ecs.web["deployments"] = json!([deployment(number, &arn(number), state)]);
    }
}

#[tokio::test]
async fn two_sites_on_one_service_take_turns_and_none_loses_its_mount() {
    let stage = Stage::two_sites(0).await;
    stage.tick_of("blog", at(60)).await;
    stage.tick_of("docs", at(62)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 1);
    assert_eq!(stage.latest().await.state, State::Deploying);
    let waits = stage.window_of("docs").await;
    assert!(waits.window.is_open() && waits.rollout.is_none());
    assert!(waits.waits.unwrap().contains("the site blog, which has the same service"));

    let _ = stage.cloud.messages();
    stage.complete();
    stage.tick_of("blog", at(90)).await;
    assert_eq!(stage.latest().await.state, State::Succeeded);
    assert_eq!(stage.cloud.messages(), [json!({"site": "docs"})], "whoever waits is woken");
    stage.tick_of("docs", at(90)).await;
    stage.complete();
    stage.tick_of("docs", at(120)).await;
    assert_eq!(stage.latest_of("docs").await.state, State::Succeeded);
    let expected = [("/srv", "wharfinger-blog"), ("/docs", "wharfinger-docs")];
    assert_eq!(stage.mounts(), expected.map(|(path, volume)| (path.to_owned(), volume.to_owned())));
    assert_eq!(stage.window_of("docs").await.waits, None);
}

#[tokio::test]
async fn whoever_waited_goes_before_a_site_that_comes_again() {
    let stage = Stage::two_sites(0).await;
    stage.tick_of("blog", at(60)).await;
    stage.tick_of("docs", at(62)).await;
    assert_eq!(stage.send(&[upload(3, "/sites/blog/b", at(63))], at(63)).await, [""; 0]);
    stage.complete();
    stage.tick_of("blog", at(200)).await;
    assert!(stage.window_of("blog").await.waits.unwrap().contains("the site docs, which waits"));
    stage.tick_of("docs", at(201)).await;
    assert_eq!(stage.latest_of("docs").await.state, State::Deploying);
    stage.complete();
    stage.tick_of("docs", at(230)).await;
    stage.tick_of("blog", at(231)).await;
    assert_eq!(stage.latest().await.state, State::Deploying);
}

#[tokio::test]
async fn a_site_that_waits_and_is_changed_or_removed_holds_up_nobody() {
    for gone in [false, true] {
        let stage = Stage::two_sites(0).await;
        stage.tick_of("blog", at(60)).await;
        stage.tick_of("docs", at(62)).await;
        assert_eq!(stage.send(&[upload(3, "/sites/blog/b", at(100))], at(100)).await, [""; 0]);
        if gone {
            stage.put_site("docs", 2, &[("mount_path", "/docs"), ("service", "another")], 2);
        } else {
            assert_eq!(stage.send(&[upload(4, "/sites/docs/b", at(170))], at(170)).await, [""; 0]);
        }
        stage.complete();
        stage.tick_of("blog", at(200)).await;
        assert_eq!(stage.latest().await.state, State::Deploying, "{gone}");
        assert_eq!(stage.ecs.lock().unwrap().updates, 2);
    }
}

/// An earlier version gives no turn back, and a site may go with its rollout.
#[tokio::test]
async fn a_turn_of_a_rollout_that_is_over_or_gone_holds_up_nobody() {
    for gone in [false, true] {
        let stage = Stage::two_sites(0).await;
        stage.tick_of("blog", at(60)).await;
        let (table, id) = (&stage.app.table, stage.latest().await.id);
        let mut record = table.rollout_record(&blog(), &id).await.unwrap().unwrap();
        if gone {
            let turns = table.turns(&record.spec.clone().unwrap()).await.unwrap();
            table.write_turns(&turns.with(turns.turns.taken(&blog(), "no such rollout"))).await.unwrap();
        } else {
            record.rollout.state = State::Superseded;
            table.write_rollout(&record).await.unwrap();
        }
        stage.complete();
        stage.tick_of("docs", at(90)).await;
        assert_eq!(stage.latest_of("docs").await.state, State::Deploying, "{gone}");
    }
}

/// The others of its service wait for its end.
#[tokio::test]
async fn a_rollout_of_a_site_that_can_t_be_read_any_more_comes_to_its_end() {
    for message in [json!({"site": "blog"}), super::course::ended()] {
        let stage = Stage::two_sites(0).await;
        stage.tick_of("blog", at(60)).await;
        let spec = json!({"M": {"file_system_id": {"S": FS}, "directory": {"S": "/sites/blog"},
            "cluster": {"S": "local"}, "service": {"S": "web"}, "mounts": {"S": "strange"}}});
        stage.cloud.put(&json!({"pk": {"S": "SITES"}, "sk": {"S": "blog"}, "intent": spec}));
        stage.complete();
        assert_eq!(stage.send(std::slice::from_ref(&message), at(90)).await, [""; 0]);
        assert_eq!(stage.latest().await.state, State::Succeeded, "{message}");
        assert_eq!(stage.window_of("blog").await.rollout, None);
        stage.tick_of("docs", at(91)).await;
        assert_eq!(stage.latest_of("docs").await.state, State::Deploying);
    }
}

#[tokio::test]
async fn a_deployment_of_others_is_waited_for_and_built_upon() {
    let stage = Stage::new();
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
    stage.others_deploy("httpd:2", "IN_PROGRESS");
    stage.tick(at(60)).await;
    let waiting = stage.latest().await;
    assert!(waiting.reason.contains("waiting for the end of the deployment ecs-svc/2"), "{}", waiting.reason);
    assert_eq!((stage.ecs.lock().unwrap().updates, waiting.state.is_final()), (0, false));
    stage.complete();
    stage.tick(at(90)).await;
    assert_eq!(stage.latest().await.state, State::Deploying);
    let ecs = stage.ecs.lock().unwrap();
    assert_eq!(ecs.revisions.last().unwrap().as_ref().unwrap()["containerDefinitions"][0]["image"], "httpd:2");
}

#[tokio::test]
async fn a_deployment_of_others_without_an_end_is_waited_for_as_long_as_ours_would_be() {
    let stage = Stage::new();
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
    stage.others_deploy("httpd:2", "IN_PROGRESS");
    stage.ecs.lock().unwrap().web["deployments"][0]["createdAt"] = json!(at(0).as_second());
    stage.tick(at(3_600)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 0);
    stage.tick(at(3_601)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 1);
}

#[tokio::test]
async fn others_who_deploy_all_the_time_are_not_waited_for_for_ever() {
    let stage = Stage::new();
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
    for now in (60..=3_660).step_by(600) {
        stage.others_deploy("httpd:2", "IN_PROGRESS");
        stage.ecs.lock().unwrap().web["deployments"][0]["createdAt"] = json!(at(now).as_second());
        stage.tick(at(now)).await;
        assert_eq!(stage.ecs.lock().unwrap().updates, 0, "{now}");
    }
    stage.tick(at(3_661)).await;
    let ecs = stage.ecs.lock().unwrap();
    assert_eq!(ecs.updates, 1);
    assert_eq!(ecs.revisions.last().unwrap().as_ref().unwrap()["containerDefinitions"][0]["image"], "httpd:2");
}

#[tokio::test]
async fn a_deployment_of_ours_that_was_given_up_holds_up_nobody() {
    let mut stage = Stage::new();
    stage.ecs.lock().unwrap().web["deploymentConfiguration"] = json!({"strategy": "BLUE_GREEN"});
    let (status, stops) = (Arc::new(Mutex::new("IN_PROGRESS")), Arc::new(Mutex::new(0)));
    let (shown, stopped, ecs) = (Arc::clone(&status), Arc::clone(&stops), Arc::clone(&stage.ecs));
    stage.answer_with(move |operation, _| {
        let (is_begun, listed) = (ecs.lock().unwrap().updates == 1, "arn:aws:ecs:us-east-1:0:service-deployment/web/1");
        let answer = match operation {
            "ListServiceDeployments" if is_begun => {
                json!({"serviceDeployments": [{"serviceDeploymentArn": listed, "createdAt": at(60).as_second()}]})
            }
            "ListServiceDeployments" => json!({"serviceDeployments": []}),
            "DescribeServiceDeployments" => json!({"serviceDeployments": [{"serviceDeploymentArn": listed,
                "status": *shown.lock().unwrap(), "targetServiceRevision": {"arn": arn(2)}}]}),
            "StopServiceDeployment" => {
                *stopped.lock().unwrap() += 1;
                *shown.lock().unwrap() = "ROLLBACK_IN_PROGRESS";
                json!({"serviceDeploymentArn": listed})
            }
            _ => return None,
        };
        Some((200, answer))
    });
    stage.deploy(1, 0).await;
    stage.tick(at(3_700)).await;
    assert_eq!(stage.latest().await.failure, Some(Failure::NoEnd));
    assert_eq!(stage.send(&[upload(2, "/sites/blog/b", at(4_000))], at(4_000)).await, [""; 0]);
    stage.app.reach.services = "tagged".into();
    stage.tick(at(4_060)).await;
    assert_eq!(*stops.lock().unwrap(), 0, "nothing is stopped of a service that is not open");
    stage.ecs.lock().unwrap().web["tags"] = json!([{"key": "wharfinger:allow", "value": "true"}]);
    stage.tick(at(4_090)).await;
    assert_eq!((*stops.lock().unwrap(), stage.ecs.lock().unwrap().updates), (1, 1));
    *status.lock().unwrap() = "ROLLBACK_SUCCESSFUL";
    stage.tick(at(4_120)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 2);
}

#[tokio::test]
async fn a_site_with_much_patience_has_its_turn_for_as_long_as_those_who_wait_have() {
    for (patience, waits, ends) in [("1m", true, 3_661), ("2h", true, 7_261), ("2h", false, 86_461)] {
        let stage = Stage::two_sites(0).await;
        stage.put_site("blog", 1, &[("verdict_after", "1d")], 2);
        stage.put_site("docs", 1, &[("mount_path", "/docs"), ("verdict_after", patience)], 2);
        stage.tick_of("blog", at(60)).await;
        if waits {
            stage.tick_of("docs", at(62)).await;
        }
        stage.tick_of("blog", at(ends - 1)).await;
        assert_eq!(stage.latest().await.state, State::Deploying, "{patience}");
        stage.tick_of("blog", at(ends)).await;
        assert_eq!(stage.latest().await.failure, Some(Failure::NoEnd), "{patience} {waits}");
    }
}

#[tokio::test]
async fn a_site_whose_calls_fail_gives_way_and_is_rolled_out_after_the_others() {
    let stage = Stage::two_sites(0).await;
    stage.answer_with(|operation, input| {
        let of_blog = operation == "RegisterTaskDefinition" && input.to_string().contains("wharfinger-blog");
        of_blog.then(|| (500, json!({"__type": "ServerException", "message": "down"})))
    });
    stage.tick_of("blog", at(60)).await;
    stage.tick_of("docs", at(62)).await;
    stage.tick_of("blog", at(3_660)).await;
    assert!(!stage.latest().await.state.is_final());
    stage.tick_of("blog", at(3_700)).await;
    assert_eq!(stage.latest().await.failure, Some(Failure::Service), "{}", stage.latest().await.reason);
    stage.answer_with(|_, _| None);
    stage.tick_of("docs", at(3_701)).await;
    stage.complete();
    stage.tick_of("docs", at(3_730)).await;
    assert_eq!(stage.latest_of("docs").await.state, State::Succeeded);
    stage.tick_of("blog", at(4_500)).await;
    stage.complete();
    stage.tick_of("blog", at(4_530)).await;
    assert_eq!((stage.latest().await.state, stage.mounts().len()), (State::Succeeded, 2));
}

#[tokio::test]
async fn what_others_deploy_between_two_of_our_calls_is_not_lost() {
    let stage = Stage::new();
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
    let (ecs, once) = (Arc::clone(&stage.ecs), Mutex::new(true));
    stage.answer_with(move |operation, input| {
        let first = operation == "UpdateService" && std::mem::take(&mut *once.lock().unwrap());
        first.then(|| {
            // Another deployment is begun just before ours, which replaces it.
            let mut ecs = ecs.lock().unwrap();
            let others = json!({"family": "web", "containerDefinitions": [{"name": "web", "image": "httpd:2"}]});
            ecs.revisions.push(Some(others));
            ecs.deploy(&arn(3));
            (200, ecs.answer("UpdateService", input).unwrap())
        })
    });
    stage.tick(at(60)).await;
    let rollout = stage.latest().await;
    assert_eq!((rollout.state, rollout.task_definition.before), (State::Deploying, Some(arn(3))));
    assert_eq!(stage.ecs.lock().unwrap().web["taskDefinition"], json!(arn(4)));
    let image = stage.ecs.lock().unwrap().revisions[3].as_ref().unwrap()["containerDefinitions"][0]["image"].clone();
    assert_eq!(image, "httpd:2");
    assert_eq!(stage.mounts(), [("/srv".to_owned(), "wharfinger-blog".to_owned())]);
    stage.complete();
    stage.tick(at(90)).await;
    assert_eq!(stage.latest().await.state, State::Succeeded);
}
