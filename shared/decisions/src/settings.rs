//! A server's settings: what AWS keeps of a server beside what its spec names, in AWS's own form. A rebuilt server gets
//! them back. What can't be given back is named, so that no server is deleted that would come back as another.
//!
//! Members are followed by name and form. AWS adds some now and then: one that this version does not know may change
//! what the server does, and can't be given back.

pub mod refused;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Tags with this prefix are Wharfinger's own.
const OWN_TAGS: &str = "wharfinger:";

/// Tags with this prefix are AWS's own, and no request may set them.
const AWS_TAGS: &str = "aws:";

/// The tags of a server's custom hostname. Earlier they had AWS's prefix, which `TagResource` alone takes.
/// <https://docs.aws.amazon.com/transfer/latest/userguide/requirements-dns.html#tag-custom-hostname-cdk>
const HOSTNAME_TAGS: [&str; 2] = ["transfer:customHostname", "transfer:route53HostedZoneId"];

/// What a server has beside its spec. Empty: what AWS gives a server of which nothing more is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Members of `CreateServer` in AWS's JSON, by AWS's names: `SecurityPolicyName`. Another version may have recorded
    /// some that this one does not know; they are given back too.
    pub members: BTreeMap<String, Value>,
    /// The tags that others gave it.
    pub tags: BTreeMap<String, String>,
}

/// Something of a server that a rebuilt one would not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A member that this version does not know, or not in this form: `ProtocolDetails.Colour`.
    Unknown {
        /// Its path in AWS's description.
        member: String,
    },
    /// The server is of another kind than those that Wharfinger makes.
    OtherKind {
        /// The member that says so.
        member: &'static str,
        /// What it is, in JSON; `null` if AWS does not tell.
        value: String,
        /// What servers of Wharfinger have, in JSON.
        ours: &'static str,
    },
    /// A tag that only AWS can set.
    AwsTag {
        /// Its key.
        key: String,
    },
}

/// The form of a member.
enum Form {
    Text,
    List(&'static Form),
    Record(&'static [(&'static str, Form)]),
}

/// What `CreateServer` takes as `DescribeServer` shows it.
static GIVEN_BACK: [(&str, Form); 10] = [
    ("Certificate", Form::Text),
    ("IpAddressType", Form::Text),
    ("LoggingRole", Form::Text),
    ("PostAuthenticationLoginBanner", Form::Text),
    ("PreAuthenticationLoginBanner", Form::Text),
    ("ProtocolDetails", Form::Record(&PROTOCOL_DETAILS)),
    ("S3StorageOptions", Form::Record(&[("DirectoryListingOptimization", Form::Text)])),
    ("SecurityPolicyName", Form::Text),
    ("StructuredLogDestinations", Form::List(&Form::Text)),
    ("WorkflowDetails", Form::Record(&[("OnPartialUpload", WORKFLOWS), ("OnUpload", WORKFLOWS)])),
];

/// `SftpPorts` is left out: only public endpoints have them.
static PROTOCOL_DETAILS: [(&str, Form); 5] = [
    ("As2Transports", Form::List(&Form::Text)),
    ("PassiveIp", Form::Text),
    ("ProxyConfig", Form::Record(&[("SftpMode", Form::Text)])),
    ("SetStatOption", Form::Text),
    ("TlsSessionResumptionMode", Form::Text),
];

const WORKFLOWS: Form = Form::List(&Form::Record(&[("ExecutionRole", Form::Text), ("WorkflowId", Form::Text)]));

/// What the spec, the record or AWS itself gives a rebuilt server.
static GIVEN_ANEW: [(&str, Form); 7] = [
    ("Arn", Form::Text),
    ("As2ServiceManagedEgressIpAddresses", Form::List(&Form::Text)),
    ("EndpointDetails", Form::Record(&ENDPOINT_DETAILS)),
    ("HostKeyFingerprint", Form::Text),
    ("ServerId", Form::Text),
    ("State", Form::Text),
    ("Tags", Form::List(&Form::Record(&[("Key", Form::Text), ("Value", Form::Text)]))),
];

static ENDPOINT_DETAILS: [(&str, Form); 5] = [
    ("AddressAllocationIds", Form::List(&Form::Text)),
    ("SecurityGroupIds", Form::List(&Form::Text)),
    ("SubnetIds", Form::List(&Form::Text)),
    ("VpcEndpointId", Form::Text),
    ("VpcId", Form::Text),
];

/// The one number among the members, which may be anything.
const USER_COUNT: &str = "UserCount";

