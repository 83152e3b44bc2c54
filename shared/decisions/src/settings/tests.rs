use proptest::{prelude::*, sample::select};
use serde_json::json;

use super::*;

/// A server of our kind, as AWS describes one of which nothing more is said.
fn plain() -> Value {
    json!({
        "Arn": "arn:aws:transfer:us-east-1:000000000000:server/s-1", "ServerId": "s-1", "State": "ONLINE", "UserCount": 2,
        "Domain": "EFS", "EndpointType": "VPC", "IdentityProviderType": "SERVICE_MANAGED", "Protocols": ["SFTP"],
        "EndpointDetails": {
            "VpcId": "vpc-1", "VpcEndpointId": "vpce-1", "SubnetIds": ["subnet-1"], "AddressAllocationIds": [],
        },
        "HostKeyFingerprint": "SHA256:abc=", "IpAddressType": "IPV4", "LoggingRole": "",
        "SecurityPolicyName": "TransferSecurityPolicy-2024-01", "StructuredLogDestinations": [],
        "ProtocolDetails": {
            "PassiveIp": "AUTO", "SetStatOption": "DEFAULT", "TlsSessionResumptionMode": "ENFORCED", "As2Transports": [],
        },
        "Tags": [{ "Key": "wharfinger:server", "Value": "main" }],
    })
}

fn with(member: &str, value: Value) -> Value {
    let mut described = plain();
    described[member] = value;
    described
}

/// The paths and keys of what is lost.
fn lost(described: &Value) -> Vec<String> {
    let named = |lost: Lost| match lost {
        Lost::Unknown { member } => member,
        Lost::OtherKind { member, .. } => member.into(),
        Lost::AwsTag { key } => key,
    };
    read(described).1.into_iter().map(named).collect()
}

#[test]
fn a_plain_server_loses_nothing_and_keeps_what_aws_filled_in() {
    let (settings, lost) = read(&plain());
    assert_eq!(lost, []);
    let members = json!({
        "IpAddressType": "IPV4", "SecurityPolicyName": "TransferSecurityPolicy-2024-01",
        "ProtocolDetails": { "PassiveIp": "AUTO", "SetStatOption": "DEFAULT", "TlsSessionResumptionMode": "ENFORCED" },
    });
    assert_eq!(serde_json::to_value(settings.members).unwrap(), members);
    assert!(settings.tags.is_empty());
}

#[test]
fn a_member_that_this_version_does_not_know_is_lost_wherever_it_is() {
    assert_eq!(lost(&with("QuantumMode", json!("ON"))), ["QuantumMode"]);
    assert_eq!(
        lost(&with("ProtocolDetails", json!({ "ProxyConfig": { "Depth": 0 } }))),
        ["ProtocolDetails.ProxyConfig.Depth"]
    );
    assert_eq!(lost(&with("EndpointDetails", json!({ "Zone": "a" }))), ["EndpointDetails.Zone"]);
    assert_eq!(lost(&with("SecurityPolicyName", json!({ "Name": "a" }))), ["SecurityPolicyName"], "another form");
    let ports = json!({ "SftpPorts": [{ "SftpPort": 2222 }] });
    assert_eq!(lost(&with("ProtocolDetails", ports)), ["ProtocolDetails.SftpPorts"], "CreateServer refuses it");
}

#[test]
fn a_member_that_is_lost_in_part_is_not_recorded() {
    let (settings, _) = read(&with("ProtocolDetails", json!({ "PassiveIp": "AUTO", "Colour": "red" })));
    assert!(!settings.members.contains_key("ProtocolDetails"));
}

#[test]
fn an_unknown_member_that_is_not_set_means_nothing() {
    for empty in [json!(null), json!(""), json!([]), json!({ "Of": {} })] {
        assert_eq!(lost(&with("QuantumMode", empty.clone())), [""; 0], "{empty}");
    }
    assert_eq!(lost(&with("QuantumMode", json!(false))), ["QuantumMode"], "a switch that is off is set");
}

#[test]
fn a_server_of_another_kind_is_not_ours_to_rebuild() {
    for (member, value) in [
        ("Domain", json!("S3")),
        ("Domain", json!(null)),
        ("EndpointType", json!("PUBLIC")),
        ("IdentityProviderType", json!("AWS_LAMBDA")),
        ("Protocols", json!(["SFTP", "FTPS"])),
    ] {
        assert_eq!(lost(&with(member, value.clone())), [member], "{value}");
    }
    assert_eq!(lost(&with("IdentityProviderDetails", json!({ "Function": "arn" }))), ["IdentityProviderDetails"]);
}

