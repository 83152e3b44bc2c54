//! Processes that die, are doubled, run out of time or of space.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{World, limits, name, options, path, published};
use crate::{Change, Error, Limits, Name, Options, Outcome, Site, Witness};

/// A witness that refuses every change after the first `changes`: to the disk, a process that died there.
fn dying_after(changes: usize) -> (Witness, Arc<AtomicBool>) {
    let (asked, is_dead) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&is_dead);
    let witness = Witness::new(move |_| {
        if asked.fetch_add(1, Ordering::Relaxed) < changes {
            return Ok(());
        }
        told.store(true, Ordering::Relaxed);
        Err(io::Error::other("the process died"))
    });
    (witness, is_dead)
}

fn release(site: &Site, id: &str, options: &Options) -> Result<Outcome, Error> {
    site.release(&name(id), Some(&name("one")), options)
}

/// A world with a release, and changes of each kind since.
fn changed_world() -> World {
    let world = World::with(&[("same", "s"), ("changed", "old"), ("gone", "g"), ("d/same", "s"), ("d/gone", "g")]);
    world.upload("kind", "a file, then a directory");
    world.upload("dir/x", "a directory, then a file");
    world.link("link", "same");
    world.publish("one", None);
    world.upload("changed", "new");
    world.upload("d/e/added", "added");
    for gone in ["gone", "d/gone", "kind", "link", "dir/x"] {
        fs::remove_file(world.uploads(gone)).unwrap();
    }
    fs::remove_dir(world.uploads("dir")).unwrap();
    world.upload("kind/inside", "i");
    world.upload("dir", "a file");
    world.link("link", "changed");
    world
}

/// What stands among the releases, apart from the releases and the lock.
fn leftovers(world: &World) -> Vec<String> {
    let names = fs::read_dir(world.path("releases/blog")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.starts_with('.') && name != ".lock");
    names
}

/// What happens between a crash and the next call.
type Meanwhile = fn(&World);

/// Lets a release die at each of its changes, and has the next call, for the release `second`, make it whole.
fn dies_anywhere(second: &str, meanwhile: Meanwhile) {
    for changes in 0.. {
        let world = changed_world();
        let before = world.released_tree("one");
        let (witness, is_dead) = dying_after(changes);
        let volume = crate::Volume::watched(&world.path(""), witness).unwrap();
        let died = volume.site(&name("blog"), &path("sites/blog")).and_then(|site| release(&site, "two", &options()));
        if world.site().list().unwrap().contains(&name("two")) {
            assert_eq!(world.released_tree("two"), world.uploaded_tree(), "visible after {changes} changes");
            let summary = world.site().summary(&name("two")).unwrap();
            assert!(
                summary.is_some_and(|summary| summary.files_linked > 0),
                "without a manifest after {changes} changes"
            );
        } else {
            assert!(died.is_err() && is_dead.load(Ordering::Relaxed), "{changes}");
            meanwhile(&world);
            published(release(&world.site(), second, &options()).unwrap());
            assert_eq!(world.released_tree(second), world.uploaded_tree(), "after {changes} changes");
            assert_eq!(leftovers(&world), [""; 0], "after {changes} changes");
        }
        assert_eq!(world.released_tree("one"), before);
        if died.is_ok() {
            assert!(changes > 20, "the whole release took {changes} changes");
            return;
        }
    }
}

#[test]
fn a_release_that_died_anywhere_is_made_whole_by_the_next_call() {
    dies_anywhere("two", |_| {});
}

#[test]
fn what_was_deleted_and_changed_after_a_crash_is_in_no_release() {
    dies_anywhere("two", |world| {
        for gone in ["same", "d/e/added", "link"] {
            fs::remove_file(world.uploads(gone)).unwrap();
        }
        world.upload("changed", "newer");
        fs::rename(world.uploads("kind"), world.uploads("moved")).unwrap();
    });
}

#[test]
fn a_release_that_died_is_taken_up_by_the_next_release() {
    dies_anywhere("three", |world| world.upload("changed", "newer"));
}

