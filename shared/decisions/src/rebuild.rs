//! Whether a server could be rebuilt as it is, if it were deleted now. Every difference that a client, a person or
//! another program could notice is a lack; so is everything that AWS did not tell. A server with a lack is not deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;

use crate::{
    condition::{Condition, Severity},
    ids::AllocationId,
    settings::Lost,
};

/// The code of the condition of a server that can't be put to sleep.
pub const NOT_REBUILDABLE: &str = "not_rebuildable";

/// How many names of accounts a sentence holds.
const MOST_NAMES: usize = 5;

/// A host key of a server, as AWS lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    /// AWS's id.
    pub id: String,
    /// AWS's name of its algorithm: `ssh-ed25519`.
    pub algorithm: String,
    /// Its SHA-256 fingerprint, as clients show it.
    pub fingerprint: String,
}

/// A version of a secret in Secrets Manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVersion {
    /// The secret's name.
    pub secret: String,
    /// The staging label that holds the version. One that a label holds is never removed.
    pub label: String,
}

impl fmt::Display for SecretVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the version {} of the secret {}", self.label, self.secret)
    }
}

impl SecretVersion {
    /// The command with which people put a private key there.
    #[must_use]
    pub fn command(&self) -> String {
        let Self { secret, label } = self;
        format!(
            "aws secretsmanager put-secret-value --secret-id {secret} --version-stages {label} --secret-string file://KEY"
        )
    }
}

/// What a version of a secret for a host key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A private key with this SHA-256 fingerprint.
    Key(String),
    /// Nothing: there is no such version.
    Nothing,
    /// No private key in OpenSSH's form.
    Unreadable,
}

/// A host key in a secret of ours that was not made for the server, and that AWS does not show on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundHostKey {
    /// Where it is.
    pub version: SecretVersion,
    /// Its SHA-256 fingerprint.
    pub fingerprint: String,
}

impl FoundHostKey {
    /// Why it is not used, in a sentence for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { version, fingerprint } = self;
        format!(
            "{version} holds a host key that was not made for this server ({fingerprint}): whoever put it there may know \
             it, so it is not used"
        )
    }

    /// What to do about it, in a sentence for people.
    #[must_use]
    pub fn remedy(&self) -> String {
        let SecretVersion { secret, label } = &self.version;
        let back = format!("put the key back that was made for it ({})", self.version.command());
        // The secret's current version can't lose its label, and the secret holds the other keys too.
        if label == "AWSCURRENT" {
            return format!(
                "{back}; if no client knows the server yet, delete the secret for good (aws secretsmanager delete-secret \
                 --secret-id {secret} --force-delete-without-recovery), and another key is made"
            );
        }
        format!(
            "{back}, or take the label off (aws secretsmanager update-secret-version-stage --secret-id {secret} \
             --version-stage {label} --remove-from-version-id VERSION), and another key is made"
        )
    }
}

/// AWS, or the table, did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// What was asked, and what was answered.
    pub error: String,
    /// Asking again soon may help.
    pub temporary: bool,
}

/// The accounts that could not be made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Those without a record that can be read.
    pub unrecorded: Vec<String>,
    /// Those whose record is not enough, by what it lacks: a sentence for people.
    pub incomplete: BTreeMap<String, Vec<String>>,
}

/// What is known of a server that is to be deleted and rebuilt.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The host keys that it has.
    pub host_keys: Result<Vec<HostKey>, Unanswered>,
    /// The versions of its secret that its host keys are rebuilt from.
    pub secrets: Vec<(SecretVersion, Result<Kept, Unanswered>)>,
    /// The fingerprints of the host keys that were made for it.
    pub made_here: Result<BTreeSet<String>, Unanswered>,
    /// The Elastic IPs that it has.
    pub attached: BTreeSet<AllocationId>,
    /// The Elastic IPs that its spec gives it.
    pub wanted: BTreeSet<AllocationId>,
    /// Nothing attaches those that it lacks: somebody took them off, or AWS refuses them.
    pub is_left: bool,
    /// Its accounts that could not be made again.
    pub accounts: Result<Accounts, Unanswered>,
    /// What its settings don't give back.
    pub lost: Vec<Lost>,
    /// The roles that its settings name, each with the member that names it.
    pub roles: Vec<(String, String)>,
    /// The roles that Wharfinger may hand to Transfer Family.
    pub may_pass: BTreeSet<String>,
}

