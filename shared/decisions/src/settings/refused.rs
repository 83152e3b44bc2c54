//! Settings that AWS refuses to give to a rebuilt server, because what they name is gone: a log group, a workflow, a
//! security policy. The server is made without them, and what was recorded is kept until somebody puts it right.
//!
//! AWS says one thing at a time, and not always which setting it means. So each setting is left out in turn: the one
//! without which AWS takes the server, or objects to something else, is the one that it meant. If there is none, all are
//! left out together: AWS may say the same of two of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Settings;
use crate::condition::{Condition, Severity};

/// The code of the condition of a server that lacks settings which AWS refused.
pub const SETTING_REFUSED: &str = "setting_refused";

/// What the tags of others are called, which are left out together.
const TAGS: &str = "Tags";

/// Without it the server would be another one to its clients.
const NEVER_LEFT_OUT: &str = "IpAddressType";

/// A setting that AWS refused, and that the server was made without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedSetting {
    /// AWS's name of it: `WorkflowDetails`; `Tags` for the tags of others.
    pub member: String,
    /// What was recorded.
    pub value: Value,
    /// What the server has instead; null if nothing.
    #[serde(default)]
    pub instead: Value,
    /// AWS's objection, in a sentence.
    pub message: String,
}

/// The search for the settings that AWS means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// What is given where a setting is left out, by member.
    defaults: BTreeMap<String, Value>,
    /// What AWS refused last.
    settings: Settings,
    /// What it said.
    message: String,
    /// What it may mean, the next to be left out first, each with what is left out with it.
    suspects: Vec<Vec<String>>,
    refused: Vec<RefusedSetting>,
}

/// How far a search has come, for whoever goes on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// When it came so far.
    pub at: Timestamp,
    /// What AWS said last.
    message: String,
    /// What it may mean, the next to be left out first, each with what is left out with it.
    suspects: Vec<Vec<String>>,
    /// What it was found to mean.
    #[serde(default)]
    refused: Vec<RefusedSetting>,
}

impl Search {
    /// How far it has come at `at`.
    #[must_use]
    pub fn progress(&self, at: Timestamp) -> Progress {
        let Self { message, suspects, refused, .. } = self.clone();
        Progress { at, message, suspects, refused }
    }

    /// The search for what AWS means of `settings`, after `progress` was made with the same.
    #[must_use]
    pub fn resumed(mut settings: Settings, defaults: BTreeMap<String, Value>, progress: Progress) -> Self {
        let Progress { message, suspects, refused, .. } = progress;
        for RefusedSetting { member, instead, .. } in &refused {
            match instead {
                _ if member == TAGS => settings.tags.clear(),
                Value::Null => drop(settings.members.remove(member)),
                instead => drop(settings.members.insert(member.clone(), instead.clone())),
            }
        }
        Self { defaults, settings, message, suspects, refused }
    }

    /// AWS refused `settings` with this `message`. A setting that is left out becomes what `defaults` says, or, if it was
    /// that, nothing.
    #[must_use]
    pub fn new(settings: Settings, defaults: BTreeMap<String, Value>, message: String) -> Self {
        let suspects = suspects(&settings, &defaults);
        Self { defaults, settings, message, suspects, refused: Vec::new() }
    }

    /// The settings to ask with next; `None` if AWS means none of them.
    #[must_use]
    pub fn next(&self) -> Option<Settings> {
        self.suspects.first().map(|left_out| self.without(left_out))
    }

    /// The search after AWS has refused the [`next`](Self::next) settings too.
    #[must_use]
    pub fn after_refusal(mut self, message: String) -> Self {
        if self.suspects.is_empty() {
            return self;
        }
        let left_out = self.suspects.remove(0);
        if message == self.message {
            return self;
        }
        let settings = self.without(&left_out);
        let suspects = suspects(&settings, &self.defaults);
        Self { refused: self.refused_with(&left_out), settings, message, suspects, defaults: self.defaults }
    }

