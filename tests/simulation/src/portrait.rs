//! What must be the same of a server after it slept: all that clients and people can notice of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What AWS tells of a server by other names after it was rebuilt, or what changes by itself.
const PASSING: [&str; 4] = ["Arn", "ServerId", "State", "UserCount"];

/// The tag with the id of the record. Who could read it of the server that slept must not pass for the one that wakes.
const RECORD_TAG: &str = "wharfinger:record-id";

/// A server as it was when it was put to sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Portrait {
    /// AWS's id: a server with another one was rebuilt.
    pub(crate) id: String,
    /// The fingerprints of its host keys.
    host_keys: BTreeSet<String>,
    groups: BTreeSet<String>,
    /// The id of its record that it bears.
    record_id: Option<Value>,
    /// Addresses, subnets, other tags, banner, security policy and whatever else AWS shows, by the member's name.
    members: BTreeMap<String, Value>,
}

impl Portrait {
    /// The portrait of a server as `DescribeServer` describes it, with the answers of `ListHostKeys` and
    /// `DescribeVpcEndpoints`.
    pub(crate) fn of(described: &Value, host_keys: &Value, endpoints: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut members: BTreeMap<String, Value> =
            described.as_object().cloned().unwrap_or_default().into_iter().collect();
        members.retain(|name, _| !PASSING.contains(&name.as_str()));
        if let Some(details) = members.get_mut("EndpointDetails").and_then(Value::as_object_mut) {
            details.remove("VpcEndpointId");
        }
        let record_id = members.get_mut("Tags").and_then(Value::as_array_mut).and_then(|tags| {
            let at = tags.iter().position(|tag| tag["Key"] == RECORD_TAG)?;
            Some(tags.remove(at)["Value"].take())
        });
        let groups = endpoints["vpcEndpointSet"][0]["groupSet"].as_array().into_iter().flatten();
        Self {
            id: text(&described["ServerId"]),
            host_keys: fingerprints(host_keys).collect(),
            groups: groups.map(|group| text(&group["groupId"])).collect(),
            record_id,
            members,
        }
    }

    /// The first thing in which the server differs that was `rebuilt`, or does not and should. Host keys may have come, but
    /// none gone.
    pub(crate) fn difference(&self, rebuilt: &Self) -> Option<String> {
        if let Some(lost) = self.host_keys.difference(&rebuilt.host_keys).next() {
            return Some(format!("its host key {lost} is not there any more, but {:?}", rebuilt.host_keys));
        }
        if self.groups != rebuilt.groups {
            return Some(format!("its security groups were {:?} and are {:?}", self.groups, rebuilt.groups));
        }
        if let Some(id) = self.record_id.as_ref().filter(|_| self.record_id == rebuilt.record_id) {
            return Some(format!("it still bears the id {id} of its record, which others may have copied"));
        }
        let names: BTreeSet<&String> = self.members.keys().chain(rebuilt.members.keys()).collect();
        let differs = names.into_iter().find(|name| self.members.get(*name) != rebuilt.members.get(*name))?;
        let shown = |of: &Self| of.members.get(differs).unwrap_or(&Value::Null).to_string();
        Some(format!("its {differs} was {} and is {}", shown(self), shown(rebuilt)))
    }
}

/// The fingerprints in an answer of `ListHostKeys`, as clients show them.
pub(crate) fn fingerprints(host_keys: &Value) -> impl Iterator<Item = String> + '_ {
    let keys = host_keys["HostKeys"].as_array().into_iter().flatten();
    keys.filter_map(|key| Some(key["Fingerprint"].as_str()?.trim_end_matches('=').to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn portrait(id: &str, banner: &str, host_keys: &[&str], group: &str) -> Portrait {
        let described = json!({
            "ServerId": id, "State": "ONLINE", "UserCount": id.len(), "PreAuthenticationLoginBanner": banner,
            "EndpointDetails": { "VpcEndpointId": id, "SubnetIds": ["subnet-1"] },
        });
        let keys: Vec<_> = host_keys.iter().map(|key| json!({ "Fingerprint": key })).collect();
        let endpoints = json!({ "vpcEndpointSet": [{ "groupSet": [{ "groupId": group }] }] });
        Portrait::of(&described, &json!({ "HostKeys": keys }), &endpoints)
    }

    #[test]
    fn a_server_is_the_same_under_another_id_and_with_more_host_keys() {
        let before = portrait("s-1", "hello", &["SHA256:a="], "sg-1");
        assert_eq!(before.difference(&portrait("s-234", "hello", &["SHA256:a", "SHA256:b"], "sg-1")), None);
    }

    #[test]
    fn a_server_bears_another_id_of_its_record_and_the_same_other_tags() {
        let tagged = |id: &str, team: &str| {
            let tags = json!([{ "Key": RECORD_TAG, "Value": id }, { "Key": "team", "Value": team }]);
            Portrait::of(&json!({ "ServerId": id, "Tags": tags }), &Value::Null, &Value::Null)
        };
        assert_eq!(tagged("1", "web").difference(&tagged("2", "web")), None);
        for rebuilt in [tagged("1", "web"), tagged("2", "shop")] {
            assert!(tagged("1", "web").difference(&rebuilt).is_some(), "{rebuilt:?}");
        }
    }

    #[test]
    fn whatever_people_can_notice_is_a_difference() {
        let before = portrait("s-1", "hello", &["SHA256:a"], "sg-1");
        for (other, word) in [
            (portrait("s-2", "", &["SHA256:a"], "sg-1"), "PreAuthenticationLoginBanner"),
            (portrait("s-2", "hello", &["SHA256:b"], "sg-1"), "host key"),
            (portrait("s-2", "hello", &["SHA256:a"], "sg-2"), "groups"),
        ] {
            let difference = before.difference(&other).unwrap_or_default();
            assert!(difference.contains(word), "{difference}");
        }
    }
}
