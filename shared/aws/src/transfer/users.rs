//! Transfer Family's users and their keys.

use std::collections::BTreeMap;

use aws_sdk_transfer::types::{HomeDirectoryMapEntry, HomeDirectoryType, PosixProfile};
use wharfinger_decisions::{
    account::{Account, AccountKey, Listed, Wanted},
    key::PublicKey,
    names::UserName,
    user::Posix,
};

use super::{Transfer, tag_list, tag_map};
use crate::error::AwsError;

impl Transfer {
    /// The users of a server by their names.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn users(&self, server_id: &str) -> Result<BTreeMap<String, Listed>, AwsError> {
        let mut listed = self.client.list_users().server_id(server_id).into_paginator().items().send();
        let mut users = BTreeMap::new();
        while let Some(user) = listed.next().await {
            let user = user.map_err(|error| AwsError::sort(format!("list the users of server {server_id}"), error))?;
            let keys = usize::try_from(user.ssh_public_key_count().unwrap_or_default()).unwrap_or_default();
            let listed = Listed { keys, role: user.role().unwrap_or_default().to_owned() };
            users.extend(user.user_name().map(|name| (name.to_owned(), listed)));
        }
        Ok(users)
    }

    /// Reads the account `user`, or `None` if it does not exist.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn account(&self, server_id: &str, user: &str) -> Result<Option<Account>, AwsError> {
        let answer = self.client.describe_user().server_id(server_id).user_name(user).send().await;
        let described = match answer.map_err(|error| AwsError::sort(format!("describe user {user}"), error)) {
            Ok(answer) => answer.user,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(described.map(|user| {
            let root = match (user.home_directory_type(), user.home_directory_mappings()) {
                (Some(HomeDirectoryType::Logical), [entry]) if entry.entry() == "/" => Some(entry.target().to_owned()),
                _ => None,
            };
            Account {
                role: user.role().unwrap_or_default().to_owned(),
                root,
                posix: user.posix_profile().and_then(posix),
                keys: user
                    .ssh_public_keys()
                    .iter()
                    .map(|key| AccountKey {
                        id: key.ssh_public_key_id().to_owned(),
                        body: key.ssh_public_key_body().to_owned(),
                    })
                    .collect(),
                arn: user.arn().to_owned(),
                tags: tag_map(user.tags()),
            }
        }))
    }

    /// Creates an account with the first of its keys.
    ///
    /// # Errors
    /// [`crate::error::Kind::Exists`] when the account exists already: describe it and change it.
    pub async fn create_user(
        &self,
        server_id: &str,
        user: &UserName,
        wanted: &Wanted,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), AwsError> {
        let call = self
            .client
            .create_user()
            .server_id(server_id)
            .user_name(user.as_str())
            .role(wanted.role.as_str())
            .home_directory_type(HomeDirectoryType::Logical)
            .home_directory_mappings(mapping(&wanted.root))
            .posix_profile(profile(&wanted.posix))
            .set_ssh_public_key_body(wanted.keys.first().map(|key| key.body().to_owned()))
            .set_tags(Some(tag_list(tags)));
        call.send().await.map(drop).map_err(|error| AwsError::sort(format!("create user {user}"), error))
    }

    /// Updates everything but the keys of an account.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn update_user(&self, server_id: &str, user: &UserName, wanted: &Wanted) -> Result<(), AwsError> {
        let call = self
            .client
            .update_user()
            .server_id(server_id)
            .user_name(user.as_str())
            .role(wanted.role.as_str())
            .home_directory_type(HomeDirectoryType::Logical)
            .home_directory_mappings(mapping(&wanted.root))
            .posix_profile(profile(&wanted.posix));
        call.send().await.map(drop).map_err(|error| AwsError::sort(format!("update user {user}"), error))
    }

    /// Imports a public key. Succeeds if the account already has it.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn import_key(&self, server_id: &str, user: &UserName, key: &PublicKey) -> Result<(), AwsError> {
        let call = self.client.import_ssh_public_key().server_id(server_id).user_name(user.as_str());
        let answer = call.ssh_public_key_body(key.body()).send().await;
        let action = || format!("import key {} of user {user}", key.fingerprint());
        match answer.map_err(|error| AwsError::sort(action(), error)) {
            Err(error) if !error.is_exists() => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes a key. Succeeds if it does not exist.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn delete_key(&self, server_id: &str, user: &UserName, key_id: &str) -> Result<(), AwsError> {
        let call = self.client.delete_ssh_public_key().server_id(server_id).user_name(user.as_str());
        let answer = call.ssh_public_key_id(key_id).send().await;
        match answer.map_err(|error| AwsError::sort(format!("delete key {key_id} of user {user}"), error)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes an account. Succeeds if it does not exist.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn delete_user(&self, server_id: &str, user: &str) -> Result<(), AwsError> {
        let answer = self.client.delete_user().server_id(server_id).user_name(user).send().await;
        match answer.map_err(|error| AwsError::sort(format!("delete user {user}"), error)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

fn mapping(root: &str) -> HomeDirectoryMapEntry {
    HomeDirectoryMapEntry::builder().entry("/").target(root).build().expect("entry and target are given")
}

fn profile(posix: &Posix) -> PosixProfile {
    let groups =
        (!posix.secondary_gids.is_empty()).then(|| posix.secondary_gids.iter().copied().map(i64::from).collect());
    PosixProfile::builder()
        .uid(posix.uid.into())
        .gid(posix.gid.into())
        .set_secondary_gids(groups)
        .build()
        .expect("uid and gid are given")
}

fn posix(profile: &PosixProfile) -> Option<Posix> {
    let groups = profile.secondary_gids().iter().map(|gid| u32::try_from(*gid).ok()).collect::<Option<_>>()?;
    Some(Posix {
        uid: u32::try_from(profile.uid()).ok()?,
        gid: u32::try_from(profile.gid()).ok()?,
        secondary_gids: groups,
    })
}
