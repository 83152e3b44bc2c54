use std::{
    fs::{self, FileTimes, OpenOptions},
    io::{self, Write as _},
    os::unix::{
        fs::{MetadataExt as _, OpenOptionsExt as _},
        net::UnixListener,
    },
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant, SystemTime},
};

use super::{World, inode, limits, mode, name, options, path, published, set_mode};
use crate::{Change, Error, Held, Options, Outcome, Pattern, Refused, Volume, Witness};

#[test]
fn a_release_is_what_was_uploaded() {
    let world = World::with(&[("index.html", "hello"), ("css/site.css", "a"), ("css/deep/er/x", "b"), ("empty", "")]);
    fs::create_dir(world.uploads("nothing")).unwrap();
    world.link("home.html", "index.html");
    let summary = world.publish("one", None);
    assert_eq!(world.released_tree("one"), world.uploaded_tree());
    assert_eq!((summary.files_copied, summary.files_linked, summary.symlinks, summary.directories), (4, 0, 1, 5));
    assert_eq!((summary.bytes, summary.own_bytes), (7, 7));
    assert_eq!(world.site().list().unwrap(), [name("one")]);
    assert_eq!(world.site().summary(&name("one")).unwrap(), Some(summary));
}

#[test]
fn a_file_that_did_not_change_is_the_previous_releases_and_never_the_uploaded_one() {
    let world = World::with(&[("same", "same"), ("changed", "old"), ("gone", "gone")]);
    world.publish("one", None);
    world.upload("changed", "new");
    world.upload("added", "added");
    fs::remove_file(world.uploads("gone")).unwrap();
    let summary = world.publish("two", Some("one"));
    assert_eq!(world.released_tree("two"), world.uploaded_tree());
    assert_eq!(inode(world.released("two", "same")), inode(world.released("one", "same")));
    assert_ne!(inode(world.released("two", "same")), inode(world.uploads("same")));
    assert_eq!((summary.files_linked, summary.files_copied, summary.own_bytes, summary.bytes), (1, 2, 8, 12));
    // Written in place, as Transfer Family does: no release changes.
    world.upload("same", "SAME");
    assert_eq!(fs::read_to_string(world.released("two", "same")).unwrap(), "same");
    assert_eq!(fs::read_to_string(world.released("one", "changed")).unwrap(), "old");
}

#[test]
fn a_file_whose_size_and_time_say_that_it_is_the_same_is_copied_if_it_is_not() {
    let world = World::with(&[("page", "old")]);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let keep_time = || {
        let file = OpenOptions::new().write(true).open(world.uploads("page")).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    };
    keep_time();
    world.publish("one", None);
    world.upload("page", "new");
    keep_time();
    world.publish("two", Some("one"));
    assert_eq!(fs::read_to_string(world.released("two", "page")).unwrap(), "new");
}

#[test]
fn a_file_that_is_uploaded_again_with_the_same_bytes_takes_no_space() {
    let world = World::with(&[("page", "same"), ("tool", "same")]);
    world.publish("one", None);
    fs::remove_file(world.uploads("page")).unwrap();
    world.upload("page", "same");
    set_mode(world.uploads("tool"), 0o755);
    let summary = world.publish("two", Some("one"));
    assert_eq!((summary.files_linked, summary.own_bytes), (1, 4));
    assert_eq!(inode(world.released("two", "page")), inode(world.released("one", "page")));
    assert_eq!((mode(world.released("one", "tool")), mode(world.released("two", "tool"))), (0o444, 0o555));
    // And the next release knows them.
    assert_eq!(world.publish("three", Some("two")).files_linked, 2);
}

#[test]
fn a_large_file_that_is_uploaded_again_with_the_same_bytes_takes_no_space() {
    let world = World::with(&[("image", &"x".repeat(17 << 20))]);
    world.publish("one", None);
    fs::remove_file(world.uploads("image")).unwrap();
    world.upload("image", &"x".repeat(17 << 20));
    let summary = world.publish("two", Some("one"));
    assert_eq!((summary.files_linked, summary.own_bytes), (1, 0));
    assert_eq!(inode(world.released("two", "image")), inode(world.released("one", "image")));
}

