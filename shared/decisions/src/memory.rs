//! The latest events that a site has heard of, so that one delivered again changes nothing, and a partial upload that
//! is told after its own completion holds nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::change::{Change, Effect};

/// The most entries that are kept, the latest by their time. An older event that comes again costs a rollout too many
/// at most. Each takes 45 bytes in the table, whose window must stay well below DynamoDB's 400 KB.
pub const MOST_ENTRIES: usize = 1000;

/// When, which event, which file, and whether it settled the file: whole or gone.
type Entry = (i64, u64, u64, bool);

/// The latest events of a site, at most [`MOST_ENTRIES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    entries: BTreeSet<Entry>,
    known: BTreeSet<(u64, u64)>,
    settled: BTreeMap<u64, i64>,
}

impl Memory {
    /// Whether this event was heard of before, with regard to this file.
    #[must_use]
    pub fn knows(&self, event: u64, file: u64) -> bool {
        self.known.contains(&(event, file))
    }

    /// When the file was last made whole or taken away.
    pub(crate) fn settled(&self, file: u64) -> Option<Timestamp> {
        self.settled.get(&file).and_then(|at| Timestamp::from_millisecond(*at).ok())
    }

    pub(crate) fn remember(&mut self, change: &Change, file: u64) {
        let settles = matches!(change.effect, Effect::Whole | Effect::Gone);
        self.insert((change.at.as_millisecond().max(0), change.event, file, settles));
        while self.entries.len() > MOST_ENTRIES {
            let Some((at, event, file, _)) = self.entries.pop_first() else { return };
            self.known.remove(&(event, file));
            if self.settled.get(&file) == Some(&at) {
                self.settled.remove(&file);
            }
        }
    }

    fn insert(&mut self, entry: Entry) {
        let (at, event, file, settles) = entry;
        self.entries.insert(entry);
        self.known.insert((event, file));
        if settles {
            let latest = self.settled.entry(file).or_insert(at);
            *latest = at.max(*latest);
        }
    }
}

/// One string of fixed-width hexadecimal entries: a list of numbers would be three times as large in the table.
impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry =
            |(at, event, file, settles): &Entry| format!("{at:012x}{event:016x}{file:016x}{}", u8::from(*settles));
        serializer.serialize_str(&self.entries.iter().map(entry).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut memory = Self::default();
        for chunk in text.as_bytes().chunks(45) {
            let chunk = std::str::from_utf8(chunk).map_err(D::Error::custom)?;
            memory.insert(entry(chunk).ok_or_else(|| D::Error::custom("an entry of the memory has another form"))?);
        }
        Ok(memory)
    }
}

fn entry(text: &str) -> Option<Entry> {
    let number = |part: Option<&str>| u64::from_str_radix(part?, 16).ok();
    Some((
        i64::try_from(number(text.get(..12))?).ok()?,
        number(text.get(12..28))?,
        number(text.get(28..44))?,
        text.get(44..45)? == "1",
    ))
}