#[test]
fn what_a_process_without_its_lock_did_to_the_tree_is_undone() {
    dies_anywhere("two", |world| {
        let tree = world.path("releases/blog/.two.new");
        let _ = fs::remove_file(tree.join("same"));
        if fs::remove_file(tree.join("d/same")).is_ok() {
            fs::write(tree.join("d/same"), "t").unwrap();
        }
    });
}

#[test]
fn what_was_done_before_a_crash_is_not_done_again() {
    let world = World::new();
    (0..2000).for_each(|number| world.upload(&format!("{number}"), "some text"));
    let (witness, _) = dying_after(6000);
    assert!(release(&world.watched(witness), "two", &options()).is_err());
    let creations = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&creations);
    let witness = Witness::new(move |change| {
        counter.fetch_add(usize::from(change == Change::Create), Ordering::Relaxed);
        Ok(())
    });
    published(release(&world.watched(witness), "two", &options()).unwrap());
    // Some are in work when it dies, and some are done and not yet written down.
    let again = creations.load(Ordering::Relaxed);
    assert!((800..1800).contains(&again), "{again} files were copied by the second call");
}

#[test]
fn a_prune_that_died_anywhere_is_ended_by_the_next_call() {
    for changes in 0.. {
        let world = changed_world();
        world.publish("two", Some("one"));
        let (witness, _) = dying_after(changes);
        let volume = crate::Volume::watched(&world.path(""), witness).unwrap();
        let site = volume.site(&name("blog"), &path("sites/blog"));
        let died = site.and_then(|site| site.prune(&name("one"), limits()));
        assert!(world.site().prune(&name("one"), limits()).unwrap().finished);
        assert_eq!(world.released_tree("two"), world.uploaded_tree());
        assert_eq!((leftovers(&world), world.site().list().unwrap()), (Vec::new(), vec![name("two")]));
        if died.is_ok() {
            return assert!(changes > 5);
        }
    }
}

#[test]
fn a_doubled_call_is_told_so_at_any_moment_and_there_is_one_release() {
    let world = changed_world();
    let (directory, is_first, busy) = (world.path(""), AtomicBool::new(true), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&busy);
    let witness = Witness::new(move |change| {
        let second = crate::Volume::open(&directory).unwrap().site(&name("blog"), &path("sites/blog")).unwrap();
        // The lock is made first, and once the release has its name there is nothing to be busy with.
        if is_first.swap(false, Ordering::Relaxed) || second.list().unwrap().contains(&name("two")) {
            return Ok(());
        }
        let answers = [
            release(&second, "two", &options()).map(drop),
            second.prune(&name("one"), limits()).map(drop),
            second.restore(&name("one"), &name("one"), None, &options()).map(drop),
        ];
        assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Busy))), "{change:?}: {answers:?}");
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let options = Options { limits: Limits { workers: 1, ..limits() }, ..options() };
    published(release(&world.watched(witness), "two", &options).unwrap());
    assert_eq!(world.released_tree("two"), world.uploaded_tree());
    assert!(busy.load(Ordering::Relaxed) > 20);
}

#[test]
fn of_calls_at_once_each_ends_in_the_same_release() {
    let world = World::new();
    (0..300).for_each(|number| world.upload(&format!("d{}/{number}", number % 7), "some text"));
    let call = || loop {
        match world.site().release(&name("one"), None, &options()) {
            Err(Error::Busy) => thread::yield_now(),
            outcome => return published(outcome.unwrap()),
        }
    };
    let summaries = thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(call)).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(summaries.iter().all(|summary| *summary == summaries[0]));
    assert_eq!(world.released_tree("one"), world.uploaded_tree());
    assert_eq!(leftovers(&world), [""; 0]);
}