#[test]
fn nobody_writes_into_a_release_and_nobody_gains_rights_in_it() {
    let world = World::with(&[("page", "p"), ("tool", "t"), ("suid", "s"), ("d/secret", "x")]);
    for (file, mode) in [("page", 0o664), ("tool", 0o775), ("suid", 0o6755), ("d/secret", 0o600), ("d", 0o2777)] {
        set_mode(world.uploads(file), mode);
    }
    world.publish("one", None);
    let modes = ["page", "tool", "suid", "d/secret", "d", ""].map(|file| mode(world.released("one", file)));
    assert_eq!(modes, [0o444, 0o555, 0o555, 0o444, 0o555, 0o555]);
    let owner = fs::metadata(world.released("one", "page")).unwrap();
    let ours = fs::metadata(world.path("releases")).unwrap();
    assert_eq!((owner.uid(), owner.gid()), (ours.uid(), ours.gid()));
}

#[test]
fn a_file_keeps_its_time_so_that_caches_keep_it() {
    let world = World::with(&[("page", "p")]);
    world.publish("one", None);
    let times = |path| fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(times(world.released("one", "page")), times(world.uploads("page")));
}

#[test]
fn links_are_copied_as_links_and_never_followed() {
    let world = World::with(&[("inside", "i")]);
    fs::write(world.path("sites/secret"), "another's").unwrap();
    fs::create_dir(world.path("sites/other")).unwrap();
    fs::write(world.path("sites/other/page"), "another's").unwrap();
    for (name, target) in [("absolute", "/etc/passwd"), ("out", "../secret"), ("tree", "../other"), ("loop", "loop")] {
        world.link(name, target);
    }
    world.publish("one", None);
    assert_eq!(world.released_tree("one"), world.uploaded_tree());
    fs::remove_file(world.uploads("out")).unwrap();
    world.link("out", "inside");
    let summary = world.publish("two", Some("one"));
    assert_eq!((summary.symlinks, summary.bytes), (4, 1));
    assert_eq!(world.released_tree("two"), world.uploaded_tree());
}

#[test]
fn a_directory_that_becomes_a_link_to_another_site_is_not_entered() {
    let world = World::with(&[("pages/index", "ours"), ("z", "z")]);
    fs::create_dir(world.path("sites/other")).unwrap();
    fs::write(world.path("sites/other/index"), "another's").unwrap();
    // While the root is worked off, after `pages` was listed as a directory.
    let (uploads, done) = (world.uploads(""), AtomicUsize::new(0));
    let witness = Witness::new(move |change| {
        if change == Change::Create && done.fetch_add(1, Ordering::Relaxed) == 3 {
            fs::rename(uploads.join("pages"), uploads.join("moved")).unwrap();
            std::os::unix::fs::symlink("../other", uploads.join("pages")).unwrap();
        }
        Ok(())
    });
    published(world.watched(witness).release(&name("one"), None, &options()).unwrap());
    assert_eq!(world.released_tree("one"), world.uploaded_tree());
    assert_eq!(world.released_tree("one")["pages"], "-> ../other");
    assert_eq!(world.released_tree("one")["moved/index"], "ours");
}

#[test]
fn what_is_no_file_is_refused_and_named() {
    let world = World::with(&[("page", "p")]);
    rustix::fs::mkfifoat(rustix::fs::CWD, world.uploads("fifo"), rustix::fs::Mode::RWXU).unwrap();
    let _socket = UnixListener::bind(world.uploads("socket")).unwrap();
    let summary = world.publish("one", None);
    assert_eq!(summary.refused.count, 2);
    assert_eq!(summary.refused.first, [(path("fifo"), Refused::Fifo), (path("socket"), Refused::Socket)]);
    assert_eq!(world.released_tree("one").into_keys().collect::<Vec<_>>(), ["page"]);
}

