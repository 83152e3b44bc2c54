//! Secrets Manager: secrets by name or ARN, their versions, and a deletion that can be taken back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    error::AwsError,
    service::{Service, Unreadable, restore},
};
use crate::context::Context;

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";
const DAY: f64 = 86_400.0;

/// The service.
pub struct SecretsManager {
    context: Context,
    secrets: Mutex<BTreeMap<String, Secret>>,
}

/// One secret. It has no `Debug`: a secret never prints.
#[derive(Serialize, Deserialize)]
struct Secret {
    arn: String,
    name: String,
    description: Option<String>,
    created: f64,
    changed: f64,
    /// When it is deleted for good, once that is asked for.
    deletion: Option<Deletion>,
    tags: BTreeMap<String, String>,
    /// Oldest first.
    versions: Vec<Version>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Deletion {
    asked: f64,
    due: f64,
}

#[derive(Serialize, Deserialize)]
struct Version {
    id: String,
    created: f64,
    stages: Vec<String>,
    /// `SecretString` or `SecretBinary`, and its value.
    member: String,
    value: String,
}

impl SecretsManager {
    /// The service, with what was saved.
    ///
    /// # Errors
    /// When the saved state is not one.
    pub fn new(context: Context, saved: Option<Value>) -> Result<Arc<Self>, Unreadable> {
        let secrets = restore("secretsmanager", saved)?;
        Ok(Arc::new(Self { context, secrets: Mutex::new(secrets) }))
    }

    /// The secrets, without those whose recovery window is over.
    fn secrets(&self) -> MutexGuard<'_, BTreeMap<String, Secret>> {
        let now = self.context.clock.epoch_seconds();
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.retain(|_, secret| secret.deletion.is_none_or(|deletion| deletion.due > now));
        secrets
    }

    fn create(&self, input: &Value) -> Result<Value, AwsError> {
        let name = required(input, "Name")?;
        let valid = name.len() <= 512
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "/_+=.@-".contains(letter));
        if !valid {
            return Err(refused(
                "ValidationException",
                "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
            ));
        }
        let mut secrets = self.secrets();
        if let Some(known) = secrets.get(name) {
            return answer_for_existing(known, input);
        }
        let now = self.context.clock.epoch_seconds();
        let suffix = &crate::ids::random_uuid().simple().to_string()[..6];
        let mut secret = Secret {
            arn: self.context.arn("secretsmanager", &format!("secret:{name}-{suffix}")),
            name: name.to_owned(),
            description: input["Description"].as_str().map(str::to_owned),
            created: now,
            changed: now,
            deletion: None,
            tags: read_tags(input),
            versions: Vec::new(),
        };
        let mut answer = json!({ "ARN": secret.arn, "Name": name });
        if let Some((member, value)) = read_value(input)? {
            answer["VersionId"] = secret.put(input, member, value, now)?.into();
        }
        secrets.insert(name.to_owned(), secret);
        Ok(answer)
    }

    fn put(&self, input: &Value) -> Result<Value, AwsError> {
        let now = self.context.clock.epoch_seconds();
        let mut secrets = self.secrets();
        let secret = usable(&mut secrets, input)?;
        let (member, value) = read_value(input)?.ok_or_else(|| {
            refused("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
        })?;
        let id = secret.put(input, member, value, now)?;
        let stages = secret.versions.iter().find(|version| version.id == id).map(|version| version.stages.clone());
        Ok(json!({ "ARN": secret.arn, "Name": secret.name, "VersionId": id, "VersionStages": stages }))
    }

    fn get_value(&self, input: &Value) -> Result<Value, AwsError> {
        let mut secrets = self.secrets();
        let secret = usable(&mut secrets, input)?;
        let stage = input["VersionStage"].as_str().unwrap_or(CURRENT);
        let version = secret.versions.iter().find(|version| match input["VersionId"].as_str() {
            Some(id) => version.id == id,
            None => version.stages.iter().any(|known| known == stage),
        });
        let version = version.ok_or_else(|| {
            let message = format!("Secrets Manager can't find the specified secret value for staging label: {stage}");
            refused("ResourceNotFoundException", &message)
        })?;
        let mut answer = json!({
            "ARN": secret.arn,
            "Name": secret.name,
            "VersionId": version.id,
            "VersionStages": version.stages,
            "CreatedDate": version.created,
        });
        answer[&version.member] = version.value.clone().into();
        Ok(answer)
    }

    fn describe(&self, input: &Value) -> Result<Value, AwsError> {
        let mut secrets = self.secrets();
        Ok(find(&mut secrets, input)?.show("VersionIdsToStages"))
    }

    fn delete(&self, input: &Value) -> Result<Value, AwsError> {
        let now = self.context.clock.epoch_seconds();
        let forced = input["ForceDeleteWithoutRecovery"].as_bool().unwrap_or(false);
        let window = input["RecoveryWindowInDays"].as_u64();
        if forced && window.is_some() {
            return Err(refused(
                "InvalidParameterException",
                "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
            ));
        }
        let days = u32::try_from(window.unwrap_or(30)).ok().filter(|days| (7..=30).contains(days));
        let days = days.ok_or_else(|| {
            refused(
                "InvalidParameterException",
                "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
            )
        })?;
        let mut secrets = self.secrets();
        let secret = match find(&mut secrets, input) {
            Ok(secret) => secret,
            Err(_) if forced => return Ok(json!({ "Name": required(input, "SecretId")?, "DeletionDate": now })),
            Err(error) => return Err(error),
        };
        if secret.deletion.is_some() && !forced {
            return Err(marked());
        }
        let due = if forced { now } else { now + f64::from(days) * DAY };
        secret.deletion = Some(Deletion { asked: now, due });
        let answer = json!({ "ARN": secret.arn, "Name": secret.name, "DeletionDate": due });
        if forced {
            let name = secret.name.clone();
            secrets.remove(&name);
        }
        Ok(answer)
    }

    fn restore(&self, input: &Value) -> Result<Value, AwsError> {
        let mut secrets = self.secrets();
        let secret = find(&mut secrets, input)?;
        secret.deletion = None;
        Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
    }

    fn tag(&self, input: &Value) -> Result<Value, AwsError> {
        let mut secrets = self.secrets();
        usable(&mut secrets, input)?.tags.extend(read_tags(input));
        Ok(Value::Null)
    }
}

