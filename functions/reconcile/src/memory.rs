//! What the steps of a visit change of what is known of a server, and the next step is decided from.

use jiff::{SignedDuration, Timestamp};
use wharfinger_decisions::{
    power::History,
    server::{Asleep, Draining, Made, ServerStatus},
    settings::refused::{Progress, RefusedSetting},
};
use wharfinger_store::servers::ServerItem;

/// A server that AWS made and did not show for so long is gone. Lists and descriptions lag behind by seconds.
pub(crate) const SHOWN_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// What is remembered of a server's earlier steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Its placements.
    pub(crate) history: History,
    /// It takes nobody new.
    pub(crate) draining: Option<Draining>,
    /// When a server was asked for that was not seen yet.
    pub(crate) making: Option<Timestamp>,
    /// What it is rebuilt from.
    pub(crate) asleep: Option<Asleep>,
    /// AWS's id of the server that has all our host keys, and the keys' fingerprints.
    pub(crate) keyed: Option<(String, Vec<String>)>,
    /// Since when its sessions are logged, if that began after it was made.
    pub(crate) logged_since: Option<Timestamp>,
    /// The server that AWS has made and not shown yet.
    pub(crate) made: Option<Made>,
    /// What it was made without, because AWS refused it.
    pub(crate) refused_settings: Vec<RefusedSetting>,
    /// How far the search has come for what AWS refuses of it.
    pub(crate) settings_search: Option<Progress>,
}

impl Memory {
    /// What is remembered when a visit begins. `opens`: the server is to be online; `offline`: AWS shows it so.
    pub(crate) fn at_first(item: &ServerItem, opens: bool, offline: bool) -> Self {
        let status = &item.record.status;
        let keyed = status.keyed.clone().map(|id| (id, status.host_key_fingerprints.clone()));
        Self {
            history: status.history.at_first(opens, offline),
            draining: status.draining.clone(),
            making: status.making,
            asleep: item.asleep.clone(),
            keyed,
            logged_since: status.logged_since,
            made: status.made.clone(),
            refused_settings: status.refused_settings.clone(),
            settings_search: status.settings_search.clone(),
        }
    }

    /// Whether the server with AWS's `id` has all our host keys.
    pub(crate) fn has_keyed(&self, id: &str) -> bool {
        self.keyed.as_ref().is_some_and(|(keyed, _)| keyed == id)
    }

    /// The memory of a server that is asked for. The placement in service went with the server that had it.
    pub(crate) fn making_since(self, now: Timestamp) -> Self {
        Self { making: Some(now), history: History::default(), ..self }
    }

    /// The server that AWS has made, if it may show it yet.
    pub(crate) fn made_lately(&self, now: Timestamp) -> Option<&Made> {
        self.made.as_ref().filter(|made| now.duration_since(made.at) < SHOWN_WITHIN)
    }

    /// The memory of a server that begins to be drained.
    pub(crate) fn draining_since(self, now: Timestamp) -> Self {
        Self { draining: Some(Draining { since: now, users: Vec::new(), until: None }), ..self }
    }

    /// `status` with what is remembered, but for what the server is rebuilt from.
    pub(crate) fn into_status(self, status: ServerStatus) -> ServerStatus {
        let (keyed, fingerprints) = self.keyed.unzip();
        ServerStatus {
            history: self.history,
            draining: self.draining,
            making: self.making,
            host_key_fingerprints: fingerprints.unwrap_or(status.host_key_fingerprints),
            keyed,
            logged_since: self.logged_since,
            made: self.made,
            refused_settings: self.refused_settings,
            settings_search: self.settings_search,
            ..status
        }
    }
}
