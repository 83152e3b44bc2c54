//! The events that a site has heard of, so that one delivered again changes nothing, and a partial upload that is told
//! after its own completion holds nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::sftp_event::{Change, Effect};

/// When (ms), which event, which file, and whether it settled the file: whole or gone.
type Entry = (u64, u64, u64, bool);

/// How many bytes an entry takes when it is written.
pub const ENTRY_BYTES: usize = 22;

/// The highest bit of an entry's 48 bits of time, which the year 6429 will need.
const SETTLES: u64 = 1 << 47;

/// A set of events with the files that they touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenEvents {
    entries: BTreeSet<Entry>,
    known: BTreeSet<(u64, u64)>,
    settled: BTreeMap<u64, u64>,
}

impl SeenEvents {
    /// How many there are: one for each event and file.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When the latest of them was made, in milliseconds since 1970.
    #[must_use]
    pub fn latest(&self) -> Option<u64> {
        self.entries.last().map(|(at, ..)| *at)
    }

    /// Whether this event was heard of before, with regard to this file.
    #[must_use]
    pub fn knows(&self, event: u64, file: u64) -> bool {
        self.known.contains(&(event, file))
    }

    /// Adds those of `others`.
    pub fn extend(&mut self, others: &Self) {
        others.entries.iter().for_each(|entry| self.insert(*entry));
    }

    /// When the file was last made whole or taken away.
    pub(crate) fn settled(&self, file: u64) -> Option<Timestamp> {
        self.settled.get(&file).and_then(|at| Timestamp::from_millisecond(i64::try_from(*at).ok()?).ok())
    }

    pub(crate) fn remember(&mut self, change: &Change, file: u64) {
        let settles = matches!(change.effect, Effect::Whole | Effect::Gone);
        let at = u64::try_from(change.at.as_millisecond()).unwrap_or_default();
        self.insert((at.min(SETTLES - 1), change.event, file, settles));
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

    fn of(entries: Option<Vec<Entry>>) -> Option<Self> {
        let mut seen = Self::default();
        entries?.into_iter().for_each(|entry| seen.insert(entry));
        Some(seen)
    }
}

/// Bytes of fixed-width entries: a list of numbers would be four times as large in the table.
impl Serialize for SeenEvents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(self.len() * ENTRY_BYTES);
        for (at, event, file, settles) in &self.entries {
            let at = if *settles { at | SETTLES } else { *at };
            bytes.extend(&at.to_be_bytes()[2..]);
            bytes.extend(event.to_be_bytes());
            bytes.extend(file.to_be_bytes());
        }
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for SeenEvents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Form)
    }
}

/// Bytes as they are written now, or the hexadecimal string of release 0.1.
struct Form;

impl<'de> de::Visitor<'de> for Form {
    type Value = SeenEvents;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("entries of 22 bytes, or of 45 hexadecimal digits")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        let entries = bytes.chunks(ENTRY_BYTES).map(entry).collect();
        SeenEvents::of(entries).ok_or_else(|| E::invalid_length(bytes.len(), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let entries = text.as_bytes().chunks(45).map(hexadecimal_entry).collect();
        SeenEvents::of(entries).ok_or_else(|| E::invalid_value(de::Unexpected::Str("another form"), &self))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut numbers: A) -> Result<Self::Value, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = numbers.next_element()? {
            bytes.push(byte);
        }
        self.visit_bytes(&bytes)
    }
}

fn entry(bytes: &[u8]) -> Option<Entry> {
    let number = |range: std::ops::Range<usize>| {
        Some(bytes.get(range)?.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)))
    };
    let (at, event, file) = (number(0..6)?, number(6..14)?, number(14..22)?);
    Some((at & !SETTLES, event, file, at & SETTLES != 0))
}

fn hexadecimal_entry(text: &[u8]) -> Option<Entry> {
    let text = std::str::from_utf8(text).ok()?;
    let number = |range: std::ops::Range<usize>| u64::from_str_radix(text.get(range)?, 16).ok();
    Some((number(0..12)? & !SETTLES, number(12..28)?, number(28..44)?, text.get(44..45)? == "1"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_events() -> impl Strategy<Value = SeenEvents> {
        let entry = (0..SETTLES, any::<u64>(), any::<u64>(), any::<bool>());
        prop::collection::vec(entry, 0..40).prop_map(|entries| SeenEvents::of(Some(entries)).unwrap())
    }

    proptest! {
        #[test]
        fn they_read_back_as_they_were_written(seen in any_events()) {
            let text = serde_json::to_string(&seen).unwrap();
            prop_assert_eq!(serde_json::from_str::<SeenEvents>(&text).unwrap(), seen);
        }

        #[test]
        fn the_string_of_release_0_1_is_read(seen in any_events()) {
            let entry = |(at, event, file, settles): &Entry| {
                format!("{at:012x}{event:016x}{file:016x}{}", u8::from(*settles))
            };
            let text: String = seen.entries.iter().map(entry).collect();
            prop_assert_eq!(serde_json::from_value::<SeenEvents>(text.into()).unwrap(), seen);
        }
    }

    #[test]
    fn what_has_another_form_is_refused() {
        assert!(serde_json::from_str::<SeenEvents>("[1,2,3]").is_err());
        assert!(serde_json::from_str::<SeenEvents>(r#""zz""#).is_err());
    }
}
