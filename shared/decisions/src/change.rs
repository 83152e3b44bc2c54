//! What a Transfer Family event means for the sites: which files changed, and whether they are whole.
//!
//! Every field of an event is optional, and an event can come late, twice or out of order. The deepest site directory
//! that contains a path owns it; a rename can touch two sites.

use jiff::Timestamp;
use serde_json::Value;

use crate::{directory::split_event_path, ids::FileSystemId, names::SiteName, site::SiteSpec};

/// The longest file name that is kept, in bytes: a window must fit into one item of the table.
const LONGEST_NAME: usize = 512;

/// What an SFTP user did, as an event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SftpEvent {
    /// Tells this event from others; the same for each of its deliveries.
    pub id: u64,
    /// When it happened; never later than it was heard of.
    pub at: Timestamp,
    /// The Transfer Family server.
    pub server_id: Option<String>,
    /// Who.
    pub user: Option<String>,
    /// How much was uploaded.
    pub bytes: u64,
    touched: Vec<Touched>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Touched {
    file_system: FileSystemId,
    path: String,
    effect: Effect,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It was uploaded, or renamed to this name: it is whole.
    Whole,
    /// Its upload broke off: a part of it is there.
    Partial,
    /// It was deleted or renamed away.
    Gone,
    /// Something else changed: a directory, or a file whose upload failed for another cause.
    Other,
}

/// A change of one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The event's [`SftpEvent::id`].
    pub event: u64,
    /// When.
    pub at: Timestamp,
    /// The file or directory, below the site's directory; a very long name is shortened.
    pub file: String,
    /// What became of it.
    pub effect: Effect,
    /// How much was uploaded.
    pub bytes: u64,
    /// Who.
    pub user: Option<String>,
    /// It is the upload of the site's marker file.
    pub marker: bool,
}

/// Reads a Transfer Family event that was heard of at `now`. `None`: it is an event of another source.
#[must_use]
pub fn read(event: &Value, now: Timestamp) -> Option<SftpEvent> {
    if event["source"] != "aws.transfer" {
        return None;
    }
    let detail = &event["detail"];
    let time = |field: &Value| field.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let at = time(&detail["end-timestamp"]).or_else(|| time(&event["time"])).unwrap_or(now).min(now);
    let identity = event["id"].as_str().map_or_else(|| event.to_string(), ToOwned::to_owned);
    Some(SftpEvent {
        id: digest(&identity),
        at: Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at),
        server_id: detail["server-id"].as_str().map(ToOwned::to_owned),
        user: detail["username"].as_str().map(|user| shortened(user, 100)),
        bytes: detail["bytes"].as_u64().unwrap_or(0),
        touched: touched(event["detail-type"].as_str().unwrap_or_default(), detail),
    })
}

fn touched(kind: &str, detail: &Value) -> Vec<Touched> {
    let failed_upload = if detail["failure-code"] == "PARTIAL_UPLOAD" { Effect::Partial } else { Effect::Other };
    let effects: &[(&str, Effect)] = match kind.strip_prefix("SFTP Server ").unwrap_or(kind) {
        "File Upload Completed" => &[("file-path", Effect::Whole)],
        "File Upload Failed" => &[("file-path", failed_upload)],
        "File Delete Completed" => &[("file-path", Effect::Gone)],
        "File Rename Completed" => &[("original-file-path", Effect::Gone), ("renamed-file-path", Effect::Whole)],
        "Directory Create Completed" | "Directory Delete Completed" => &[("directory-path", Effect::Other)],
        _ => &[],
    };
    effects
        .iter()
        .filter_map(|(field, effect)| {
            let (file_system, path) = split_event_path(detail[*field].as_str()?)?;
            Some(Touched { file_system, path: path.to_owned(), effect: *effect })
        })
        .collect()
}

impl SftpEvent {
    /// The changes that the event makes to `sites`: at most one a path.
    #[must_use]
    pub fn changes<'a>(&self, sites: &'a [(SiteName, SiteSpec)]) -> Vec<(&'a SiteName, Change)> {
        self.touched.iter().filter_map(|touched| self.change(touched, sites)).collect()
    }

    fn change<'a>(&self, touched: &Touched, sites: &'a [(SiteName, SiteSpec)]) -> Option<(&'a SiteName, Change)> {
        let owns =
            |spec: &SiteSpec| spec.file_system_id == touched.file_system && spec.directory.contains(&touched.path);
        let (name, spec) =
            sites.iter().filter(|(_, spec)| owns(spec)).max_by_key(|(_, spec)| spec.directory.depth())?;
        let below = match spec.directory.as_str() {
            "/" => touched.path.as_str(),
            directory => touched.path.strip_prefix(directory).unwrap_or_default(),
        };
        let file = below.trim_start_matches('/');
        let last = file.rsplit('/').next();
        let uploaded = touched.effect == Effect::Whole;
        Some((
            name,
            Change {
                event: self.id,
                at: self.at,
                file: shortened(if file.is_empty() { "." } else { file }, LONGEST_NAME),
                effect: touched.effect,
                bytes: self.bytes,
                user: self.user.clone(),
                marker: uploaded && spec.finish.marker.is_some() && spec.finish.marker.as_deref() == last,
            },
        ))
    }
}

/// `text`, or if it has more than `longest` bytes its beginning and a digest of the whole.
fn shortened(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(longest - 20);
    format!("{}…{:016x}", &text[..end], digest(text))
}

/// FNV-1a, 64 bits: it must be the same in every process and version, which std's hasher does not promise.
pub(crate) fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
