//! A user's account on Transfer Family: the steps from what AWS has to what is wanted.
//!
//! New keys come before old ones go, so that who changes a key is never locked out; and an old key goes even when a
//! new one is refused, because it may have been leaked.

mod urgency;

use crate::{
    deployment::Tags,
    ids::{FileSystemId, RoleArn},
    key::PublicKey,
    site::SiteSpec,
    user::{Applied, Posix, UserSpec},
};

pub use urgency::{Listed, Urgency, User, is_mass_deletion};

/// The wanted account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The IAM role that it carries.
    pub role: RoleArn,
    /// What it sees as `/`: `/fs-…/sites/blog`.
    pub root: String,
    /// Its identity on the file system.
    pub posix: Posix,
    /// The keys that may log in.
    pub keys: Vec<PublicKey>,
}

impl Wanted {
    /// What the account on the server `server_id` is given.
    #[must_use]
    pub fn applied(&self, server_id: &str) -> Applied {
        Applied { server_id: server_id.to_owned(), role: self.role.to_string(), root: self.root.clone() }
    }
}

/// An account as AWS shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The ARN of its role.
    pub role: String,
    /// The target of its mapping of `/`, or `None` if its home directory is configured differently.
    pub root: Option<String>,
    /// Its identity on the file system.
    pub posix: Option<Posix>,
    /// Its keys.
    pub keys: Vec<AccountKey>,
    /// Its ARN.
    pub arn: String,
    /// Its tags.
    pub tags: Tags,
}

/// A key of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKey {
    /// AWS's id.
    pub id: String,
    /// Algorithm, base64, and perhaps a comment.
    pub body: String,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the account, with the first of its keys.
    Create(Wanted),
    /// Set everything but keys.
    Update(Wanted),
    /// Let a key in.
    AddKey(PublicKey),
    /// Take a key back, by AWS's id.
    RemoveKey(String),
}

/// The steps to `wanted`, in order; empty if the account is as wanted.
#[must_use]
pub fn steps(wanted: &Wanted, account: Option<&Account>) -> Vec<Step> {
    let Some(account) = account else {
        let further = wanted.keys.iter().skip(1).cloned().map(Step::AddKey);
        return std::iter::once(Step::Create(wanted.clone())).chain(further).collect();
    };
    let mut steps = Vec::new();
    if account.role != wanted.role.as_str()
        || account.root.as_ref() != Some(&wanted.root)
        || !account.posix.as_ref().is_some_and(|posix| same_identity(posix, &wanted.posix))
    {
        steps.push(Step::Update(wanted.clone()));
    }
    // What AWS has is compared as it is: a key that was taken before a rule was tightened is still the same key.
    let has: Vec<PublicKey> = account.keys.iter().map(|key| PublicKey::from_stored(&key.body)).collect();
    let missing = wanted.keys.iter().filter(|key| !has.contains(key));
    steps.extend(missing.cloned().map(Step::AddKey));
    for (index, (key, there)) in account.keys.iter().zip(&has).enumerate() {
        if has[..index].contains(there) || !wanted.keys.contains(there) {
            steps.push(Step::RemoveKey(key.id.clone()));
        }
    }
    steps
}

/// Compares identities. The order of secondary groups is irrelevant.
fn same_identity(one: &Posix, other: &Posix) -> bool {
    let sorted = |posix: &Posix| {
        let mut groups = posix.secondary_gids.clone();
        groups.sort_unstable();
        groups.dedup();
        groups
    };
    one.uid == other.uid && one.gid == other.gid && sorted(one) == sorted(other)
}

/// Why a user has no valid root directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// It names neither a site nor a directory. The whole file system is nobody's root.
    #[error("the user has neither a site nor a directory: give it one of them")]
    None,
    /// Its site does not exist.
    #[error("the site {0} does not exist: make it, or give the user another site or a directory")]
    NoSite(String),
    /// Its site lies on another file system than the server's.
    #[error("the site {site} lies on {of_site}, but the server serves {of_server}: give a site on {of_server}")]
    OtherFileSystem {
        /// The site.
        site: String,
        /// Its file system.
        of_site: FileSystemId,
        /// The server's.
        of_server: FileSystemId,
    },
}

