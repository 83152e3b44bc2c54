//! What a Transfer Family event means for the sites: which files changed, and whether they are complete.
//!
//! Every field of an event is optional, and an event can come late, twice or out of order. The deepest site directory
//! that contains a path owns it; a rename can touch two sites, and that of a directory all sites beneath it.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    directory::{Directory, split_event_path},
    ids::FileSystemId,
    names::SiteName,
    site::SiteSpec,
};

/// The name of the site's own directory among its files.
pub const WHOLE_SITE: &str = ".";

/// The longest file name that is kept, in bytes: a window must fit into one item of the table.
pub const LONGEST_NAME: usize = 512;

/// What an SFTP user did, according to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SftpEvent {
    /// Tells this event from others; the same for each of its deliveries.
    pub id: u64,
    /// When it happened; never later than it was heard of.
    pub at: Timestamp,
    /// It says itself when it happened. Else `at` is the moment of this delivery, and another one at the next.
    pub dated: bool,
    /// The Transfer Family server.
    pub server_id: Option<String>,
    /// Who.
    pub user: Option<String>,
    /// How much was uploaded.
    pub bytes: u64,
    touched: Vec<Touched>,
    /// What it touched, under paths that name no file system.
    unplaced: Vec<Touch>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Touched {
    file_system: FileSystemId,
    touch: Touch,
}

/// What was done to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Touch {
    path: String,
    effect: Effect,
    /// It may be a directory with all that lies beneath it.
    renamed: bool,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It was uploaded or renamed to this name, and is complete.
    Whole,
    /// Its upload broke off, and it is partial.
    Partial,
    /// It was deleted or renamed away.
    Gone,
    /// Something else changed: a directory, or a file whose upload failed for another cause after some of it was
    /// written.
    Other,
}

/// A change of one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The event's [`SftpEvent::id`].
    pub event: u64,
    /// When.
    pub at: Timestamp,
    /// Whether each delivery of the event gives this time: see [`SftpEvent::dated`].
    pub dated: bool,
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

/// Reads a Transfer Family event that arrived at `now`, or `None` if it is another event. The EventBridge rule decides
/// which sources are trusted: a forwarded or replayed event has the source of whoever sent it.
#[must_use]
pub fn read(event: &Value, now: Timestamp) -> Option<SftpEvent> {
    let kind = event["detail-type"].as_str().filter(|kind| kind.starts_with("SFTP Server "))?;
    let detail = &event["detail"];
    let time = |field: &Value| field.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let own_time = time(&detail["end-timestamp"]).or_else(|| time(&event["time"]));
    let at = own_time.unwrap_or(now).min(now);
    let (touched, unplaced) = touched(kind, detail);
    let identity = event["id"].as_str().map_or_else(|| event.to_string(), ToOwned::to_owned);
    Some(SftpEvent {
        id: digest(&identity),
        at: Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at),
        dated: own_time.is_some(),
        server_id: text(&detail["server-id"]).map(ToOwned::to_owned),
        user: text(&detail["username"]).map(|user| shortened(user, 100)),
        bytes: detail["bytes"].as_u64().unwrap_or(0),
        touched,
        unplaced,
    })
}

/// A text that says something: what is empty would be refused as a key of the table.
fn text(field: &Value) -> Option<&str> {
    field.as_str().filter(|text| !text.is_empty())
}

/// What the event touched, and what of it lies under a path that names no file system.
fn touched(kind: &str, detail: &Value) -> (Vec<Touched>, Vec<Touch>) {
    // Only S3 gives a file an `etag`: a path in it is none on a file system, however it reads.
    if !detail["etag"].is_null() {
        return (Vec::new(), Vec::new());
    }
    // An upload that was refused, for want of a permission or of space, has written nothing: the site is as it was.
    let failed_upload: &[(&str, Effect)] = match detail["failure-code"].as_str() {
        Some("PARTIAL_UPLOAD") => &[("file-path", Effect::Partial)],
        _ if detail["bytes"].as_u64().unwrap_or(0) > 0 => &[("file-path", Effect::Other)],
        _ => &[],
    };
    let effects: &[(&str, Effect)] = match kind.strip_prefix("SFTP Server ").unwrap_or(kind) {
        "File Upload Completed" => &[("file-path", Effect::Whole)],
        "File Upload Failed" => failed_upload,
        "File Delete Completed" => &[("file-path", Effect::Gone)],
        "File Rename Completed" => &[("original-file-path", Effect::Gone), ("renamed-file-path", Effect::Whole)],
        "Directory Create Completed" | "Directory Delete Completed" => &[("directory-path", Effect::Other)],
        _ => &[],
    };
    let (mut touched, mut unplaced) = (Vec::new(), Vec::new());
    for (field, effect) in effects {
        let Some(path) = text(&detail[*field]) else { continue };
        let touch = |path: &str| Touch { path: path.to_owned(), effect: *effect, renamed: kind.contains(" Rename ") };
        match split_event_path(path) {
            Some((file_system, path)) => touched.push(Touched { file_system, touch: touch(path) }),
            None => unplaced.push(touch(path)),
        }
    }
    (touched, unplaced)
}

