//! What the contract tests stand on: Transfer Family on a network of its own, on free loopback addresses, and an SSH
//! client.

#![expect(clippy::unwrap_used, reason = "a helper of tests panics as they do")]

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use russh::{
    client::{self, AuthResult, Handle},
    keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg, key::safe_rng},
};
use russh_sftp::client::SftpSession;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use wharfinger_emulator::{
    clock::Clock,
    cloudwatch::{CloudWatch, Metrics},
    context::{Context, Pace},
    error::AwsError,
    events::bus::EventBus,
    logs::{CloudWatchLogs, LogGroups},
    secretsmanager::SecretsManager,
    service::Service,
    transfer::{
        Partners, Transfer,
        network::{Endpoint, Network},
    },
};

pub(crate) const FILE_SYSTEM: &str = "fs-0a1b2c3d4e5f60718";
pub(crate) const VPC: &str = "vpc-0a1b2c3d4e5f60718";
pub(crate) const SUBNET: &str = "subnet-0a1b2c3d4e5f60718";
pub(crate) const ADDRESS: &str = "eipalloc-0a1b2c3d4e5f60718";
pub(crate) const ROLE: &str = "arn:aws:iam::000000000000:role/transfer";

/// A VPC with one subnet and one Elastic IP, whose endpoints are on addresses that no other test uses.
#[derive(Default)]
pub(crate) struct Wire {
    endpoints: Mutex<HashMap<String, Link>>,
    pub(crate) closed: AtomicBool,
}

struct Link {
    private: IpAddr,
    public: Vec<(String, IpAddr)>,
}

fn free_address() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    let octet = |value: u32| u8::try_from(value & 0xff).unwrap();
    IpAddr::V4(Ipv4Addr::new(127, 32 + (octet(process >> 8) & 31), octet(process), octet(next % 250 + 1)))
}

impl Network for Wire {
    fn create_endpoint(&self, vpc: &str, subnets: &[String], _groups: &[String]) -> Result<Endpoint, AwsError> {
        if vpc != VPC || subnets.iter().any(|subnet| subnet != SUBNET) {
            return Err(AwsError::client("InvalidRequestException", "unknown VPC or subnet"));
        }
        let endpoint = Endpoint { id: wharfinger_emulator::ids::random_id("vpce-"), private_address: free_address() };
        let link = Link { private: endpoint.private_address, public: Vec::new() };
        self.endpoints.lock().unwrap().insert(endpoint.id.clone(), link);
        Ok(endpoint)
    }

    fn move_endpoint(&self, _id: &str, _subnets: &[String]) -> Result<(), AwsError> {
        Err(AwsError::client("InvalidSubnetID.NotFound", "this VPC has one subnet"))
    }

    fn delete_endpoint(&self, id: &str) {
        self.endpoints.lock().unwrap().remove(id);
    }

    fn attach_addresses(&self, id: &str, allocations: &[String]) -> Result<Vec<IpAddr>, AwsError> {
        let mut endpoints = self.endpoints.lock().unwrap();
        let taken = |(other, link): (&String, &Link)| {
            other != id && link.public.iter().any(|(held, _)| allocations.contains(held))
        };
        if endpoints.iter().any(taken) {
            return Err(AwsError::client("InvalidRequestException", "the address is in use"));
        }
        let public: Vec<_> = allocations.iter().map(|allocation| (allocation.clone(), free_address())).collect();
        endpoints.get_mut(id).unwrap().public.clone_from(&public);
        Ok(public.into_iter().map(|(_, address)| address).collect())
    }

    fn addresses(&self, id: &str) -> Vec<IpAddr> {
        let endpoints = self.endpoints.lock().unwrap();
        let Some(link) = endpoints.get(id) else { return Vec::new() };
        if link.public.is_empty() { vec![link.private] } else { link.public.iter().map(|(_, at)| *at).collect() }
    }

    fn admits(&self, _id: &str, _client: IpAddr, _port: u16) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }
}

/// Transfer Family and CloudWatch, and what is around them.
pub(crate) struct TransferFamily {
    pub(crate) transfer: Arc<Transfer>,
    pub(crate) cloudwatch: Arc<CloudWatch>,
    pub(crate) logs: Arc<CloudWatchLogs>,
    pub(crate) wire: Arc<Wire>,
    pub(crate) context: Context,
    pub(crate) events: UnboundedReceiver<Value>,
    pub(crate) files: PathBuf,
    partners: Partners,
    _directory: Option<tempfile::TempDir>,
}

impl TransferFamily {
    pub(crate) fn new() -> Self {
        Self::at_pace(Pace {
            server_transition: Duration::from_millis(20),
            endpoint_lag: Duration::ZERO,
            log_lag: Duration::ZERO,
            metric_period: Duration::from_millis(200),
            ..Pace::default()
        })
    }

