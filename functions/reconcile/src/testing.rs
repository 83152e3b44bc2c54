//! Fixtures: a server that is as wanted, and what may be wrong with it.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use wharfinger_aws::{
    ec2::{ElasticIp, VpcEndpoint},
    error::{AwsError, Kind},
    transfer::Server,
};
use wharfinger_chance::Chance;
use wharfinger_decisions::{
    deployment::Deployment,
    ids::AllocationId,
    names::ServerName,
    order::Order,
    power::{AwsState, Placement, Wanted},
    server::{Power, ServerSpec},
    settings::Settings,
};
use wharfinger_runtime::{Environment, Moment};
use wharfinger_store::{
    lease::{Armed, Lease},
    servers::{self, ServerItem, ServerRecord},
};
use wharfinger_test_cloud::TABLE;

use crate::{App, observe::Observation};

/// The log group of the servers' sessions.
pub(crate) const LOG_GROUP: &str =
    "arn:aws:logs:us-east-1:000000000000:log-group:/aws/vendedlogs/wharfinger/harbour/sftp:*";

/// The function over `sdk`.
pub(crate) fn app(sdk: &SdkConfig) -> App {
    let environment = Environment::from_iter([
        ("TABLE_NAME", TABLE),
        ("SERVERS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/servers"),
        ("TRANSFER_USER_ROLE_ARN", "arn:aws:iam::000000000000:role/sftp-users"),
        ("METRIC_PERIOD_SECONDS", "300"),
        ("SFTP_PORT", "22"),
        ("SECRET_PREFIX", "harbour/"),
        ("SFTP_LOG_GROUP", LOG_GROUP),
    ]);
    App::new(sdk, &environment, Chance::seeded(1)).unwrap()
}

/// The deployment of [`app`].
pub(crate) fn deployment() -> Deployment {
    Deployment { name: "harbour".into(), id: Some("11111111111111111111111111111111".into()) }
}

/// An invocation that begins at `now`.
pub(crate) fn invocation(now: Timestamp) -> Moment {
    Moment::new(now, now + SignedDuration::from_secs(30))
}

/// A lease on `main`.
pub(crate) fn lease() -> Lease {
    let key = servers::key(&ServerName::parse("main").unwrap());
    Lease { key, owner: "one".into(), armed: Armed::default() }
}

/// A record of a server that is online as wanted, at version 3.
pub(crate) fn record() -> ServerRecord {
    serde_json::from_value(json!({
        "intent": {
            "spec": {
                "file_system_id": "fs-0a1b2c3d",
                "network": {
                    "vpc_id": "vpc-0a1b2c3d",
                    "subnet_ids": ["subnet-00000001"],
                    "security_group_ids": ["sg-00000001"],
                    "address_allocation_ids": ["eipalloc-00000001"],
                    "allowed_cidrs": ["10.1.0.0/16"],
                },
            },
            "power": {"power": "online", "by": {"person": "alice"}, "reason": "asked by alice", "at": "2026-01-01T00:00:00Z"},
        },
        "status": {
            "power": "online", "reason": "asked by alice", "server_id": "s-1", "settled_version": 2,
            "online_since": "2026-01-01T00:05:00Z", "keyed": "s-1", "host_key_fingerprints": ["SHA256:abc"],
        },
        "version": 3, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    }))
    .unwrap()
}

/// The server of `record`, which alice has stopped without waiting for anybody.
pub(crate) fn stopped_now(record: ServerRecord) -> ServerItem {
    let order = Order { power: Power::Stopped, by: "alice".into(), at: record.updated_at, now: true };
    ServerItem { order: Some(order), ..record.into() }
}

/// What the record's intent wants.
pub(crate) fn spec() -> ServerSpec {
    record().intent.spec
}

/// What the record's intent wants.
pub(crate) fn placement() -> Placement {
    wanted(&record().into()).placement
}

/// What is wanted of the server of `item`, long after its order.
pub(crate) fn wanted(item: &ServerItem) -> Wanted {
    let now = "2026-01-02T00:00:00Z".parse().unwrap();
    Wanted::of(&item.record.intent.spec, item.wish(now), item.record.deleting)
}

/// The server as wanted, but for its state.
pub(crate) fn server(state: AwsState) -> Server {
    Server {
        id: "s-1".into(),
        arn: "arn:aws:transfer:us-east-1:000000000000:server/s-1".into(),
        state,
        vpc_id: Some("vpc-0a1b2c3d".into()),
        placement: placement(),
        vpc_endpoint_id: Some("vpce-1".into()),
        host_key_fingerprint: Some("SHA256:abc".into()),
        user_count: 0,
        log_group_arn: Some(LOG_GROUP.into()),
        tags: BTreeMap::new(),
        settings: Settings::default(),
        lost: Vec::new(),
    }
}

/// Everything as wanted, but for the server's state.
pub(crate) fn observation(state: AwsState) -> Observation {
    let groups = spec().network.security_group_ids.into_iter().collect();
    let address = ElasticIp { public_ip: "203.0.113.7".into(), held: true };
    Observation {
        server: Ok(Some(server(state))),
        other: None,
        others: None,
        endpoint: Ok(Some(VpcEndpoint { groups, interfaces: Vec::new(), available: true })),
        elastic_ips: Ok([(AllocationId::parse("eipalloc-00000001").unwrap(), address)].into()),
        rules: Ok(Vec::new()),
        new_network: None,
    }
}

/// A call that AWS refuses for good.
pub(crate) fn refused() -> AwsError {
    let kind = Kind::Refused { code: "AccessDenied".into(), message: "not authorized".into() };
    AwsError { action: "describe it".into(), kind }
}

/// A call that may succeed later.
pub(crate) fn busy() -> AwsError {
    AwsError { action: "describe it".into(), kind: Kind::Busy("Rate exceeded".into()) }
}
