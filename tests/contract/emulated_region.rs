//! A region with its AWS endpoint on a free port, and SDK clients for it.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_credential_types::Credentials;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wharfinger_emulator::{
    clock::Clock,
    context::{Context, Pace},
    dynamodb::Dynamodb,
    ec2::Ec2,
    ecs::Ecs,
    efs::Efs,
    endpoint::front::{self, Services},
    events::bus::EventBus,
    service::Service,
};
use wharfinger_region::seed;

pub(crate) struct EmulatedRegion {
    pub(crate) ecs: Arc<Ecs>,
    pub(crate) ec2: Arc<Ec2>,
    pub(crate) services: Services,
    pub(crate) url: String,
    pub(crate) site: String,
    pub(crate) directory: tempfile::TempDir,
    shutdown: CancellationToken,
}

impl Drop for EmulatedRegion {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl EmulatedRegion {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let (bus, _) = EventBus::new(clock.clone());
        let context = Context {
            clock,
            bus,
            file_systems: Arc::new(directory.path().to_owned()),
            pace: Arc::new(Pace { task_transition: Duration::from_millis(20), ..Pace::default() }),
            sftp_port: 0,
            sftp_host: Ipv4Addr::LOCALHOST,
            site: "127.0.0.1:0".parse().unwrap(),
        };
        let ec2 = Ec2::new(context.clone(), None).unwrap();
        let efs = Efs::new(context.clone(), None, Arc::clone(&ec2)).unwrap();
        let ecs = Ecs::new(context, None, Arc::clone(&efs)).unwrap();
        seed::plant(&ec2, &efs, &ecs).await.unwrap();
        let table = json!({
            "TableName": "wharfinger", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
        });
        let dynamodb = Dynamodb::new(None, &[table]).unwrap();
        let shutdown = CancellationToken::new();
        let site = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site_url = format!("http://{}", site.local_addr().unwrap());
        ecs.start(Some(site), shutdown.clone());
        let all: [Arc<dyn Service>; 4] = [ec2.clone(), efs, ecs.clone(), dynamodb];
        let services = Services::new(all);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(front::serve(listener, services.clone(), shutdown.clone()));
        Self { ecs, ec2, services, url, site: site_url, directory, shutdown }
    }

    /// The configuration of a client of this region that tries each call once.
    pub(crate) async fn config(&self) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.url)
            .credentials_provider(Credentials::new("AKIDTEST", "secret", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .load()
            .await
    }
}

/// Waits until `holds` answers with something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(holds: impl Fn() -> F) -> T {
    let reached = async {
        loop {
            if let Some(value) = holds().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.expect("the condition was never met")
}