impl SftpEvent {
    /// Whether it touches something on `file_system`; `None`: on any, as far as that is known.
    #[must_use]
    pub fn is_on(&self, file_system: Option<&str>) -> bool {
        self.touched.iter().any(|touched| file_system.is_none_or(|id| touched.file_system.as_str() == id))
    }

    /// The paths that name no file system.
    pub fn unplaced(&self) -> impl Iterator<Item = &str> {
        self.unplaced.iter().map(|touch| touch.path.as_str())
    }

    /// Places the paths that name no file system in `home` on `file_system`, the directory that the user sees as `/`. One
    /// that climbs out of it stays unplaced.
    pub fn place_in(&mut self, file_system: &FileSystemId, home: &Directory) {
        for touch in std::mem::take(&mut self.unplaced) {
            match below(home, &touch.path) {
                Some(path) => {
                    self.touched.push(Touched { file_system: file_system.clone(), touch: Touch { path, ..touch } });
                }
                None => self.unplaced.push(touch),
            }
        }
    }

    /// The changes that the event makes to `sites`: for each path at most one a site.
    #[must_use]
    pub fn changes<'a>(&self, sites: &'a [(SiteName, SiteSpec)]) -> Vec<(&'a SiteName, Change)> {
        self.touched.iter().flat_map(|touched| self.changes_of(touched, sites)).collect()
    }

    fn changes_of<'a>(&self, touched: &Touched, sites: &'a [(SiteName, SiteSpec)]) -> Vec<(&'a SiteName, Change)> {
        let Touched { file_system, touch } = touched;
        let there = || sites.iter().filter(|(_, spec)| spec.file_system_id == *file_system);
        let owner = there()
            .filter(|(_, spec)| spec.directory.contains(&touch.path))
            .max_by_key(|(_, spec)| spec.directory.depth());
        let beneath = there().filter(|(_, spec)| touch.renamed && spec.directory.is_beneath(&touch.path));
        let changes = owner.into_iter().chain(beneath);
        changes.filter_map(|(name, spec)| Some((name, self.change(touch, spec)?))).collect()
    }

    /// The change of the site `spec`; `None` if the site ignores such files.
    fn change(&self, touch: &Touch, spec: &SiteSpec) -> Option<Change> {
        let below = match spec.directory.as_str() {
            "/" => touch.path.as_str(),
            directory => touch.path.strip_prefix(directory).unwrap_or_default(),
        };
        let file = below.trim_start_matches('/');
        let uploaded = touch.effect == Effect::Whole;
        let marker =
            uploaded && spec.finish.marker.is_some() && spec.finish.marker.as_deref() == file.rsplit('/').next();
        if !marker && spec.finish.ignores(file) {
            return None;
        }
        Some(Change {
            event: self.id,
            at: self.at,
            dated: self.dated,
            file: shortened(if file.is_empty() { WHOLE_SITE } else { file }, LONGEST_NAME),
            effect: touch.effect,
            bytes: self.bytes,
            user: self.user.clone(),
            marker,
        })
    }
}

/// `path`, as a user sees it whose `/` is `home`.
fn below(home: &Directory, path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let root = home.as_str().trim_end_matches('/');
    (!parts.contains(&"..")).then(|| match parts.as_slice() {
        [] => home.to_string(),
        parts => format!("{root}/{}", parts.join("/")),
    })
}

/// `text`, or if it has more than `longest` bytes its beginning and a digest of the whole.
#[must_use]
pub fn shortened(text: &str, longest: usize) -> String {
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