#[test]
fn a_full_disk_is_told_and_the_release_follows_when_there_is_room() {
    for room in [0, 3, 1 << 20, 3 << 20] {
        let world = World::with(&[("a", "aaaa"), ("b", &"b".repeat(3 << 20)), ("c", "cccc")]);
        let left = AtomicUsize::new(room);
        let witness = Witness::new(move |change| {
            let Change::Write(bytes) = change else { return Ok(()) };
            let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
            taken.map(drop).map_err(|_| io::ErrorKind::StorageFull.into())
        });
        let failed = world.watched(witness).release(&name("one"), None, &options());
        assert!(matches!(failed, Err(Error::Full(_))), "{failed:?}");
        assert!(world.site().list().unwrap().is_empty());
        world.publish("one", None);
        assert_eq!(world.released_tree("one"), world.uploaded_tree());
    }
}

/// A witness by which the deadline comes with the write of number `write`.
pub(super) fn late(deadline: Instant, write: usize) -> Witness {
    let writes = AtomicUsize::new(0);
    Witness::new(move |change| {
        if matches!(change, Change::Write(_)) && writes.fetch_add(1, Ordering::Relaxed) == write {
            thread::sleep(deadline.saturating_duration_since(Instant::now()));
        }
        Ok(())
    })
}

#[test]
fn a_file_too_large_for_one_call_is_copied_by_several() {
    let world = World::new();
    fs::write(world.uploads("large"), (0..(5 << 20) + 17).map(|n: u32| n.to_le_bytes()[1]).collect::<Vec<u8>>())
        .unwrap();
    let (mut calls, mut written) = (0, 0);
    loop {
        calls += 1;
        let mut options = options();
        options.limits.deadline = Instant::now() + Duration::from_secs(2);
        // The first write is of the lock.
        let site = world.watched(late(options.limits.deadline, 2));
        match site.release(&name("one"), None, &options).unwrap() {
            Outcome::Published(_) => break,
            Outcome::Unfinished(progress) => written += progress.bytes_written,
        }
        assert!(world.site().list().unwrap().is_empty());
    }
    assert!((3..8).contains(&calls), "{calls} calls");
    assert!(written <= (5 << 20) + 17, "{written} bytes were written by the calls that did not finish");
    assert_eq!(fs::read(world.released("one", "large")).unwrap(), fs::read(world.uploads("large")).unwrap());
    // In this process: a child would hold the locks of other tests for a moment.
    let expected = crate::copy::digest(&fs::File::open(world.uploads("large")).unwrap()).unwrap();
    let manifest = fs::read_to_string(world.path("releases/blog/one.manifest")).unwrap();
    assert!(manifest.contains(&expected), "the manifest has the digest of the whole file");
}

#[test]
fn a_copy_is_begun_anew_if_its_file_changes_between_calls() {
    let world = World::with(&[("large", &"old".repeat(1 << 20))]);
    let mut options = options();
    options.limits.deadline = Instant::now() + Duration::from_secs(2);
    let site = world.watched(late(options.limits.deadline, 2));
    let outcome = site.release(&name("one"), None, &options).unwrap();
    assert!(matches!(outcome, Outcome::Unfinished(_)), "{outcome:?}");
    world.upload("large", &"new".repeat(1 << 20));
    world.publish("one", None);
    assert_eq!(world.released_tree("one"), world.uploaded_tree());
}

#[test]
fn a_release_of_many_files_goes_on_where_it_stopped() {
    let world = World::new();
    (0..1500).for_each(|number| world.upload(&format!("d{}/{number}", number % 4), "some text"));
    let mut unfinished = 0;
    let id: Name = name("one");
    loop {
        let mut options = options();
        options.limits = Limits { deadline: Instant::now() + Duration::from_secs(2), workers: 1 };
        match world.watched(late(options.limits.deadline, 500)).release(&id, None, &options).unwrap() {
            Outcome::Published(summary) => {
                assert_eq!(summary.files_copied, 1500);
                break;
            }
            Outcome::Unfinished(_) => unfinished += 1,
        }
        assert!(unfinished < 50, "each call must come further");
    }
    assert!(unfinished >= 2);
    assert_eq!(world.released_tree("one"), world.uploaded_tree());
}
