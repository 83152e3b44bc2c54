//! What happens by itself: servers come ONLINE and go OFFLINE, endpoints are let go of, metrics go out at each period.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use russh::keys::PrivateKey;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    Transfer,
    settings::log_destination,
    state::{Phase, Server},
};
use crate::{
    logs::LogGroups,
    transfer::sftp::{Gate, Listener, Meter},
};

impl Transfer {
    /// STARTING now, ONLINE or START_FAILED after the transition.
    pub(super) fn begin_start(&self, id: &str) {
        let Some(transition) = self.enter(id, Phase::Starting) else { return };
        let id = id.to_owned();
        self.later(self.context.pace.server_transition, move |transfer| transfer.finish_start(&id, transition));
    }

    /// STOPPING now, with the door shut and sessions cut; OFFLINE after the transition.
    pub(super) fn begin_stop(&self, id: &str) {
        let Some(transition) = self.enter(id, Phase::Stopping) else { return };
        self.close(id);
        let id = id.to_owned();
        self.later(self.context.pace.server_transition, move |transfer| {
            transfer.settle(&id, transition, Phase::Offline, Phase::StopFailed);
        });
    }

    /// Takes up after a restart what was under way.
    pub(super) fn resume(&self) {
        let phases: Vec<(String, Phase, u64)> =
            self.state().servers.values().map(|server| (server.id.clone(), server.phase, server.transition)).collect();
        for (id, phase, transition) in phases {
            match phase {
                Phase::Starting => self.begin_start(&id),
                Phase::Stopping => self.begin_stop(&id),
                Phase::Online => self.finish_start(&id, transition),
                Phase::Offline | Phase::StartFailed | Phase::StopFailed => {}
            }
        }
        for endpoint in std::mem::take(&mut self.state().leaving_endpoints) {
            self.network.delete_endpoint(&endpoint);
        }
    }

    fn enter(&self, id: &str, phase: Phase) -> Option<u64> {
        let mut state = self.state();
        let server = state.servers.get_mut(id)?;
        server.transition += 1;
        server.phase = phase;
        server.fails = false;
        server.online_since = None;
        Some(server.transition)
    }

    /// Lets the transition of a server that is under way fail.
    pub(super) fn doom(&self, id: &str) {
        if let Ok(server) = self.state().server_mut(id) {
            server.fails = matches!(server.phase, Phase::Starting | Phase::Stopping);
        }
    }

    /// Ends a transition in `phase`, or in `failed` if it was to fail; false if another one has begun since.
    fn settle(&self, id: &str, transition: u64, phase: Phase, failed: Phase) -> bool {
        let mut state = self.state();
        let Some(server) = state.servers.get_mut(id).filter(|server| server.transition == transition) else {
            return false;
        };
        server.phase = if std::mem::take(&mut server.fails) { failed } else { phase };
        server.online_since = (server.phase == Phase::Online).then(|| self.context.clock.now());
        server.phase == phase
    }

