//! `FilterLogEvents`: the events of a group, by time, stream and pattern, in pages.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    CloudWatchLogs, bad_token, check_limit,
    group::{Event, name_of},
    invalid, no_group,
    pattern::Pattern,
    refuse, refused,
};
use crate::{
    error::AwsError,
    input::{text, texts, whole},
};

/// Events on one page (AWS's limit).
const EVENTS: i64 = 10_000;

/// Bytes of messages on one page (AWS's limit).
const BYTES: usize = 1_048_576;

/// Events that one call looks at. AWS names no figure, but warns of pages that are empty although more follow.
const SEARCHED: usize = 2_500;

/// What a call asks for.
struct Wanted {
    start_ms: i64,
    end_ms: i64,
    streams: Vec<String>,
    prefix: String,
    pattern: Pattern,
}

impl Wanted {
    fn read(input: &Value) -> Result<Self, AwsError> {
        let (start_ms, end_ms) = (whole(input, "startTime").unwrap_or(0), whole(input, "endTime").unwrap_or(i64::MAX));
        if start_ms < 0 || end_ms < start_ms {
            return Err(invalid("startTime must be 0 or more, and not after endTime."));
        }
        let (streams, prefix) = (texts(input, "logStreamNames"), text(input, "logStreamNamePrefix"));
        if !streams.is_empty() && prefix.is_some() {
            return Err(invalid("logStreamNamePrefix and logStreamNames are mutually exclusive."));
        }
        let pattern = Pattern::parse(text(input, "filterPattern").unwrap_or_default());
        let pattern = pattern.map_err(|problem| invalid(&format!("Invalid filter pattern: {problem}")))?;
        Ok(Self { start_ms, end_ms, streams, prefix: prefix.unwrap_or_default().to_owned(), pattern })
    }

    fn is(&self, event: &Event) -> bool {
        (self.start_ms..=self.end_ms).contains(&event.at_ms)
            && (self.streams.is_empty() || self.streams.contains(&event.stream))
            && event.stream.starts_with(&self.prefix)
            && self.pattern.matches(&event.message)
    }
}

impl CloudWatchLogs {
    pub(super) fn filter_log_events(&self, input: &Value) -> Result<Value, AwsError> {
        refuse(input, &["unmask"])?;
        if input["startFromHead"] == false {
            return Err(invalid("This region does not support startFromHead=false."));
        }
        let name = group_name(input)?;
        let wanted = Wanted::read(input)?;
        let limit = check_limit(input, EVENTS)?;
        let after = text(input, "nextToken").map(read_token).transpose()?.unwrap_or(0);
        let now_ms = self.now_ms();
        let groups = self.groups.lock();
        let group = groups.get(name).ok_or_else(no_group)?;
        let known = |stream: &String| group.visible(now_ms).any(|event| event.stream == *stream);
        if !wanted.streams.iter().all(known) {
            return Err(refused("ResourceNotFoundException", "The specified log stream does not exist."));
        }
        let mut candidates = group.visible(now_ms).filter(|event| event.id > after).peekable();
        let (mut shown, mut last, mut bytes) = (Vec::new(), after, 0);
        for event in candidates.by_ref().take(SEARCHED) {
            last = event.id;
            if wanted.is(event) {
                bytes += event.message.len();
                shown.push(event.show());
            }
            if shown.len() == limit || bytes >= BYTES {
                break;
            }
        }
        let mut answer = json!({ "events": shown, "searchedLogStreams": [] });
        if candidates.peek().is_some() {
            answer["nextToken"] = URL_SAFE_NO_PAD.encode(last.to_string()).into();
        }
        Ok(answer)
    }
}

/// The group that an input names in one of two ways.
fn group_name(input: &Value) -> Result<&str, AwsError> {
    match (text(input, "logGroupName"), text(input, "logGroupIdentifier")) {
        (Some(name), None) => Ok(name),
        (None, Some(id)) if id.starts_with("arn:") => name_of(id).ok_or_else(no_group),
        (None, Some(name)) => Ok(name),
        _ => Err(invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")),
    }
}

fn read_token(token: &str) -> Result<u64, AwsError> {
    let last = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    last.and_then(|last| last.parse().ok()).ok_or_else(bad_token)
}
