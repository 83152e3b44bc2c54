//! One invocation of a function, as its AWS calls know it: they can end it where it stands.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

tokio::task_local! {
    /// The invocation whose calls the present task makes.
    pub(crate) static INVOCATION: Arc<Invocation>;
}

/// One invocation.
#[derive(Debug, Default)]
pub(crate) struct Invocation {
    kill: Notify,
    cut: AtomicBool,
}

impl Invocation {
    /// Waits until the invocation is to end.
    pub(crate) async fn killed(&self) {
        self.kill.notified().await;
    }
}

/// Kills the present invocation: never comes back inside of one.
pub(crate) async fn die() {
    if let Ok(invocation) = INVOCATION.try_with(Arc::clone) {
        invocation.kill.notify_one();
        std::future::pending::<()>().await;
    }
}

/// The connection of the present call breaks: its answer never comes.
pub(crate) fn cut_connection() {
    let _ = INVOCATION.try_with(|invocation| invocation.cut.store(true, Ordering::Relaxed));
}

/// Whether the connection of the call that was just answered broke.
pub(crate) fn take_cut() -> bool {
    INVOCATION.try_with(|invocation| invocation.cut.swap(false, Ordering::Relaxed)).unwrap_or(false)
}
