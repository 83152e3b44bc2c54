//! The deployed template, read as a plan; and templates that would not work.

use serde_json::json;

use std::time::Duration;

use wharfinger_emulator::{events::schedule::Expression, input::plain_text};

use super::*;
use crate::template::intrinsic::STACK;

const TEMPLATE: &str = include_str!("../../../../../template.yaml");
const ENDPOINT: &str = "http://127.0.0.1:4566";

fn read(settings: &[(&str, &str)]) -> Result<Plan, TemplateError> {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Plan::read(TEMPLATE, &settings, ENDPOINT)
}

#[test]
fn the_deployed_template_gives_four_functions_with_their_programs() {
    let plan = read(&[]).unwrap();
    let binaries: Vec<_> = plan.functions.iter().map(|function| function.binary.as_str()).collect();
    assert_eq!(binaries, ["wharfinger-api", "wharfinger-autostop", "wharfinger-reconcile", "wharfinger-rollout"]);
}

#[test]
fn globals_are_the_ground_of_each_function() {
    let plan = read(&[]).unwrap();
    let api = plan.function("ApiFunction").unwrap();
    let reconcile = plan.function("ReconcileFunction").unwrap();
    assert_eq!((api.timeout, api.memory_mb), (Duration::from_secs(15), 256));
    assert_eq!((reconcile.timeout, reconcile.memory_mb), (Duration::from_secs(30), 128));
    assert_eq!(reconcile.environment["TABLE_NAME"], "wharfinger-Table");
    assert_eq!(reconcile.environment["SERVERS_QUEUE_URL"], plan.queue("ServersQueue").unwrap().url);
    assert_eq!(reconcile.environment["SECRET_PREFIX"], "wharfinger/");
    let group = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/vendedlogs/wharfinger/wharfinger/sftp:*";
    assert_eq!(reconcile.environment["SFTP_LOG_GROUP"], group);
    let role = "arn:aws:iam::000000000000:role/wharfinger-TransferUserRole";
    assert_eq!(reconcile.environment["TRANSFER_USER_ROLE_ARN"], role);
}

#[test]
fn a_setting_reaches_what_refers_to_it() {
    let role = "arn:aws:iam::111122223333:role/mine";
    let plan = read(&[
        ("TransferUserRoleArn", role),
        ("MetricPeriodSeconds", "5"),
        ("SweepSchedule", "rate(10 seconds)"),
        ("QueueVisibilitySeconds", "7"),
    ])
    .unwrap();
    assert_eq!(plan.function("ReconcileFunction").unwrap().environment["TRANSFER_USER_ROLE_ARN"], role);
    assert_eq!(plan.function("AutostopFunction").unwrap().environment["METRIC_PERIOD_SECONDS"], "5");
    assert_eq!(plan.queue("TicksQueue").unwrap().declaration.visibility, Duration::from_secs(7));
    let schedules: Vec<_> = plan.rules.iter().filter_map(|rule| rule.schedule.clone()).collect();
    assert_eq!(schedules, [Expression::Rate(Duration::from_secs(10))]);
}

#[test]
fn each_event_source_of_the_deployed_template_is_wired() {
    let plan = read(&[]).unwrap();
    let route = &plan.function("ApiFunction").unwrap().routes[0];
    assert_eq!((route.method.as_str(), route.path.as_str(), route.iam), ("ANY", "/v1/{proxy+}", true));
    let rollout = plan.function("RolloutFunction").unwrap();
    let changes = &rollout.mappings[0];
    assert_eq!(changes.queue_arn, plan.queue("ChangesQueue").unwrap().arn);
    assert_eq!((changes.batch_size, changes.window), (1000, Duration::from_secs(1)));
    assert!(changes.report_batch_item_failures);
    assert_eq!(changes.maximum_concurrency, None, "five pollers would ask an idle queue all month instead of two");
    let redrive = plan.queue("ChangesQueue").unwrap().declaration.redrive.clone().unwrap();
    assert_eq!(redrive.target_arn, plan.queue("ChangesDeadLetters").unwrap().arn);
}

#[test]
fn events_of_uploads_outlast_half_a_day_in_which_nobody_can_take_them_in() {
    let plan = read(&[]).unwrap();
    let changes = &plan.queue("ChangesQueue").unwrap().declaration;
    let tries = changes.redrive.clone().unwrap().max_receive_count;
    assert!(changes.visibility * tries > Duration::from_secs(12 * 3600), "{tries} tries");
    let shortest = Duration::from_secs(30);
    assert!(shortest * tries > Duration::from_secs(8 * 3600), "with the shortest visibility that AWS takes");
}

