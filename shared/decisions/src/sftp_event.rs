//! What a Transfer Family event means for the sites: which files changed, and whether they are complete.
//!
//! Every field of an event is optional, and an event can come late, twice or out of order. The deepest site directory
//! that contains a path owns it; a rename can touch two sites.

use jiff::Timestamp;
use serde_json::Value;

use crate::{directory::split_event_path, ids::FileSystemId, names::SiteName, site::SiteSpec};

/// The longest file name that is kept, in bytes: a window must fit into one item of the table.
const LONGEST_NAME: usize = 512;

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
    let identity = event["id"].as_str().map_or_else(|| event.to_string(), ToOwned::to_owned);
    Some(SftpEvent {
        id: digest(&identity),
        at: Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at),
        dated: own_time.is_some(),
        server_id: text(&detail["server-id"]).map(ToOwned::to_owned),
        user: text(&detail["username"]).map(|user| shortened(user, 100)),
        bytes: detail["bytes"].as_u64().unwrap_or(0),
        touched: touched(kind, detail),
    })
}

/// A text that says something: what is empty would be refused as a key of the table.
fn text(field: &Value) -> Option<&str> {
    field.as_str().filter(|text| !text.is_empty())
}

fn touched(kind: &str, detail: &Value) -> Vec<Touched> {
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
    effects
        .iter()
        .filter_map(|(field, effect)| {
            let (file_system, path) = split_event_path(detail[*field].as_str()?)?;
            Some(Touched { file_system, path: path.to_owned(), effect: *effect })
        })
        .collect()
}

impl SftpEvent {
    /// Whether it touches something on `file_system`; `None`: on any.
    #[must_use]
    pub fn is_on(&self, file_system: Option<&str>) -> bool {
        self.touched.iter().any(|touched| file_system.is_none_or(|id| touched.file_system.as_str() == id))
    }

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
                dated: self.dated,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FS: &str = "fs-0a1b2c3d4e5f60718";

    fn sites() -> Vec<(SiteName, SiteSpec)> {
        [("root", "/"), ("blog", "/sites/blog"), ("shop", "/sites/shop")]
            .map(|(name, directory)| {
                let spec = json!({"file_system_id": FS, "directory": directory, "cluster": "local", "service": "web",
                    "container": "web", "mount_path": "/srv", "finish": {"marker": ".deploy"}});
                (SiteName::parse(name).unwrap(), serde_json::from_value(spec).unwrap())
            })
            .into()
    }

    fn changes(kind: &str, detail: Value) -> Vec<(String, String, Effect)> {
        let event = json!({"id": "1", "source": "aws.transfer", "detail-type": format!("SFTP Server {kind}"),
            "time": "2026-01-29T17:20:27Z", "detail": detail});
        let event = read(&event, Timestamp::MAX).unwrap();
        let sites = sites();
        let changes = event.changes(&sites);
        changes.into_iter().map(|(site, change)| (site.to_string(), change.file, change.effect)).collect()
    }

    fn file(path: &str) -> String {
        format!("/{FS}{path}")
    }

    #[test]
    fn the_deepest_directory_owns_a_path() {
        let upload = |path| changes("File Upload Completed", json!({"file-path": file(path)}));
        assert_eq!(upload("/sites/blog/a/b"), [("blog".into(), "a/b".into(), Effect::Whole)]);
        assert_eq!(upload("/sites/blog2/a"), [("root".into(), "sites/blog2/a".into(), Effect::Whole)]);
        let elsewhere = json!({"file-path": "/fs-11111111/sites/blog/a"});
        assert!(changes("File Upload Completed", elsewhere).is_empty());
    }

    #[test]
    fn a_rename_can_touch_two_sites() {
        let detail = json!({"original-file-path": file("/sites/blog/a"), "renamed-file-path": file("/sites/shop/b")});
        let expected = [("blog".into(), "a".into(), Effect::Gone), ("shop".into(), "b".into(), Effect::Whole)];
        assert_eq!(changes("File Rename Completed", detail), expected);
    }

