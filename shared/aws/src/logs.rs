//! The structured log of SFTP sessions, in CloudWatch Logs.

use aws_sdk_cloudwatchlogs::{Client, types::FilteredLogEvent};
use jiff::Timestamp;
use wharfinger_decisions::presence::{LogLine, Presence};

use crate::{
    OnFirstUse,
    error::{AwsError, Kind},
};

/// So many pages are read. A page holds up to 10,000 lines, and may be empty though more follow: AWS ends it when it has
/// looked at enough of the group, which holds the lines of other servers too.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
const PAGES: usize = 20;

/// The activities that tell who is there. The others (RENAME, DELETE, AUTH_FAILURE, …) are left in the log.
/// <https://docs.aws.amazon.com/transfer/latest/userguide/cw-structure-logs.html>
const ACTIVITIES: [&str; 5] = ["CONNECTED", "DISCONNECTED", "OPEN", "CLOSE", "PARTIAL_CLOSE"];

/// CloudWatch Logs.
#[derive(Clone, Debug)]
pub struct Logs {
    client: OnFirstUse<Client>,
}

impl Logs {
    /// CloudWatch Logs as `client` reaches it.
    #[must_use]
    pub fn new(client: OnFirstUse<Client>) -> Self {
        Self { client }
    }

    /// Who is on the server `server_id` according to what the log group `group_arn` has of the time after `since`. Lines
    /// come some seconds late.
    ///
    /// # Errors
    /// When CloudWatch Logs fails, or more pages follow than are read: then what the last of them hold is not known, and
    /// so not who is there.
    pub async fn sessions(&self, group_arn: &str, server_id: &str, since: Timestamp) -> Result<Presence, AwsError> {
        let action = || format!("read the log of the sessions on server {server_id}");
        let unusable = |what: String| AwsError { action: action(), kind: Kind::Unanswered(what) };
        let (group, pattern) = question(group_arn, server_id).map_err(unusable)?;
        let question = self
            .client
            .filter_log_events()
            .log_group_name(group)
            .start_time(since.as_millisecond().max(0))
            .filter_pattern(pattern);
        let (mut lines, mut next) = (Vec::new(), None);
        for _ in 0..PAGES {
            let page = question.clone().set_next_token(next).send().await;
            let page = page.map_err(|error| AwsError::sort(action(), error))?;
            lines.extend(page.events().iter().filter_map(|event| line(event, since)));
            next = page.next_token;
            if next.is_none() {
                return Ok(Presence::read(&lines));
            }
        }
        Err(unusable(format!("it has more than {PAGES} pages")))
    }
}

/// The group's name, and the pattern of the lines about the server: its ARN is that of the group's account and Region.
/// The names of streams are not documented.
fn question<'a>(group_arn: &'a str, server_id: &str) -> Result<(&'a str, String), String> {
    let parts: Vec<&str> = group_arn.splitn(7, ':').collect();
    let ["arn", partition, "logs", region, account, "log-group", group] = parts[..] else {
        return Err(format!("{group_arn:?} is not the ARN of a log group"));
    };
    let server = format!("arn:{partition}:transfer:{region}:{account}:server/{server_id}");
    let activities = ACTIVITIES.map(|activity| format!("$.activity-type = \"{activity}\"")).join(" || ");
    let pattern = format!("{{ $.resource-arn = \"{server}\" && ({activities}) }}");
    Ok((group.strip_suffix(":*").unwrap_or(group), pattern))
}

/// A line whose time is missing counts as one of the first.
fn line(event: &FilteredLogEvent, since: Timestamp) -> Option<LogLine> {
    let at = event.timestamp().or(event.ingestion_time());
    let at = at.and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(since);
    Some(LogLine { at, message: event.message()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_for_by_its_arn_in_the_group_s_account() {
        let arn = "arn:aws-cn:logs:cn-north-1:111122223333:log-group:/aws/vendedlogs/sftp:*";
        let (group, pattern) = question(arn, "s-1").unwrap();
        assert_eq!(group, "/aws/vendedlogs/sftp");
        assert_eq!(
            pattern,
            "{ $.resource-arn = \"arn:aws-cn:transfer:cn-north-1:111122223333:server/s-1\" && ($.activity-type = \
             \"CONNECTED\" || $.activity-type = \"DISCONNECTED\" || $.activity-type = \"OPEN\" || $.activity-type = \
             \"CLOSE\" || $.activity-type = \"PARTIAL_CLOSE\") }"
        );
        assert_eq!(question(arn.trim_end_matches(":*"), "s-1").unwrap().0, group);
        assert!(question("/aws/vendedlogs/sftp", "s-1").is_err());
    }

    #[test]
    fn a_line_without_a_time_counts_as_one_of_the_first() {
        let event = FilteredLogEvent::builder().message("{}").build();
        assert_eq!(line(&event, Timestamp::UNIX_EPOCH).unwrap().at, Timestamp::UNIX_EPOCH);
        let event = FilteredLogEvent::builder().message("{}").timestamp(7).ingestion_time(9).build();
        assert_eq!(line(&event, Timestamp::UNIX_EPOCH).unwrap().at, Timestamp::from_millisecond(7).unwrap());
        assert_eq!(line(&FilteredLogEvent::builder().build(), Timestamp::UNIX_EPOCH), None);
    }
}
