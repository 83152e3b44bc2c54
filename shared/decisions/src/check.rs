//! Whether a site's service can mount its directory, before anybody uploads: each thing that it depends on is judged by
//! itself, with the way to mend it. What could not be seen is unknown, and takes nothing else with it.

mod access;
mod network;
mod service;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::Value;

use crate::{reach::Reach, site::SiteSpec};

pub use network::{Group, Peer, Permission, Subnet, Target};

/// An answer of AWS, or the sentence that says why there is none.
pub type Seen<T> = Result<T, String>;

/// What was asked about a site.
#[derive(Clone, Debug)]
pub struct Observed {
    /// What is wanted of the site.
    pub spec: SiteSpec,
    /// The containers that are to mount it.
    pub containers: Vec<String>,
    /// What the deployment may roll out.
    pub reach: Reach,
    /// Its service as DescribeServices shows it with tags, or `None` if there is none.
    pub service: Seen<Option<Value>>,
    /// The task definition that the service runs, as DescribeTaskDefinition shows it.
    pub definition: Seen<Value>,
    /// The mount targets of the file system, or `None` if there is no such file system.
    pub targets: Seen<Option<Vec<Target>>>,
    /// The subnets of the service's tasks.
    pub subnets: Seen<Vec<Subnet>>,
    /// The security groups of the service's tasks and of the mount targets.
    pub groups: Seen<Vec<Group>>,
    /// The site's access point, or `None` if it does not exist. Not looked at where the site has none.
    pub access_point: Seen<Option<AccessPoint>>,
    /// The file system's policy, or `None` if it has none.
    pub policy: Seen<Option<Value>>,
    /// Who uploads to the site.
    pub users: Vec<Uploader>,
}

/// An EFS access point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPoint {
    /// Its ARN.
    pub arn: String,
    /// Its file system.
    pub file_system: String,
    /// The directory that mounts see as `/`.
    pub path: String,
    /// Whether it can be mounted.
    pub available: bool,
    /// As whom all files are read and written, where it says so: user and group id.
    pub owner: Option<(u32, u32)>,
}

/// A user of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploader {
    /// `server/user`.
    pub name: String,
    /// The user id of what is uploaded.
    pub uid: u32,
    /// Its group id.
    pub gid: u32,
}

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is as it should be.
    Ok,
    /// It keeps the site from being rolled out or seen.
    Problem,
    /// It could not be seen.
    Unknown,
}

/// The judgement on one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `nfs`, say.
    pub code: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found, in a sentence.
    pub message: String,
    /// What to do about it; empty if nothing.
    pub fix: String,
}

impl Finding {
    fn ok(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, state: State::Ok, message: message.into(), fix: String::new() }
    }

    fn problem(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, state: State::Problem, message: message.into(), fix: fix.into() }
    }

    fn unknown(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, state: State::Unknown, message: message.into(), fix: fix.into() }
    }
}

/// Judges everything that the site depends on, in the order in which a rollout comes to it.
#[must_use]
pub fn judge(observed: &Observed) -> Vec<Finding> {
    vec![
        service::exists(observed),
        service::strategy(observed),
        service::is_open(observed),
        service::roles(observed),
        service::containers(observed),
        network::zones(observed),
        network::nfs(observed),
        access::point(observed),
        access::permissions(observed),
        access::posix_ids(observed),
    ]
}

/// Whether all is well, as far as it could be seen.
#[must_use]
pub fn is_ok(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.state != State::Problem)
}

impl Observed {
    /// The service, if it could be seen and is there.
    fn service(&self) -> Option<&Value> {
        self.service.as_ref().ok()?.as_ref()
    }

    /// The finding where a thing hangs on the service, which could not be seen.
    fn without_service(&self, code: &'static str) -> Finding {
        let why = match &self.service {
            Err(why) => why.clone(),
            Ok(_) => "there is no such service".to_owned(),
        };
        Finding::unknown(code, why, "")
    }

    /// The role of the tasks, once the task definition could be seen.
    fn task_role(&self) -> Seen<Option<&str>> {
        let definition = self.definition.as_ref().map_err(Clone::clone)?;
        Ok(definition["taskRoleArn"].as_str())
    }
}

/// The texts of a list in JSON.
fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
