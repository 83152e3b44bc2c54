//! Asks the log of sessions who is on a server.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wharfinger_aws::{
    error::{AwsError, Kind},
    transfer::Server,
};
use wharfinger_decisions::{
    idle::Answer,
    presence::{LAPSES_AFTER, Presence},
};

use crate::{app::App, visit::Visit};

/// How far the log is read back at most. An older session counts from its first line within that time; one that wrote no
/// line is seen in the metrics alone.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

/// A server may have been online for so long before it was seen to be.
const SEEN_LATE: SignedDuration = SignedDuration::from_mins(5);

/// How long the log is read: a visit has 30 seconds, and what is not known is asked again.
const READ_WITHIN: Duration = Duration::from_secs(8);

impl Visit<'_> {
    /// Who is on `server` according to its log of sessions; `NotAsked` if it writes none into this deployment's group.
    /// Metrics tell whether one that fell silent long ago is still there.
    pub(crate) async fn presence(&self, server: &Server) -> Answer<Presence> {
        let (status, now) = (&self.record.status, self.moment.present());
        if !writes_log(self.app, server) || is_partial(status.logged_since, status.online_since, now) {
            return Answer::NotAsked;
        }
        let since = look_back(status.online_since, now);
        let read = self.app.logs.sessions(&self.app.log_group, &server.id, since);
        match tokio::time::timeout(READ_WITHIN, read).await.unwrap_or_else(|_| Err(unread(&server.id))) {
            Ok(presence) if presence.has_silent_session(now) => {
                let window = LAPSES_AFTER + self.app.metrics.period();
                let traffic = self.app.metrics.traffic(&server.id, window, now).await;
                Answer::Known(presence.without_lapsed(&traffic.into(), now))
            }
            answer => answer.into(),
        }
    }
}

fn unread(server_id: &str) -> AwsError {
    let sentence = format!("it takes longer than {} s", READ_WITHIN.as_secs());
    AwsError { action: format!("read the log of the sessions on server {server_id}"), kind: Kind::Unanswered(sentence) }
}

/// Whether the server writes its structured log into this deployment's group. AWS may show the group's ARN with or
/// without `:*` at its end.
fn writes_log(app: &App, server: &Server) -> bool {
    let bare = |arn: &str| arn.strip_suffix(":*").unwrap_or(arn).to_owned();
    server.log_group_arn.as_deref().is_some_and(|arn| bare(arn) == bare(&app.log_group))
}

/// Whether sessions may be open that began before the log did.
fn is_partial(logged_since: Option<Timestamp>, online_since: Option<Timestamp>, now: Timestamp) -> bool {
    logged_since.is_some_and(|since| {
        let is_recent = now.duration_since(since) < LOOK_BACK;
        is_recent && online_since.is_none_or(|online| online < since)
    })
}

