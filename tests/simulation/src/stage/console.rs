//! What somebody does to servers in AWS's console.

use russh::keys::{
    PrivateKey,
    ssh_key::{LineEnding, private::Ed25519Keypair},
};
use serde_json::{Value, json};
use wharfinger_region::seed;

use super::Stage;
use crate::{
    story::{SERVERS, Touch},
    watch::{self, doors},
};

impl Stage {
    /// Changes a server, if it is online.
    pub(super) async fn touch(&mut self, server: usize, touch: Touch) {
        let ground = self.ground();
        let found = watch::transfer_servers(ground).await;
        let Some((id, found)) = found.iter().find(|(_, found)| watch::name_of(found) == Some(SERVERS[server])) else {
            return;
        };
        // What is changed while it is being rebuilt is no difference to what it was.
        let status = &doors::record(ground, SERVERS[server]).await["status"]["M"];
        if status["power"]["S"] != "online" || status["server_id"]["S"] != id.as_str() {
            return;
        }
        match touch {
            Touch::Banner => {
                let change = json!({ "ServerId": id, "PreAuthenticationLoginBanner": "For members of the yard only" });
                watch::ask(ground, "transfer", "UpdateServer", change).await;
            }
            Touch::PolicyAndTag => {
                let change = json!({ "ServerId": id, "SecurityPolicyName": "TransferSecurityPolicy-2025-03" });
                watch::ask(ground, "transfer", "UpdateServer", change).await;
                let tags = json!([{ "Key": "cost-centre", "Value": "harbour" }]);
                watch::ask(ground, "transfer", "TagResource", json!({ "Arn": found["Arn"], "Tags": tags })).await;
            }
            Touch::Account => {
                watch::ask(ground, "transfer", "CreateUser", account(id)).await;
                self.model.foreign.insert(server);
            }
            Touch::HostKey => {
                let key = json!({ "ServerId": id, "HostKeyBody": host_key() });
                watch::ask(ground, "transfer", "ImportHostKey", key).await;
                self.model.foreign.insert(server);
            }
        }
    }
}

/// An account that Wharfinger did not make.
fn account(server_id: &str) -> Value {
    json!({
        "ServerId": server_id, "UserName": "mallory", "Role": "arn:aws:iam::000000000000:role/TransferUserRole",
        "HomeDirectoryType": "LOGICAL",
        "HomeDirectoryMappings": [{ "Entry": "/", "Target": format!("/{}/sites/blog", seed::FILE_SYSTEM) }],
        "PosixProfile": { "Uid": 1000, "Gid": 1000 },
    })
}

/// A private key that is in no secret.
fn host_key() -> String {
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[99; 32]));
    key.to_openssh(LineEnding::LF).map(|key| key.to_string()).unwrap_or_default()
}
