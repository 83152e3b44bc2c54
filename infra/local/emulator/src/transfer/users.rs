//! The operations on users, and what a login needs to know of one.

use serde_json::{Map, Value, json};

use super::{
    Transfer,
    keys::UserKey,
    page::page,
    state::{Server, User, exists, invalid, read_tags, show_tags, text, unknown},
    tags::check_tags,
};
use crate::{
    error::AwsError,
    transfer::sftp::{Account, HomeMapping},
};

/// Members that are stored and shown as they were given.
const SETTINGS: [&str; 6] =
    ["HomeDirectory", "HomeDirectoryMappings", "HomeDirectoryType", "Policy", "PosixProfile", "Role"];

impl Transfer {
    pub(super) fn create_user(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let name = text(input, "UserName");
        check_tags(&read_tags(input))?;
        let mut settings = given_settings(input);
        settings.entry("HomeDirectoryType").or_insert_with(|| "PATH".into());
        let body = input.get("SshPublicKeyBody").and_then(Value::as_str).filter(|body| !body.trim().is_empty());
        let key = body.map(|body| UserKey::parse(body, self.context.clock.epoch_seconds())).transpose()?;
        let mut state = self.state();
        let server = state.server_mut(text(input, "ServerId"))?;
        check_settings(server, &settings)?;
        if server.users.contains_key(name) {
            return Err(exists("User", name, "User already exists"));
        }
        let keys = key.into_iter().collect();
        let user = User { name: name.to_owned(), settings, keys, tags: read_tags(input) };
        server.users.insert(name.to_owned(), user);
        Ok(json!({ "ServerId": server.id, "UserName": name }))
    }

    pub(super) fn describe_user(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let state = self.state();
        let server = state.server(text(input, "ServerId"))?;
        let user = server.user(text(input, "UserName"))?;
        let mut shown = user.settings.clone();
        shown.retain(|_, value| value != "");
        shown.insert("Arn".to_owned(), self.user_arn(&server.id, &user.name).into());
        shown.insert("UserName".to_owned(), user.name.clone().into());
        shown.insert("SshPublicKeys".to_owned(), user.keys.iter().map(UserKey::show).collect());
        shown.insert("Tags".to_owned(), show_tags(&user.tags));
        Ok(json!({ "ServerId": server.id, "User": shown }))
    }

    pub(super) fn update_user(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let name = text(input, "UserName");
        let mut state = self.state();
        let server = state.server_mut(text(input, "ServerId"))?;
        let mut settings = server.user(name)?.settings.clone();
        settings.extend(given_settings(input));
        if settings["HomeDirectoryType"] == "PATH" && !input.contains_key("HomeDirectoryMappings") {
            settings.remove("HomeDirectoryMappings");
        }
        check_settings(server, &settings)?;
        server.user_mut(name)?.settings = settings;
        Ok(json!({ "ServerId": server.id, "UserName": name }))
    }

    pub(super) fn delete_user(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let name = text(input, "UserName");
        let mut state = self.state();
        let removed = state.server_mut(text(input, "ServerId"))?.users.remove(name);
        removed.map(|_| Value::Null).ok_or_else(|| unknown("User", name))
    }

    pub(super) fn list_users(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let state = self.state();
        let server = state.server(text(input, "ServerId"))?;
        let items = server.users.iter().map(|(name, user)| (name.as_str(), self.list_user(&server.id, user)));
        let mut answer = page(input, "Users", items)?;
        answer.insert("ServerId".to_owned(), server.id.clone().into());
        Ok(answer.into())
    }

    fn list_user(&self, server_id: &str, user: &User) -> Value {
        let mut shown = Map::new();
        for member in ["HomeDirectory", "HomeDirectoryType", "Role"] {
            if let Some(value) = user.settings.get(member).filter(|value| **value != "") {
                shown.insert(member.to_owned(), value.clone());
            }
        }
        shown.insert("Arn".to_owned(), self.user_arn(server_id, &user.name).into());
        shown.insert("SshPublicKeyCount".to_owned(), user.keys.len().into());
        shown.insert("UserName".to_owned(), user.name.clone().into());
        shown.into()
    }

