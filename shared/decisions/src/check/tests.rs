use serde_json::json;

use super::*;

const ROLE: &str = "arn:aws:iam::000000000000:role/wharfinger/web-task";
const POINT: &str = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0a1b2c3d4e5f60718";

/// A site whose service can mount it.
fn well() -> Observed {
    let spec = json!({
        "file_system_id": "fs-0a1b2c3d4e5f60718", "directory": "/sites/blog", "cluster": "local", "service": "web",
        "container": "web", "mount_path": "/srv", "access_point_id": "fsap-0a1b2c3d4e5f60718",
    });
    let service = json!({
        "serviceArn": "arn:aws:ecs:us-east-1:000000000000:service/local/web", "status": "ACTIVE", "desiredCount": 1,
        "tags": [{"key": "wharfinger:allow", "value": "true"}],
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-a"], "securityGroups": ["sg-web"]}},
        "deploymentConfiguration": {"strategy": "CANARY"},
    });
    let nfs = |peer: &str| Permission {
        protocol: "tcp".into(),
        ports: Some((2049, 2049)),
        peers: vec![Peer::Group(peer.into())],
    };
    Observed {
        spec: serde_json::from_value(spec).unwrap(),
        containers: vec!["web".into()],
        reach: Reach { services: "tagged".into(), roles: "wharfinger/*".into() },
        service: Ok(Some(service)),
        definition: Ok(json!({"taskRoleArn": ROLE, "containerDefinitions": [{"name": "web"}]})),
        targets: Ok(Some(vec![target("us-east-1a")])),
        subnets: Ok(vec![Subnet {
            id: "subnet-a".into(),
            vpc: "vpc-1".into(),
            zone: "us-east-1a".into(),
            block: "10.0.0.0/20".into(),
        }]),
        groups: Ok(vec![
            Group { id: "sg-web".into(), ingress: vec![], egress: vec![nfs("sg-efs")] },
            Group { id: "sg-efs".into(), ingress: vec![nfs("sg-web")], egress: vec![] },
        ]),
        access_point: Ok(Some(AccessPoint {
            arn: POINT.into(),
            file_system: "fs-0a1b2c3d4e5f60718".into(),
            path: "/sites/blog".into(),
            available: true,
            owner: Some((1000, 1000)),
        })),
        policy: Ok(None),
        users: vec![Uploader { name: "main/alice".into(), uid: 1000, gid: 1000 }],
    }
}

fn target(zone: &str) -> Target {
    Target {
        vpc: "vpc-1".into(),
        zone: zone.into(),
        address: "10.0.0.7".into(),
        available: true,
        groups: vec!["sg-efs".into()],
    }
}

/// What is not well, as `code state`.
fn told(observed: &Observed) -> Vec<String> {
    let amiss = judge(observed).into_iter().filter(|finding| finding.state != State::Ok);
    amiss.map(|finding| format!("{} {:?}", finding.code, finding.state).to_lowercase()).collect()
}

fn message(observed: &Observed, code: &str) -> (String, String) {
    let finding = judge(observed).into_iter().find(|finding| finding.code == code).unwrap();
    (finding.message, finding.fix)
}

fn edit(service: &mut Seen<Option<Value>>, pointer: &str, value: Value) {
    *service.as_mut().unwrap().as_mut().unwrap().pointer_mut(pointer).unwrap() = value;
}

#[test]
fn a_site_that_can_be_mounted_has_no_problem() {
    assert_eq!(told(&well()), Vec::<String>::new());
    assert!(is_ok(&judge(&well())));
}