/// From when on the log is read: not before the server was online, where sessions of before may lack their end.
fn look_back(online_since: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let earliest = now.checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
    let online = online_since.and_then(|since| since.checked_sub(SEEN_LATE).ok());
    online.map_or(earliest, |online| online.max(earliest))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use wharfinger_decisions::{names::ServerName, power::AwsState};
    use wharfinger_test_cloud::Cloud;

    use super::*;
    use crate::testing;

    const NOW: &str = "2026-01-01T12:00:00Z";

    async fn presence(cloud: &Cloud, log_group_arn: Option<&str>) -> Answer<Presence> {
        let app = testing::app(&cloud.sdk());
        let (name, record) = (ServerName::parse("main").unwrap(), testing::record().into());
        let (lease, deployment) = (testing::lease(), testing::deployment());
        let visit = Visit::new(&app, &deployment, &name, &lease, &record, testing::invocation(NOW.parse().unwrap()));
        let server = Server { log_group_arn: log_group_arn.map(str::to_owned), ..testing::server(AwsState::Online) };
        visit.presence(&server).await
    }

    fn event(activity: &str, session: &str) -> Value {
        let message = json!({ "activity-type": activity, "session-id": session, "user": "alice" });
        json!({ "timestamp": 1_767_268_800_000_i64, "message": message.to_string() })
    }

    #[tokio::test]
    async fn the_log_says_who_is_there() {
        let cloud = Cloud::new();
        cloud.answer_with(|operation, input| {
            let second = input["nextToken"] == "two";
            let page = if second { event("CONNECTED", "2") } else { event("CONNECTED", "1") };
            let next = if second { Value::Null } else { json!("two") };
            (operation == "FilterLogEvents").then(|| (200, json!({ "events": [page], "nextToken": next })))
        });
        let Answer::Known(presence) = presence(&cloud, Some(testing::LOG_GROUP)).await else { panic!("not answered") };
        assert_eq!(presence.sessions.len(), 2);
        let (_, input) = &cloud.calls()[0];
        assert_eq!(input["logGroupName"], "/aws/vendedlogs/wharfinger/harbour/sftp");
        // Online since 00:05, and seen to be some minutes late.
        assert_eq!(input["startTime"], 1_767_225_600_000_i64);
    }

    #[tokio::test]
    async fn a_log_that_does_not_end_says_nothing() {
        let cloud = Cloud::new();
        let pages = Arc::new(Mutex::new(0));
        cloud.answer_with(move |_, _| {
            let mut page = pages.lock().unwrap();
            *page += 1;
            Some((200, json!({ "events": [], "nextToken": page.to_string() })))
        });
        let Answer::Unknown(reason) = presence(&cloud, Some(testing::LOG_GROUP)).await else { panic!("answered") };
        assert!(reason.ends_with("it has more than 20 pages"), "{reason}");
        assert_eq!(cloud.count("FilterLogEvents"), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_is_not_answered_in_time_says_nothing() {
        let cloud = Cloud::new();
        cloud.answer("FilterLogEvents", json!({ "events": [] }));
        cloud.meet("FilterLogEvents", 2);
        let Answer::Unknown(reason) = presence(&cloud, Some(testing::LOG_GROUP)).await else { panic!("answered") };
        assert!(reason.ends_with("it takes longer than 8 s"), "{reason}");
    }

    #[tokio::test]
    async fn only_the_deployment_s_own_group_is_read() {
        let cloud = Cloud::new();
        let other = "arn:aws:logs:us-east-1:000000000000:log-group:/other:*";
        for destination in [None, Some(other)] {
            assert_eq!(presence(&cloud, destination).await, Answer::NotAsked);
        }
        assert_eq!(cloud.count("FilterLogEvents"), 0);
        let refused = presence(&cloud, Some(testing::LOG_GROUP.trim_end_matches(":*"))).await;
        assert!(matches!(refused, Answer::Unknown(_)), "{refused:?}");
    }

    #[test]
    fn a_log_that_began_later_than_the_sessions_is_not_asked() {
        let now: Timestamp = NOW.parse().unwrap();
        let ago = |hours| Some(now - SignedDuration::from_hours(hours));
        assert!(!is_partial(None, ago(9), now), "it was there from the beginning");
        assert!(is_partial(ago(5), ago(9), now) && is_partial(ago(5), None, now));
        assert!(!is_partial(ago(5), ago(4), now), "it has been started anew since");
        assert!(!is_partial(ago(24), ago(90), now), "sessions of before would have shown in the metrics");
    }

    #[test]
    fn the_log_is_read_back_for_a_day_at_most() {
        let now: Timestamp = NOW.parse().unwrap();
        let day = now - SignedDuration::from_hours(24);
        assert_eq!(look_back(None, now), day);
        assert_eq!(look_back(Some(now - SignedDuration::from_hours(240)), now), day);
        assert_eq!(look_back(Some(now), now), now - SignedDuration::from_mins(5));
        assert_eq!(look_back(Some(Timestamp::MIN), Timestamp::MIN), Timestamp::MIN);
    }
}
