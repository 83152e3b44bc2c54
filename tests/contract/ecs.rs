//! ECS: the way of a rollout, from a copied task definition to the served page.

use aws_sdk_ecs::{
    Client,
    error::ProvideErrorMetadata,
    types::{
        ContainerDefinition, DeploymentConfiguration, DeploymentLifecycleHook, DeploymentLifecycleHookStage,
        DeploymentLifecycleHookTargetType, DeploymentRolloutState, DeploymentStrategy, EfsTransitEncryption,
        EfsVolumeConfiguration, MountPoint, Service, ServiceDeploymentLifecycleStage, ServiceDeploymentStatus, Volume,
    },
};
use wharfinger_region::seed;

use crate::emulated_region::{EmulatedRegion, until};

async fn client(region: &EmulatedRegion) -> Client {
    Client::new(&region.config().await)
}

async fn describe(ecs: &Client) -> Service {
    let described = ecs.describe_services().cluster("local").services("web").send().await.unwrap();
    described.services()[0].clone()
}

async fn completed(ecs: &Client) -> Service {
    until(|| async {
        let service = describe(ecs).await;
        let only = service.deployments().len() == 1;
        let done = service.deployments()[0].rollout_state() == Some(&DeploymentRolloutState::Completed);
        (only && done).then_some(service)
    })
    .await
}

async fn register(ecs: &Client, root: &str) -> String {
    let present = ecs.describe_task_definition().task_definition("web").send().await.unwrap().task_definition.unwrap();
    let efs = EfsVolumeConfiguration::builder()
        .file_system_id(seed::FILE_SYSTEM)
        .root_directory(root)
        .transit_encryption(EfsTransitEncryption::Enabled)
        .build()
        .unwrap();
    let volume = Volume::builder().name("site").efs_volume_configuration(efs).build();
    let point = MountPoint::builder().source_volume("site").container_path("/usr/local/apache2/htdocs").build();
    let container = present.container_definitions()[0].clone();
    let container =
        ContainerDefinition::builder().set_name(container.name).set_image(container.image).mount_points(point).build();
    let registered = ecs
        .register_task_definition()
        .set_family(present.family)
        .set_network_mode(present.network_mode)
        .set_requires_compatibilities(present.requires_compatibilities)
        .set_cpu(present.cpu)
        .set_memory(present.memory)
        .volumes(volume)
        .container_definitions(container)
        .send()
        .await
        .unwrap();
    registered.task_definition.unwrap().task_definition_arn.unwrap()
}

#[tokio::test]
async fn a_rollout_is_seen_at_the_site() {
    let region = EmulatedRegion::new().await;
    let ecs = client(&region).await;
    completed(&ecs).await;
    let directory = region.directory.path().join(seed::FILE_SYSTEM).join("sites/blog");
    std::fs::write(directory.join("index.html"), "<p>hello</p>").unwrap();
    let arn = register(&ecs, seed::DIRECTORY).await;
    let update = ecs.update_service().cluster("local").service("web").task_definition(&arn).send().await.unwrap();
    let id = update.service().unwrap().deployments()[0].id().unwrap().to_owned();
    let service = completed(&ecs).await;
    assert_eq!(service.deployments()[0].id(), Some(id.as_str()));
    assert_eq!(service.task_definition(), Some(arn.as_str()));
    let answer = reqwest::get(format!("{}/", region.site)).await.unwrap();
    assert_eq!(answer.headers()["x-task-definition"], "web:2");
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.text().await.unwrap(), "<p>hello</p>");
    assert_eq!(region.services.calls.count("ecs", "RegisterTaskDefinition"), 1);
    let old = ecs.list_task_definitions().family_prefix("web").send().await.unwrap();
    assert_eq!(old.task_definition_arns().len(), 2);
}

#[tokio::test]
async fn a_revision_that_can_not_be_mounted_is_rolled_back() {
    let region = EmulatedRegion::new().await;
    let ecs = client(&region).await;
    completed(&ecs).await;
    let arn = register(&ecs, "/nowhere").await;
    let update = ecs.update_service().cluster("local").service("web").task_definition(&arn).send().await.unwrap();
    let failing = update.service().unwrap().deployments()[0].id().unwrap().to_owned();
    let service = until(|| async {
        let service = describe(&ecs).await;
        let gone = service.deployments().iter().all(|deployment| deployment.id() != Some(failing.as_str()));
        gone.then_some(service)
    })
    .await;
    assert!(service.task_definition().unwrap().ends_with("web:1"));
    let stopped = ecs.list_tasks().cluster("local").desired_status("STOPPED".into()).send().await.unwrap();
    let tasks = ecs.describe_tasks().cluster("local").set_tasks(stopped.task_arns).send().await.unwrap();
    let reasons: Vec<_> = tasks.tasks().iter().filter_map(|task| task.stopped_reason()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("No such file or directory")), "{reasons:?}");
}

