//! The handlers, over an embedded DynamoDB.

mod changes;
mod dry_run;
mod gateway;
mod orders;
mod records;
mod refusals;
mod rollback;
mod sites;
mod unique;

use serde_json::{Value, json};

use crate::testing::Stage;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti alice@laptop";

fn server() -> Value {
    json!({
        "file_system_id": "fs-0a1b2c3d4e5f60718",
        "network": {
            "vpc_id": "vpc-0a1b2c3d4e5f60718",
            "subnet_ids": ["subnet-0a1b2c3d4e5f60718"],
            "security_group_ids": ["sg-0a1b2c3d4e5f60718"],
            "address_allocation_ids": ["eipalloc-0a1b2c3d4e5f60718"],
            "allowed_cidrs": ["203.0.113.0/24"],
        },
        "idle": {"after": "30m", "action": "stop"},
    })
}

fn site() -> Value {
    json!({
        "file_system_id": "fs-0a1b2c3d4e5f60718",
        "directory": "/sites/blog",
        "cluster": "local",
        "service": "web",
        "container": "web",
        "mount_path": "/usr/local/apache2/htdocs",
    })
}

fn user() -> Value {
    json!({"public_keys": [KEY], "site": "blog"})
}

/// `value` with the field at `pointer` set.
fn with(mut value: Value, pointer: &str, field: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap()[key] = field;
    value
}

/// A server, a site and a user, and nothing left in the queues.
async fn furnished() -> Stage {
    let stage = Stage::new();
    stage.ask("PUT /v1/servers/main", &server()).await.expect(201);
    stage.ask("PUT /v1/sites/blog", &site()).await.expect(201);
    stage.ask("PUT /v1/servers/main/users/alice", &user()).await.expect(201);
    stage.messages();
    stage.calls();
    stage
}
