//! Counts what one server's sessions move, for CloudWatch: bytes as they move, files when they are done.

use std::sync::{Arc, Mutex, PoisonError};

/// The counters of one server.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open_sessions: usize,
    had_session: bool,
    counts: Counts,
}

/// What moved in one period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Bytes of uploads.
    pub(crate) bytes_in: u64,
    /// Bytes of downloads.
    pub(crate) bytes_out: u64,
    /// Finished uploads.
    pub(crate) files_in: u64,
    /// Finished downloads.
    pub(crate) files_out: u64,
}

impl Counts {
    /// The metrics' names, units and values.
    #[expect(clippy::cast_precision_loss, reason = "CloudWatch's values are doubles")]
    pub(crate) fn data(self) -> [(&'static str, &'static str, f64); 4] {
        [
            ("BytesIn", "Bytes", self.bytes_in as f64),
            ("BytesOut", "Bytes", self.bytes_out as f64),
            ("FilesIn", "Count", self.files_in as f64),
            ("FilesOut", "Count", self.files_out as f64),
        ]
    }
}

/// An open session; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct OpenSession(Arc<Meter>);

impl Meter {
    /// A session opens.
    pub(crate) fn open(self: &Arc<Self>) -> OpenSession {
        self.change(|state| {
            state.open_sessions += 1;
            state.had_session = true;
        });
        OpenSession(Arc::clone(self))
    }

    /// The counts since the last call; none when no session was open at any time since then.
    pub(crate) fn take(&self) -> Option<Counts> {
        self.change(|state| {
            let open = state.open_sessions > 0;
            let active = std::mem::replace(&mut state.had_session, open) || open;
            active.then(|| std::mem::take(&mut state.counts))
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl OpenSession {
    /// Something moved in it.
    pub(super) fn count(&self, add: impl FnOnce(&mut Counts)) {
        self.0.change(|state| add(&mut state.counts));
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.change(|state| state.open_sessions -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_without_a_session_has_no_data() {
        assert_eq!(Arc::new(Meter::default()).take(), None);
    }

    #[test]
    fn a_session_counts_in_every_period_that_it_touches_and_in_no_other() {
        let meter = Arc::new(Meter::default());
        let session = meter.open();
        session.count(|counts| counts.bytes_in += 5);
        assert_eq!(meter.take().map(|counts| counts.bytes_in), Some(5));
        assert_eq!(meter.take(), Some(Counts::default()), "still open: zeros");
        drop(session);
        drop(meter.open());
        assert_eq!(meter.take(), Some(Counts::default()), "open for a moment");
        assert_eq!(meter.take(), None);
    }
}