#[test]
fn a_fifo_that_takes_the_place_of_a_file_is_not_waited_for() {
    let world = World::with(&[("page", "p")]);
    world.publish("one", None);
    fs::remove_file(world.uploads("page")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, world.uploads("page"), rustix::fs::Mode::RWXU).unwrap();
    let summary = world.publish("two", Some("one"));
    assert_eq!(summary.refused.first, [(path("page"), Refused::Fifo)]);
    assert!(world.released_tree("two").is_empty());
}

#[test]
fn the_marker_and_ignored_files_stay_out() {
    let world =
        World::with(&[("page", "p"), (".deploy", ""), ("d/.deploy", ""), ("d/x.tmp", "t"), ("cache.tmp/y", "t")]);
    let ignore = vec![Pattern::new("*.tmp")];
    let options = Options { marker: Some(".deploy".into()), ignore, ..options() };
    world.publish_with("one", None, &options);
    assert_eq!(world.released_tree("one").into_keys().collect::<Vec<_>>(), ["d", "page"]);
}

#[test]
fn shared_directories_are_empty_places_to_mount_at() {
    let world =
        World::with(&[("page", "p"), ("uploads/photo", "x"), ("var/keep", "k"), ("file", "f"), ("uploads/a/b", "")]);
    let shared = ["uploads", "var/cache/images", "file", "new/one"].map(path).to_vec();
    let options = Options { shared, ..options() };
    let summary = world.publish_with("one", None, &options);
    let paths = ["file", "new", "new/one", "page", "uploads", "var", "var/cache", "var/cache/images", "var/keep"];
    assert_eq!(world.released_tree("one").into_keys().collect::<Vec<_>>(), paths);
    assert!(world.released("one", "file").is_dir());
    assert_eq!(summary.refused.first, [(path("file"), Refused::Shared)]);
    assert_eq!(world.publish_with("two", Some("one"), &options).files_linked, 2);
    assert_eq!(world.released_tree("one"), world.released_tree("two"));
}

#[test]
fn names_need_not_be_text() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let world = World::new();
    let names = [&b"caf\xe9"[..], b"100%41", b"line\nbreak", b"quote\"s"];
    for name in names {
        fs::write(world.uploads("").join(OsStr::from_bytes(name)), name).unwrap();
    }
    world.publish("one", None);
    assert_eq!(world.publish("two", Some("one")).files_linked, 4);
    for name in names {
        assert_eq!(fs::read(world.released("two", "").join(OsStr::from_bytes(name))).unwrap(), name);
    }
}

#[test]
fn an_open_file_is_as_in_the_release_before_and_follows_in_the_next() {
    let world = World::with(&[("page", "old"), ("other", "1")]);
    world.publish("one", None);
    world.upload("page", "half of the n");
    world.upload("other", "2");
    world.upload("first", "half");
    let held = Options { open: [path("page"), path("first")].into(), ..options() };
    let summary = world.publish_with("two", Some("one"), &held);
    assert_eq!(summary.held.first, [(path("first"), Held::Open), (path("page"), Held::Open)]);
    let tree = world.released_tree("two");
    assert_eq!((&*tree["page"], &*tree["other"], tree.get("first")), ("old", "2", None));
    assert_eq!(inode(world.released("two", "page")), inode(world.released("one", "page")));
    world.publish("three", Some("two"));
    assert_eq!(world.released_tree("three"), world.uploaded_tree());
}

#[test]
fn a_file_that_was_changed_just_now_is_waited_for() {
    let world = World::with(&[("page", "p")]);
    let settle = Duration::from_millis(300);
    let began = Instant::now();
    let options = Options { settle, settle_by: began + Duration::from_secs(60), ..options() };
    let summary = world.publish_with("one", None, &options);
    assert_eq!((summary.held.count, summary.files_copied), (0, 1));
    // Less what the file system's clock is behind.
    assert!(began.elapsed() > settle - Duration::from_millis(50));
}