    pub(crate) fn at_pace(pace: Pace) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = directory.path().join(FILE_SYSTEM);
        std::fs::create_dir_all(files.join("sites/blog")).unwrap();
        let clock = Clock::system();
        let (bus, events) = EventBus::new(clock.clone());
        let context = Context {
            clock,
            bus,
            file_systems: Arc::new(directory.path().to_owned()),
            pace: Arc::new(pace),
            sftp_port: free_port(),
            sftp_host: Ipv4Addr::LOCALHOST,
            site: ([127, 0, 0, 1], 0).into(),
        };
        let wire = Arc::new(Wire::default());
        let partners = Partners {
            network: Arc::<Wire>::clone(&wire),
            metrics: Metrics::default(),
            logs: LogGroups::default(),
            secrets: SecretsManager::new(context.clone(), None).unwrap(),
        };
        let transfer = Transfer::new(context.clone(), None, partners.clone()).unwrap();
        let cloudwatch = CloudWatch::new(context.clone(), None, partners.metrics.clone()).unwrap();
        let logs = CloudWatchLogs::new(context.clone(), None, partners.logs.clone()).unwrap();
        Self { transfer, cloudwatch, logs, wire, context, events, files, partners, _directory: Some(directory) }
    }

    /// The same region after a restart.
    pub(crate) async fn restart(&mut self, server: &str) {
        let (saved, address) = (self.transfer.snapshot(), self.transfer.addresses(server)[0]);
        // Without servers, so that the old doors shut before the new ones open.
        let between = Partners { metrics: Metrics::default(), ..self.partners.clone() };
        let between = Transfer::new(self.context.clone(), None, between).unwrap();
        drop(std::mem::replace(&mut self.transfer, between));
        wait_for("the old door to shut", async || tokio::net::TcpStream::connect(address).await.err()).await;
        self.transfer = Transfer::new(self.context.clone(), Some(saved), self.partners.clone()).unwrap();
    }

    pub(crate) async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        self.transfer.call(operation, input).await
    }

    pub(crate) async fn done(&self, operation: &str, input: Value) -> Value {
        let answer = self.call(operation, input).await;
        answer.unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    pub(crate) async fn refused(&self, operation: &str, input: Value) -> AwsError {
        match self.call(operation, input).await {
            Ok(answer) => panic!("{operation} answered {answer}"),
            Err(error) => error,
        }
    }

    pub(crate) async fn create_server(&self) -> String {
        let answer = self.done("CreateServer", server()).await;
        answer["ServerId"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn online_server(&self) -> String {
        let id = self.create_server().await;
        self.until(&id, "ONLINE").await;
        id
    }

    pub(crate) async fn state(&self, server: &str) -> String {
        let answer = self.done("DescribeServer", json!({ "ServerId": server })).await;
        answer["Server"]["State"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn until(&self, server: &str, state: &str) {
        wait_for(&format!("{server} to be {state}"), async || (self.state(server).await == state).then_some(())).await;
    }

    /// A user in a chroot on `/sites/blog`, and the key that lets it in.
    pub(crate) async fn create_user(&self, server: &str, name: &str) -> PrivateKey {
        self.create_user_at(
            server,
            name,
            json!({
                "HomeDirectoryType": "LOGICAL",
                "HomeDirectoryMappings": [{ "Entry": "/", "Target": format!("/{FILE_SYSTEM}/sites/blog") }],
            }),
        )
        .await
    }

    pub(crate) async fn create_user_at(&self, server: &str, name: &str, home: Value) -> PrivateKey {
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let mut user = json!({
            "ServerId": server, "UserName": name, "Role": ROLE, "PosixProfile": { "Uid": 1001, "Gid": 1002 },
            "SshPublicKeyBody": key.public_key().to_openssh().unwrap(),
        });
        user.as_object_mut().unwrap().extend(home.as_object().unwrap().clone());
        self.done("CreateUser", user).await;
        key
    }

    pub(crate) async fn connect(&self, server: &str) -> Result<Handle<Client>, russh::Error> {
        let address = self.transfer.addresses(server)[0];
        client::connect(Arc::new(client::Config::default()), address, Client).await
    }

    pub(crate) async fn log_in(&self, server: &str, user: &str, key: &PrivateKey) -> Option<Handle<Client>> {
        let mut connection = self.connect(server).await.unwrap();
        let key = PrivateKeyWithHashAlg::new(Arc::new(key.clone()), None);
        let answer = connection.authenticate_publickey(user, key).await.unwrap();
        matches!(answer, AuthResult::Success).then_some(connection)
    }

    /// A session of a fresh user on a fresh server.
    pub(crate) async fn session(&self) -> (String, Handle<Client>, SftpSession) {
        let server = self.online_server().await;
        let key = self.create_user(&server, "alice").await;
        let connection = self.log_in(&server, "alice", &key).await.unwrap();
        let sftp = open_sftp(&connection).await;
        (server, connection, sftp)
    }

    /// The next event, which is there or about to come.
    pub(crate) async fn event(&mut self) -> Value {
        tokio::time::timeout(Duration::from_secs(10), self.events.recv()).await.expect("an event").unwrap()
    }
}

pub(crate) async fn open_sftp(connection: &Handle<Client>) -> SftpSession {
    let channel = connection.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    SftpSession::new(channel.into_stream()).await.unwrap()
}

pub(crate) fn server() -> Value {
    json!({
        "Domain": "EFS", "EndpointType": "VPC", "Protocols": ["SFTP"], "IdentityProviderType": "SERVICE_MANAGED",
        "EndpointDetails": { "VpcId": VPC, "SubnetIds": [SUBNET] },
        "Tags": [{ "Key": "wharfinger:server", "Value": "main" }],
    })
}

/// Asks again until there is an answer.
pub(crate) async fn wait_for<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {what}");
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A client that takes any host key.
pub(crate) struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &russh::keys::PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}
