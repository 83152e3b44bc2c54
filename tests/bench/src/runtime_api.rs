//! The part of the Lambda Runtime API that a start needs: it sees when a function asks for its first event.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

/// Serves one function, once.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    asked: Receiver<anyhow::Result<FirstEvent>>,
}

/// A function has asked for its first event, and waits for it as long as this lives.
#[derive(Debug)]
pub(crate) struct FirstEvent {
    /// When it asked.
    pub(crate) at: Instant,
    _connection: TcpStream,
}

impl RuntimeApi {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen for functions")?;
        let address = listener.local_addr()?;
        let (send, asked) = channel();
        thread::spawn(move || send.send(first_event(&listener)));
        Ok(Self { address, asked })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until the function asks.
    ///
    /// # Errors
    /// When it asks for something else, or for nothing within `patience`.
    pub(crate) fn first_event(self, patience: Duration) -> anyhow::Result<FirstEvent> {
        self.asked.recv_timeout(patience).context("it does not ask for an event")?
    }
}

fn first_event(listener: &TcpListener) -> anyhow::Result<FirstEvent> {
    let (connection, _) = listener.accept()?;
    let mut request = String::new();
    BufReader::new(&connection).read_line(&mut request)?;
    let at = Instant::now();
    ensure!(
        request.starts_with("GET ") && request.contains("/runtime/invocation/next"),
        "it asks for {:?} instead of an event",
        request.trim_end()
    );
    Ok(FirstEvent { at, _connection: connection })
}