/// What a user sees as `/`, as Transfer Family names it: the directory of its `site`, or its own. `site` is the one
/// that the user names, where it exists.
///
/// # Errors
/// When the user has no root on the server's file system.
pub fn root(user: &UserSpec, site: Option<&SiteSpec>, file_system: &FileSystemId) -> Result<String, RootError> {
    let Some(name) = &user.site else {
        return user.directory.as_ref().map(|directory| directory.on(file_system)).ok_or(RootError::None);
    };
    let site = site.ok_or_else(|| RootError::NoSite(name.to_string()))?;
    if site.file_system_id != *file_system {
        return Err(RootError::OtherFileSystem {
            site: name.to_string(),
            of_site: site.file_system_id.clone(),
            of_server: file_system.clone(),
        });
    }
    Ok(site.directory.on(file_system))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: [&str; 4] = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAD",
    ];

    fn wanted(keys: &[usize]) -> Wanted {
        Wanted {
            role: RoleArn::parse("arn:aws:iam::000000000000:role/sftp-users").unwrap(),
            root: "/fs-0a1b2c3d/sites/blog".into(),
            posix: Posix::default(),
            keys: keys.iter().map(|index| PublicKey::parse(KEYS[*index]).unwrap()).collect(),
        }
    }

    fn account(keys: &[usize]) -> Account {
        let wanted = wanted(&[]);
        Account {
            role: wanted.role.to_string(),
            root: Some(wanted.root),
            posix: Some(wanted.posix),
            keys: keys
                .iter()
                .enumerate()
                .map(|(at, index)| AccountKey { id: format!("key-{at}"), body: format!("{} a@b", KEYS[*index]) })
                .collect(),
            ..Account::default()
        }
    }

    fn apply(account: &mut Option<Account>, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Create(wanted) => {
                    assert!(account.is_none());
                    let first =
                        wanted.keys.first().map(|key| AccountKey { id: "first".into(), body: key.body().into() });
                    *account = Some(Account {
                        role: wanted.role.to_string(),
                        root: Some(wanted.root),
                        posix: Some(wanted.posix),
                        keys: first.into_iter().collect(),
                        ..Account::default()
                    });
                }
                Step::Update(wanted) => {
                    let account = account.as_mut().unwrap();
                    account.role = wanted.role.to_string();
                    (account.root, account.posix) = (Some(wanted.root), Some(wanted.posix));
                }
                Step::AddKey(key) => {
                    let keys = &mut account.as_mut().unwrap().keys;
                    keys.push(AccountKey { id: format!("new-{}", key.fingerprint()), body: key.body().into() });
                }
                Step::RemoveKey(id) => account.as_mut().unwrap().keys.retain(|key| key.id != id),
            }
        }
    }

    #[test]
    fn a_key_of_before_a_rule_was_tightened_is_neither_added_nor_removed() {
        let short = PublicKey::from_stored("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQDx");
        assert!(PublicKey::parse(short.body()).is_err());
        let mut wanted = wanted(&[0]);
        wanted.keys = vec![short.clone()];
        let mut account = account(&[]);
        account.keys = vec![AccountKey { id: "key-0".into(), body: short.body().into() }];
        assert_eq!(steps(&wanted, Some(&account)), []);
    }

    #[test]
    fn nobody_sees_the_whole_file_system_for_want_of_a_root() {
        let user = UserSpec { public_keys: Vec::new(), site: None, directory: None, posix: Posix::default() };
        let file_system = FileSystemId::parse("fs-0a1b2c3d").unwrap();
        assert_eq!(root(&user, None, &file_system), Err(RootError::None));
    }

    #[test]
    fn a_key_is_added_before_another_is_removed() {
        let steps = steps(&wanted(&[1]), Some(&account(&[0])));
        assert_eq!(steps, [Step::AddKey(PublicKey::parse(KEYS[1]).unwrap()), Step::RemoveKey("key-0".into())]);
    }

    #[test]
    fn a_comment_makes_no_other_key() {
        assert!(steps(&wanted(&[0]), Some(&account(&[0]))).is_empty());
    }

    #[test]
    fn another_root_is_one_update() {
        let other = Account { root: None, ..account(&[0]) };
        assert_eq!(steps(&wanted(&[0]), Some(&other)), [Step::Update(wanted(&[0]))]);
    }

    proptest! {
        #[test]
        fn after_the_steps_there_is_none_left_wherever_they_were_cut_short(
            keys in prop::collection::btree_set(0usize..4, 1..4), there in prop::option::of(prop::collection::vec(0usize..4, 0..5)),
            other_root in any::<bool>(), cut in 0usize..6,
        ) {
            let wanted = wanted(&keys.into_iter().collect::<Vec<_>>());
            let mut account = there.map(|keys| Account { root: (!other_root).then(|| wanted.root.clone()), ..account(&keys) });
            let first = steps(&wanted, account.as_ref()).into_iter().take(cut).collect();
            apply(&mut account, first);
            let second = steps(&wanted, account.as_ref());
            apply(&mut account, second);
            prop_assert!(steps(&wanted, account.as_ref()).is_empty());
        }
    }
}
