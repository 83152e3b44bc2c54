//! The IAM proof: what the roles of the template allow is what the functions do, no less and hardly more. The region
//! refuses a function what its role doesn't allow, so every story of this suite proves the first half; here the second
//! half is proven, and that the proof bites.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wharfinger_cli::client::sftp::{UserKey, Visitor};
use wharfinger_emulator::{
    endpoint::calls::Asked,
    iam::{policy::Decision, request::Request},
};
use wharfinger_region::{
    region::{Region, TEMPLATE},
    seed,
    template::{document, plan::Plan},
    wiring::Function,
};

use crate::{
    orders,
    support::{LocalRegion, blog, brisk, server},
};

/// Allowed actions that no story on a laptop calls, each as `Function action`, with the reason why it stays.
const NEVER_CALLED: [&str; 0] = [];

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_life_needs_each_permission_and_no_other() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    upload_and_tidy_up(&local).await.unwrap();
    deploy_in_vain(&local).await.unwrap();
    orders::order(&local, "?dry_run=true").await.unwrap();
    orders::bake_and_break_off(&local).await.unwrap();
    change_alice(&local).await.unwrap();
    rest_and_wake(&local).await.unwrap();
    move_house(&local).await.unwrap();
    check_a_site(&local).await.unwrap();
    let asked = live_again(&local).await.unwrap();

    let region = &local.region;
    assert_eq!(region.calls().refused(), [], "a function was refused what it needs");
    assert_eq!(never_called(region, &asked), NEVER_CALLED, "actions are allowed that nothing calls");
    every_permission_is_missed_when_it_is_gone(region, &asked);
    every_rule_is_missed_when_it_is_broken(&region.events());
    local.close().await;
}

/// Uploads of every kind, and more rollouts than revisions are kept.
async fn upload_and_tidy_up(local: &LocalRegion) -> anyhow::Result<()> {
    let mut site = blog("1s");
    site["keep_revisions"] = json!(2);
    local.api.put("/v1/sites/blog", &site).await?;
    let alice = local.log_in().await;
    for round in 1..=3 {
        let before = local.rollouts().await?.len();
        // One of them as ECS does it otherwise than by rolling.
        let strategy = match round {
            2 => json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0 }),
            _ => json!({ "strategy": "ROLLING" }),
        };
        let update = json!({ "cluster": "local", "service": "web", "deploymentConfiguration": strategy });
        local.region.call("ecs", "UpdateService", update).await?;
        alice.put("index.html", format!("round {round}").as_bytes()).await?;
        alice.sftp.read("index.html").await?;
        alice.sftp.create_dir("new").await?;
        alice.put("new/draft.txt", b"draft").await?;
        alice.sftp.rename("new/draft.txt", "new/final.txt").await?;
        alice.sftp.remove_file("new/final.txt").await?;
        alice.sftp.remove_dir("new").await?;
        local
            .until(&format!("round {round} is rolled out"), || async {
                let rollouts = local.rollouts().await?;
                let done = rollouts.iter().all(|rollout| rollout["state"] == "succeeded");
                Ok((rollouts.len() > before && done).then_some(()))
            })
            .await;
    }
    alice.log_out().await?;
    local
        .until("an old revision is deregistered", || async {
            Ok((local.calls("ecs", "DeregisterTaskDefinition") > 0).then_some(()))
        })
        .await;
    Ok(())
}

/// A check of a site that is mounted through an access point.
async fn check_a_site(local: &LocalRegion) -> anyhow::Result<()> {
    let owner = json!({ "OwnerUid": 1000, "OwnerGid": 1000, "Permissions": "0755" });
    let root = json!({ "Path": "/shop", "CreationInfo": owner });
    let point = json!({ "ClientToken": "shop", "FileSystemId": seed::FILE_SYSTEM, "RootDirectory": root });
    let point = local.region.call("elasticfilesystem", "CreateAccessPoint", point).await?;
    let mut shop = blog("1s");
    shop["directory"] = json!("/shop");
    shop["mount_path"] = json!("/shop");
    shop["access_point_id"] = point["AccessPointId"].clone();
    local.api.put("/v1/sites/shop", &shop).await?;
    local.api.get("/v1/sites/shop/check").await?.taken("check")?;
    // A rollout that is under way keeps it.
    local.until("the shop is gone", || async { Ok(local.api.delete("/v1/sites/shop").await.ok().map(drop)) }).await;
    Ok(())
}