#[test]
fn the_uploads_rule_takes_what_changed_and_what_was_downloaded() {
    let plan = read(&[]).unwrap();
    let rule = plan.rules.iter().find(|rule| rule.name == "wharfinger-UploadsRule").unwrap();
    let pattern = rule.pattern.as_ref().unwrap();
    let event = |kind: &str| json!({ "source": "aws.transfer", "detail-type": kind, "detail": {} });
    assert!(pattern.matches(&event("SFTP Server File Upload Completed")));
    assert!(pattern.matches(&event("SFTP Server File Download Failed")));
    assert!(!pattern.matches(&event("SFTP Server File Delete Failed")));
    assert_eq!(rule.targets[0].destination, Destination::Queue(plan.queue("ChangesQueue").unwrap().arn.clone()));
    assert_eq!(rule.targets[0].dead_letter_arn, Some(plan.queue("ChangesDeadLetters").unwrap().arn.clone()));
}

#[test]
fn the_table_is_created_as_declared() {
    let plan = read(&[]).unwrap();
    let table = &plan.tables[0];
    assert_eq!(table.create["TableName"], "wharfinger-Table");
    assert_eq!(table.create["KeySchema"][0], json!({ "AttributeName": "pk", "KeyType": "HASH" }));
    assert_eq!(table.time_to_live.as_deref(), Some("expires_at"));
}

#[test]
fn log_groups_are_made_where_no_function_and_no_gateway_writes_to_them() {
    let plan = read(&[("LogRetentionDays", "7")]).unwrap();
    let groups: Vec<_> = plan.log_groups.iter().map(|group| (group.name.as_str(), group.retention_days)).collect();
    assert_eq!(groups, [("/aws/vendedlogs/wharfinger/wharfinger/sftp", Some(7))]);
}

#[test]
fn a_resource_that_would_have_to_run_is_refused_by_name() {
    let text = "Resources:\n  Flow: { Type: AWS::StepFunctions::StateMachine }\n";
    let error = Plan::read(text, &BTreeMap::new(), ENDPOINT).unwrap_err().to_string();
    assert!(error.contains("resource Flow") && error.contains("AWS::StepFunctions::StateMachine"), "{error}");
}

#[test]
fn a_large_batch_needs_a_window_as_on_aws() {
    let text = TEMPLATE.replace("MaximumBatchingWindowInSeconds: 1", "MaximumBatchingWindowInSeconds: 0");
    let error = Plan::read(&text, &BTreeMap::new(), ENDPOINT).unwrap_err().to_string();
    assert!(error.contains("RolloutFunction") && error.contains("MaximumBatchingWindowInSeconds"), "{error}");
}

#[test]
fn an_event_of_an_unknown_type_is_refused() {
    let text = TEMPLATE.replace("Type: Schedule", "Type: Kinesis");
    let error = Plan::read(&text, &BTreeMap::new(), ENDPOINT).unwrap_err().to_string();
    assert!(error.contains("AutostopFunction") && error.contains("Kinesis"), "{error}");
}

#[test]
fn a_schedule_that_aws_would_refuse_names_the_function() {
    let error = read(&[("SweepSchedule", "rate(soon)")]).unwrap_err().to_string();
    assert!(error.contains("AutostopFunction") && error.contains("rate(5 minutes)"), "{error}");
}

#[test]
fn every_route_asks_for_iam() {
    let plan = read(&[]).unwrap();
    let routes: Vec<_> = plan.functions.iter().flat_map(|function| &function.routes).collect();
    assert!(!routes.is_empty() && routes.iter().all(|route| route.iam), "{routes:?}");
}

