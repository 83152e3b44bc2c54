//! An SFTP session as a person has it: a key of one's own, a host key that is looked at, files up and down.

use std::{
    net::{Shutdown, SocketAddr},
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use russh::{
    client,
    keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate},
};
use russh_sftp::client::SftpSession;
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// A key pair of a user.
#[derive(Clone, Debug)]
pub struct UserKey(Arc<PrivateKey>);

impl UserKey {
    /// A new ed25519 key.
    #[must_use]
    pub fn generate() -> Self {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519);
        Self(Arc::new(key.expect("an ed25519 key can always be made")))
    }

    /// The public half in OpenSSH's one-line form.
    #[must_use]
    pub fn public_line(&self) -> String {
        self.0.public_key().to_openssh().expect("an ed25519 key has an OpenSSH form")
    }
}

/// Notes the fingerprint of the host key that the server shows.
struct HostKeyWatch(Arc<Mutex<String>>);

impl client::Handler for HostKeyWatch {
    type Error = anyhow::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let fingerprint = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.fingerprint(HashAlg::Sha256).to_string(),
            PublicKeyOrCertificate::Certificate(_) => String::from("certificate"),
        };
        *self.0.lock().expect("nobody panics holding it") = fingerprint;
        Ok(true)
    }
}

/// An open SFTP session.
pub struct Visitor {
    /// The session, for what has no method here.
    pub sftp: SftpSession,
    /// The fingerprint of the host key that the server showed.
    pub host_key_fingerprint: String,
    connection: client::Handle<HostKeyWatch>,
    /// The same socket that the session uses, to cut it.
    socket: std::net::TcpStream,
}

impl Visitor {
    /// Logs in.
    ///
    /// # Errors
    /// When the server can't be reached or refuses the key.
    pub async fn log_in(address: SocketAddr, user: &str, key: &UserKey) -> anyhow::Result<Self> {
        let seen = Arc::new(Mutex::new(String::new()));
        let config = Arc::new(client::Config::default());
        let reached = || format!("connect to SFTP on {address}");
        let stream = TcpStream::connect(address).await.with_context(reached)?.into_std().with_context(reached)?;
        let socket = stream.try_clone().with_context(reached)?;
        let stream = TcpStream::from_std(stream).with_context(reached)?;
        let mut connection =
            client::connect_stream(config, stream, HostKeyWatch(Arc::clone(&seen))).await.with_context(reached)?;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&key.0), None);
        let answer = connection.authenticate_publickey(user, key).await.context("log in")?;
        anyhow::ensure!(answer.success(), "the server refused the key of {user}");
        let channel = connection.channel_open_session().await.context("open a channel")?;
        channel.request_subsystem(true, "sftp").await.context("ask for SFTP")?;
        let sftp = SftpSession::new(channel.into_stream()).await.context("start SFTP")?;
        let host_key_fingerprint = seen.lock().expect("nobody panics holding it").clone();
        Ok(Self { sftp, host_key_fingerprint, connection, socket })
    }

    /// Uploads `content` as `path`.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn put(&self, path: &str, content: &[u8]) -> anyhow::Result<()> {
        let mut file = self.sftp.create(path).await.with_context(|| format!("create {path}"))?;
        file.write_all(content).await.with_context(|| format!("write {path}"))?;
        file.shutdown().await.with_context(|| format!("close {path}"))
    }

    /// Downloads `path`.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn get(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        self.sftp.read(path).await.with_context(|| format!("read {path}"))
    }

    /// Cuts the connection without a word, as a lost network does.
    ///
    /// # Errors
    /// When it is cut already.
    pub fn vanish(self) -> anyhow::Result<()> {
        self.socket.shutdown(Shutdown::Both).context("cut the connection")
    }

    /// Logs out.
    ///
    /// # Errors
    /// When the server is gone already.
    pub async fn log_out(self) -> anyhow::Result<()> {
        self.sftp.close().await.context("end SFTP")?;
        self.connection.disconnect(russh::Disconnect::ByApplication, "done", "en").await.context("disconnect")
    }
}
