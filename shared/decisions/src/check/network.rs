//! The way from a task to the file system: a mount target in its Availability Zone, and NFS through the security groups
//! of both sides.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Finding, Observed, service::network};

/// The port of NFS.
const NFS: i64 = 2049;

/// A subnet of the service's tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// Its Availability Zone.
    pub zone: String,
    /// Its IPv4 block.
    pub block: String,
}

/// A mount target of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its VPC.
    pub vpc: String,
    /// Its Availability Zone.
    pub zone: String,
    /// Its address.
    pub address: String,
    /// Whether it can be used.
    pub available: bool,
    /// Its security groups.
    pub groups: Vec<String>,
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// What it lets in.
    pub ingress: Vec<Permission>,
    /// What it lets out.
    pub egress: Vec<Permission>,
}

/// A rule of a security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// `tcp`, or `-1` for all.
    pub protocol: String,
    /// The first and the last port; `None` for all.
    pub ports: Option<(i64, i64)>,
    /// The other side.
    pub peers: Vec<Peer>,
}

/// The other side of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Members of a security group.
    Group(String),
    /// A block of addresses.
    Block(String),
    /// Something else, such as a prefix list.
    Other,
}

/// Whether something may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passage {
    Open,
    Shut,
    /// A rule names what is not looked at.
    Unclear,
}

pub(super) fn zones(observed: &Observed) -> Finding {
    let file_system = observed.spec.file_system_id.as_str();
    let targets = match &observed.targets {
        Err(why) => return Finding::unknown("zones", why.clone(), ""),
        Ok(None) => {
            let message = format!("there is no file system {file_system} in this account and Region");
            return Finding::problem("zones", message, "correct file_system_id of the site");
        }
        Ok(Some(targets)) => targets,
    };
    let Some(service) = observed.service() else { return observed.without_service("zones") };
    if network(service, "subnets").is_empty() {
        return Finding::unknown("zones", "the service's tasks share the network of their instances", "");
    }
    let subnets = match &observed.subnets {
        Err(why) => return Finding::unknown("zones", why.clone(), ""),
        Ok(subnets) => subnets,
    };
    let reaches = |subnet: &&Subnet| {
        !targets.iter().any(|target| target.available && target.vpc == subnet.vpc && target.zone == subnet.zone)
    };
    let far: Vec<&Subnet> = subnets.iter().filter(reaches).collect();
    match far.first() {
        None => Finding::ok("zones", "the file system has a mount target in the zone of each of the service's subnets"),
        Some(first) => {
            let names = far.iter().map(|subnet| format!("{} ({})", subnet.id, subnet.zone)).collect::<Vec<_>>();
            let message =
                format!("the file system has no mount target for the service's tasks in {}", names.join(", "));
            let fix = format!(
                "aws efs create-mount-target --file-system-id {file_system} --subnet-id {} --security-groups …, \
                 or take the subnet from the service",
                first.id
            );
            Finding::problem("zones", message, fix)
        }
    }
}

pub(super) fn nfs(observed: &Observed) -> Finding {
    let Some(service) = observed.service() else { return observed.without_service("nfs") };
    let own = network(service, "securityGroups");
    if own.is_empty() {
        return Finding::unknown(
            "nfs",
            "the service names no security group: the network of its tasks is not looked at",
            "",
        );
    }
    let (targets, subnets, groups) = match (&observed.targets, &observed.subnets, &observed.groups) {
        (Ok(Some(targets)), Ok(subnets), Ok(groups)) => (targets, subnets, groups),
        (Ok(None), ..) => return Finding::unknown("nfs", "there is no such file system", ""),
        (Err(why), ..) | (_, Err(why), _) | (_, _, Err(why)) => return Finding::unknown("nfs", why.clone(), ""),
    };
    let near = |target: &&Target| subnets.iter().any(|subnet| subnet.vpc == target.vpc && subnet.zone == target.zone);
    for target in targets.iter().filter(near) {
        if let Some(finding) = judge_target(&own, target, subnets, groups) {
            return finding;
        }
    }
    Finding::ok("nfs", "the security groups of both sides let NFS (2049) through")
}

/// What stands between the tasks and one mount target.
fn judge_target(own: &[&str], target: &Target, subnets: &[Subnet], groups: &[Group]) -> Option<Finding> {
    let theirs: Vec<&str> = target.groups.iter().map(String::as_str).collect();
    let address = target.address.parse::<IpAddr>().ok().map(IpNet::from);
    let blocks: Vec<IpNet> = subnets
        .iter()
        .filter(|subnet| subnet.vpc == target.vpc && subnet.zone == target.zone)
        .filter_map(|subnet| subnet.block.parse().ok())
        .collect();
    let egress = groups.iter().filter(|group| own.contains(&group.id.as_str())).flat_map(|group| &group.egress);
    let ingress = groups.iter().filter(|group| theirs.contains(&group.id.as_str())).flat_map(|group| &group.ingress);
    let (own_names, their_names) = (own.join(", "), theirs.join(", "));
    let (from, to) = (own.first().copied().unwrap_or("…"), theirs.first().copied().unwrap_or("…"));
    let out = (
        passage(egress, &theirs, address.as_slice()),
        format!(
            "the service's security groups ({own_names}) let no NFS (2049) out to the mount target {}",
            target.address
        ),
        format!(
            "aws ec2 authorize-security-group-egress --group-id {from} --protocol tcp --port 2049 --source-group {to}"
        ),
    );
    let into = (
        passage(ingress, own, &blocks),
        format!("the mount target {} ({their_names}) lets no NFS (2049) in from the service's tasks", target.address),
        format!(
            "aws ec2 authorize-security-group-ingress --group-id {to} --protocol tcp --port 2049 --source-group {from}"
        ),
    );
    for (passage, message, fix) in [out, into] {
        match passage {
            Passage::Open => {}
            Passage::Shut => return Some(Finding::problem("nfs", message, fix)),
            Passage::Unclear => {
                let message = format!("a rule on NFS names a prefix list, which is not looked at: perhaps {message}");
                return Some(Finding::unknown("nfs", message, ""));
            }
        }
    }
    None
}

/// Whether a rule lets NFS through to members of `groups`, or to all of the `blocks`.
fn passage<'a>(rules: impl Iterator<Item = &'a Permission>, groups: &[&str], blocks: &[IpNet]) -> Passage {
    let peers: Vec<&Peer> = rules.filter(|rule| rule.is_nfs()).flat_map(|rule| &rule.peers).collect();
    let named = peers.iter().any(|peer| matches!(peer, Peer::Group(id) if groups.contains(&id.as_str())));
    let covers = |block: &IpNet| {
        let holds = |peer: &&&Peer| matches!(peer, Peer::Block(there) if there.parse::<IpNet>().is_ok_and(|there| there.contains(block)));
        peers.iter().any(|peer| holds(&peer))
    };
    if named || (!blocks.is_empty() && blocks.iter().all(covers)) {
        Passage::Open
    } else if peers.contains(&&Peer::Other) {
        Passage::Unclear
    } else {
        Passage::Shut
    }
}

impl Permission {
    fn is_nfs(&self) -> bool {
        let ports = self.ports.is_none_or(|(first, last)| (first..=last).contains(&NFS));
        match self.protocol.as_str() {
            "-1" => true,
            "tcp" | "6" => ports,
            _ => false,
        }
    }
}
