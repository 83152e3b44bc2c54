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
    keys::PublicKey,
    server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, VerifiedPublicKey},
};

use super::{
    Account,
    listener::Gate,
    meter::OpenSession,
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
    account: Option<Account>,
    open: Option<OpenSession>,
    channels: HashMap<ChannelId, Channel<Msg>>,
    logged_in: Arc<AtomicBool>,
}

impl Connection {
    pub(super) fn new(gate: Arc<Gate>, client: IpAddr, logged_in: Arc<AtomicBool>) -> Self {
        let session_id = crate::ids::random_uuid().simple().to_string()[..16].to_owned();
        Self { gate, client, session_id, account: None, open: None, channels: HashMap::new(), logged_in }
    }

    /// The user's account as it is now, when `key` opens it.
    fn recognise(&self, user: &str, key: &PublicKey) -> Option<Account> {
        let account = self.gate.account(user)?;
        let known = account.keys.iter().any(|known| known.key_data() == key.key_data());
        if known && View::new(&account, &self.gate.context).is_none() {
            tracing::warn!(user, home = ?account.mappings, "login refused: the home directory names no file system that exists");
            return None;
        }
        known.then_some(account)
    }

    /// Logs `user` in: the session that `key` opens.
    pub(super) fn enter(&mut self, user: &str, key: &PublicKey) -> Option<Session> {
        self.account = self.recognise(user, key);
        self.session()
    }

    fn session(&self) -> Option<Session> {
        let account = self.account.as_ref()?;
        let view = View::new(account, &self.gate.context)?;
        let reporter = Reporter {
            context: self.gate.context.clone(),
            server_id: self.gate.server_id.clone(),
            user_name: account.name.clone(),
            session_id: self.session_id.clone(),
            client_ip: self.client.to_string(),
        };
        Some(Session::new(account, view, reporter, Arc::clone(&self.gate.meter)))
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
        Ok(if self.account.is_some() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_succeeded(&mut self, _session: &mut russh::server::Session) -> Result<(), Self::Error> {
        self.logged_in.store(true, Ordering::Relaxed);
        self.open = Some(self.gate.meter.open());
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