/// What a rebuilt server would lack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// A host key that is in no version of our secret.
    HostKey(HostKey),
    /// A version of our secret that should hold a host key, and holds something else.
    Secret(SecretVersion),
    /// A host key in our secret that would be refused when it is rebuilt.
    HostKeyFound(FoundHostKey),
    /// It has no Elastic IP, and so its addresses change.
    Address,
    /// It has an Elastic IP that its spec does not give it.
    AddressUnwanted(AllocationId),
    /// It does not have an Elastic IP that its spec gives it.
    AddressDetached(AllocationId),
    /// It does not have an Elastic IP that its spec gives it, and does not get it before a person does something.
    AddressLeft(AllocationId),
    /// Accounts without a record.
    Accounts(Vec<String>),
    /// Accounts whose record is not enough.
    Incomplete {
        /// Their names.
        accounts: Vec<String>,
        /// What it lacks, in a sentence.
        reason: String,
    },
    /// A setting, or what makes it a server of another kind.
    Setting(Lost),
    /// A role that Wharfinger may not hand to Transfer Family.
    Role {
        /// The setting that names it.
        member: String,
        /// Its ARN.
        role: String,
    },
    /// Its subnets or security groups are not those of its spec, which AWS may refuse.
    Network,
    /// AWS has another server with our tags, which would be taken for this one.
    SecondServer,
    /// It can't be told.
    Unknown(Unanswered),
}

/// Returns what a rebuilt server would lack: nothing, if it would be as the deleted one was.
#[must_use]
pub fn lacks(facts: &Facts) -> Vec<Lack> {
    let mut lacks = host_keys(facts);
    lacks.extend(addresses(facts));
    lacks.extend(accounts(facts));
    lacks.extend(facts.lost.iter().cloned().map(Lack::Setting));
    let barred = facts.roles.iter().filter(|(_, role)| !facts.may_pass.contains(role));
    lacks.extend(barred.map(|(member, role)| Lack::Role { member: member.clone(), role: role.clone() }));
    lacks
}

fn host_keys(facts: &Facts) -> Vec<Lack> {
    let of_secret = |(version, kept): &(SecretVersion, Result<Kept, Unanswered>)| match kept {
        Ok(Kept::Key(_) | Kept::Nothing) => None,
        Ok(Kept::Unreadable) => Some(Lack::Secret(version.clone())),
        Err(unanswered) => Some(Lack::Unknown(unanswered.clone())),
    };
    let mut lacks: Vec<Lack> = facts.secrets.iter().filter_map(of_secret).collect();
    let ours = |fingerprint: &String| {
        facts.secrets.iter().any(|(_, kept)| matches!(kept, Ok(Kept::Key(kept)) if kept == fingerprint))
    };
    match &facts.host_keys {
        // While a version can't be read, nothing is said of a key that may be in it.
        Ok(_) if facts.secrets.iter().any(|(_, kept)| kept.is_err()) => {}
        Ok(keys) => lacks.extend(keys.iter().filter(|key| !ours(&key.fingerprint)).cloned().map(Lack::HostKey)),
        Err(unanswered) => lacks.push(Lack::Unknown(unanswered.clone())),
    }
    lacks.extend(found_host_keys(facts));
    lacks
}

/// The keys in our secret that neither we made nor the server has.
fn found_host_keys(facts: &Facts) -> Vec<Lack> {
    let (Ok(there), Ok(made_here)) = (&facts.host_keys, &facts.made_here) else {
        return facts.made_here.as_ref().err().cloned().map(Lack::Unknown).into_iter().collect();
    };
    let found = facts.secrets.iter().filter_map(|(version, kept)| match kept {
        Ok(Kept::Key(fingerprint)) => Some(FoundHostKey { version: version.clone(), fingerprint: fingerprint.clone() }),
        _ => None,
    });
    let is_ours = |found: &FoundHostKey| {
        made_here.contains(&found.fingerprint) || there.iter().any(|key| key.fingerprint == found.fingerprint)
    };
    found.filter(|found| !is_ours(found)).map(Lack::HostKeyFound).collect()
}

fn accounts(facts: &Facts) -> Vec<Lack> {
    let Accounts { unrecorded, incomplete } = match &facts.accounts {
        Ok(accounts) => accounts,
        Err(unanswered) => return vec![Lack::Unknown(unanswered.clone())],
    };
    let unrecorded = (!unrecorded.is_empty()).then(|| Lack::Accounts(unrecorded.clone()));
    let incomplete = incomplete
        .iter()
        .map(|(reason, accounts)| Lack::Incomplete { accounts: accounts.clone(), reason: reason.clone() });
    unrecorded.into_iter().chain(incomplete).collect()
}

fn addresses(facts: &Facts) -> Vec<Lack> {
    let (attached, wanted) = (&facts.attached, &facts.wanted);
    if attached.is_empty() && wanted.is_empty() {
        return vec![Lack::Address];
    }
    let unwanted = attached.difference(wanted).cloned().map(Lack::AddressUnwanted);
    let missing = if facts.is_left { Lack::AddressLeft } else { Lack::AddressDetached };
    unwanted.chain(wanted.difference(attached).cloned().map(missing)).collect()
}

/// Whether all `lacks` may pass without anybody changing anything.
#[must_use]
pub fn pass(lacks: &[Lack]) -> bool {
    lacks.iter().all(Lack::passes_by_itself)
}