    #[test]
    fn a_failed_upload_is_partial_only_where_the_event_says_so() {
        let failed = |code, bytes| {
            let detail = json!({"file-path": file("/x"), "failure-code": code, "bytes": bytes});
            changes("File Upload Failed", detail)[0].2
        };
        assert_eq!(failed("PARTIAL_UPLOAD", 0), Effect::Partial);
        assert_eq!(failed("PARTIAL_UPLOAD", 7), Effect::Partial);
        assert_eq!(failed("UNKNOWN_ERROR", 7), Effect::Other);
    }

    #[test]
    fn a_refused_upload_that_wrote_nothing_changes_nothing() {
        let refused = json!({"file-path": file("/x"), "failure-code": "PERMISSION_DENIED", "bytes": 0});
        assert!(changes("File Upload Failed", refused).is_empty());
        let untold = json!({"file-path": file("/x"), "failure-code": "PERMISSION_DENIED"});
        assert!(changes("File Upload Failed", untold).is_empty());
    }

    #[test]
    fn what_changes_nothing_is_nothing() {
        for kind in ["File Download Completed", "File Delete Failed", "Directory Create Failed", "Something New"] {
            assert!(changes(kind, json!({"file-path": file("/x"), "directory-path": file("/x")})).is_empty(), "{kind}");
        }
        assert!(changes("File Upload Completed", json!({})).is_empty());
        assert!(read(&json!({"source": "aws.transfer", "detail-type": "Object Created"}), Timestamp::MAX).is_none());
        assert!(read(&json!(null), Timestamp::MAX).is_none());
    }

    #[test]
    fn an_event_is_never_later_than_it_was_heard_of() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let event = |time: &str| {
            read(
                &json!({"detail-type": "SFTP Server File Upload Completed", "time": "2025-01-01T00:00:00Z", "detail": {"end-timestamp": time}}),
                now,
            )
        };
        assert_eq!(event("2027-01-01T00:00:00.123456789Z").unwrap().at, now);
        assert_eq!(event("2025-06-01T00:00:00.5Z").unwrap().at, "2025-06-01T00:00:00.5Z".parse().unwrap());
        assert_eq!(event("yesterday").unwrap().at, "2025-01-01T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn what_is_empty_is_nobody_and_no_server() {
        let detail = json!({"file-path": file("/x"), "username": "", "server-id": ""});
        let event = json!({"detail-type": "SFTP Server File Upload Completed", "detail": detail});
        let event = read(&event, Timestamp::MAX).unwrap();
        assert_eq!((event.user, event.server_id), (None, None));
    }

    #[test]
    fn an_event_without_a_time_of_its_own_says_so() {
        let dated = |event: Value| read(&event, Timestamp::UNIX_EPOCH).unwrap().dated;
        assert!(!dated(json!({"detail-type": "SFTP Server File Upload Completed", "time": "today"})));
        assert!(dated(json!({"detail-type": "SFTP Server File Upload Completed", "time": "2026-01-01T00:00:00Z"})));
    }

    #[test]
    fn a_marker_is_an_uploaded_file_of_that_name_in_any_directory() {
        let sites = sites();
        let marker = |kind: &str, path: &str| {
            let detail = json!({"file-path": file(path)});
            let event = json!({"source": "aws.transfer", "detail-type": kind, "detail": detail});
            read(&event, Timestamp::MAX).unwrap().changes(&sites)[0].1.marker
        };
        assert!(marker("SFTP Server File Upload Completed", "/sites/blog/.deploy"));
        assert!(!marker("SFTP Server File Upload Completed", "/sites/blog/x.deploy"));
        assert!(!marker("SFTP Server File Delete Completed", "/sites/blog/.deploy"));
    }

    #[test]
    fn a_long_name_is_shortened_and_stays_distinct() {
        let (one, two) = (format!("{}ü1", "ä".repeat(600)), format!("{}ü2", "ä".repeat(600)));
        let (short, other) = (shortened(&one, LONGEST_NAME), shortened(&two, LONGEST_NAME));
        assert!(short.len() <= LONGEST_NAME && short != other);
    }
}