/// Somebody deploys a revision whose tasks can't start, and ECS goes back to the one before.
async fn deploy_in_vain(local: &LocalRegion) -> anyhow::Result<()> {
    let mut definition = local.region.task_definition("web").await?;
    definition["volumes"][0]["efsVolumeConfiguration"]["rootDirectory"] = json!("/sites/missing");
    let told = ["taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt"];
    definition.as_object_mut().into_iter().for_each(|all| all.retain(|name, _| !told.contains(&name.as_str())));
    local.region.call("ecs", "RegisterTaskDefinition", definition).await?;
    let update = json!({ "cluster": "local", "service": "web", "taskDefinition": "web" });
    local.region.call("ecs", "UpdateService", update).await?;
    local
        .until("ECS has gone back", || async {
            let failed = |event: &Value| event["detail"]["eventName"] == "SERVICE_DEPLOYMENT_FAILED";
            let asked = json!({ "cluster": "local", "services": ["web"] });
            let service = local.region.call("ecs", "DescribeServices", asked).await?["services"][0].clone();
            let deployments = service["deployments"].as_array().map_or(0, Vec::len);
            let steady = deployments == 1 && service["deployments"][0]["rolloutState"] == "COMPLETED";
            Ok((local.region.events().iter().any(failed) && steady).then_some(()))
        })
        .await;
    Ok(())
}

/// Another key, other POSIX ids.
async fn change_alice(local: &LocalRegion) -> anyhow::Result<()> {
    let (other, address) = (UserKey::generate(), local.region.addresses().sftp);
    let user = json!({
        "public_keys": [other.public_line()], "site": "blog", "posix": { "uid": 1500, "gid": 1500 },
    });
    local.api.put("/v1/servers/main/users/alice", &user).await?;
    local
        .until("alice's new key is taken and the old one is not", || async {
            let new = Visitor::log_in(address, "alice", &other).await;
            let old = Visitor::log_in(address, "alice", &local.key).await;
            Ok((new.is_ok() && old.is_err()).then_some(()))
        })
        .await;
    local.until_alice_is_ready().await;
    Ok(())
}

/// Stopped by the sweep, started by a person.
async fn rest_and_wake(local: &LocalRegion) -> anyhow::Result<()> {
    local.api.put("/v1/servers/main", &server(Some("3s"))).await?;
    local.until_power("stopped").await;
    local.api.put("/v1/servers/main", &server(None)).await?;
    local.api.post("/v1/servers/main/start").await?;
    local.until_power("online").await;
    Ok(())
}

/// Other trusted addresses and security groups; then no Elastic IP, and an endpoint with private addresses.
async fn move_house(local: &LocalRegion) -> anyhow::Result<()> {
    let mut moved = server(None);
    moved["network"]["allowed_cidrs"] = json!(["127.0.0.0/9", "203.0.113.0/24"]);
    moved["network"]["security_group_ids"] = json!([seed::SFTP_GROUP, seed::DEFAULT_GROUP]);
    local.api.put("/v1/servers/main?dry_run=true", &moved).await?;
    local.api.put("/v1/servers/main", &moved).await?;
    local
        .until("groups and rules are changed", || async {
            let changed = ["ModifyVpcEndpoint", "RevokeSecurityGroupIngress"];
            Ok(changed.iter().all(|operation| local.calls("ec2", operation) > 0).then_some(()))
        })
        .await;
    moved["network"]["address_allocation_ids"] = json!([]);
    local.api.put("/v1/servers/main", &moved).await?;
    local
        .until("clients are told the private addresses", || async {
            Ok((local.calls("ec2", "DescribeNetworkInterfaces") > 0).then_some(()))
        })
        .await;
    local.until_power("online").await;
    Ok(())
}