    fn user_arn(&self, server_id: &str, name: &str) -> String {
        self.context.arn("transfer", &format!("user/{server_id}/{name}"))
    }

    /// What a login of `name` needs; none when the server or the user is not there.
    pub(crate) fn account(&self, server_id: &str, name: &str) -> Option<Account> {
        let state = self.state();
        let server = state.servers.get(server_id)?;
        let user = server.users.get(name)?;
        let id =
            |member: &str| user.settings.get("PosixProfile")?[member].as_u64().and_then(|id| u32::try_from(id).ok());
        let home = text(&user.settings, "HomeDirectory");
        let logical = text(&user.settings, "HomeDirectoryType") == "LOGICAL";
        Some(Account {
            name: name.to_owned(),
            role: text(&user.settings, "Role").to_owned(),
            uid: id("Uid").unwrap_or(65_534),
            gid: id("Gid").unwrap_or(65_534),
            keys: user.keys.iter().filter_map(UserKey::public_key).collect(),
            home: if home.is_empty() { "/".to_owned() } else { home.to_owned() },
            mappings: if logical { read_mappings(&user.settings) } else { whole_file_system(home) },
            ignores_setstat: server.settings["ProtocolDetails"]["SetStatOption"] == "ENABLE_NO_OP",
        })
    }
}

fn given_settings(input: &Map<String, Value>) -> Map<String, Value> {
    SETTINGS.iter().filter_map(|name| Some(((*name).to_owned(), input.get(*name)?.clone()))).collect()
}

fn check_settings(server: &Server, settings: &Map<String, Value>) -> Result<(), AwsError> {
    if server.setting("IdentityProviderType") != "SERVICE_MANAGED" {
        return Err(invalid("Users of a server with another identity provider are not managed by the service"));
    }
    if server.setting("Domain") == "EFS" && !settings.contains_key("PosixProfile") {
        return Err(invalid("PosixProfile is required for servers whose Domain is EFS"));
    }
    let mapped = settings.contains_key("HomeDirectoryMappings");
    match text(settings, "HomeDirectoryType") {
        "LOGICAL" if !mapped => Err(invalid("HomeDirectoryMappings are required for HomeDirectoryType LOGICAL")),
        "PATH" if mapped => Err(invalid("HomeDirectoryMappings can only be set for HomeDirectoryType LOGICAL")),
        _ => check_mappings(&read_mappings(settings)),
    }
}

fn check_mappings(mappings: &[HomeMapping]) -> Result<(), AwsError> {
    let trailing = |path: &str| path != "/" && path.ends_with('/');
    for (index, mapping) in mappings.iter().enumerate() {
        if trailing(&mapping.entry) || trailing(&mapping.target) {
            return Err(invalid("Entry and Target of HomeDirectoryMappings must not end with '/'"));
        }
        if mappings[..index].iter().any(|other| other.entry == mapping.entry) {
            return Err(invalid(format!("HomeDirectoryMappings have two entries for '{}'", mapping.entry)));
        }
        if mapping.entry == "/" && mappings.len() > 1 {
            return Err(invalid("HomeDirectoryMappings with Entry '/' must be the only one"));
        }
    }
    Ok(())
}

fn read_mappings(settings: &Map<String, Value>) -> Vec<HomeMapping> {
    let list = settings.get("HomeDirectoryMappings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |mapping: &Value, member: &str| mapping[member].as_str().unwrap_or_default().to_owned();
    list.iter().map(|mapping| HomeMapping { entry: text(mapping, "Entry"), target: text(mapping, "Target") }).collect()
}

/// A PATH home shows the whole file system under its own name.
fn whole_file_system(home: &str) -> Vec<HomeMapping> {
    let file_system = home.trim_start_matches('/').split('/').next().unwrap_or_default();
    let path = format!("/{file_system}");
    vec![HomeMapping { entry: path.clone(), target: path }]
}
