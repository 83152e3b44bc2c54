//! The stored types of the release before this one, as they were: what the new release writes must be readable by them,
//! or a deployment can't be taken back. They are replaced, as a whole, when a release becomes the previous one.

pub mod activity;
pub mod cidr;
pub mod directory;
pub mod duration;
pub mod ids;
pub mod key;
pub mod names;
pub mod rollout;
pub mod server;
pub mod site;
pub mod text;
pub mod user;
pub mod window;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A thing as the table holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record<I, S> {
    /// What is wanted.
    pub intent: I,
    /// What is known.
    pub status: S,
    /// Counts the changes of the intent, from 1. It is the ETag.
    pub version: u64,
    /// It is on its way out.
    #[serde(default)]
    pub deleting: bool,
    /// When it was first wanted.
    pub created_at: Timestamp,
    /// When the intent was last changed.
    pub updated_at: Timestamp,
}

/// What is known of a site is kept with its window and its rollouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoStatus {}

/// A site as the table holds it.
pub type SiteRecord = Record<site::SiteSpec, NoStatus>;

/// A user as the table holds it.
pub type UserRecord = Record<user::UserSpec, user::UserStatus>;

/// A server as the table holds it.
pub type ServerRecord = Record<server::ServerIntent, server::ServerStatus>;

/// A server's whole item: the record, and what functions note beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerItem {
    /// What is wanted and what is known.
    #[serde(flatten)]
    pub record: ServerRecord,
    /// The last decision of the idle sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The wake-up that `reconcile` has armed.
    #[serde(default)]
    pub armed: Armed,
}

/// What is done with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It stays as it is.
    Keep,
    /// Its door is shut.
    Stop,
}

/// A decision, as the sweep makes it, the table keeps it and the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What is done.
    pub action: Action,
    /// Why, in a sentence for people.
    pub reason: String,
    /// When it was made.
    pub at: Timestamp,
}

/// A delayed message on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// When it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What is waited for; a new reason starts the delays anew.
    #[serde(default)]
    pub step: String,
    /// How often it was waited for.
    #[serde(default)]
    pub tries: u32,
}