#[test]
fn a_file_that_is_still_being_written_when_time_is_up_is_held_back() {
    let world = World::with(&[("log", "old"), ("page", "old")]);
    world.publish("one", None);
    world.upload("page", "new");
    let log = OpenOptions::new().append(true).open(world.uploads("log")).unwrap();
    let witness = Witness::new(move |_| log_line(&log));
    let settle_by = Instant::now() + Duration::from_millis(400);
    let options = Options { settle: Duration::from_millis(200), settle_by, ..options() };
    let summary = published(world.watched(witness).release(&name("two"), Some(&name("one")), &options).unwrap());
    assert_eq!(summary.held.first, [(path("log"), Held::Changing)]);
    assert_eq!(world.released_tree("two")["log"], "old");
    assert_eq!(world.released_tree("two")["page"], "new");
}

fn log_line(mut log: &fs::File) -> io::Result<()> {
    log.write_all(b"another line\n")
}

#[test]
fn a_file_that_is_rewritten_within_each_copy_is_as_in_the_release_before() {
    const MEGABYTE: usize = 1 << 20;
    let world = World::with(&[("large", &"a".repeat(3 * MEGABYTE))]);
    world.publish("one", None);
    world.upload("large", &"b".repeat(3 * MEGABYTE));
    let (large, blocks) = (world.uploads("large"), AtomicUsize::new(0));
    let witness = Witness::new(move |change| {
        // In place and of the same size, between the first block of a copy and its second.
        if change == Change::Write(MEGABYTE) && blocks.fetch_add(1, Ordering::Relaxed) % 3 == 1 {
            let letter = if blocks.load(Ordering::Relaxed) % 2 == 0 { "c" } else { "d" };
            fs::write(&large, letter.repeat(3 * MEGABYTE))?;
        }
        Ok(())
    });
    let outcome = world.watched(witness).release(&name("two"), Some(&name("one")), &options()).unwrap();
    assert_eq!(published(outcome).held.first, [(path("large"), Held::Changing)]);
    assert!(world.released_tree("two") == world.released_tree("one"), "the release has another version, or none");
}

#[test]
fn a_file_of_a_later_time_than_now_is_not_waited_for() {
    let world = World::with(&[("page", "p")]);
    let file = OpenOptions::new().write(true).open(world.uploads("page")).unwrap();
    file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33))).unwrap();
    assert_eq!(world.publish("one", None).files_copied, 1);
    assert_eq!(world.publish("two", Some("one")).files_linked, 1);
}

#[test]
fn where_no_link_can_be_made_the_file_is_copied() {
    // EMLINK, EPERM, EXDEV.
    for code in [31, 1, 18] {
        let world = World::with(&[("a", "a"), ("b", "b"), ("c", "c"), ("held", "h")]);
        world.publish("one", None);
        world.upload("held", "half");
        let links = AtomicUsize::new(0);
        let witness = Witness::new(move |change| {
            let refused = change == Change::Link && links.fetch_add(1, Ordering::Relaxed) >= 1;
            if refused { Err(io::Error::from_raw_os_error(code)) } else { Ok(()) }
        });
        let mut options = Options { open: [path("held")].into(), ..options() };
        options.limits.workers = 1;
        let outcome = world.watched(witness).release(&name("two"), Some(&name("one")), &options).unwrap();
        let summary = published(outcome);
        assert_eq!((summary.files_linked, summary.files_copied), (1, 3), "{code}");
        assert_eq!(world.released_tree("two"), world.released_tree("one"));
        // The copies take links.
        fs::remove_file(world.uploads("held")).unwrap();
        assert_eq!(world.publish("three", Some("two")).files_linked, 3);
    }
}

