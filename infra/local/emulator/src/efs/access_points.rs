//! Access points: a directory of a file system, and the POSIX user that everyone is who comes through it.

use serde_json::{Value, json};

use super::{
    Efs, TOKENS,
    model::{AccessPoint, bare, lifecycle, name},
    paged,
};
use crate::{
    error::AwsError,
    ids::{ACCOUNT, random_id},
    input::{list, text},
};

/// The longest path of an access point's directory, in characters, and its deepest, in levels. From the EFS API
/// reference, RootDirectory.
const PATH_LIMIT: usize = 100;
const LEVEL_LIMIT: usize = 4;

impl Efs {
    pub(super) fn create_access_point(&self, input: &Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let file_system = text(input, "FileSystemId").unwrap_or_default();
        let file_system = state.usable_file_system(file_system, self.now())?.id.clone();
        let token = text(input, "ClientToken").unwrap_or_default();
        if let Some(known) = state.access_points.values().find(|known| known.client_token == token) {
            let message = format!("Access point '{}' already exists with client token '{token}'", known.id);
            let error = AwsError::client("AccessPointAlreadyExists", message).with_status(409);
            return Err(error.with("AccessPointId", known.id.as_str()));
        }
        let directory = &input["RootDirectory"];
        let root = text(directory, "Path").unwrap_or("/").to_owned();
        let levels = root.split('/').filter(|part| !part.is_empty()).count();
        if !root.starts_with('/')
            || root.len() > PATH_LIMIT
            || levels > LEVEL_LIMIT
            || root.split('/').any(|part| part == "..")
        {
            let message = format!(
                "RootDirectory.Path must start with /, have at most {PATH_LIMIT} characters and {LEVEL_LIMIT} levels."
            );
            return Err(AwsError::client("BadRequest", message));
        }
        let point = AccessPoint {
            id: random_id("fsap-"),
            client_token: token.to_owned(),
            file_system,
            posix_user: input.get("PosixUser").filter(|user| user.is_object()).cloned(),
            root,
            creation_info: directory.get("CreationInfo").filter(|info| info.is_object()).cloned(),
            available: self.available_later(),
            tags: list(input, "Tags").to_vec(),
        };
        let shown = self.show_access_point(&point);
        state.access_points.insert(point.id.clone(), point);
        Ok(shown)
    }

    pub(super) fn describe_access_points(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let (wanted, file_system) = (text(input, "AccessPointId"), text(input, "FileSystemId"));
        if let Some(id) = wanted {
            state.access_point(id)?;
        }
        if let Some(id) = file_system {
            state.file_system(id)?;
        }
        let chosen = state.access_points.values().filter(|point| {
            wanted.is_none_or(|id| bare(id) == point.id) && file_system.is_none_or(|id| bare(id) == point.file_system)
        });
        let shown = chosen.map(|point| (point.id.clone(), self.show_access_point(point)));
        paged("AccessPoints", shown, input, TOKENS)
    }

    pub(super) fn delete_access_point(&self, input: &Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let id = state.access_point(text(input, "AccessPointId").unwrap_or_default())?.id.clone();
        state.access_points.remove(&id);
        Ok(Value::Null)
    }

    fn show_access_point(&self, point: &AccessPoint) -> Value {
        let mut shown = json!({
            "AccessPointId": point.id, "ClientToken": point.client_token, "FileSystemId": point.file_system,
            "AccessPointArn": self.context.arn("elasticfilesystem", &format!("access-point/{}", point.id)),
            "RootDirectory": {"Path": point.root}, "OwnerId": ACCOUNT, "LifeCycleState": lifecycle(point.available, self.now()),
            "Tags": point.tags,
        });
        if let Some(user) = &point.posix_user {
            shown["PosixUser"] = user.clone();
        }
        if let Some(info) = &point.creation_info {
            shown["RootDirectory"]["CreationInfo"] = info.clone();
        }
        if let Some(name) = name(&point.tags) {
            shown["Name"] = name.into();
        }
        shown
    }
}
