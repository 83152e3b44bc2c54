//! By what a walk goes.

use std::time::{Duration, Instant};

use crate::{options::Options, stat::Time};

/// By what a walk goes.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) options: &'a Options,
    /// When the walk began, on the file system's clock and on ours.
    pub(crate) began: (Time, Instant),
    /// Whether there is no time left to wait for files that change.
    pub(crate) last: bool,
}

impl Rules<'_> {
    /// Whether a file changed so lately that another change need not show. One of a later time than now is none of
    /// these: it would have to be waited for until then.
    pub(crate) fn is_hot(&self, ctime: Time) -> bool {
        let now = self.began.0.nanoseconds() + nanoseconds(self.began.1.elapsed());
        (now - ctime.nanoseconds()).abs() < nanoseconds(self.options.settle)
    }
}

fn nanoseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}
