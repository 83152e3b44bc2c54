//! What people ask of the HTTP API: they try again when it fails, and know what they were told.

use std::time::Duration;

use axum::body::Body;
use http::{Method, header};
use serde_json::{Value, json};
use wharfinger_region::{region::world::World, seed};

use crate::{
    functions::read_json,
    story::{Idle, SITES},
};

/// How often a person tries again what failed, and how long they wait between.
const TRIES: usize = 6;
const PATIENCE: Duration = Duration::from_secs(7);

/// What a person was told at last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// It is taken.
    Taken(Value),
    /// It is refused, with this status.
    Refused(u16),
    /// Nothing for sure: it may have been taken or not.
    Nothing,
}

/// The services that sites are on, by their place in stories.
pub(crate) const SERVICES: [&str; 3] = ["web", "shop", "third"];

/// The servers' security groups.
pub(crate) const GROUPS: [&str; 2] = [seed::SFTP_GROUP, seed::DEFAULT_GROUP];

/// The addresses that a server admits, by variant; the last one admits nobody who comes.
pub(crate) const BLOCKS: [&str; 3] = ["203.0.113.0/24", "203.0.112.0/22", "192.0.2.0/24"];

/// Asks the API once: the answer's status and body.
pub async fn ask(world: &World, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
    let request = http::Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    match request.body(body) {
        Ok(request) => read_json(world.ask(request).await).await,
        Err(_) => (0, Value::Null),
    }
}

/// Asks the API until it answers.
pub(crate) async fn insist(world: &World, method: Method, path: &str, body: Option<&Value>) -> Told {
    let mut unsure = false;
    for _ in 0..TRIES {
        let (status, answer) = ask(world, method.clone(), path, body).await;
        match status {
            200..300 => return Told::Taken(answer),
            404 if method == Method::DELETE => return Told::Taken(answer),
            409 | 412 | 429 | 500.. => unsure |= status != 429,
            _ if unsure => return Told::Nothing,
            _ => return Told::Refused(status),
        }
        tokio::time::sleep(PATIENCE).await;
    }
    Told::Nothing
}

/// For how long an order to open a server is kept that is put to sleep when it is idle.
pub(crate) const KEEP: &str = "40m";

/// Whether a server has an Elastic IP.
pub(crate) fn has_address(place: usize) -> bool {
    place == 0
}

/// What is wanted of a server.
pub(crate) fn server(place: usize, idle: Idle, block: u8) -> Value {
    let mut server = json!({
        "file_system_id": seed::FILE_SYSTEM,
        "network": {
            "vpc_id": seed::VPC,
            "subnet_ids": [seed::SUBNETS[place]],
            "security_group_ids": [GROUPS[place]],
            "allowed_cidrs": [BLOCKS[usize::from(block)]],
        },
    });
    if has_address(place) {
        server["network"]["address_allocation_ids"] = json!([seed::ADDRESSES[0]]);
    }
    match idle {
        Idle::Stays => {}
        Idle::Stops => server["idle"] = json!({ "after": "30m", "action": "stop" }),
        Idle::Sleeps => {
            server["idle"] = json!({ "after": "15m", "action": "sleep" });
            server["manual_keep"] = KEEP.into();
        }
    }
    server
}

/// What is wanted of a site.
pub(crate) fn site(place: usize, quiet_seconds: u64, service: usize, marker: bool) -> Value {
    let mut site = json!({
        "file_system_id": seed::FILE_SYSTEM,
        "directory": format!("/sites/{}", SITES[place]),
        "cluster": seed::CLUSTER,
        "service": SERVICES[service],
        "container": "web",
        "mount_path": format!("/srv/{}", SITES[place]),
        "finish": {
            "quiet_period": format!("{quiet_seconds}s"), "max_wait": "5m", "hold_partial_for": "2m",
        },
    });
    if marker {
        site["finish"]["marker"] = json!(".deploy");
    }
    site
}

/// What is wanted of a user.
pub(crate) fn user(key: &str, site: usize) -> Value {
    json!({ "public_keys": [key], "site": SITES[site] })
}