#[test]
fn tokens_without_an_issuer_are_refused_by_the_rule_and_with_one_by_the_region() {
    let issuer = ("JwtIssuer", "https://issuer.example");
    for (settings, says) in [
        (vec![("Authorization", "jwt")], "TokensHaveAnIssuer: Authorization is jwt, so JwtIssuer must be set"),
        (vec![("Authorization", "jwt"), issuer], "JwtAudience must be set"),
        (vec![("DomainName", "wharf.example.com")], "CertificateArn must be set"),
        (vec![("HostedZoneId", "Z1")], "DomainName must be set"),
        (vec![("Authorization", "jwt"), issuer, ("JwtAudience", "wharf")], "can't check tokens"),
        (vec![("CorsAllowOrigin", "https://console.example.com")], "CorsConfiguration"),
        (vec![("EventBusName", "other")], "default event bus only"),
    ] {
        let error = read(&settings).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn the_rules_listen_to_the_source_that_was_set() {
    let plan = read(&[("TransferEventSource", "replayed")]).unwrap();
    let rule = plan.rules.iter().find(|rule| rule.name == "wharfinger-UploadsRule").unwrap();
    let event = |source: &str| json!({ "source": source, "detail-type": "SFTP Server File Upload Completed" });
    let pattern = rule.pattern.as_ref().unwrap();
    assert!(pattern.matches(&event("replayed")) && !pattern.matches(&event("aws.transfer")));
}

#[test]
fn a_failed_sweep_is_tried_once_more_and_then_kept() {
    let plan = read(&[]).unwrap();
    let letters = plan.queue("SweepDeadLetters").unwrap();
    let asynchronous = &plan.function("AutostopFunction").unwrap().asynchronous;
    assert_eq!((asynchronous.retries, asynchronous.maximum_age), (1, Duration::from_mins(5)));
    assert_eq!(asynchronous.on_failure_arn.as_ref(), Some(&letters.arn));
    let sweep = plan.rules.iter().find(|rule| rule.name == "wharfinger-sweep").unwrap();
    assert_eq!(sweep.targets[0].dead_letter_arn.as_ref(), Some(&letters.arn));
}

#[test]
fn concurrency_is_reserved_only_where_asked_for() {
    let reserved = |plan: &Plan| plan.functions.iter().map(|one| one.reserved_concurrency).collect::<Vec<_>>();
    assert_eq!(reserved(&read(&[]).unwrap()), [None; 4]);
    let plan = read(&[("ReserveConcurrency", "true")]).unwrap();
    assert_eq!(reserved(&plan), [Some(20), Some(1), Some(5), Some(10)]);
}

#[test]
fn a_mapping_never_asks_for_more_than_its_function_reserves() {
    let plan = read(&[("ReserveConcurrency", "true")]).unwrap();
    for function in &plan.functions {
        let asked: usize = function.mappings.iter().map(|mapping| mapping.maximum_concurrency.unwrap()).sum();
        assert!(asked <= function.reserved_concurrency.unwrap(), "{}", function.logical);
    }
}

#[test]
fn a_gateway_without_permission_and_a_queue_without_redrive_permission_are_told() {
    for (from, to, says) in [
        (
            "Principal: apigateway.amazonaws.com",
            "Principal: events.amazonaws.com",
            "no AWS::Lambda::Permission on ApiFunction",
        ),
        ("Target: !Sub integrations/${ApiIntegration}", "Target: integrations/other", "is no integration"),
        ("AutoDeploy: true", "AutoDeploy: false", "AutoDeploy"),
        ("${AWS::StackName}-ticks\"]", "${AWS::StackName}-tocks\"]", "resource TicksQueue: the RedriveAllowPolicy"),
    ] {
        assert!(TEMPLATE.contains(from), "{from}");
        let error = Plan::read(&TEMPLATE.replace(from, to), &BTreeMap::new(), ENDPOINT).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// The template's resources of one type, unresolved, by their logical names.
fn declared(kind: &str) -> Vec<(String, Value)> {
    let document = document::read(TEMPLATE).unwrap();
    let resources = document["Resources"].as_object().unwrap().clone();
    resources.into_iter().filter(|(_, body)| body["Type"] == kind).collect()
}

/// The metrics of the template's alarms, each as (namespace, name, dimensions).
fn watched() -> Vec<(String, String, Value)> {
    let metric = |metric: &Value| {
        let text = |member: &str| plain_text(&metric[member]);
        (text("Namespace"), text("MetricName"), metric["Dimensions"].clone())
    };
    let alarms = declared("AWS::CloudWatch::Alarm");
    let metrics = alarms.iter().flat_map(|(_, alarm)| match alarm["Properties"]["Metrics"].as_array() {
        Some(metrics) => metrics.iter().map(|one| one["MetricStat"]["Metric"].clone()).collect(),
        None => vec![alarm["Properties"].clone()],
    });
    metrics.filter(|metric| !metric.is_null()).map(|one| metric(&one)).collect()
}

#[test]
fn an_alarm_watches_every_queue() {
    let plan = read(&[]).unwrap();
    let watched = watched();
    for queue in &plan.queues {
        let letters = plan.takes_dead_letters(&queue.arn);
        let metric = if letters { "ApproximateNumberOfMessagesVisible" } else { "ApproximateAgeOfOldestMessage" };
        let name = json!([{ "Name": "QueueName", "Value": { "Fn::GetAtt": [queue.logical, "QueueName"] } }]);
        let expected = ("AWS/SQS".to_owned(), metric.to_owned(), name);
        assert!(watched.contains(&expected), "{}: {watched:?}", queue.logical);
    }
}

#[test]
fn every_metric_of_an_alarm_by_math_is_in_its_expression() {
    let alarms = declared("AWS::CloudWatch::Alarm");
    let by_math =
        alarms.iter().filter_map(|(logical, alarm)| Some((logical, alarm["Properties"]["Metrics"].as_array()?)));
    for (logical, metrics) in by_math {
        let [expression] = metrics.iter().filter_map(|one| one["Expression"].as_str()).collect::<Vec<_>>()[..] else {
            panic!("{logical} has one expression")
        };
        let ids: Vec<&str> =
            metrics.iter().filter(|one| one["MetricStat"].is_object()).filter_map(|one| one["Id"].as_str()).collect();
        assert_eq!(expression, format!("MAX([{}])", ids.join(", ")), "{logical}");
    }
}

#[test]
fn an_alarm_watches_what_the_functions_count_and_each_function_knows_its_deployment() {
    let stack = json!([{ "Name": "Deployment", "Value": { "Ref": "AWS::StackName" } }]);
    let troubles = ("Wharfinger".to_owned(), "Troubles".to_owned(), stack);
    assert!(watched().contains(&troubles), "{:?}", watched());
    for function in read(&[]).unwrap().functions {
        assert_eq!(function.environment.get("DEPLOYMENT").map(String::as_str), Some(STACK), "{}", function.logical);
    }
}

#[test]
fn an_alarm_watches_the_failed_invocations_of_every_function() {
    let filters = declared("AWS::Logs::MetricFilter");
    let functions = declared("AWS::Serverless::Function");
    assert_eq!(filters.len(), functions.len());
    for (logical, function) in functions {
        let group = &function["Properties"]["LoggingConfig"]["LogGroup"];
        let (_, filter) = filters.iter().find(|(_, one)| &one["Properties"]["LogGroupName"] == group).unwrap();
        let into = &filter["Properties"]["MetricTransformations"][0];
        let metric = (plain_text(&into["MetricNamespace"]), plain_text(&into["MetricName"]), Value::Null);
        assert!(watched().contains(&metric), "{logical}: {metric:?}");
    }
}

#[test]
fn every_queue_is_encrypted_and_takes_tls_only() {
    let policies = declared("AWS::SQS::QueuePolicy");
    let queues = declared("AWS::SQS::Queue");
    assert_eq!(queues.len(), 7);
    for (logical, queue) in queues {
        assert_eq!(queue["Properties"]["SqsManagedSseEnabled"], true, "{logical}");
        let its: Vec<_> = policies
            .iter()
            .filter(|(_, policy)| {
                policy["Properties"]["Queues"].as_array().unwrap().contains(&json!({ "Ref": logical }))
            })
            .collect();
        assert_eq!(its.len(), 1, "{logical}: a queue has one policy, the last one set");
        let statements = its[0].1["Properties"]["PolicyDocument"]["Statement"].as_array().unwrap();
        let denies = statements.iter().any(|statement| {
            statement["Effect"] == "Deny"
                && statement["Principal"] == "*"
                && statement["Condition"] == json!({ "Bool": { "aws:SecureTransport": "false" } })
        });
        assert!(denies, "{logical}");
    }
}

/// A list's ids after the first stand in ARNs of any Region and account.
#[test]
fn what_lies_in_any_account_is_held_to_this_one() {
    let (mut lists, role) = (0, |body: &Value| body["Properties"]["Policies"].as_array().cloned().unwrap_or_default());
    for (logical, body) in declared("AWS::IAM::Role") {
        let statements = role(&body)
            .into_iter()
            .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().cloned().unwrap_or_default());
        // A role of another account can't be passed.
        let statements = statements.filter(|statement| statement["Action"] != "iam:PassRole");
        for statement in statements.filter(|statement| statement["Resource"].to_string().contains("arn:*")) {
            lists += 1;
            let conditions = statement["Condition"].as_object().into_iter().flat_map(|them| them.values());
            let holds = |key: &str, parameter: &str| {
                conditions.clone().any(|condition| condition[key] == json!({ "Ref": parameter }))
            };
            assert!(holds("aws:RequestedRegion", "AWS::Region"), "{logical}");
            assert!(holds("aws:ResourceAccount", "AWS::AccountId"), "{logical}");
        }
    }
    assert_eq!(lists, 5, "SecurityGroups, Addresses, FileSystems, and Services with their deployments");
}

#[test]
fn a_role_that_lambda_could_not_work_under_is_refused() {
    let needs = [
        ("[sqs:ReceiveMessage, sqs:DeleteMessage, ", "[sqs:DeleteMessage, ", "must allow sqs:ReceiveMessage"),
        (
            "Action: sqs:SendMessage\n                Resource: !GetAtt SweepDeadLetters.Arn",
            "Action: sqs:SendMessage\n                Resource: !GetAtt TicksQueue.Arn",
            "must allow sqs:SendMessage",
        ),
        ("Role: !GetAtt ApiFunctionRole.Arn", "Role: arn:aws:iam::111122223333:role/other", "a role in the template"),
    ];
    for (there, changed, problem) in needs {
        assert!(TEMPLATE.contains(there), "{there}");
        let error = Plan::read(&TEMPLATE.replace(there, changed), &BTreeMap::new(), ENDPOINT).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}
