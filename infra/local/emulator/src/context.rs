//! What every service of a region shares: who and where it is, its clock, its event bus, its files and its pace.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use crate::{
    clock::Clock,
    events::bus::EventBus,
    ids::{ACCOUNT, REGION},
};

/// How long the region takes for what takes AWS minutes.
#[derive(Clone, Debug)]
pub struct Pace {
    /// STARTING until ONLINE, and STOPPING until OFFLINE, of a Transfer Family server.
    pub server_transition: Duration,
    /// How long after ONLINE the VPC endpoint still answers `ConflictException`, and how long its changes take.
    pub endpoint_lag: Duration,
    /// From the creation of a file system, mount target or access point until it is available.
    pub storage_transition: Duration,
    /// From a task's start to RUNNING, and from its stop to STOPPED.
    pub task_transition: Duration,
    /// From what happened until its log event can be read.
    pub log_lag: Duration,
    /// The period of the Transfer Family metrics, 300 s on AWS.
    pub metric_period: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            server_transition: Duration::from_secs(2),
            endpoint_lag: Duration::from_secs(1),
            storage_transition: Duration::from_secs(1),
            task_transition: Duration::from_secs(1),
            log_lag: Duration::from_secs(1),
            metric_period: Duration::from_secs(300),
        }
    }
}

/// What the services of one region share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    /// The region's clock.
    pub clock: Clock,
    /// Where services put their events.
    pub bus: EventBus,
    /// The directory that holds one directory for each EFS file system, named by its id.
    pub file_systems: Arc<PathBuf>,
    /// How long transitions take.
    pub pace: Arc<Pace>,
    /// The port on which SFTP servers listen, on each of their addresses.
    pub sftp_port: u16,
    /// The address of the first Elastic IP; the following ones count up from it.
    pub sftp_host: Ipv4Addr,
    /// Where the service `web` of the cluster `local` is served.
    pub site: std::net::SocketAddr,
}

impl Context {
    /// An ARN in this account and region.
    #[must_use]
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
    }

    /// The directory that stands for the EFS file system `id`; it exists once the file system was created.
    #[must_use]
    pub fn file_system(&self, id: &str) -> PathBuf {
        self.file_systems.join(id)
    }

    /// The public address of the `index`th Elastic IP (loopback, so that it can be reached and stays on this machine).
    #[must_use]
    pub fn elastic_ip(&self, index: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(self.sftp_host.to_bits() + index))
    }
}
