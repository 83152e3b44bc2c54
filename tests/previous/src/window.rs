//! A site's window: the changes since its last rollout, and the lock that a rollout in flight holds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A site's window as the table holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRecord {
    /// The changes since the last rollout.
    #[serde(default)]
    pub window: Window,
    /// The events that were heard of.
    #[serde(default)]
    pub memory: Memory,
    /// When the armed tick is due. In the past: it is on its way or lost.
    #[serde(default)]
    pub armed_until: Option<Timestamp>,
    /// The rollout in flight. No other one starts before it is over.
    #[serde(default)]
    pub rollout: Option<String>,
    /// Counts the writes; 0: there is no item yet.
    #[serde(default)]
    pub version: u64,
}

/// The changes to a site since its last rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Window {
    /// All changes of the site ever counted.
    pub seq: u64,
    /// Those that a rollout has claimed.
    pub claimed_seq: u64,
    /// When the first unclaimed change was made.
    pub first_change: Option<Timestamp>,
    /// When the last unclaimed change was made.
    pub last_change: Option<Timestamp>,
    /// How much was uploaded.
    pub bytes: u64,
    /// The files changed last and when.
    pub files: BTreeMap<String, Timestamp>,
    /// The users who changed something last and when.
    pub users: BTreeMap<String, Timestamp>,
    /// The partial uploads and when they broke off.
    pub holds: BTreeMap<String, Timestamp>,
    /// When the marker file was uploaded.
    pub marker: Option<Timestamp>,
}

/// The latest events of a site: when, which event, which file, and whether it settled the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory(pub Vec<(i64, u64, u64, bool)>);

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = |(at, event, file, settles): &(i64, u64, u64, bool)| {
            format!("{at:012x}{event:016x}{file:016x}{}", u8::from(*settles))
        };
        serializer.serialize_str(&self.0.iter().map(entry).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let chunks = text.as_bytes().chunks(45).map(|chunk| std::str::from_utf8(chunk).ok().and_then(entry));
        let entries = chunks.collect::<Option<_>>();
        entries.map(Self).ok_or_else(|| D::Error::custom("an entry of the memory has another form"))
    }
}

fn entry(text: &str) -> Option<(i64, u64, u64, bool)> {
    let number = |part: Option<&str>| u64::from_str_radix(part?, 16).ok();
    Some((
        i64::try_from(number(text.get(..12))?).ok()?,
        number(text.get(12..28))?,
        number(text.get(28..44))?,
        text.get(44..45)? == "1",
    ))
}
