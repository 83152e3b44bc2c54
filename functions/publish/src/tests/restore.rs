use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    time::{Duration, Instant},
};

use super::{World, crashes::late, mode, name, options, path, set_mode};
use crate::{Cursor, Error, Kept, Limits, Options, Restored};

fn restore(world: &World, id: &str, latest: &str) -> Restored {
    restore_with(world, id, latest, None, &options())
}

fn restore_with(world: &World, id: &str, latest: &str, from: Option<&Cursor>, options: &Options) -> Restored {
    world.site().restore(&name(id), &name(latest), from, options).unwrap()
}

/// Two releases between which something of each kind changed.
fn world() -> World {
    let world = World::with(&[("same", "s"), ("page", "good"), ("d/lost", "l"), ("kind", "file"), ("was/dir", "w")]);
    world.link("link", "same");
    world.publish("good", None);
    world.upload("page", "bad!");
    world.upload("new/deep/added", "a");
    fs::remove_dir_all(world.uploads("d")).unwrap();
    fs::remove_dir_all(world.uploads("was")).unwrap();
    world.upload("was", "a file");
    fs::remove_file(world.uploads("kind")).unwrap();
    world.upload("kind/of/directory", "k");
    fs::remove_file(world.uploads("link")).unwrap();
    world.link("link", "page");
    world.publish("bad", Some("good"));
    world
}

#[test]
fn the_upload_directory_is_as_the_release_byte_for_byte() {
    let world = world();
    let restored = restore(&world, "good", "bad");
    assert_eq!(world.uploaded_tree(), world.released_tree("good"));
    assert_eq!((restored.kept.count, restored.go_on_from), (0, None));
    assert_eq!((restored.put_back, restored.removed), (5, 3));
    assert_eq!(restore(&world, "good", "bad"), Restored::default(), "a second time changes nothing");
}

#[test]
fn what_is_put_back_can_be_written_and_is_not_the_releases_file() {
    let world = world();
    world.upload("tool", "t");
    set_mode(world.uploads("tool"), 0o750);
    world.publish("three", Some("bad"));
    fs::remove_file(world.uploads("tool")).unwrap();
    world.publish("four", Some("three"));
    restore(&world, "three", "four");
    assert_eq!(mode(world.uploads("tool")), 0o750);
    world.upload("tool", "changed");
    assert_eq!(world.released_tree("three")["tool"], "t");
    let owners = ["tool", ""].map(|path| fs::metadata(world.uploads(path)).unwrap().uid());
    assert_eq!(owners[0], owners[1]);
}

#[test]
fn the_next_release_takes_no_space() {
    let world = world();
    restore(&world, "good", "bad");
    let summary = world.publish("three", Some("good"));
    assert_eq!((summary.own_bytes, world.released_tree("three")), (0, world.released_tree("good")));
}

#[test]
fn what_was_uploaded_since_the_latest_release_is_kept_and_named() {
    let world = world();
    world.upload("page", "newer than bad");
    world.upload("same", "newer");
    world.upload("kind/of/more", "newer");
    world.upload("other", "newer");
    let restored = restore(&world, "good", "bad");
    let kept = ["kind/of/more", "kind", "other", "page", "same"].map(path);
    let mut named: Vec<_> = restored.kept.first.iter().map(|(path, _)| path.clone()).collect();
    named.sort_by_key(|path| kept.iter().position(|kept| kept == path));
    assert_eq!(named, kept);
    assert!(restored.kept.first.contains(&(path("kind"), Kept::InTheWay)));
    let tree = world.uploaded_tree();
    let is = ["page", "same", "kind/of/more", "other", "d/lost"].map(|path| tree[path].as_str());
    assert_eq!(is, ["newer than bad", "newer", "newer", "newer", "l"]);
    assert!(!tree.contains_key("kind/of/directory") && !tree.contains_key("new"));
}

#[test]
fn files_that_belong_in_no_release_are_left_alone() {
    let world = world();
    for file in [".deploy", "uploads/photo", "half.filepart", "open"] {
        world.upload(file, "x");
    }
    let options = Options {
        marker: Some(".deploy".into()),
        ignore: vec![crate::Pattern::new("*.filepart")],
        shared: vec![path("uploads")],
        open: [path("open")].into(),
        ..options()
    };
    restore_with(&world, "good", "bad", None, &options);
    let mut tree = world.uploaded_tree();
    tree.retain(|path, _| !["uploads", "uploads/photo", ".deploy", "half.filepart", "open"].contains(&path.as_str()));
    assert_eq!(tree, world.released_tree("good"));
    assert_eq!(fs::read_to_string(world.uploads("uploads/photo")).unwrap(), "x");
    assert_eq!(fs::read_to_string(world.uploads("open")).unwrap(), "x");
}

#[test]
fn a_link_in_the_way_is_not_followed() {
    let world = World::with(&[("d/page", "p")]);
    world.publish("good", None);
    fs::create_dir(world.path("sites/other")).unwrap();
    fs::remove_dir_all(world.uploads("d")).unwrap();
    world.link("d", "../other");
    let restored = restore(&world, "good", "good");
    assert_eq!(restored.kept.first.len(), 2, "the link, which is in no release, and the directory in whose way it is");
    assert_eq!(fs::read_dir(world.path("sites/other")).unwrap().count(), 0);
    // Once it is released, it may go.
    world.publish("bad", Some("good"));
    restore(&world, "good", "bad");
    assert_eq!(world.uploaded_tree(), world.released_tree("good"));
    assert_eq!(fs::read_dir(world.path("sites/other")).unwrap().count(), 0);
}

#[test]
fn a_restore_that_runs_out_of_time_goes_on() {
    let world = World::new();
    (0..900).for_each(|number| world.upload(&format!("d{}/{number}", number % 2), "good"));
    world.publish("good", None);
    (0..900).for_each(|number| world.upload(&format!("d{}/{number}", number % 2), "bad!"));
    world.publish("bad", Some("good"));
    let (mut from, mut calls) = (None, 0);
    loop {
        let deadline = Instant::now() + Duration::from_secs(2);
        let options = Options { limits: Limits { deadline, workers: 1 }, ..options() };
        let site = world.watched(late(deadline, 300));
        let restored = site.restore(&name("good"), &name("bad"), from.as_ref(), &options).unwrap();
        calls += 1;
        from = restored.go_on_from;
        if from.is_none() {
            break;
        }
        assert!(calls < 100, "each call must come further");
    }
    assert!(calls > 1);
    assert_eq!(world.uploaded_tree(), world.released_tree("good"));
}

#[test]
fn only_a_release_that_is_there_is_restored() {
    let world = world();
    let restored = world.site().restore(&name("none"), &name("bad"), None, &options());
    assert!(matches!(restored, Err(Error::NoRelease(_))));
    assert_eq!(world.uploaded_tree(), world.released_tree("bad"));
}
