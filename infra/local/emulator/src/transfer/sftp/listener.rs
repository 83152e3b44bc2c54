//! The open door of one server: it listens on each of the server's addresses while it exists. Dropping it shuts the
//! door first, so that new clients are refused, and then cuts the connections that are open.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use russh::{Disconnect, MethodKind, MethodSet, SshId, server::Config};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{Account, activity::ActivityLog, connection::Connection, meter::Meter};
use crate::{context::Context, transfer::Transfer};

/// How long a client can stay connected without logging in.
const LOGIN_GRACE: Duration = Duration::from_secs(120);

/// How long an idle connection stays (AWS's limit).
const IDLE: Duration = Duration::from_secs(1800);

/// How long a cut connection has to hear why.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a connection needs to know of its server.
pub(crate) struct Gate {
    pub(super) server_id: String,
    pub(super) context: Context,
    pub(super) meter: Arc<Meter>,
    transfer: Weak<Transfer>,
}

impl Gate {
    pub(crate) fn new(server_id: &str, transfer: Weak<Transfer>, context: Context, meter: Arc<Meter>) -> Self {
        Self { server_id: server_id.to_owned(), context, meter, transfer }
    }

    /// The user as it is at this moment.
    pub(super) fn account(&self, user: &str) -> Option<Account> {
        self.transfer.upgrade()?.account(&self.server_id, user)
    }

    /// The structured log of a session that begins now.
    pub(super) fn log(&self, session_id: &str) -> ActivityLog {
        let destination = self.transfer.upgrade().and_then(|transfer| transfer.log_group(&self.server_id));
        ActivityLog::new(self.context.clone(), destination, &self.server_id, session_id)
    }

    pub(super) fn banner(&self) -> Option<String> {
        self.transfer.upgrade()?.banner(&self.server_id)
    }

    fn admits(&self, client: IpAddr) -> bool {
        self.transfer.upgrade().is_some_and(|transfer| transfer.admits(&self.server_id, client))
    }

    fn configuration(&self) -> Config {
        let keys = self.transfer.upgrade().map(|transfer| transfer.host_keys(&self.server_id)).unwrap_or_default();
        Config {
            server_id: SshId::Standard("SSH-2.0-AWS_SFTP_1.2".into()),
            methods: MethodSet::from(&[MethodKind::PublicKey][..]),
            // Refusals take the same time whether or not the user exists; a client that asks what is possible does not
            // wait.
            auth_rejection_time: Duration::from_millis(200),
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys,
            inactivity_timeout: Some(IDLE),
            nodelay: true,
            ..Config::default()
        }
    }
}

/// The open door.
pub(crate) struct Listener {
    addresses: Vec<SocketAddr>,
    shut: CancellationToken,
    _guard: DropGuard,
}

impl Listener {
    /// Listens on `addresses`. The region holds the port already, so that nobody else gets it while the server is away.
    /// Sockets are closed for good when `tasks` are done.
    ///
    /// # Errors
    /// An address that cannot be bound.
    pub(crate) fn open(gate: Gate, addresses: &[SocketAddr], tasks: &TaskTracker) -> io::Result<Self> {
        let gate = Arc::new(gate);
        let listeners = addresses.iter().map(|address| bind(*address)).collect::<io::Result<Vec<_>>>()?;
        let shut = CancellationToken::new();
        for listener in listeners {
            tasks.spawn(accept(listener, Arc::clone(&gate), shut.clone(), tasks.clone()));
        }
        Ok(Self { addresses: addresses.to_vec(), _guard: shut.clone().drop_guard(), shut })
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Is cancelled when the door is shut.
    pub(crate) fn shut(&self) -> CancellationToken {
        self.shut.clone()
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(128)
}

async fn accept(listener: TcpListener, gate: Arc<Gate>, shut: CancellationToken, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = shut.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, client)) if gate.admits(client.ip()) => {
                tasks.spawn(connect(socket, client.ip(), Arc::clone(&gate), shut.clone()));
            }
            Ok((_, client)) => {
                tracing::debug!(server = gate.server_id, client = %client.ip(), "not admitted by the security groups");
            }
            Err(error) => {
                tracing::warn!(server = gate.server_id, %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Serves one connection until it ends or the door is shut.
async fn connect(socket: TcpStream, client: IpAddr, gate: Arc<Gate>, shut: CancellationToken) {
    let Ok((socket, cutter)) = split_off_cutter(socket) else { return };
    let logged_in = Arc::new(AtomicBool::new(false));
    let connection = Connection::new(Arc::clone(&gate), client, Arc::clone(&logged_in));
    let late = async {
        tokio::time::sleep(LOGIN_GRACE).await;
        if logged_in.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let started = tokio::select! {
        started = russh::server::run_stream(Arc::new(gate.configuration()), socket, connection) => started,
        () = shut.cancelled() => return,
        () = tokio::time::sleep(LOGIN_GRACE) => return,
    };
    let Ok(mut session) = started else { return };
    let handle = session.handle();
    let why = tokio::select! {
        _ended = &mut session => return,
        () = shut.cancelled() => "The server was stopped",
        () = late => "Nobody logged in",
    };
    let farewell = async {
        let _ = handle.disconnect(Disconnect::ByApplication, why.to_owned(), "en".to_owned()).await;
        let _ = (&mut session).await;
    };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
    let _ = cutter.shutdown(std::net::Shutdown::Both);
}

/// The socket, and a second hold on it that can cut it while the first is in use.
fn split_off_cutter(socket: TcpStream) -> io::Result<(TcpStream, std::net::TcpStream)> {
    let socket = socket.into_std()?;
    let cutter = socket.try_clone()?;
    socket.set_nodelay(true)?;
    Ok((TcpStream::from_std(socket)?, cutter))
}
