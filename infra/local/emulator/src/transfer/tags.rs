//! Tags of servers, users and host keys, found by ARN.

use serde_json::{Map, Value, json};

use super::{
    Transfer,
    page::page,
    state::{State, Tags, invalid, read_tags, text},
};
use crate::error::AwsError;

/// The system tags of a server's custom hostname.
const HOSTNAME: [&str; 2] = ["aws:transfer:customHostname", "aws:transfer:route53HostedZoneId"];

/// Tags a resource can have.
const TAGS: usize = 50;

impl Transfer {
    pub(super) fn tag_resource(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        check_tags(&read_tags(input))?;
        let mut state = self.state();
        let tags = tags_of(&mut state, text(input, "Arn"))?;
        let mut wanted = tags.clone();
        wanted.extend(read_tags(input));
        if wanted.len() > TAGS {
            return Err(invalid(format!("A resource can have at most {TAGS} tags")));
        }
        *tags = wanted;
        Ok(Value::Null)
    }

    pub(super) fn untag_resource(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let mut state = self.state();
        let tags = tags_of(&mut state, text(input, "Arn"))?;
        for key in input["TagKeys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            tags.remove(key);
        }
        Ok(Value::Null)
    }

    pub(super) fn list_tags(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let mut state = self.state();
        let tags = tags_of(&mut state, text(input, "Arn"))?;
        let items = tags.iter().map(|(key, value)| (key.as_str(), json!({ "Key": key, "Value": value })));
        let mut answer = page(input, "Tags", items)?;
        answer.insert("Arn".to_owned(), input["Arn"].clone());
        Ok(answer.into())
    }
}

/// Keys that begin with `aws:` are AWS's own. A custom hostname is the exception: people set it by two of them.
pub(super) fn check_tags(tags: &Tags) -> Result<(), AwsError> {
    let own = |key: &&String| key.to_ascii_lowercase().starts_with("aws:") && !HOSTNAME.contains(&key.as_str());
    match tags.keys().find(own) {
        Some(key) => Err(invalid(format!("aws: prefixed tag key names are not allowed for external use: {key}"))),
        None => Ok(()),
    }
}

fn tags_of<'a>(state: &'a mut State, arn: &str) -> Result<&'a mut Tags, AwsError> {
    let resource = arn.rsplit(':').next().unwrap_or_default();
    match resource.split('/').collect::<Vec<_>>()[..] {
        ["server", server] => Ok(&mut state.server_mut(server)?.tags),
        ["user", server, user] => Ok(&mut state.server_mut(server)?.user_mut(user)?.tags),
        ["host-key", server, key] => Ok(&mut state.server_mut(server)?.host_key_mut(key)?.tags),
        _ => Err(invalid(format!("'{arn}' is not the ARN of a server, user or host key"))),
    }
}