impl Secret {
    /// Stores a value as the current version, and returns the version's id; the same token and value again change
    /// nothing.
    fn put(&mut self, input: &Value, member: &str, value: String, now: f64) -> Result<String, AwsError> {
        let token = input["ClientRequestToken"].as_str();
        let id = token.map_or_else(|| crate::ids::random_uuid().to_string(), str::to_owned);
        if let Some(known) = self.versions.iter().find(|version| version.id == id) {
            if known.member == member && known.value == value {
                return Ok(id);
            }
            let message = "You can't use ClientRequestToken to create a version whose value differs from the one that it stands for.";
            return Err(refused("ResourceExistsException", message));
        }
        for version in &mut self.versions {
            let was_current = version.stages.iter().any(|stage| stage == CURRENT);
            version.stages = if was_current { vec![PREVIOUS.to_owned()] } else { Vec::new() };
        }
        self.versions.retain(|version| !version.stages.is_empty());
        let (stages, member) = (vec![CURRENT.to_owned()], member.to_owned());
        self.versions.push(Version { id: id.clone(), created: now, stages, member, value });
        self.changed = now;
        Ok(id)
    }

    fn show(&self, versions_name: &str) -> Value {
        let versions: Map<String, Value> =
            self.versions.iter().map(|version| (version.id.clone(), json!(version.stages))).collect();
        let tags: Vec<Value> = self.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        let mut shown = json!({
            "ARN": self.arn,
            "Name": self.name,
            "CreatedDate": self.created,
            "LastChangedDate": self.changed,
            "Tags": tags,
        });
        shown[versions_name] = versions.into();
        if let Some(description) = &self.description {
            shown["Description"] = description.clone().into();
        }
        if let Some(deletion) = self.deletion {
            shown["DeletedDate"] = deletion.asked.into();
        }
        shown
    }

    /// By name, by ARN, or by an ARN without its random suffix.
    fn is(&self, id: &str) -> bool {
        let partial = self.arn.rsplit_once('-').map_or("", |(partial, _)| partial);
        self.name == id || self.arn == id || partial == id
    }
}

fn find<'a>(secrets: &'a mut BTreeMap<String, Secret>, input: &Value) -> Result<&'a mut Secret, AwsError> {
    let id = required(input, "SecretId")?;
    let found = secrets.values_mut().find(|secret| secret.is(id));
    found.ok_or_else(|| refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret."))
}

fn usable<'a>(secrets: &'a mut BTreeMap<String, Secret>, input: &Value) -> Result<&'a mut Secret, AwsError> {
    let secret = find(secrets, input)?;
    if secret.deletion.is_some() { Err(marked()) } else { Ok(secret) }
}

/// A retry of the CreateSecret that made it succeeds; anything else is told that the name is taken.
fn answer_for_existing(known: &Secret, input: &Value) -> Result<Value, AwsError> {
    if known.deletion.is_some() {
        let message = "You can't create this secret because a secret with this name is already scheduled for deletion.";
        return Err(refused("InvalidRequestException", message));
    }
    let token = input["ClientRequestToken"].as_str().unwrap_or_default();
    let repeated = known.versions.iter().find(|version| version.id == token);
    let same = repeated.filter(|version| input[&version.member] == version.value.as_str());
    let taken = format!("The operation failed because the secret {} already exists.", known.name);
    let version = same.ok_or_else(|| refused("ResourceExistsException", &taken))?;
    Ok(json!({ "ARN": known.arn, "Name": known.name, "VersionId": version.id }))
}

fn read_value(input: &Value) -> Result<Option<(&'static str, String)>, AwsError> {
    let member = |name: &'static str| input[name].as_str().map(|value| (name, value.to_owned()));
    match (member("SecretString"), member("SecretBinary")) {
        (Some(_), Some(_)) => Err(refused(
            "InvalidParameterException",
            "You can't specify both a binary secret value and a string secret value in the same secret.",
        )),
        (text, binary) => Ok(text.or(binary)),
    }
}