#[test]
fn tags_of_others_are_kept_and_only_aws_can_set_aws_s() {
    let tags = json!([
        { "Key": "wharfinger:deployment", "Value": "harbour" },
        { "Key": "team", "Value": "web" },
        { "Key": "empty", "Value": "" },
        { "Key": "transfer:route53HostedZoneId", "Value": "/hostedzone/Z1" },
        { "Key": "aws:transfer:customHostname", "Value": "sftp.example.com" },
        { "Key": "aws:cloudformation:stack-name", "Value": "sftp" },
    ]);
    let (settings, lost) = read(&with("Tags", tags));
    let kept = [
        ("team", "web"),
        ("empty", ""),
        ("transfer:route53HostedZoneId", "/hostedzone/Z1"),
        ("transfer:customHostname", "sftp.example.com"),
    ];
    assert_eq!(settings.tags, kept.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert_eq!(lost, [Lost::AwsTag { key: "aws:cloudformation:stack-name".into() }]);
}

#[test]
fn roles_are_found_in_whatever_names_them() {
    let role = |name: &str| format!("arn:aws:iam::000000000000:role/{name}");
    let mut described = with("LoggingRole", json!(role("logs")));
    described["WorkflowDetails"] = json!({ "OnUpload": [{ "WorkflowId": "w-1", "ExecutionRole": role("flow") }] });
    let (settings, lost) = read(&described);
    assert_eq!(lost, []);
    assert_eq!(settings.roles(), [("LoggingRole", role("logs").as_str()), ("WorkflowDetails", role("flow").as_str())]);
}

#[test]
fn a_record_of_another_version_is_given_back_whole() {
    let stored = json!({ "members": { "QuantumMode": { "On": true } }, "more": 1 });
    let settings: Settings = serde_json::from_value(stored).unwrap();
    assert_eq!(settings.members["QuantumMode"], json!({ "On": true }));
    assert_eq!(serde_json::from_value::<Settings>(json!({})).unwrap(), Settings::default());
}

#[test]
fn each_loss_says_what_it_is_and_what_to_do() {
    let member = "QuantumMode".to_owned();
    let key = "aws:cloudformation:stack-name".to_owned();
    let kind = Lost::OtherKind { member: "Domain", value: "\"S3\"".into(), ours: "\"EFS\"" };
    for (lost, named) in
        [(Lost::Unknown { member }, "QuantumMode"), (kind, "Domain"), (Lost::AwsTag { key }, "stack-name")]
    {
        assert!(lost.sentence().contains(named) && !lost.remedy().is_empty(), "{lost:?}");
    }
}

/// A server as AWS would describe it after it was made with `settings`.
fn made_with(settings: &Settings) -> Value {
    let mut described = plain();
    for member in GIVEN_BACK.iter().map(|(name, _)| *name) {
        described[member] = settings.members.get(member).cloned().unwrap_or_default();
    }
    let tags = settings.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
    described["Tags"] = tags.collect();
    described
}

fn member() -> impl Strategy<Value = (String, Value)> {
    let text = "[A-Za-z0-9-]{1,12}";
    let texts = |name: &'static str| text.prop_map(move |text| (name.to_owned(), json!(text)));
    prop_oneof![
        select(vec!["SecurityPolicyName", "PreAuthenticationLoginBanner", "IpAddressType", "LoggingRole"])
            .prop_flat_map(texts),
        text.prop_map(|text| ("StructuredLogDestinations".to_owned(), json!([text]))),
        (text, text).prop_map(|(one, other)| {
            ("ProtocolDetails".to_owned(), json!({ "SetStatOption": one, "ProxyConfig": { "SftpMode": other } }))
        }),
    ]
}

proptest! {
    #[test]
    fn a_rebuilt_server_has_the_settings_that_were_recorded(
        members in prop::collection::vec(member(), 0..6),
        tags in prop::collection::btree_map("[a-v:]{1,6}", "[a-z]{0,6}", 0..4),
    ) {
        let recorded = Settings { members: members.into_iter().collect(), tags };
        prop_assert_eq!(read(&made_with(&recorded)), (recorded, Vec::new()));
    }

    #[test]
    fn an_unknown_member_is_never_overlooked(name in "[A-Z][a-z]{8}Mode", parent in 0..3_usize, value in "[a-z]{1,5}") {
        let (parent, path) = [("ProtocolDetails", true), ("EndpointDetails", true), ("", false)][parent];
        let mut described = plain();
        let place = if path { &mut described[parent] } else { &mut described };
        place[&name] = value.into();
        let expected = if path { format!("{parent}.{name}") } else { name };
        prop_assert_eq!(lost(&described), [expected]);
    }

    #[test]
    fn any_answer_is_read(name in "[A-Za-z]{1,12}", number in any::<i32>()) {
        for strange in [json!(number), json!([number]), json!({ &name: number }), json!(name), json!(null)] {
            let in_all: Value = GIVEN_BACK.iter().chain(&GIVEN_ANEW).map(|(member, _)| (*member, strange.clone()))
                .chain(OUR_KIND.iter().map(|(member, _)| (*member, strange.clone())))
                .map(|(member, value)| (member.to_owned(), value)).collect::<Map<_, _>>().into();
            prop_assert!(!read(&in_all).1.is_empty());
            prop_assert!(!read(&strange).1.is_empty());
        }
    }
}
