//! Taking addresses, with an error that names the option to change.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};

/// Listens on `address`, which `option` asked for.
pub(super) async fn listen(option: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| taken(option, address))
}

/// A port that is kept free of others while nothing listens on it.
pub(super) struct Reservation(Option<TcpSocket>);

/// Makes sure that SFTP servers can listen on `address`, and keeps it for them. Port 0 takes a free one.
pub(super) fn reserve(option: &str, address: SocketAddr) -> anyhow::Result<(Reservation, SocketAddr)> {
    // Without SO_REUSEADDR the port must be wholly free; with it, the servers of this region can listen beside us.
    let socket = TcpSocket::new_v4().context("make a socket")?;
    socket.set_reuseaddr(true).context("prepare a socket")?;
    socket.bind(address).with_context(|| taken(option, address))?;
    let bound = socket.local_addr().context("read the port of a socket")?;
    refuse_listening(option, bound)?;
    // Linux lets a server listen beside a socket that is bound and does not listen; others may not.
    let kept = cfg!(target_os = "linux").then_some(socket);
    Ok((Reservation(kept), bound))
}

/// With SO_REUSEADDR some systems let two programs listen on one port: ask whether anyone answers.
fn refuse_listening(option: &str, address: SocketAddr) -> anyhow::Result<()> {
    match std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200)) {
        Ok(_) => anyhow::bail!("{}", taken(option, address)),
        Err(_) => Ok(()),
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Reservation").field(&self.0.is_some()).finish()
    }
}

fn taken(option: &str, address: SocketAddr) -> String {
    format!(
        "can't listen on {address}: another program may use it; choose another with {option} 127.0.0.1:PORT (port 0 takes a free one)"
    )
}