    /// What the server was made without, after AWS has taken the [`next`](Self::next) settings.
    #[must_use]
    pub fn taken(&self) -> Vec<RefusedSetting> {
        self.suspects.first().map_or_else(Vec::new, |left_out| self.refused_with(left_out))
    }

    fn without(&self, left_out: &[String]) -> Settings {
        let mut settings = self.settings.clone();
        for member in left_out {
            match self.default_for(member) {
                _ if member == TAGS => settings.tags.clear(),
                Some(default) => drop(settings.members.insert(member.clone(), default.clone())),
                None => drop(settings.members.remove(member)),
            }
        }
        settings
    }

    /// What is given instead of `member`.
    fn default_for(&self, member: &str) -> Option<&Value> {
        let default = self.defaults.get(member)?;
        (self.settings.members.get(member) != Some(default)).then_some(default)
    }

    /// The refused settings with those that are `left_out`. One whose default is refused too is still the one that was
    /// recorded.
    fn refused_with(&self, left_out: &[String]) -> Vec<RefusedSetting> {
        let mut refused = self.refused.clone();
        for member in left_out {
            let instead = self.default_for(member).cloned().unwrap_or_default();
            match refused.iter_mut().find(|refused| refused.member == *member) {
                Some(refused) => refused.instead = instead,
                None => refused.push(RefusedSetting {
                    member: member.clone(),
                    value: self.settings.value(member),
                    instead,
                    message: self.message.clone(),
                }),
            }
        }
        refused
    }
}

/// What may be left out of `settings`: each of them, then all. A security policy is always given: the default one is
/// never left out.
fn suspects(settings: &Settings, defaults: &BTreeMap<String, Value>) -> Vec<Vec<String>> {
    let is_last = |member: &str, value: &Value| member == "SecurityPolicyName" && defaults.get(member) == Some(value);
    let members =
        settings.members.iter().filter(|(member, value)| *member != NEVER_LEFT_OUT && !is_last(member, value));
    let tags = (!settings.tags.is_empty()).then(|| TAGS.to_owned());
    let all: Vec<String> = members.map(|(member, _)| member.clone()).chain(tags).collect();
    let together = (all.len() > 1).then(|| all.clone());
    all.into_iter().map(|member| vec![member]).chain(together).collect()
}

impl Settings {
    /// What they have of `member`, which may be `Tags`; null if nothing.
    fn value(&self, member: &str) -> Value {
        match member {
            TAGS => self.tags.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect(),
            _ => self.members.get(member).cloned().unwrap_or_default(),
        }
    }

    /// The settings with those that AWS `refused`, which are to be tried again.
    #[must_use]
    pub fn restored(mut self, refused: &[RefusedSetting]) -> Self {
        for RefusedSetting { member, value, .. } in refused {
            if member == TAGS {
                let tags = value.as_object().into_iter().flatten();
                let tags = tags.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
                self.tags.extend(tags);
            } else {
                self.members.insert(member.clone(), value.clone());
            }
        }
        self
    }
}

impl RefusedSetting {
    /// Whether a server with these `settings` is still without it: whatever else somebody has given it puts it right.
    #[must_use]
    pub fn is_missing(&self, settings: &Settings) -> bool {
        let there = settings.value(&self.member);
        bare(&there) == bare(&self.instead) || self.member == TAGS && settings.tags.is_empty()
    }

    fn sentence(&self) -> String {
        let Self { member, value, instead, message } = self;
        let instead = if instead.is_null() { "nothing".to_owned() } else { instead.to_string() };
        format!("instead of {member} {value} it has {instead} ({message})")
    }
}

/// AWS may show the ARN of a log group with or without `:*` at its end.
fn bare(value: &Value) -> String {
    value.to_string().replace(":*\"", "\"")
}