/// The lack that is told of several: one that does not pass, if there is one.
#[must_use]
pub fn foremost(lacks: &[Lack]) -> Option<&Lack> {
    lacks.iter().find(|lack| !lack.passes_by_itself()).or(lacks.first())
}

/// The lacks as one condition that holds from `since`; `None` if there are none.
#[must_use]
pub fn condition(lacks: &[Lack], since: Timestamp) -> Option<Condition> {
    if lacks.is_empty() {
        return None;
    }
    let severity = if pass(lacks) { Severity::Warning } else { Severity::Error };
    let sentences: Vec<_> = lacks.iter().map(Lack::sentence).collect();
    let mut remedies: Vec<String> = Vec::new();
    for remedy in lacks.iter().map(Lack::remedy) {
        if !remedy.is_empty() && !remedies.contains(&remedy) {
            remedies.push(remedy);
        }
    }
    let message = format!("it is not put to sleep, because it could not be rebuilt as it is: {}", sentences.join("; "));
    Some(Condition { code: NOT_REBUILDABLE.into(), severity, message, remedy: remedies.join("; "), since })
}

impl Lack {
    /// Whether it may pass without anybody changing anything.
    #[must_use]
    pub fn passes_by_itself(&self) -> bool {
        matches!(self, Self::AddressDetached(_) | Self::Unknown(Unanswered { temporary: true, .. }))
    }

    /// Whether AWS was only too busy to tell.
    #[must_use]
    pub fn is_unanswered_for_now(&self) -> bool {
        matches!(self, Self::Unknown(Unanswered { temporary: true, .. }))
    }

    /// What is missing, in a sentence for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::HostKey(key) => {
                format!("the host key {} ({}, {}) is not in its secret", key.id, key.algorithm, key.fingerprint)
            }
            Self::Secret(version) => format!("{version} holds no private key in OpenSSH's form"),
            Self::Address => "it has no Elastic IP, so its addresses would change".into(),
            Self::AddressUnwanted(id) => format!("it has the Elastic IP {id}, which its record does not give it"),
            Self::AddressDetached(id) => format!("it does not have the Elastic IP {id} yet"),
            Self::AddressLeft(id) => {
                format!("it does not have the Elastic IP {id}: somebody took it off, or AWS refuses it")
            }
            Self::HostKeyFound(found) => found.sentence(),
            Self::Accounts(names) => format!("there is no record of the accounts {}", named(names)),
            Self::Incomplete { accounts, reason } => {
                format!("the accounts {} could not be made again: {reason}", named(accounts))
            }
            Self::Setting(lost) => lost.sentence(),
            Self::Role { member, role } => {
                format!("{member} names the role {role}, which Wharfinger may not hand to a new server")
            }
            Self::Network => "its subnets or security groups are not those of its spec".into(),
            Self::SecondServer => "AWS has another server with our tags".into(),
            Self::Unknown(unanswered) => format!("it can't be told whether it could: {}", unanswered.error),
        }
    }

    /// What to do about it, in a sentence for people; empty if nothing.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::HostKey(key) => format!(
                "move the host key {} into Secrets Manager (UpdateHostKey with StorageType SECRETS_MANAGER) and copy it \
                 into the version of the server's secret that is labeled with that algorithm (AWSCURRENT: ed25519), or \
                 delete it, which clients that know it notice",
                key.id
            ),
            Self::Secret(version) => format!(
                "put the private key back (ssh-keygen -p converts one), or another one, which clients that know it \
                 notice: {}",
                version.command()
            ),
            Self::Address => "give it Elastic IPs, or use the action \"stop\"".into(),
            Self::AddressUnwanted(id) => format!("give {id} in the server's network, or detach it"),
            Self::AddressDetached(_) => String::new(),
            Self::AddressLeft(id) => format!(
                "PUT the server with \"drift\": \"repair\" and it is attached, or give it a network without {id}; it is \
                 attached too when the server is stopped and started"
            ),
            Self::HostKeyFound(found) => found.remedy(),
            Self::Network => "give it the network that it has, or wait until it has the one of its spec".into(),
            Self::SecondServer => "delete the other one in Transfer Family".into(),
            Self::Accounts(_) => "record these users with PUT, or delete their accounts".into(),
            Self::Incomplete { .. } => "put right what these users lack, or delete them".into(),
            Self::Setting(lost) => lost.remedy().into(),
            Self::Role { member, .. } if member == "LoggingRole" => {
                "take LoggingRole off the server: structured logs need no role".into()
            }
            Self::Role { member, .. } => format!("take {member} off the server, or use the action \"stop\""),
            Self::Unknown(Unanswered { temporary: true, .. }) => String::new(),
            Self::Unknown(_) => "look at the permissions of reconcile's role".into(),
        }
    }
}

/// The names, or the first few and how many more there are.
#[must_use]
pub fn named(names: &[String]) -> String {
    let shown = &names[..names.len().min(MOST_NAMES)];
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests;