fn read_tags(input: &Value) -> BTreeMap<String, String> {
    let text = |tag: &Value, member: &str| tag[member].as_str().unwrap_or_default().to_owned();
    let tags = input["Tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    tags.iter().map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect()
}

fn required<'a>(input: &'a Value, name: &str) -> Result<&'a str, AwsError> {
    let given = input[name].as_str().filter(|text| !text.is_empty());
    given.ok_or_else(|| refused("ValidationException", &format!("1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null")))
}

fn marked() -> AwsError {
    refused(
        "InvalidRequestException",
        "You can't perform this operation on the secret because it was marked for deletion.",
    )
}

fn refused(code: &str, message: &str) -> AwsError {
    AwsError::client(code, message)
}

#[async_trait]
impl Service for SecretsManager {
    fn name(&self) -> &'static str {
        "secretsmanager"
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        match operation {
            "CreateSecret" => self.create(&input),
            "PutSecretValue" => self.put(&input),
            "GetSecretValue" => self.get_value(&input),
            "DeleteSecret" => self.delete(&input),
            "RestoreSecret" => self.restore(&input),
            "TagResource" => self.tag(&input),
            _ => Err(AwsError::unknown_operation("secretsmanager", operation)),
        }
    }

    fn resource(&self, id: &str) -> Option<Value> {
        self.describe(&serde_json::json!({ "SecretId": id })).ok()
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(&*self.secrets()).expect("secrets are made of strings, numbers, lists and maps")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{clock::Clock, testing};

    fn service(saved: Option<Value>) -> Arc<SecretsManager> {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
        SecretsManager::new(testing::context_at(clock), saved).unwrap()
    }

    async fn code(service: &SecretsManager, operation: &str, input: Value) -> String {
        match service.call(operation, input).await {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.code,
        }
    }

    #[tokio::test]
    async fn a_secret_is_found_by_name_arn_and_partial_arn() {
        let service = service(None);
        let made =
            service.call("CreateSecret", json!({ "Name": "wharfinger/main", "SecretString": "s" })).await.unwrap();
        let arn = made["ARN"].as_str().unwrap();
        assert!(arn.starts_with("arn:aws:secretsmanager:us-east-1:000000000000:secret:wharfinger/main-"));
        for id in ["wharfinger/main", arn, &arn[..arn.len() - 7]] {
            let value = service.call("GetSecretValue", json!({ "SecretId": id })).await.unwrap();
            assert_eq!(value["SecretString"], "s", "{id}");
        }
        assert_eq!(code(&service, "GetSecretValue", json!({ "SecretId": "main" })).await, "ResourceNotFoundException");
    }

    #[tokio::test]
    async fn the_same_token_and_value_again_is_the_same_secret() {
        let service = service(None);
        let input = json!({ "Name": "a", "SecretString": "s", "ClientRequestToken": "t".repeat(32) });
        let first = service.call("CreateSecret", input.clone()).await.unwrap();
        assert_eq!(service.call("CreateSecret", input).await.unwrap(), first);
        let other = json!({ "Name": "a", "SecretString": "x", "ClientRequestToken": "t".repeat(32) });
        assert_eq!(code(&service, "CreateSecret", other).await, "ResourceExistsException");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_secret_keeps_its_name_until_the_window_is_over() {
        let service = service(None);
        let create = json!({ "Name": "a", "SecretString": "s" });
        service.call("CreateSecret", create.clone()).await.unwrap();
        service.call("DeleteSecret", json!({ "SecretId": "a", "RecoveryWindowInDays": 7 })).await.unwrap();
        assert_eq!(code(&service, "GetSecretValue", json!({ "SecretId": "a" })).await, "InvalidRequestException");
        assert_eq!(code(&service, "CreateSecret", create.clone()).await, "InvalidRequestException");
        assert_eq!(code(&service, "RestoreSecret", json!({ "SecretId": "a" })).await, "ok");
        service.call("DeleteSecret", json!({ "SecretId": "a", "RecoveryWindowInDays": 7 })).await.unwrap();
        tokio::time::advance(Duration::from_secs(8 * 86_400)).await;
        assert_eq!(code(&service, "CreateSecret", create).await, "ok");
    }

    #[tokio::test]
    async fn a_new_value_makes_the_old_one_previous_and_survives_a_restart() {
        let first = service(None);
        first.call("CreateSecret", json!({ "Name": "a", "SecretString": "1" })).await.unwrap();
        first.call("PutSecretValue", json!({ "SecretId": "a", "SecretString": "2" })).await.unwrap();
        let again = service(Some(first.snapshot()));
        for (stage, value) in [(CURRENT, "2"), (PREVIOUS, "1")] {
            let found = again.call("GetSecretValue", json!({ "SecretId": "a", "VersionStage": stage })).await.unwrap();
            assert_eq!(found["SecretString"], value);
        }
    }
}