#[tokio::test]
async fn a_deployment_of_another_strategy_is_followed_by_its_service_deployment() {
    let region = EmulatedRegion::new().await;
    let ecs = client(&region).await;
    completed(&ecs).await;
    let arn = register(&ecs, seed::DIRECTORY).await;
    let hook = DeploymentLifecycleHook::builder()
        .target_type(DeploymentLifecycleHookTargetType::Pause)
        .lifecycle_stages(DeploymentLifecycleHookStage::PostProductionTrafficShift)
        .build();
    let configuration = DeploymentConfiguration::builder()
        .strategy(DeploymentStrategy::BlueGreen)
        .bake_time_in_minutes(0)
        .lifecycle_hooks(hook)
        .build();
    let update = ecs.update_service().cluster("local").service("web").task_definition(&arn);
    let update = update.deployment_configuration(configuration).send().await.unwrap();
    let id = update.service().unwrap().deployments()[0].id().unwrap().to_owned();
    let listed = ecs.list_service_deployments().cluster("local").service("web").send().await.unwrap();
    let brief = listed.service_deployments()[0].clone();
    assert!(brief.target_service_revision_arn().unwrap().ends_with(id.strip_prefix("ecs-svc/").unwrap()));
    let deployment = brief.service_deployment_arn().unwrap().to_owned();
    let described = || async {
        let described = ecs.describe_service_deployments().service_deployment_arns(&deployment).send().await.unwrap();
        described.service_deployments()[0].clone()
    };
    let paused = until(|| async {
        let deployment = described().await;
        (!deployment.lifecycle_hook_details().is_empty()).then_some(deployment)
    })
    .await;
    assert_eq!(paused.lifecycle_stage(), Some(&ServiceDeploymentLifecycleStage::PostProductionTrafficShift));
    assert_eq!(paused.source_service_revisions()[0].running_task_count(), 1);
    let hook = paused.lifecycle_hook_details()[0].hook_id().unwrap();
    let go_on = ecs.continue_service_deployment().service_deployment_arn(&deployment).hook_id(hook);
    go_on.send().await.unwrap();
    until(|| async { (described().await.status() == Some(&ServiceDeploymentStatus::Successful)).then_some(()) }).await;
    let over = ecs.stop_service_deployment().service_deployment_arn(&deployment).send().await.unwrap_err();
    assert!(over.into_service_error().is_conflict_exception());
    let missing = ecs.stop_service_deployment().service_deployment_arn(format!("{deployment}x")).send().await;
    assert!(missing.unwrap_err().into_service_error().is_service_deployment_not_found_exception());
    let revision = described().await.target_service_revision().unwrap().arn().unwrap().to_owned();
    let revisions = ecs.describe_service_revisions().service_revision_arns(revision).send().await.unwrap();
    assert_eq!(revisions.service_revisions()[0].task_definition(), Some(arn.as_str()));
}

#[tokio::test]
async fn what_does_not_exist_has_awss_errors() {
    let region = EmulatedRegion::new().await;
    let ecs = client(&region).await;
    let missing = ecs.describe_services().cluster("local").services("other").send().await.unwrap();
    assert_eq!(missing.failures()[0].reason(), Some("MISSING"));
    let cluster = ecs.describe_services().cluster("other").services("web").send().await.unwrap_err();
    assert!(cluster.into_service_error().is_cluster_not_found_exception());
    let service = ecs.update_service().cluster("local").service("other").send().await.unwrap_err();
    assert!(service.into_service_error().is_service_not_found_exception());
    let definition = ecs.describe_task_definition().task_definition("other").send().await.unwrap_err();
    assert_eq!(definition.into_service_error().message(), Some("Unable to describe task definition."));
    ecs.deregister_task_definition().task_definition("web:1").send().await.unwrap();
    let update = ecs.update_service().cluster("local").service("web").task_definition("web:1").send().await;
    assert!(update.unwrap_err().into_service_error().is_client_exception());
}

#[tokio::test]
async fn a_further_service_has_an_address_of_its_own() {
    let region = EmulatedRegion::new().await;
    let ecs = client(&region).await;
    let network = describe(&ecs).await.network_configuration;
    let create = ecs.create_service().cluster("local").service_name("shop").task_definition("web:1").desired_count(1);
    create.set_network_configuration(network).send().await.unwrap();
    let body = until(|| async {
        let address = region.ecs.service_address("local", "shop")?;
        let answer = reqwest::get(format!("http://{address}/")).await.ok()?;
        if answer.status().is_success() { answer.text().await.ok() } else { None }
    })
    .await;
    assert!(body.contains("It works!"));
}