    fn finish_start(&self, id: &str, transition: u64) {
        let Some(addresses) = self.listen_addresses(id) else { return };
        match self.listen(id, &addresses) {
            Ok(listener) => {
                if self.settle(id, transition, Phase::Online, Phase::StartFailed) {
                    self.listeners.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), listener);
                    tracing::info!(server = id, ?addresses, "the SFTP server is online");
                }
            }
            Err(error) => {
                tracing::error!(server = id, ?addresses, %error, "the SFTP server could not start");
                self.settle(id, transition, Phase::StartFailed, Phase::StartFailed);
            }
        }
    }

    fn listen(&self, id: &str, addresses: &[SocketAddr]) -> std::io::Result<Listener> {
        let gate = Gate::new(id, self.itself.clone(), self.context.clone(), self.meter(id));
        Listener::open(gate, addresses, &self.connections)
    }

    /// Moves the open door of a server to where its endpoint is now. Its sessions are cut if the addresses are others.
    pub(super) fn follow_endpoint(&self, id: &str) {
        let online =
            self.state().server(id).ok().filter(|server| server.phase == Phase::Online).map(|it| it.transition);
        let (Some(transition), Some(addresses)) = (online, self.listen_addresses(id)) else { return };
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if listeners.get(id).is_none_or(|open| open.addresses() == addresses) {
            return;
        }
        listeners.remove(id);
        match self.listen(id, &addresses) {
            Ok(listener) => {
                listeners.insert(id.to_owned(), listener);
            }
            Err(error) => {
                tracing::error!(server = id, ?addresses, %error, "the SFTP server could not move");
                drop(listeners);
                self.settle(id, transition, Phase::StartFailed, Phase::StartFailed);
            }
        }
    }

    /// Shuts the door of a server and cuts its sessions.
    pub(super) fn close(&self, id: &str) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Is cancelled when the open door of a server is shut; none: it is shut.
    pub(super) fn door(&self, id: &str) -> Option<CancellationToken> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).get(id).map(Listener::shut)
    }

    /// AWS takes a moment to let go of a deleted server's endpoint, and of the Elastic IPs on it.
    pub(super) fn release_endpoint(&self, endpoint: String) {
        self.state().leaving_endpoints.push(endpoint.clone());
        self.later(self.context.pace.endpoint_lag, move |transfer| {
            transfer.network.delete_endpoint(&endpoint);
            transfer.state().leaving_endpoints.retain(|leaving| *leaving != endpoint);
        });
    }

    /// Where the server is reached while it is ONLINE; empty when it is unknown.
    #[must_use]
    pub fn addresses(&self, server_id: &str) -> Vec<SocketAddr> {
        self.listen_addresses(server_id).unwrap_or_default()
    }

    /// Only loopback addresses can be reached from this machine. A region whose Elastic IPs are none listens nowhere.
    fn listen_addresses(&self, id: &str) -> Option<Vec<SocketAddr>> {
        let endpoint = self.state().server(id).ok()?.endpoint.as_ref().map(|endpoint| endpoint.id.clone());
        let addresses = match endpoint {
            Some(endpoint) => self.network.addresses(&endpoint),
            None => vec![public_address(id)],
        };
        let port = self.context.sftp_port;
        let here = |address: &IpAddr| address.is_loopback() && self.context.sftp_host.is_loopback();
        Some(addresses.into_iter().filter(here).map(|address| SocketAddr::new(address, port)).collect())
    }

    /// Whether a client at `address` gets through to the server.
    pub(crate) fn admits(&self, server_id: &str, address: IpAddr) -> bool {
        let endpoint = match self.state().server(server_id) {
            Ok(Server { endpoint: Some(endpoint), .. }) => endpoint.id.clone(),
            Ok(_) => return true,
            Err(_) => return false,
        };
        self.network.admits(&endpoint, address, self.context.sftp_port)
    }

    /// The host keys to serve with: of each algorithm the oldest.
    pub(crate) fn host_keys(&self, server_id: &str) -> Vec<PrivateKey> {
        let state = self.state();
        let Ok(server) = state.server(server_id) else { return Vec::new() };
        let mut seen = Vec::new();
        let oldest = server.host_keys.iter().filter(|key| {
            let new = !seen.contains(&key.algorithm);
            seen.push(key.algorithm.clone());
            new
        });
        oldest.filter_map(super::host_keys::HostKey::private_key).collect()
    }

    /// The log group that takes the server's structured log.
    pub(crate) fn log_group(&self, server_id: &str) -> Option<(LogGroups, String)> {
        let group = self.logs.find(log_destination(&self.state().server(server_id).ok()?.settings)?)?;
        Some((self.logs.clone(), group))
    }

    /// What the server says before anybody logs in.
    pub(crate) fn banner(&self, server_id: &str) -> Option<String> {
        let state = self.state();
        let banner = state.server(server_id).ok()?.setting("PreAuthenticationLoginBanner");
        (!banner.is_empty()).then(|| format!("{}\n", banner.trim_end()))
    }

    pub(super) fn meter(&self, id: &str) -> Arc<Meter> {
        Arc::clone(self.meters.lock().unwrap_or_else(PoisonError::into_inner).entry(id.to_owned()).or_default())
    }

    /// Sends the metrics at the end of each period, for servers that had a session in it.
    pub(super) fn emit_metrics(&self) {
        let (itself, clock, period) =
            (self.itself.clone(), self.context.clock.clone(), self.context.pace.metric_period);
        let period_ms = i64::try_from(period.as_millis()).unwrap_or(300_000).max(1);
        tokio::spawn(async move {
            loop {
                let now = clock.now().as_millisecond();
                let start = now - now.rem_euclid(period_ms);
                let rest = u64::try_from(start + period_ms - now).unwrap_or(0);
                clock.sleep(Duration::from_millis(rest)).await;
                let Some(transfer) = itself.upgrade() else { return };
                transfer.emit_period(Timestamp::from_millisecond(start).unwrap_or_default());
            }
        });
    }

    fn emit_period(&self, start: Timestamp) {
        let state = self.state();
        self.meters.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, meter| {
            let Some(counts) = meter.take() else { return state.servers.contains_key(id) };
            for (name, unit, value) in counts.data() {
                self.metrics.put("AWS/Transfer", name, &[("ServerId", id)], start, value, unit);
            }
            true
        });
    }

    fn later(&self, after: Duration, act: impl FnOnce(&Self) + Send + 'static) {
        let (itself, clock) = (self.itself.clone(), self.context.clock.clone());
        tokio::spawn(async move {
            clock.sleep(after).await;
            if let Some(transfer) = itself.upgrade() {
                act(&transfer);
            }
        });
    }
}

/// A public server's address: one of its own, so that many can be ONLINE at once.
fn public_address(server_id: &str) -> IpAddr {
    let digest = Sha256::digest(server_id.as_bytes());
    IpAddr::V4(Ipv4Addr::new(127, 64 | (digest[0] & 0x3f), digest[1], digest[2] | 1))
}
