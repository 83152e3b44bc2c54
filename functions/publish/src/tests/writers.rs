//! People who upload while releases are made: whatever they do and whenever, each file of a release is as one of them
//! left it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{World, name, options, published};
use crate::{Options, Witness};

const FILES: [&str; 4] = ["index", "css/site", "css/deep/x", "log"];

/// What a person does with one of the files, in as many steps as it has pieces.
#[derive(Debug, Clone)]
enum Act {
    /// Writes it in place, as SFTP does.
    Write {
        file: usize,
        pieces: usize,
    },
    /// Writes it beside and renames it.
    Swap {
        file: usize,
        pieces: usize,
    },
    Delete {
        file: usize,
    },
    /// Has a rest.
    Wait {
        steps: usize,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..4usize, 1..6usize).prop_map(|(file, pieces)| Act::Write { file, pieces }),
        2 => (0..4usize, 1..4usize).prop_map(|(file, pieces)| Act::Swap { file, pieces }),
        1 => (0..4usize).prop_map(|file| Act::Delete { file }),
        2 => (1..8usize).prop_map(|steps| Act::Wait { steps }),
    ]
}

/// A person, and what is known of what they did.
struct Person {
    uploads: PathBuf,
    acts: Vec<Act>,
    step: usize,
    open: Option<File>,
    text: String,
    versions: usize,
    /// What each file is, if it is there and whole.
    now: BTreeMap<&'static str, String>,
    /// What each file was at some moment since the release began; `None` where it was not there.
    since: BTreeMap<&'static str, BTreeSet<Option<String>>>,
}

impl Person {
    /// Does the next step.
    fn go_on(&mut self) {
        let Some(act) = self.acts.first().cloned() else { return };
        self.step += 1;
        let is_over = match act {
            Act::Write { file, pieces } => self.write(FILES[file], FILES[file], pieces),
            Act::Swap { file, pieces } => {
                let is_over = self.write(FILES[file], ".swap.filepart", pieces);
                if is_over {
                    fs::create_dir_all(self.uploads.join(FILES[file]).parent().unwrap()).unwrap();
                    fs::rename(self.uploads.join(".swap.filepart"), self.uploads.join(FILES[file])).unwrap();
                }
                is_over
            }
            Act::Delete { file } => {
                let _ = fs::remove_file(self.uploads.join(FILES[file]));
                self.is_now(FILES[file], None);
                true
            }
            Act::Wait { steps } => self.step >= steps,
        };
        if is_over {
            self.acts.remove(0);
            self.step = 0;
        }
    }

    /// Writes a piece of `file` into `path`; tells whether it was the last.
    fn write(&mut self, file: &'static str, path: &str, pieces: usize) -> bool {
        if self.step == 1 {
            let path = self.uploads.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            self.open = Some(File::create(path).unwrap());
            self.versions += 1;
            self.text.clear();
        }
        // Of two versions with as many pieces, all differ.
        let piece = format!("{file} {:04} ", self.versions);
        self.open.as_mut().unwrap().write_all(piece.as_bytes()).unwrap();
        self.text.push_str(&piece);
        if self.step < pieces {
            return false;
        }
        self.open = None;
        self.is_now(file, Some(self.text.clone()));
        true
    }

    fn is_now(&mut self, file: &'static str, text: Option<String>) {
        self.since.entry(file).or_default().insert(text.clone());
        match text {
            Some(text) => self.now.insert(file, text),
            None => self.now.remove(file),
        };
    }

    fn begin_release(&mut self) {
        self.since = FILES.map(|file| (file, BTreeSet::from([self.now.get(file).cloned()]))).into();
    }
}

/// Makes releases while a person works; what is between two changes of the publisher is one step of the person.
fn check(acts: Vec<Act>, releases: usize) {
    let world = World::new();
    let person = Person {
        uploads: world.uploads(""),
        acts,
        step: 0,
        open: None,
        text: String::new(),
        versions: 0,
        now: BTreeMap::new(),
        since: BTreeMap::new(),
    };
    let person = Arc::new(Mutex::new(person));
    let working = Arc::clone(&person);
    let site = world.watched(Witness::new(move |_| {
        working.lock().unwrap_or_else(PoisonError::into_inner).go_on();
        Ok(())
    }));
    let mut before = BTreeMap::new();
    for number in 0..releases {
        person.lock().unwrap().begin_release();
        let settle_by = Instant::now() + Duration::from_millis(60);
        let ignore = vec![crate::Pattern::new("*.filepart")];
        let mut options = Options { settle: Duration::from_millis(20), settle_by, ignore, ..options() };
        options.limits.workers = 1;
        let previous = number.checked_sub(1).map(|previous| name(&previous.to_string()));
        let summary = published(site.release(&name(&number.to_string()), previous.as_ref(), &options).unwrap());
        let held: BTreeSet<_> = summary.held.first.iter().map(|(path, _)| path.to_string()).collect();
        let mut tree = world.released_tree(&number.to_string());
        tree.retain(|_, is| is != "directory");
        let person = person.lock().unwrap();
        for file in FILES {
            let (is, was) = (tree.get(file), before.get(file));
            if held.contains(file) {
                assert_eq!(is, was, "{file} of release {number} was held back");
            } else {
                let since = &person.since[file];
                assert!(since.contains(&is.cloned()), "{file} of release {number} is {is:?}, and was {since:?}");
            }
        }
        before = tree;
    }
    // When everybody has stopped, what is live is what is there.
    while !person.lock().unwrap().acts.is_empty() {
        person.lock().unwrap().go_on();
    }
    let last = releases.checked_sub(1).map(|last| last.to_string());
    let settled =
        Options { settle: Duration::from_millis(20), settle_by: Instant::now() + Duration::from_secs(60), ..options() };
    let summary = world.publish_with("last", last.as_deref(), &settled);
    assert_eq!((summary.held.count, world.released_tree("last")), (0, world.uploaded_tree()));
    let texts: BTreeMap<_, _> = world.released_tree("last").into_iter().filter(|(_, is)| is != "directory").collect();
    let now = &person.lock().unwrap().now;
    assert_eq!(texts, now.iter().map(|(file, text)| ((*file).to_owned(), text.clone())).collect());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn each_file_of_a_release_is_as_somebody_left_it(acts in prop::collection::vec(act(), 1..40)) {
        check(acts, 3);
    }
}

#[test]
fn a_file_that_is_rewritten_all_the_while_is_never_torn() {
    check((0..200).map(|_| Act::Write { file: 0, pieces: 5 }).collect(), 4);
}

#[test]
fn a_file_that_is_deleted_and_made_again_is_never_half_there() {
    let acts =
        [Act::Write { file: 1, pieces: 2 }, Act::Wait { steps: 9 }, Act::Delete { file: 1 }, Act::Wait { steps: 3 }];
    check(acts.iter().cycle().take(80).cloned().collect(), 4);
}
