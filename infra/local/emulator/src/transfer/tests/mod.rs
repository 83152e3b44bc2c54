//! Transfer Family in a VPC, with its clock stopped.

mod activity;
mod endpoint;
mod host_keys;
mod rebuilt;
mod servers;

use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey, key::safe_rng, ssh_key::LineEnding};
use serde_json::json;

use super::*;
use crate::{context::Pace, ec2::Ec2, logs::CloudWatchLogs, testing};

const SUBNETS: [&str; 4] = ["subnet-0000000a", "subnet-0000000b", "subnet-0000000c", "subnet-0000000d"];
const ROLE: &str = "arn:aws:iam::000000000000:role/transfer";

struct Region {
    transfer: Arc<Transfer>,
    ec2: Arc<Ec2>,
    logs: Arc<CloudWatchLogs>,
    secrets: Arc<SecretsManager>,
}

impl Region {
    fn new() -> Self {
        Self::on(std::path::Path::new("/nonexistent"))
    }

    fn on(files: &std::path::Path) -> Self {
        let mut context = testing::context();
        context.file_systems = Arc::new(files.to_owned());
        // No loopback addresses: nothing listens.
        context.sftp_host = [198, 51, 100, 1].into();
        context.pace = Arc::new(Pace { log_lag: Duration::from_secs(3), ..Pace::default() });
        let ec2 = Ec2::new(context.clone(), None).unwrap();
        ec2.add_vpc("vpc-00000001", "10.0.0.0/16", "main");
        for (subnet, zone) in SUBNETS.iter().zip(["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"]) {
            ec2.add_subnet(subnet, "vpc-00000001", zone, "10.0.0.0/20");
        }
        ec2.add_subnet("subnet-0000000e", "vpc-00000001", "us-east-1a", "10.1.0.0/20");
        ec2.add_address("eipalloc-00000001");
        let secrets = SecretsManager::new(context.clone(), None).unwrap();
        let groups = LogGroups::default();
        let logs = CloudWatchLogs::new(context.clone(), None, groups.clone()).unwrap();
        let network = Arc::clone(&ec2) as Arc<dyn Network>;
        let partners = Partners { network, metrics: Metrics::default(), logs: groups, secrets: Arc::clone(&secrets) };
        let transfer = Transfer::new(context, None, partners).unwrap();
        Self { transfer, ec2, logs, secrets }
    }

    async fn done(&self, operation: &str, input: Value) -> Value {
        let answer = self.transfer.call(operation, input).await;
        answer.unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    /// The code and the sentence of a refusal by Transfer Family itself.
    async fn refused(&self, operation: &str, input: Value) -> String {
        let error = self.transfer.call(operation, input.clone()).await.expect_err(&format!("{operation} {input}"));
        assert_eq!(error.code, "InvalidRequestException", "{input}: {error}");
        error.message
    }

    async fn create(&self, changes: Value) -> String {
        self.done("CreateServer", server(changes)).await["ServerId"].as_str().unwrap().to_owned()
    }

    async fn online(&self, changes: Value) -> String {
        let id = self.create(changes).await;
        self.settle().await;
        assert_eq!(self.state(&id).await, "ONLINE");
        id
    }

    async fn offline(&self) -> String {
        let id = self.online(json!({})).await;
        self.done("StopServer", json!({ "ServerId": id })).await;
        self.settle().await;
        id
    }

    async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }

    async fn described(&self, id: &str) -> Value {
        self.done("DescribeServer", json!({ "ServerId": id })).await["Server"].clone()
    }

    async fn state(&self, id: &str) -> String {
        self.described(id).await["State"].as_str().unwrap().to_owned()
    }

    /// The lines that can be read of a log group.
    async fn lines(&self, group: &str) -> Vec<Value> {
        let answer = self.logs.call("FilterLogEvents", json!({ "logGroupName": group })).await.unwrap();
        let message = |event: &Value| serde_json::from_str(event["message"].as_str().unwrap()).unwrap();
        answer["events"].as_array().unwrap().iter().map(message).collect()
    }
}

fn server(changes: Value) -> Value {
    let details = json!({ "VpcId": "vpc-00000001", "SubnetIds": [SUBNETS[0]] });
    let mut whole = json!({ "Domain": "EFS", "EndpointType": "VPC", "EndpointDetails": details });
    whole.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    whole
}

fn details(changes: Value) -> Value {
    let mut whole = json!({ "VpcId": "vpc-00000001", "SubnetIds": [SUBNETS[0]] });
    whole.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({ "EndpointDetails": whole })
}

fn update(id: &str, details: Value) -> Value {
    json!({ "ServerId": id, "EndpointDetails": details })
}

fn private_key(algorithm: Algorithm) -> (String, String) {
    let key = PrivateKey::random(&mut safe_rng(), algorithm).unwrap();
    let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
    (key.to_openssh(LineEnding::LF).unwrap().to_string(), fingerprint)
}
