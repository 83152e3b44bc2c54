//! A sweep's work: some at once, in the order given, and none begun when time is short. What is left over comes first in
//! the next sweep, whose order says what waited longest.

use std::time::Duration;

use futures::{
    future::BoxFuture,
    stream::{self, StreamExt as _},
};
use wharfinger_decisions::names::ServerName;
use wharfinger_runtime::Moment;

/// How many sites or servers are processed at once.
pub(crate) const AT_ONCE: usize = 16;

/// No work on a server is begun with less time than this: two calls that nobody answers, and some.
const LEAST_TIME: Duration = Duration::from_secs(30);

/// What came of a piece of work.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is done.
    Done,
    /// It failed, as the sentence says.
    Failed(String),
    /// There was no time for it.
    Left,
}

/// What a sweep did not do. It is logged at the end and stops nothing else.
#[derive(Debug, Default)]
pub(crate) struct Undone {
    /// What went wrong, one sentence each.
    pub(crate) troubles: Vec<String>,
    /// How many pieces of work there was no time for.
    pub(crate) left: usize,
}

impl Undone {
    pub(crate) fn trouble(trouble: impl Into<String>) -> Self {
        Self { troubles: vec![trouble.into()], left: 0 }
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.troubles.extend(other.troubles);
        Self { left: self.left + other.left, ..self }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.troubles.is_empty() && self.left == 0
    }

    fn with(mut self, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => {}
            Outcome::Failed(sentence) => self.troubles.push(sentence),
            Outcome::Left => self.left += 1,
        }
        self
    }
}

/// Whether there is time to begin work on a server.
pub(crate) fn there_is_time(moment: Moment) -> bool {
    moment.left() >= LEAST_TIME
}

/// Does `work` for a server, if there is time for it.
pub(crate) async fn in_time(
    server: &ServerName,
    moment: Moment,
    work: impl Future<Output = anyhow::Result<()>>,
) -> Outcome {
    if !there_is_time(moment) {
        return Outcome::Left;
    }
    work.await.map_or_else(|error| Outcome::Failed(format!("server {server}: {error:#}")), |()| Outcome::Done)
}

/// Does all of `work`, [`AT_ONCE`] at a time.
pub(crate) async fn some_at_once(work: Vec<BoxFuture<'_, Outcome>>) -> Undone {
    let outcomes = stream::iter(work).buffer_unordered(AT_ONCE);
    outcomes.fold(Undone::default(), async |undone, outcome| undone.with(outcome)).await
}
