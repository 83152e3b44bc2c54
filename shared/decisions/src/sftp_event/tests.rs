//! Events as Transfer Family sends them, and what they change.

use serde_json::json;

use super::*;
use crate::pattern::Pattern;

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
fn what_lies_in_a_bucket_changes_no_site() {
    let object = json!({"file-path": file("/sites/blog/a"), "etag": "5d41402abc4b2a76b9719d911017c592"});
    assert!(changes("File Upload Completed", object).is_empty());
}

#[test]
fn a_rename_can_touch_two_sites() {
    let detail = json!({"original-file-path": file("/sites/blog/a"), "renamed-file-path": file("/sites/shop/b")});
    let expected = [("blog".into(), "a".into(), Effect::Gone), ("shop".into(), "b".into(), Effect::Whole)];
    assert_eq!(changes("File Rename Completed", detail), expected);
}

#[test]
fn a_renamed_directory_touches_the_sites_beneath_it() {
    let detail = json!({"original-file-path": file("/sites"), "renamed-file-path": file("/old")});
    let expected = [
        ("root", "sites", Effect::Gone),
        ("blog", ".", Effect::Gone),
        ("shop", ".", Effect::Gone),
        ("root", "old", Effect::Whole),
    ];
    let expected = expected.map(|(site, file, effect)| (site.to_owned(), file.to_owned(), effect));
    assert_eq!(changes("File Rename Completed", detail), expected);
    let back = json!({"original-file-path": file("/new"), "renamed-file-path": file("/sites")});
    assert_eq!(changes("File Rename Completed", back).len(), 4);
    let created = changes("Directory Create Completed", json!({"directory-path": file("/sites")}));
    assert_eq!(created.len(), 1, "an empty directory has no site in it");
}

#[test]
fn a_path_that_names_no_file_system_lies_in_the_user_s_home() {
    let place = |path: &str| {
        let detail = json!({"file-path": path});
        let event = json!({"detail-type": "SFTP Server File Upload Completed", "detail": detail});
        let mut event = read(&event, Timestamp::MAX).unwrap();
        assert_eq!((event.unplaced().collect::<Vec<_>>(), event.is_on(None)), (vec![path], false));
        event.place_in(&FileSystemId::parse(FS).unwrap(), &Directory::parse("/sites/blog").unwrap());
        let sites = sites();
        event.changes(&sites).into_iter().map(|(site, change)| format!("{site} {}", change.file)).collect::<Vec<_>>()
    };
    assert_eq!(place("/a/b"), ["blog a/b"]);
    assert_eq!(place("a"), ["blog a"]);
    assert_eq!(place("/"), ["blog ."]);
    assert!(place("/../shop/a").is_empty());
}

#[test]
fn what_a_site_ignores_is_no_change_of_it() {
    let mut sites = sites();
    for (_, spec) in &mut sites {
        spec.finish.ignore = ["*.tmp", ".*.filepart"].map(|text| Pattern::parse(text).unwrap()).into();
    }
    let changed = |kind: &str, detail: Value| {
        let event = json!({"detail-type": format!("SFTP Server {kind}"), "detail": detail});
        read(&event, Timestamp::MAX).unwrap().changes(&sites).len()
    };
    let upload = |path| changed("File Upload Completed", json!({"file-path": file(path)}));
    assert_eq!((upload("/sites/blog/a.tmp"), upload("/sites/blog/x/.a.filepart"), upload("/sites/blog/a")), (0, 0, 1));
    assert_eq!(upload("/sites/blog/x.tmp/a"), 0, "nor is what lies in such a directory");
    let broken = json!({"file-path": file("/sites/blog/a.tmp"), "failure-code": "PARTIAL_UPLOAD"});
    assert_eq!(changed("File Upload Failed", broken), 0);
    let renamed = json!({"original-file-path": file("/sites/blog/a.tmp"), "renamed-file-path": file("/sites/blog/a")});
    assert_eq!(changed("File Rename Completed", renamed), 1, "it is complete under its last name");
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