/// User, server and site go, and a server of the same name comes. Returns what all functions asked of IAM.
async fn live_again(local: &LocalRegion) -> anyhow::Result<Vec<Asked>> {
    for path in ["/v1/servers/main/users/alice", "/v1/servers/main", "/v1/sites/blog"] {
        local.api.delete(path).await?;
        local
            .until(&format!("{path} is gone"), || async {
                Ok((local.api.get(path).await?.status == 404).then_some(()))
            })
            .await;
    }
    local.api.put("/v1/servers/main", &server(None)).await?;
    local.until_power("online").await;
    Ok(local.region.calls().allowed().into_iter().map(|(asked, _)| asked).collect())
}

/// The questions of one function.
fn of<'a>(function: &Function, asked: &'a [Asked]) -> Vec<&'a Asked> {
    let key = function.access_key();
    asked.iter().filter(|one| one.caller == key).collect()
}

/// Actions of statements that allowed nothing of what was asked.
fn never_called(region: &Region, asked: &[Asked]) -> Vec<String> {
    let mut idle = Vec::new();
    for function in &region.plan().functions {
        let asked = of(function, asked);
        for (number, action) in function.policy.allowed_actions() {
            let used = asked.iter().any(|one| {
                one.request.action.eq_ignore_ascii_case(action) && function.policy.allows_by(number, &one.request)
            });
            if !used {
                idle.push(format!("{} {action}", function.logical));
            }
        }
    }
    idle
}

/// Without any one action of any statement, something that was done would have been refused.
fn every_permission_is_missed_when_it_is_gone(region: &Region, asked: &[Asked]) {
    let mut taken_away = 0;
    for function in &region.plan().functions {
        let asked = of(function, asked);
        for (number, action) in function.policy.allowed_actions() {
            let narrower = function.policy.without(number, action);
            let refused = |one: &&Asked| !matches!(narrower.decide(&one.request), Decision::Allowed(_));
            let what = format!("{} {action}", function.logical);
            assert!(
                asked.iter().any(refused) || NEVER_CALLED.contains(&what.as_str()),
                "{what} could be taken from statement {number}, and nothing would be refused"
            );
            taken_away += 1;
        }
    }
    assert!(taken_away > 40, "only {taken_away} actions were taken away");
}

/// Each text in each event pattern of the template, broken by one letter, lets an event by that was delivered.
fn every_rule_is_missed_when_it_is_broken(events: &[Value]) {
    let delivered = delivered(TEMPLATE, events);
    let breaks = [
        ("source: [!Ref TransferEventSource]", "source: [aws.transfers]"),
        ("source: [!Ref EcsEventSource]", "source: [aws.ec]"),
        ("prefix: \"SFTP Server File Upload ", "prefix: \"SFTP Server File Uploads "),
        ("prefix: \"SFTP Server File Download ", "prefix: \"SFTP Server File Downloads "),
        ("- SFTP Server File Rename Completed", "- SFTP Server File Rename Complete"),
        ("- SFTP Server File Delete Completed", "- SFTP Server File Delete Complete"),
        ("- SFTP Server Directory Create Completed", "- SFTP Server Directory Create Complete"),
        ("- SFTP Server Directory Delete Completed", "- SFTP Server Directory Delete Complete"),
        ("detail-type: [ECS Deployment State Change]", "detail-type: [ECS Deployment State Changes]"),
        ("- SERVICE_DEPLOYMENT_COMPLETED", "- SERVICE_DEPLOYMENT_COMPLETE"),
        ("- SERVICE_DEPLOYMENT_FAILED", "- SERVICE_DEPLOYMENT_FAIL"),
    ];
    assert_eq!(breaks.len(), pattern_texts(), "each text of each event pattern is broken once");
    for (text, broken) in breaks {
        assert_eq!(TEMPLATE.matches(text).count(), 1, "the template has {text:?} once");
        let missed = delivered.difference(&self::delivered(&TEMPLATE.replace(text, broken), events)).count();
        assert!(missed > 0, "with {text:?} broken, every event is still delivered");
    }
}

