//! Decides what a PUT does, and retries when other writers interfere.

use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use wharfinger_chance::Chance;
use wharfinger_store::record::Record;

use crate::{
    precondition::Preconditions,
    problem::{Kind, Problem, Refused},
};

/// How often a change is tried when other writers come first.
const TRIES: u32 = 5;

/// What a PUT does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The resource is created.
    Create,
    /// The resource, last seen at this version, gets a new spec.
    Replace(u64),
    /// Nothing: the spec is the same.
    Keep,
}

/// Decides a PUT of `what` (`the server "main"`); `same` says whether the spec wanted is the one that is there.
pub(crate) fn decide<I, S>(
    what: &str,
    current: Option<&Record<I, S>>,
    same: impl FnOnce(&I) -> bool,
    preconditions: &Preconditions,
) -> Result<Change, Refused> {
    preconditions.check(what, current.map(|record| record.version))?;
    match current {
        None => Ok(Change::Create),
        Some(record) if record.deleting => Err(Problem::deleting(what)),
        Some(record) if same(&record.intent) => Ok(Change::Keep),
        Some(record) => Ok(Change::Replace(record.version)),
    }
}

/// Returns the record after `change`, with `intent`.
pub(crate) fn next_record<I, S: Clone + Default>(
    change: Change,
    current: Option<&Record<I, S>>,
    intent: I,
    now: Timestamp,
) -> Record<I, S> {
    let (created_at, status) = current.map_or((now, S::default()), |record| (record.created_at, record.status.clone()));
    let updated_at = current.filter(|_| change == Change::Keep).map_or(now, |record| record.updated_at);
    let seen = current.map_or(0, |record| record.version);
    let version = if change == Change::Keep { seen } else { seen + 1 };
    Record { intent, status, version, deleting: false, created_at, updated_at, unknown: Vec::new() }
}

/// Whether two specs are identical, including the comments of keys.
pub(crate) fn is_same<T: Serialize>(one: &T, other: &T) -> bool {
    serde_json::to_value(one).ok() == serde_json::to_value(other).ok()
}

/// Retries `attempt`, which reads, decides and writes, while other writers come first. Each attempt checks the caller's
/// `If-Match` against a new reading. The waits in between are drawn from `chance`, so that two writers do not collide
/// again.
pub(crate) async fn settle<F>(chance: &Chance, attempt: impl Fn() -> F) -> Result<Response, Refused>
where
    F: Future<Output = Result<Response, Refused>>,
{
    for tries in 1..TRIES {
        match attempt().await {
            Err(problem) if problem.kind == Kind::Contended => tracing::debug!(tries, "another writer came first"),
            done => return done,
        }
        tokio::time::sleep(chance.backoff(tries)).await;
    }
    attempt().await
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;

    fn record(deleting: bool) -> Record<u8, ()> {
        let at = Timestamp::UNIX_EPOCH;
        Record { intent: 1, status: (), version: 7, deleting, created_at: at, updated_at: at, unknown: Vec::new() }
    }

    fn put(current: Option<&Record<u8, ()>>, wanted: u8) -> Result<Change, Kind> {
        decide("it", current, |intent| *intent == wanted, &Preconditions::default()).map_err(|problem| problem.kind)
    }

    #[test]
    fn a_put_creates_replaces_or_keeps() {
        assert_eq!(put(None, 1), Ok(Change::Create));
        assert_eq!(put(Some(&record(false)), 2), Ok(Change::Replace(7)));
        assert_eq!(put(Some(&record(false)), 1), Ok(Change::Keep));
    }

    #[test]
    fn what_is_on_its_way_out_is_not_changed() {
        assert_eq!(put(Some(&record(true)), 1), Err(Kind::Deleting));
        assert_eq!(put(Some(&record(true)), 2), Err(Kind::Deleting));
    }

    #[test]
    fn a_stale_etag_comes_before_everything_else() {
        let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static("\"6\""))]);
        let stale = Preconditions::read(&headers).unwrap();
        let refused = decide("it", Some(&record(true)), |_| true, &stale).unwrap_err();
        assert_eq!(refused.kind, Kind::PreconditionFailed);
    }

    #[tokio::test(start_paused = true)]
    async fn other_writers_are_waited_out_but_not_for_ever() {
        let tries = std::cell::Cell::new(0);
        let contended = |last: u32| {
            let tries = &tries;
            move || async move {
                tries.set(tries.get() + 1);
                if tries.get() <= last { Err(Problem::new(Kind::Contended, "again")) } else { Ok(Response::default()) }
            }
        };
        assert!(settle(&Chance::seeded(1), contended(4)).await.is_ok());
        tries.set(0);
        assert_eq!(settle(&Chance::seeded(1), contended(99)).await.unwrap_err().kind, Kind::Contended);
        assert_eq!(tries.get(), TRIES);
    }
}