#[test]
fn without_a_readable_manifest_everything_is_copied_and_what_is_held_is_still_there() {
    for manifest in ["", "{\"format\":2}\n", "{\"format\":1}\n{\"path\":\"a\""] {
        let world = World::with(&[("a", "a"), ("held", "old")]);
        world.publish("one", None);
        fs::write(world.path("releases/blog/one.manifest"), manifest).unwrap();
        world.upload("held", "half");
        let options = Options { open: [path("held")].into(), ..options() };
        let summary = world.publish_with("two", Some("one"), &options);
        assert_eq!((summary.files_copied, world.released_tree("two")["held"].as_str()), (1, "old"), "{manifest:?}");
        world.publish("three", Some("two"));
        assert_eq!(world.released_tree("three"), world.uploaded_tree());
    }
}

#[test]
fn a_previous_release_that_is_gone_is_done_without() {
    let world = World::with(&[("a", "a")]);
    assert_eq!(world.publish("two", Some("one")).files_copied, 1);
}

#[test]
fn a_site_without_an_upload_directory_is_not_published_empty() {
    let world = World::new();
    let site = world.site();
    fs::remove_dir(world.uploads("")).unwrap();
    assert!(matches!(site.release(&name("one"), None, &options()), Err(Error::NoUploadDirectory(_))));
    assert!(site.list().unwrap().is_empty());
}

#[test]
fn uploads_and_releases_never_lie_in_each_other() {
    let world = World::new();
    let volume = Volume::open(&world.path("")).unwrap();
    for directory in ["/", "/releases", "/releases/blog/one"] {
        assert!(matches!(volume.site(&name("blog"), &path(directory)), Err(Error::Overlap(_))), "{directory}");
    }
}

#[test]
fn pruning_removes_a_release_and_nothing_that_another_needs() {
    let world = World::with(&[("same", "same"), ("d/changed", "old")]);
    world.link("out", "../..");
    world.publish("one", None);
    world.upload("d/changed", "newer");
    world.publish("two", Some("one"));
    let pruned = world.site().prune(&name("one"), limits()).unwrap();
    assert_eq!((pruned.finished, pruned.bytes_freed), (true, 3));
    assert_eq!(world.site().list().unwrap(), [name("two")]);
    assert_eq!(world.released_tree("two"), world.uploaded_tree());
    assert!(!world.path("releases/blog/one.manifest").exists());
    assert_eq!(world.site().prune(&name("one"), limits()).unwrap().bytes_freed, 0);
    assert_eq!(world.site().prune(&name("two"), limits()).unwrap().bytes_freed, 9);
}

#[test]
fn a_prune_that_runs_out_of_time_goes_on_and_the_release_is_gone_at_once() {
    let world = World::with(&[("a", "1"), ("d/b", "2"), ("d/e/c", "3")]);
    world.publish("one", None);
    let over = crate::Limits { deadline: Instant::now(), workers: 1 };
    assert!(!world.site().prune(&name("one"), over).unwrap().finished);
    assert!(world.site().list().unwrap().is_empty());
    assert!(world.site().prune(&name("one"), limits()).unwrap().finished);
    assert_eq!(fs::read_dir(world.path("releases/blog")).unwrap().count(), 1, "but for the lock");
}

#[test]
fn a_published_release_answers_each_call_in_the_same_way_and_changes_no_more() {
    let world = World::with(&[("a", "1")]);
    let summary = world.publish("one", None);
    world.upload("a", "2");
    let outcome = world.site().release(&name("one"), None, &options()).unwrap();
    assert_eq!(outcome, Outcome::Published(summary));
    assert_eq!(world.released_tree("one")["a"], "1");
}

#[test]
fn an_unreadable_file_is_held_back_by_who_is_not_root() {
    let world = World::with(&[("a", "1")]);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o0).open(world.uploads("b"));
    drop(file.unwrap());
    let is_root = fs::read(world.uploads("b")).is_ok();
    let summary = world.publish("one", None);
    let expected = if is_root { Vec::new() } else { vec![(path("b"), Held::Unreadable)] };
    assert_eq!(summary.held.first, expected);
}
