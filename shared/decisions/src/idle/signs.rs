//! The signs of use of a server, and the answers that may be missing.

use std::fmt;

use jiff::Timestamp;

use crate::{
    ids::FileSystemId,
    names::SiteName,
    order::Order,
    server::{Power, ServerPhase, ServerStatus},
};

/// What traffic says, from CloudWatch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The end of the latest period with a datapoint: a session was open until then, or nearly.
    pub last_session: Option<Timestamp>,
    /// Bytes moved in the window that was asked for.
    pub bytes: u64,
}

/// The activity of a site on the server's file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSign {
    /// The site.
    pub site: SiteName,
    /// The file system that holds it.
    pub file_system_id: FileSystemId,
    /// Its last upload or other change.
    pub last_change: Option<Timestamp>,
    /// Uploads wait for their rollout.
    pub window_open: bool,
    /// A rollout is under way.
    pub rollout_in_flight: bool,
}

/// The answer to a question about use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// Not asked, because nothing depends on it.
    NotAsked,
    /// Not answered, for this reason.
    Unknown(String),
    /// Answered.
    Known(T),
}

impl<T, E: fmt::Display> From<Result<T, E>> for Answer<T> {
    fn from(answer: Result<T, E>) -> Self {
        match answer {
            Ok(known) => Self::Known(known),
            Err(error) => Self::Unknown(error.to_string()),
        }
    }
}

impl<T> Answer<T> {
    /// The answer, or a sentence that says that `what` (`its events are`) unknown.
    pub(super) fn known(&self, what: &str) -> Result<&T, String> {
        match self {
            Self::Known(known) => Ok(known),
            Self::Unknown(error) => Err(format!("{what} not known: {error}")),
            Self::NotAsked => Err(format!("{what} not known: nobody asked")),
        }
    }
}

/// All signs of use of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signs {
    /// What it is doing.
    pub phase: ServerPhase,
    /// Since when it is online.
    pub online_since: Option<Timestamp>,
    /// When a person last asked for it to be online.
    pub asked_at: Option<Timestamp>,
    /// Its traffic.
    pub traffic: Answer<Traffic>,
    /// Its last event.
    pub last_event: Answer<Option<Timestamp>>,
    /// The sites on its file system.
    pub sites: Answer<Vec<SiteSign>>,
}

impl Signs {
    /// The signs in our own record, with the answers of others.
    #[must_use]
    pub fn new(
        order: Option<&Order>,
        status: &ServerStatus,
        traffic: impl Into<Answer<Traffic>>,
        last_event: impl Into<Answer<Option<Timestamp>>>,
        sites: impl Into<Answer<Vec<SiteSign>>>,
    ) -> Self {
        Self {
            phase: status.phase(),
            online_since: status.online_since,
            asked_at: order.filter(|order| order.power == Power::Online).map(|order| order.at),
            traffic: traffic.into(),
            last_event: last_event.into(),
            sites: sites.into(),
        }
    }

    /// The signs in our own record alone, for a server that is not closed whatever others answer.
    #[must_use]
    pub fn of_record(order: Option<&Order>, status: &ServerStatus) -> Self {
        Self::new(
            order,
            status,
            Answer::<Traffic>::NotAsked,
            Answer::<Option<Timestamp>>::NotAsked,
            Answer::<Vec<SiteSign>>::NotAsked,
        )
    }
}