/// How many texts the template's event patterns hold.
fn pattern_texts() -> usize {
    fn texts(value: &Value) -> usize {
        match value {
            Value::Array(items) => items.iter().map(texts).sum(),
            Value::Object(members) => members.values().map(texts).sum(),
            _ => 1,
        }
    }
    let document = document::read(TEMPLATE).expect("the template is readable");
    let resources = document["Resources"].as_object().expect("the template has resources");
    resources
        .values()
        .map(|resource| &resource["Properties"]["EventPattern"])
        .filter(|pattern| !pattern.is_null())
        .map(texts)
        .sum()
}

/// The ids of the events that some rule of this template takes.
fn delivered(template: &str, events: &[Value]) -> BTreeSet<String> {
    let plan = Plan::read(template, &[].into(), "http://127.0.0.1:4566").expect("the template is readable");
    let taken = |event: &&Value| {
        plan.rules.iter().any(|rule| rule.pattern.as_ref().is_some_and(|pattern| pattern.matches(event)))
    };
    events.iter().filter(taken).map(|event| event["id"].to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_lacks_an_action_is_refused_as_aws_would() {
    let action = "                  - transfer:CreateUser\n";
    assert_eq!(TEMPLATE.matches(action).count(), 1, "the template lists transfer:CreateUser once");
    let mut options = brisk();
    options.template = Some(TEMPLATE.replace(action, ""));
    let local = LocalRegion::open(options).await;
    local.api.put("/v1/servers/main", &server(None)).await.unwrap();
    local.api.put("/v1/sites/blog", &blog("1s")).await.unwrap();
    local.put_alice().await;

    let reason = local
        .until("alice has failed", || async {
            let status = local.api.get("/v1/servers/main/users/alice").await?.taken("alice")?["status"].clone();
            Ok((status["state"] == "failed").then(|| status["reason"].to_string()))
        })
        .await;

    let id = local.server().await.unwrap()["status"]["server_id"].as_str().unwrap_or_default().to_owned();
    let role = "arn:aws:sts::000000000000:assumed-role/wharfinger-ReconcileFunctionRole/wharfinger-ReconcileFunction";
    let sentence = format!(
        "User: {role} is not authorized to perform: transfer:CreateUser on resource: \
         arn:aws:transfer:us-east-1:000000000000:server/{id} because no identity-based policy allows the \
         transfer:CreateUser action"
    );
    assert!(reason.contains("AccessDeniedException") && reason.contains(&sentence), "{reason}");
    let users = local.region.call("transfer", "ListUsers", json!({ "ServerId": id })).await.unwrap();
    assert_eq!(users["Users"], json!([]), "{users}");
    let refused = local.region.calls().refused();
    assert!(refused.iter().all(|(asked, _)| asked.request.action == "transfer:CreateUser"), "{refused:?}");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_evaluated_stops_the_region() {
    for (from, to, says) in [
        ("\"iam:PassedToService\": transfer", "\"aws:PrincipalOrgID\": transfer", "aws:PrincipalOrgID"),
        ("Action: cloudwatch:GetMetricData", "NotPrincipal: cloudwatch:GetMetricData", "NotPrincipal"),
    ] {
        let mut options = brisk();
        options.template = Some(TEMPLATE.replace(from, to));
        let refused = Region::start(options, crate::support::program().to_owned()).await;
        let refusal = format!("{:#}", refused.err().unwrap_or_else(|| panic!("{to} was taken")));
        assert!(refusal.contains(says), "{refusal}");
    }
}

#[test]
fn what_no_function_needs_is_refused() {
    let plan = Plan::read(TEMPLATE, &[].into(), "http://127.0.0.1:4566").unwrap();
    let (ours, others) = (tags("wharfinger"), tags("another"));
    let server = |action: &str| Request::new(action, "arn:aws:transfer:us-east-1:000000000000:server/s-1");
    let create = |tags: &Value, domain: &str, endpoint: &str| {
        Request::new("transfer:CreateServer", "*")
            .giving(tags)
            .with("transfer:RequestServerDomain", [domain])
            .with("transfer:RequestServerEndpointType", [endpoint])
    };
    let pass = |role: &str, to: &str| {
        Request::new("iam:PassRole", format!("arn:aws:iam::000000000000:role/{role}")).with("iam:PassedToService", [to])
    };
    let endpoint = |action: &str, service: &str| {
        Request::new(action, "arn:aws:ec2:us-east-1:000000000000:vpc-endpoint/vpce-1")
            .with("ec2:VpceServiceName", [format!("com.amazonaws.us-east-1.{service}")])
    };
    let update = || Request::new("ecs:UpdateService", "arn:aws:ecs:us-east-1:000000000000:service/a/b");
    let definition = "arn:aws:ecs:us-east-1:000000000000:task-definition/web:7";
    let (reconcile, rollout) = ("ReconcileFunction", "RolloutFunction");
    for (function, request, allowed) in [
        (reconcile, create(&ours, "EFS", "VPC"), true),
        (reconcile, create(&others, "EFS", "VPC"), false),
        (reconcile, create(&json!([]), "EFS", "VPC"), false),
        (reconcile, create(&ours, "S3", "VPC"), false),
        (reconcile, create(&ours, "EFS", "PUBLIC"), false),
        (reconcile, server("transfer:DeleteServer").having(&ours), true),
        (reconcile, server("transfer:DeleteServer").having(&others), false),
        (reconcile, server("transfer:DeleteServer"), false),
        (reconcile, server("transfer:ImportHostKey").having(&ours), true),
        (reconcile, server("transfer:ImportHostKey").having(&others), false),
        (reconcile, server("transfer:TagResource").giving(&others), false),
        (reconcile, pass("wharfinger-TransferUserRole", "transfer.amazonaws.com"), true),
        (reconcile, pass("wharfinger-TransferUserRole", "lambda.amazonaws.com"), false),
        (reconcile, pass("administrator", "transfer.amazonaws.com"), false),
        (reconcile, Request::new("dynamodb:Query", "arn:aws:dynamodb:us-east-1:000000000000:table/another"), false),
        (reconcile, endpoint("ec2:CreateVpcEndpoint", "transfer.server"), true),
        (reconcile, endpoint("ec2:CreateVpcEndpoint", "transfer.server.c-0001"), true),
        (reconcile, endpoint("ec2:CreateVpcEndpoint", "secretsmanager"), false),
        (reconcile, endpoint("ec2:DeleteVpcEndpoints", "transfer.server"), true),
        (reconcile, endpoint("ec2:DeleteVpcEndpoints", "secretsmanager"), false),
        (rollout, pass("wharfinger/web-task", "ecs-tasks.amazonaws.com"), true),
        (rollout, pass("wharfinger/web-task", "transfer.amazonaws.com"), false),
        (rollout, pass("web-task", "ecs-tasks.amazonaws.com"), false),
        (
            rollout,
            Request::new("ecs:TagResource", definition).with("ecs:CreateAction", ["RegisterTaskDefinition"]),
            true,
        ),
        (rollout, Request::new("ecs:TagResource", definition), false),
        (rollout, update(), false),
        (rollout, update().having(&json!([{ "key": "wharfinger:allow", "value": "true" }])), true),
        ("ApiFunction", server("transfer:DescribeServer").having(&ours), true),
        ("ApiFunction", server("transfer:DescribeServer").having(&others), false),
        ("ApiFunction", server("transfer:StopServer").having(&ours), false),
    ] {
        let decision = plan.function(function).unwrap().policy.decide(&request);
        assert_eq!(matches!(decision, Decision::Allowed(_)), allowed, "{function} {request:?}");
    }
}

#[test]
fn secrets_and_logs_of_others_are_out_of_reach() {
    let plan = Plan::read(TEMPLATE, &[].into(), "http://127.0.0.1:4566").unwrap();
    let secret = |action: &str, name: &str| {
        let arn = format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}");
        Request::new(format!("secretsmanager:{action}"), arn)
    };
    let read_log = |group: &str| {
        let group = format!("arn:aws:logs:us-east-1:000000000000:log-group:/aws/vendedlogs/wharfinger/{group}");
        Request::new("logs:FilterLogEvents", format!("{group}:log-stream:"))
    };
    for (request, allowed) in [
        (secret("GetSecretValue", "wharfinger/servers/a/host-key-Ab1"), true),
        (secret("GetSecretValue", "another/servers/a/host-key-Ab1"), false),
        (secret("CreateSecret", "wharfinger/servers/a/host-key"), true),
        (secret("PutSecretValue", "wharfinger/servers/a/host-key-Ab1"), true),
        (secret("PutSecretValue", "another/servers/a/host-key-Ab1"), false),
        (secret("UpdateSecretVersionStage", "wharfinger/servers/a/host-key-Ab1"), false),
        (secret("DeleteSecret", "wharfinger/servers/a/host-key-Ab1"), true),
        (secret("DeleteSecret", "wharfinger/servers/a/other-Ab1"), false),
        (read_log("wharfinger/sftp"), true),
        (read_log("wharfinger/access"), false),
        (read_log("another/sftp"), false),
    ] {
        let decision = plan.function("ReconcileFunction").unwrap().policy.decide(&request);
        assert_eq!(matches!(decision, Decision::Allowed(_)), allowed, "{request:?}");
    }
}

/// The tags of a server of the deployment `stack`.
fn tags(stack: &str) -> Value {
    json!([{ "Key": "wharfinger:deployment", "Value": stack }, { "Key": "wharfinger:server", "Value": "main" }])
}

#[test]
fn roles_to_pass_are_named_by_parameters() {
    let settings = [("OtherUserRoles", "sftp/*"), ("TaskRoles", "sites/*,web-task"), ("TransferUserRoleArn", OWN_ROLE)];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let plan = Plan::read(TEMPLATE, &settings, "http://127.0.0.1:4566").unwrap();
    for (function, role, to, allowed) in [
        ("ReconcileFunction", OWN_ROLE, "transfer.amazonaws.com", true),
        ("ReconcileFunction", "arn:aws:iam::000000000000:role/sftp/guests", "transfer.amazonaws.com", true),
        ("ReconcileFunction", "arn:aws:iam::000000000000:role/guests", "transfer.amazonaws.com", false),
        ("RolloutFunction", "arn:aws:iam::000000000000:role/sites/web", "ecs-tasks.amazonaws.com", true),
        ("RolloutFunction", "arn:aws:iam::000000000000:role/web-task", "ecs-tasks.amazonaws.com", true),
        ("RolloutFunction", "arn:aws:iam::000000000000:role/web", "ecs-tasks.amazonaws.com", false),
    ] {
        let request = Request::new("iam:PassRole", role).with("iam:PassedToService", [to]);
        let decision = plan.function(function).unwrap().policy.decide(&request);
        assert_eq!(matches!(decision, Decision::Allowed(_)), allowed, "{function} {role}");
    }
}

const OWN_ROLE: &str = "arn:aws:iam::000000000000:role/mine";

/// What a parameter that names security groups or Elastic IPs says to the actions on one of them.
fn admits(parameter: &str, value: &str, actions: [&str; 2], resource: &str, tags: &Value) -> bool {
    let settings = [(parameter.to_owned(), value.to_owned())].into();
    let plan = Plan::read(TEMPLATE, &settings, "http://127.0.0.1:4566").expect("the template is read");
    let policy = &plan.function("ReconcileFunction").expect("the template has it").policy;
    let answers = actions.map(|action| {
        let request = Request::new(action, format!("arn:aws:ec2:us-east-1:000000000000:{resource}")).having(tags);
        matches!(policy.decide(&request), Decision::Allowed(_))
    });
    assert_eq!(answers[0], answers[1], "{parameter} {value}: {resource}");
    answers[0]
}

const RULES: [&str; 2] = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"];
const MOVES: [&str; 2] = ["ec2:AssociateAddress", "ec2:DisassociateAddress"];

#[test]
fn security_groups_and_elastic_ips_are_named_by_a_list() {
    for (list, one, allowed) in [
        ("*", "0c", true),
        ("0a", "0a", true),
        ("0a", "0ab", false),
        ("0a,0b*,0c", "0a", true),
        ("0a,0b*,0c", "0b1", true),
        ("0a,0b*,0c", "0c", true),
        ("0a,0b*,0c", "0d", false),
    ] {
        let named = |prefix: &str| {
            let ids = list.split(',').map(|id| if id == "*" { id.to_owned() } else { format!("{prefix}{id}") });
            ids.collect::<Vec<_>>().join(",")
        };
        let (groups, addresses) = (named("sg-"), named("eipalloc-"));
        let (group, address) = (format!("security-group/sg-{one}"), format!("elastic-ip/eipalloc-{one}"));
        assert_eq!(admits("SecurityGroups", &groups, RULES, &group, &json!([])), allowed, "{groups}: {group}");
        assert_eq!(admits("Addresses", &addresses, MOVES, &address, &json!([])), allowed, "{addresses}: {address}");
        assert!(admits("Addresses", &addresses, MOVES, "network-interface/eni-1", &json!([])), "{addresses}");
    }
}

#[test]
fn security_groups_and_elastic_ips_are_named_by_a_tag() {
    for (tags, allowed) in [
        (json!([{ "key": "wharfinger:allow", "value": "true" }, { "key": "a", "value": "b" }]), true),
        (json!([{ "key": "wharfinger:allow", "value": "false" }]), false),
        (json!([{ "key": "allow", "value": "true" }]), false),
        (json!([]), false),
    ] {
        assert_eq!(admits("SecurityGroups", "tagged", RULES, "security-group/sg-0a", &tags), allowed, "{tags}");
        assert_eq!(admits("Addresses", "tagged", MOVES, "elastic-ip/eipalloc-0a", &tags), allowed, "{tags}");
        assert!(admits("Addresses", "tagged", MOVES, "network-interface/eni-1", &json!([])), "they have no tags");
    }
}

#[test]
fn services_to_roll_out_are_named_by_a_list_or_a_tag() {
    let open = json!([{ "key": "wharfinger:allow", "value": "true" }]);
    for (value, service, tags, allowed) in [
        ("tagged", "a/b", &open, true),
        ("tagged", "a/b", &json!([]), false),
        ("tagged", "a/b", &json!([{ "key": "wharfinger:allow", "value": "false" }]), false),
        ("*", "a/b", &json!([]), true),
        ("a/b,c/*", "a/b", &json!([]), true),
        ("a/b,c/*", "c/d", &json!([]), true),
        ("a/b,c/*", "a/c", &open, false),
    ] {
        let settings = [("Services".to_owned(), value.to_owned())].into();
        let plan = Plan::read(TEMPLATE, &settings, "http://127.0.0.1:4566").unwrap();
        let arn = format!("arn:aws:ecs:us-east-1:000000000000:service/{service}");
        let decide = |action: &str| {
            let request = Request::new(action, arn.clone()).having(tags);
            matches!(plan.function("RolloutFunction").unwrap().policy.decide(&request), Decision::Allowed(_))
        };
        assert_eq!(decide("ecs:UpdateService"), allowed, "{value}: {service} {tags}");
        assert!(decide("ecs:DescribeServices"), "what is closed can be looked at");
    }
}

#[test]
fn every_security_group_of_a_list_is_one_of_this_account_and_region() {
    let settings = [("SecurityGroups".to_owned(), "sg-0a,sg-0b".to_owned())].into();
    let plan = Plan::read(TEMPLATE, &settings, "http://127.0.0.1:4566").unwrap();
    for group in ["sg-0a", "sg-0b"] {
        for (region, account, allowed) in [
            ("us-east-1", "000000000000", true),
            ("eu-west-1", "000000000000", false),
            ("us-east-1", "111122223333", false),
        ] {
            let arn = format!("arn:aws:ec2:{region}:{account}:security-group/{group}");
            let request = Request::new("ec2:AuthorizeSecurityGroupIngress", arn)
                .with("aws:RequestedRegion", [region])
                .with("aws:ResourceAccount", [account]);
            let decision = plan.function("ReconcileFunction").unwrap().policy.decide(&request);
            assert_eq!(matches!(decision, Decision::Allowed(_)), allowed, "{request:?}");
        }
    }
}
