//! One SSH connection: who may log in (users of the server, by public key alone), and what it may open (SFTP sessions).

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use russh::{
    Channel, ChannelId,
    keys::{HashAlg, PublicKey},
    server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, VerifiedPublicKey},
};

use super::{
    Account,
    activity::ActivityLog,
    listener::Gate,
    presence::Presence,
    report::Reporter,
    session::{Session, serve},
    view::View,
};

/// SFTP sessions that one connection can have (AWS's limit).
const SESSIONS: usize = 10;

/// The server's side of a connection.
pub(super) struct Connection {
    gate: Arc<Gate>,
    client: IpAddr,
    session_id: String,
    log: ActivityLog,
    account: Option<Account>,
    key: Option<PublicKey>,
    presence: Option<Arc<Presence>>,
    channels: HashMap<ChannelId, Channel<Msg>>,
    logged_in: Arc<AtomicBool>,
}

impl Connection {
    pub(super) fn new(gate: Arc<Gate>, client: IpAddr, logged_in: Arc<AtomicBool>) -> Self {
        let session_id = crate::ids::random_uuid().simple().to_string()[..16].to_owned();
        let log = gate.log(&session_id);
        let channels = HashMap::new();
        Self { gate, client, session_id, log, account: None, key: None, presence: None, channels, logged_in }
    }

    /// The user's account as it is now, when `key` opens it. A failure is logged.
    fn recognise(&self, user: &str, key: &PublicKey) -> Option<Account> {
        let account = self.gate.account(user);
        let account = account.filter(|account| account.keys.iter().any(|known| known.key_data() == key.key_data()));
        let Some(account) = account else {
            self.log_failure(user, "The public key is not one of the user's");
            return None;
        };
        if View::new(&account, &self.gate.context).is_none() {
            tracing::warn!(user, home = ?account.mappings, "login refused: the home directory names no file system that exists");
            self.log_failure(user, "The home directory does not exist");
            return None;
        }
        Some(account)
    }

    fn log_failure(&self, user: &str, message: &str) {
        let members = [
            ("user", user.into()),
            ("method", "publickey".into()),
            ("source-ip", self.client.to_string().into()),
            ("message", message.into()),
        ];
        self.log.write("AUTH_FAILURE", &members);
    }

    /// Logs `user` in: the session that `key` opens.
    pub(super) fn enter(&mut self, user: &str, key: &PublicKey) -> Option<Session> {
        self.account = self.recognise(user, key);
        self.key = Some(key.clone());
        self.arrive("in this process");
        self.session()
    }

    /// The client with this software is in, if its key opens an account.
    fn arrive(&mut self, software: &str) {
        let (Some(account), Some(key)) = (&self.account, &self.key) else { return };
        let body = key.to_openssh().unwrap_or_default();
        let members = [
            ("user", account.name.clone().into()),
            ("role", account.role.clone().into()),
            ("home-dir", account.home.clone().into()),
            ("source-ip", self.client.to_string().into()),
            ("client", software.into()),
            ("ssh-public-key", body.split(' ').nth(1).unwrap_or_default().into()),
            ("ssh-public-key-fingerprint", key.fingerprint(HashAlg::Sha256).to_string().into()),
            ("ssh-public-key-type", key.algorithm().as_str().into()),
        ];
        self.log.write("CONNECTED", &members);
        self.presence = Some(Arc::new(Presence::new(self.gate.meter.open(), self.log.clone())));
    }

    fn session(&self) -> Option<Session> {
        let account = self.account.as_ref()?;
        let presence = self.presence.clone()?;
        let view = View::new(account, &self.gate.context)?;
        let reporter = Reporter {
            context: self.gate.context.clone(),
            server_id: self.gate.server_id.clone(),
            user_name: account.name.clone(),
            session_id: self.session_id.clone(),
            client_ip: self.client.to_string(),
        };
        Some(Session::new(account, view, reporter, presence))
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(self.gate.banner())
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        let known = self.recognise(user, offer.public_key).is_some();
        Ok(if known { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.account = self.recognise(user, key.public_key);
        self.key = Some(key.public_key.clone());
        Ok(if self.account.is_some() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_succeeded(&mut self, session: &mut russh::server::Session) -> Result<(), Self::Error> {
        self.logged_in.store(true, Ordering::Relaxed);
        let software = String::from_utf8_lossy(session.remote_sshid()).into_owned();
        self.arrive(&software);
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        if self.channels.len() < SESSIONS {
            self.channels.insert(channel.id(), channel);
            reply.accept().await;
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _session: &mut russh::server::Session) -> Result<(), Self::Error> {
        self.channels.remove(&id);
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        let (Some(channel), Some(sftp), "sftp") = (self.channels.remove(&id), self.session(), name) else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        let handle = session.handle();
        tokio::spawn(async move {
            serve(channel.into_stream(), sftp).await;
            // The connection may be gone already.
            let _ = handle.exit_status_request(id, 0).await;
            let _ = handle.eof(id).await;
            let _ = handle.close(id).await;
        });
        Ok(())
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut russh::server::Session) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        refuse_shell(id, session)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _command: &[u8],
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        refuse_shell(id, session)
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(id)
    }
}

fn refuse_shell(id: ChannelId, session: &mut russh::server::Session) -> Result<(), russh::Error> {
    session.extended_data(id, 1, &b"This service allows sftp connections only.\r\n"[..])?;
    session.exit_status_request(id, 1)?;
    session.eof(id)?;
    session.close(id)
}