#[test]
fn what_could_not_be_seen_is_unknown_and_holds_up_nothing_else() {
    let blind = || "AWS refuses it".to_owned();
    let mut site = well();
    site.policy = Err(blind());
    assert_eq!(told(&site), ["permissions unknown"]);
    assert!(is_ok(&judge(&site)));
    let mut site = well();
    site.groups = Err(blind());
    assert_eq!(told(&site), ["nfs unknown"]);
    let mut site = well();
    site.access_point = Err(blind());
    site.policy = Ok(Some(json!({"Statement": []})));
    assert_eq!(told(&site), ["access_point unknown", "permissions unknown", "posix_ids unknown"]);
    let mut site = well();
    site.service = Err(blind());
    assert_eq!(told(&site), ["service unknown", "strategy unknown", "open unknown", "zones unknown", "nfs unknown"]);
}

#[test]
fn a_service_that_is_not_there_or_has_no_tasks_is_a_problem() {
    let mut site = well();
    site.service = Ok(None);
    assert_eq!(told(&site)[0], "service problem");
    let mut site = well();
    edit(&mut site.service, "/desiredCount", json!(0));
    assert_eq!(told(&site), ["service problem"]);
    assert!(message(&site, "service").0.contains("proves nothing"));
}

#[test]
fn services_that_others_deploy_are_a_problem() {
    for (member, value) in [
        ("deploymentController", json!({"type": "CODE_DEPLOY"})),
        ("deploymentController", json!({"type": "EXTERNAL"})),
        ("resourceManagementType", json!("ECS")),
    ] {
        let mut site = well();
        site.service.as_mut().unwrap().as_mut().unwrap()[member] = value;
        assert_eq!(told(&site), ["strategy problem"]);
    }
}

#[test]
fn what_is_closed_is_told_with_the_command_that_opens_it() {
    let mut site = well();
    edit(&mut site.service, "/tags", json!([]));
    assert_eq!(told(&site), ["open problem"]);
    assert!(message(&site, "open").1.contains("aws ecs tag-resource"));
    site.reach.services = "other/*,local/web".into();
    assert_eq!(told(&site), Vec::<String>::new(), "a list needs no tag");
    site.reach.roles = "sites/*".into();
    assert_eq!(told(&site), ["roles problem"]);
    assert!(message(&site, "roles").1.contains("wharfinger/web-task"));
}

#[test]
fn a_container_that_the_task_definition_lacks_is_a_problem() {
    let mut site = well();
    site.containers.push("side".into());
    assert_eq!(told(&site), ["container problem"]);
}

#[test]
fn every_subnet_needs_a_mount_target_in_its_zone() {
    let mut site = well();
    site.targets = Ok(Some(vec![target("us-east-1b")]));
    assert_eq!(told(&site), ["zones problem"]);
    assert!(message(&site, "zones").1.contains("--subnet-id subnet-a"));
    let mut creating = target("us-east-1a");
    creating.available = false;
    site.targets = Ok(Some(vec![creating]));
    assert_eq!(told(&site), ["zones problem"]);
    site.targets = Ok(None);
    assert!(message(&site, "zones").0.contains("no file system"));
}

#[test]
fn nfs_has_to_pass_both_sides() {
    let mut site = well();
    site.groups.as_mut().unwrap()[1].ingress.clear();
    assert_eq!(told(&site), ["nfs problem"]);
    assert!(message(&site, "nfs").1.contains("authorize-security-group-ingress --group-id sg-efs"));
    let mut site = well();
    site.groups.as_mut().unwrap()[0].egress[0].ports = Some((443, 443));
    assert_eq!(told(&site), ["nfs problem"]);
    assert!(message(&site, "nfs").1.contains("authorize-security-group-egress --group-id sg-web"));
    site.groups.as_mut().unwrap()[0].egress[0].peers = vec![Peer::Other];
    site.groups.as_mut().unwrap()[0].egress[0].ports = None;
    assert_eq!(told(&site), ["nfs unknown"], "a prefix list is not looked at");
}

