//! Secrets Manager: secrets by name or ARN, their versions, and a deletion that can be taken back.

mod secret;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde_json::{Value, json};

use self::secret::{Deletion, Secret, Version};
use super::{
    error::AwsError,
    service::{Service, Unreadable, restore},
};
use crate::{
    context::Context,
    input::{given, text},
};

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";
const DAY: f64 = 86_400.0;

/// The key with which AWS encrypts secrets that name none.
const OWN_KEY: &str = "alias/aws/secretsmanager";

/// The service.
pub struct SecretsManager {
    context: Context,
    secrets: Mutex<BTreeMap<String, Secret>>,
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
        refuse_unknown(input, &["AddReplicaRegions", "CrossAccountPrimaryARN", "ForceOverwriteReplicaSecret", "Type"])?;
        if text(input, "KmsKeyId").is_some_and(|key| key != OWN_KEY) {
            refuse_unknown(input, &["KmsKeyId"])?;
        }
        let mut secrets = self.secrets();
        if let Some(known) = secrets.get(name) {
            return answer_for_existing(known, input);
        }
        let now = self.context.clock.epoch_seconds();
        let mut secret = self.new_secret(name);
        secret.description = input["Description"].as_str().map(str::to_owned);
        secret.tags = read_tags(input);
        let mut answer = json!({ "ARN": secret.arn, "Name": name });
        if let Some(version) = read_version(input, now)? {
            answer["VersionId"] = secret.put(version)?.into();
        }
        secrets.insert(name.to_owned(), secret);
        Ok(answer)
    }

    fn new_secret(&self, name: &str) -> Secret {
        let now = self.context.clock.epoch_seconds();
        let suffix = &crate::ids::random_uuid().simple().to_string()[..6];
        Secret {
            arn: self.context.arn("secretsmanager", &format!("secret:{name}-{suffix}")),
            name: name.to_owned(),
            description: None,
            owner: None,
            created: now,
            changed: now,
            deletion: None,
            tags: BTreeMap::new(),
            versions: Vec::new(),
        }
    }

    /// Keeps `text` in a new secret that belongs to a service: its ARN.
    pub(crate) fn keep(&self, owner: &str, name: &str, text: &str) -> String {
        let mut secret = self.new_secret(name);
        secret.owner = Some(owner.to_owned());
        secret.begin("SecretString", text.to_owned());
        let arn = secret.arn.clone();
        self.secrets().insert(name.to_owned(), secret);
        arn
    }

    /// Deletes a secret that [`Self::keep`] made, at once.
    pub(crate) fn forget(&self, arn: &str) {
        self.secrets().retain(|_, secret| secret.arn != arn);
    }

    fn put(&self, input: &Value) -> Result<Value, AwsError> {
        refuse_unknown(input, &["RotationToken"])?;
        let now = self.context.clock.epoch_seconds();
        let mut secrets = self.secrets();
        let secret = usable(&mut secrets, input)?;
        let version = read_version(input, now)?.ok_or_else(|| {
            refused("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
        })?;
        let id = secret.put(version)?;
        let stages = secret.versions.iter().find(|version| version.id == id).map(|version| version.stages.clone());
        Ok(json!({ "ARN": secret.arn, "Name": secret.name, "VersionId": id, "VersionStages": stages }))
    }

    fn get_value(&self, input: &Value) -> Result<Value, AwsError> {
        let mut secrets = self.secrets();
        let secret = usable(&mut secrets, input)?;
        let (id, stage) = (text(input, "VersionId"), text(input, "VersionStage"));
        let stage = stage.or_else(|| id.is_none().then_some(CURRENT));
        let version = secret
            .versions
            .iter()
            .find(|version| id.is_none_or(|id| version.id == id) && stage.is_none_or(|stage| version.has(stage)));
        let version = version.ok_or_else(|| {
            let wanted = match (stage, id) {
                (Some(stage), _) => format!("staging label: {stage}"),
                (None, id) => format!("VersionId: {}", id.unwrap_or_default()),
            };
            let message = format!("Secrets Manager can't find the specified secret value for {wanted}");
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

/// Refuses members that would do nothing here.
fn refuse_unknown(input: &Value, members: &[&str]) -> Result<(), AwsError> {
    match given(input, members) {
        Some(member) => Err(refused("InvalidParameterException", &format!("This region does not support {member}."))),
        None => Ok(()),
    }
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

/// The new version that a call describes, if it has a value.
fn read_version(input: &Value, now: f64) -> Result<Option<Version>, AwsError> {
    let token = text(input, "ClientRequestToken");
    if token.is_some_and(|token| !(32..=64).contains(&token.len())) {
        return Err(refused("InvalidParameterException", "ClientRequestToken must be 32-64 characters long."));
    }
    let id = token.map_or_else(|| crate::ids::random_uuid().to_string(), str::to_owned);
    let stages = read_stages(input)?;
    let version =
        |(member, value): (&str, String)| Version { id, created: now, stages, member: member.to_owned(), value };
    Ok(read_value(input)?.map(version))
}

/// The labels that a new version is to have; none if they are left to Secrets Manager.
fn read_stages(input: &Value) -> Result<Vec<String>, AwsError> {
    let Some(given) = input["VersionStages"].as_array() else { return Ok(Vec::new()) };
    let stages: Vec<String> = given.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let fits = (1..=20).contains(&given.len()) && stages.len() == given.len();
    if fits && stages.iter().all(|stage| (1..=256).contains(&stage.len())) {
        return Ok(stages);
    }
    let message = "1 validation error detected: Value at 'versionStages' failed to satisfy constraint: Member must have \
                   length between 1 and 20, each member between 1 and 256";
    Err(refused("ValidationException", message))
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