/// What every server that Wharfinger makes is.
static OUR_KIND: [(&str, &str); 4] = [
    ("Domain", r#""EFS""#),
    ("EndpointType", r#""VPC""#),
    ("IdentityProviderType", r#""SERVICE_MANAGED""#),
    ("Protocols", r#"["SFTP"]"#),
];

/// Takes the settings from AWS's description of a server (the member `Server` of `DescribeServer`'s answer), and names
/// what can't be given back.
#[must_use]
pub fn read(described: &Value) -> (Settings, Vec<Lost>) {
    let (mut settings, mut lost) = (Settings::default(), of_other_kind(described));
    for (name, value) in described.as_object().into_iter().flatten() {
        if is_empty(value) || name == USER_COUNT || OUR_KIND.iter().any(|(member, _)| member == name) {
            continue;
        }
        let given_back = form_of(&GIVEN_BACK, name);
        let unknown = match given_back.or_else(|| form_of(&GIVEN_ANEW, name)) {
            Some(form) => unknown_parts(form, name, value),
            None => vec![name.clone()],
        };
        if given_back.is_some() && unknown.is_empty() {
            settings.members.insert(name.clone(), without_empty(value));
        }
        lost.extend(unknown.into_iter().map(|member| Lost::Unknown { member }));
    }
    for (key, value) in tags(described) {
        match tag_to_give(key) {
            Ok(Some(key)) => drop(settings.tags.insert(key.to_owned(), value.to_owned())),
            Ok(None) => {}
            Err(tag) => lost.push(tag),
        }
    }
    (settings, lost)
}

impl Settings {
    /// The IAM roles that Transfer Family is to assume, each with the member that names it. Whoever makes the server
    /// must be allowed to pass them.
    #[must_use]
    pub fn roles(&self) -> Vec<(&str, &str)> {
        let named = ["LoggingRole", "WorkflowDetails"].into_iter().filter_map(|name| self.members.get_key_value(name));
        named.flat_map(|(name, value)| role_texts(value).into_iter().map(move |role| (name.as_str(), role))).collect()
    }
}

fn of_other_kind(described: &Value) -> Vec<Lost> {
    let differs = |(member, ours): &(&'static str, &'static str)| {
        let value = described[*member].to_string();
        (value != *ours).then_some(Lost::OtherKind { member, value, ours })
    };
    OUR_KIND.iter().filter_map(differs).collect()
}

fn form_of<'a>(members: &'a [(&'static str, Form)], name: &str) -> Option<&'a Form> {
    members.iter().find(|(member, _)| *member == name).map(|(_, form)| form)
}

/// The paths of the parts of `value` that are not of `form`. What is empty may be of any form: it means nothing.
fn unknown_parts(form: &Form, path: &str, value: &Value) -> Vec<String> {
    match (form, value) {
        _ if is_empty(value) => Vec::new(),
        (Form::Text, Value::String(_)) => Vec::new(),
        (Form::List(form), Value::Array(items)) => {
            items.iter().flat_map(|item| unknown_parts(form, path, item)).collect()
        }
        (Form::Record(members), Value::Object(fields)) => {
            let of_field = |(name, value): (&String, &Value)| {
                let path = format!("{path}.{name}");
                match form_of(members, name) {
                    Some(form) => unknown_parts(form, &path, value),
                    None if is_empty(value) => Vec::new(),
                    None => vec![path],
                }
            };
            fields.iter().flat_map(of_field).collect()
        }
        _ => vec![path.to_owned()],
    }
}

/// AWS shows a member that is not set as absent or as empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// `value` without the members that are empty, which a request may not have.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let set = fields.iter().filter(|(_, value)| !is_empty(value));
            Value::Object(set.map(|(name, value)| (name.clone(), without_empty(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(without_empty).collect(),
        other => other.clone(),
    }
}

fn tags(described: &Value) -> impl Iterator<Item = (&str, &str)> {
    let tags = described["Tags"].as_array().into_iter().flatten();
    tags.filter_map(|tag| Some((tag["Key"].as_str()?, tag["Value"].as_str().unwrap_or_default())))
}

/// The key under which a tag is given to a rebuilt server; `None` if the server gets it anyway.
fn tag_to_give(key: &str) -> Result<Option<&str>, Lost> {
    if key.starts_with(OWN_TAGS) {
        return Ok(None);
    }
    let Some(system) = key.strip_prefix(AWS_TAGS) else { return Ok(Some(key)) };
    if HOSTNAME_TAGS.contains(&system) { Ok(Some(system)) } else { Err(Lost::AwsTag { key: key.to_owned() }) }
}

fn role_texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) if text.contains(":role/") => vec![text],
        Value::Array(items) => items.iter().flat_map(role_texts).collect(),
        Value::Object(fields) => fields.values().flat_map(role_texts).collect(),
        _ => Vec::new(),
    }
}

impl Lost {
    /// What it is, in a sentence for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Unknown { member } => {
                format!("AWS shows {member} of the server, which this version can't give to a new one")
            }
            Self::OtherKind { member, value, ours } => {
                format!("{member} of the server is {value}, and Wharfinger makes servers with {ours} only")
            }
            Self::AwsTag { key } => format!("the server has the tag {key}, which only AWS can set"),
        }
    }

    /// What to do about it, in a sentence for people.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unset it, or deploy a version that knows it",
            Self::OtherKind { .. } => "make it so, or use the action \"stop\"",
            Self::AwsTag { .. } => "take the server out of what set the tag, such as a CloudFormation stack",
        }
    }
}

#[cfg(test)]
mod tests;