/// The `refused` settings as one condition that holds from `since`; `None` if there are none.
#[must_use]
pub fn condition(refused: &[RefusedSetting], since: Timestamp) -> Option<Condition> {
    if refused.is_empty() {
        return None;
    }
    let sentences: Vec<String> = refused.iter().map(RefusedSetting::sentence).collect();
    Some(Condition {
        code: SETTING_REFUSED.into(),
        severity: Severity::Error,
        message: format!("AWS refused a part of what was recorded, so it was made without: {}", sentences.join("; ")),
        remedy:
            "make what the setting names again and set it with UpdateServer, or set another one; what was recorded \
                 is tried again when it wakes the next time"
                .into(),
        since,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn settings(members: &Value, tags: &[&str]) -> Settings {
        serde_json::from_value(json!({
            "members": members,
            "tags": tags.iter().map(|tag| (tag.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>(),
        }))
        .unwrap()
    }
    fn defaults() -> BTreeMap<String, Value> {
        settings(&json!({ "SecurityPolicyName": "default", "StructuredLogDestinations": ["ours"] }), &[]).members
    }

    /// What AWS says of `settings` if it objects to these values, to one at a time.
    fn objection(settings: &Settings, to: &[&str]) -> Option<String> {
        let there = serde_json::to_string(settings).unwrap();
        to.iter().find(|value| there.contains(&format!("\"{value}\""))).map(|value| format!("{value} is gone"))
    }

    /// What a server with `settings` comes to where AWS objects to these values: its settings, what is refused, and how
    /// often AWS is asked. `None`: there is no server.
    fn made(settings: &Settings, to: &[&str]) -> Option<(Settings, Vec<RefusedSetting>, usize)> {
        let mut search = Search::new(settings.clone(), defaults(), objection(settings, to)?);
        for asked in 1.. {
            let next = search.next()?;
            match objection(&next, to) {
                None => return Some((next, search.taken(), asked)),
                Some(message) => search = search.after_refusal(message),
            }
            let progress = serde_json::to_value(search.progress(Timestamp::UNIX_EPOCH)).unwrap();
            let resumed = Search::resumed(settings.clone(), defaults(), serde_json::from_value(progress).unwrap());
            assert_eq!(resumed, search, "it goes on where it was");
        }
        None
    }
    fn members(refused: &[RefusedSetting]) -> Vec<&str> {
        refused.iter().map(|refused| refused.member.as_str()).collect()
    }

    #[test]
    fn what_aws_objects_to_is_left_out_and_nothing_else() {
        let recorded = settings(
            &json!({
                "PreAuthenticationLoginBanner": "ahoy", "WorkflowDetails": { "OnUpload": "w-1" },
                "SecurityPolicyName": "of 2025", "StructuredLogDestinations": ["theirs"],
            }),
            &["team"],
        );
        let (settings, refused, _) = made(&recorded, &["w-1"]).unwrap();
        assert_eq!(members(&refused), ["WorkflowDetails"]);
        assert_eq!((&refused[0].instead, refused[0].message.as_str()), (&Value::Null, "w-1 is gone"));
        assert_eq!(settings.clone().restored(&refused), recorded);
        assert_eq!(settings.members.len(), 3);

        let (settings, refused, _) = made(&recorded, &["of 2025", "theirs", "team"]).unwrap();
        assert_eq!(members(&refused), ["SecurityPolicyName", "StructuredLogDestinations", "Tags"]);
        assert_eq!(settings.members["SecurityPolicyName"], "default", "never without a policy");
        assert_eq!(settings.members["StructuredLogDestinations"], json!(["ours"]));
        assert_eq!(settings.restored(&refused), recorded);
    }

    #[test]
    fn a_default_that_is_refused_too_is_left_out_but_never_the_security_policy() {
        let plain = Settings { members: defaults(), ..Settings::default() };
        let (settings, refused, _) = made(&plain, &["ours"]).unwrap();
        assert_eq!((members(&refused), settings.members.len()), (vec!["StructuredLogDestinations"], 1));
        let recorded = self::settings(&json!({ "StructuredLogDestinations": ["theirs"] }), &[]);
        let (_, refused, _) = made(&recorded, &["theirs", "ours"]).unwrap();
        assert_eq!((&refused[0].value, &refused[0].instead, refused.len()), (&json!(["theirs"]), &Value::Null, 1));
        assert_eq!(made(&plain, &["default"]), None);
        assert_eq!(made(&self::settings(&json!({ "IpAddressType": "odd" }), &[]), &["odd"]), None);
    }

    #[test]
    fn an_objection_to_something_else_makes_no_server() {
        let recorded = settings(&json!({ "PreAuthenticationLoginBanner": "ahoy", "LoggingRole": "role" }), &["team"]);
        let mut search = Search::new(recorded, defaults(), "no room".into());
        let mut asked = 0;
        while search.next().is_some() {
            (search, asked) = (search.after_refusal("no room".into()), asked + 1);
        }
        assert_eq!((asked, search.taken()), (4, Vec::new()));
    }

    #[test]
    fn two_objections_that_read_alike_are_both_met() {
        let recorded = settings(&json!({ "PreAuthenticationLoginBanner": "ahoy", "LoggingRole": "role" }), &["team"]);
        let mut search = Search::new(recorded.clone(), defaults(), "gone".into());
        let objects = |settings: &Settings| settings.members.contains_key("LoggingRole") || !settings.tags.is_empty();
        while search.next().is_some_and(|next| objects(&next)) {
            search = search.after_refusal("gone".into());
        }
        let next = search.next().expect("AWS takes it without all of them");
        assert_eq!(next.restored(&search.taken()), recorded);
    }

    #[test]
    fn whatever_is_given_instead_puts_it_right() {
        let refused = |member: &str, value: Value, instead: Value| RefusedSetting {
            member: member.into(),
            value,
            instead,
            message: "gone".into(),
        };
        let policy = refused("SecurityPolicyName", json!("of 2025"), json!("default"));
        let with = |members: Value, tags: &[&str]| settings(&members, tags);
        assert!(policy.is_missing(&with(json!({ "SecurityPolicyName": "default" }), &[])));
        assert!(!policy.is_missing(&with(json!({ "SecurityPolicyName": "of 2026" }), &[])));
        let workflow = refused("WorkflowDetails", json!({ "OnUpload": "w-1" }), Value::Null);
        assert!(workflow.is_missing(&with(json!({}), &[])));
        assert!(!workflow.is_missing(&with(json!({ "WorkflowDetails": { "OnUpload": "w-2" } }), &[])));
        let tags = refused("Tags", json!({ "team": "x" }), Value::Null);
        assert!(tags.is_missing(&with(json!({}), &[])) && !tags.is_missing(&with(json!({}), &["team"])));
        let told = condition(&[policy], Timestamp::UNIX_EPOCH).unwrap();
        for part in ["SecurityPolicyName", "of 2025", "default", "gone"] {
            assert!(told.message.contains(part), "{told:?}");
        }
        assert_eq!(condition(&[], Timestamp::UNIX_EPOCH), None);
    }

    proptest! {
        /// However many settings AWS objects to, each is found, no other is left out, and it ends soon.
        #[test]
        fn exactly_what_aws_objects_to_is_left_out(
            names in prop::collection::btree_set("[A-H]", 1..8), bad in prop::collection::btree_set("[A-H]", 1..8),
        ) {
            let member = |name: &String| (name.clone(), json!(format!("value-{name}")));
            let recorded = Settings { members: names.iter().map(member).collect(), ..Settings::default() };
            let values: Vec<String> = bad.iter().map(|name| format!("value-{name}")).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let guilty: Vec<&str> = names.intersection(&bad).map(String::as_str).collect();
            match made(&recorded, &values) {
                None => prop_assert!(guilty.is_empty()),
                Some((settings, refused, asked)) => {
                    let mut found = members(&refused);
                    found.sort_unstable();
                    prop_assert_eq!(found, guilty);
                    prop_assert!(asked <= names.len() * (names.len() + 1));
                    prop_assert_eq!(settings.restored(&refused), recorded);
                }
            }
        }
    }
}