#[test]
fn blocks_of_addresses_let_nfs_through_where_they_hold_all_of_the_other_side() {
    for (block, state) in [("10.0.0.0/16", None), ("10.0.0.0/20", None), ("10.0.0.0/24", Some("nfs problem"))] {
        let mut site = well();
        site.groups.as_mut().unwrap()[1].ingress[0].peers = vec![Peer::Block(block.into())];
        site.groups.as_mut().unwrap()[0].egress[0].protocol = "-1".into();
        site.groups.as_mut().unwrap()[0].egress[0].peers = vec![Peer::Block("0.0.0.0/0".into())];
        assert_eq!(told(&site), state.into_iter().collect::<Vec<_>>(), "{block}");
    }
}

#[test]
fn an_access_point_leads_to_the_site_s_directory() {
    let change = |change: &dyn Fn(&mut AccessPoint)| {
        let mut site = well();
        change(site.access_point.as_mut().unwrap().as_mut().unwrap());
        told(&site)
    };
    assert_eq!(change(&|point| point.path = "/sites".into()), ["access_point problem"]);
    assert_eq!(change(&|point| point.path = "/sites/blog/".into()), Vec::<String>::new());
    assert_eq!(change(&|point| point.file_system = "fs-1".into()), ["access_point problem"]);
    assert_eq!(change(&|point| point.available = false), ["access_point problem"]);
    let mut site = well();
    site.access_point = Ok(None);
    assert_eq!(told(&site), ["access_point problem"]);
}

#[test]
fn a_file_system_s_policy_is_read_as_far_as_it_names_the_tasks() {
    let statement = |principal: Value, action: &str, condition: Value| json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": [action], "Condition": condition});
    let through = json!({
        "Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"},
        "StringEquals": {"elasticfilesystem:AccessPointArn": POINT},
    });
    let elsewhere = json!({"StringEquals": {"elasticfilesystem:AccessPointArn": "arn:of-another"}});
    let mount = "elasticfilesystem:ClientMount";
    for (statements, state) in [
        (vec![statement(json!(ROLE), mount, json!({}))], None),
        (vec![statement(json!("*"), "elasticfilesystem:*", through)], None),
        (vec![statement(json!("*"), mount, elsewhere)], Some("permissions unknown")),
        (vec![statement(json!("arn:of-another"), mount, json!({}))], Some("permissions unknown")),
        (vec![statement(json!(ROLE), "elasticfilesystem:ClientWrite", json!({}))], Some("permissions unknown")),
    ] {
        let mut site = well();
        let tls = json!({"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": mount,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}}});
        let statements = [vec![tls], statements].concat();
        site.policy = Ok(Some(json!({ "Statement": statements })));
        assert_eq!(told(&site), state.into_iter().collect::<Vec<_>>(), "{:?}", site.policy);
    }
    let mut site = well();
    site.definition.as_mut().unwrap()["taskRoleArn"] = Value::Null;
    site.policy = Ok(Some(json!({"Statement": [statement(json!(ROLE), mount, json!({}))]})));
    assert_eq!(told(&site), ["permissions problem"], "without a role tasks mount as nobody");
    let mut site = well();
    let denied = json!({"Effect": "Deny", "Principal": "*", "Action": "*"});
    site.policy = Ok(Some(json!({"Statement": [denied, statement(json!(ROLE), mount, json!({}))]})));
    assert_eq!(told(&site), ["permissions unknown"]);
}

#[test]
fn those_who_upload_as_others_than_the_access_point_are_told() {
    let mut site = well();
    site.users.push(Uploader { name: "main/bob".into(), uid: 1500, gid: 1500 });
    assert_eq!(told(&site), ["posix_ids problem"]);
    let (message, fix) = message(&site, "posix_ids");
    assert!(message.contains("main/bob (1500:1500)") && !message.contains("alice"), "{message}");
    assert!(fix.contains("\"uid\": 1000"), "{fix}");
    site.users[1].gid = 1000;
    assert_eq!(told(&site), Vec::<String>::new(), "the group reads it");
    site.users[1].gid = 1500;
    site.access_point.as_mut().unwrap().as_mut().unwrap().owner = None;
    assert_eq!(told(&site), Vec::<String>::new());
}
