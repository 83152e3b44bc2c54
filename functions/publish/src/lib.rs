//! Publishes a finished upload: copies a site's upload directory into a release, an immutable copy on the same file
//! system; removes releases, and copies one back.
//!
//! A file that did not change since the release before is a hard link to *that release's* file, never to the uploaded
//! one, which is written in place. Every file of a release is as some client left it: what changes while it is copied is
//! copied again, and what does not come to rest is taken as the release before has it. Nothing is followed out of the
//! upload directory. A call can stop anywhere, at its deadline or with its process, and the next one goes on.

mod copy;
mod disk;
mod error;
mod manifest;
mod options;
mod outcome;
mod parallel;
mod path;
mod pattern;
mod place;
mod prune;
mod put_back;
mod release;
mod removal;
mod restore;
mod rules;
mod site;
mod stat;
#[cfg(test)]
mod tests;
mod walk;

pub use crate::{
    disk::{Change, Witness},
    error::Error,
    options::{Limits, Options},
    outcome::{Cursor, Held, Kept, Named, Outcome, Progress, Pruned, Refused, Restored, Summary},
    path::{Invalid, Name, TreePath},
    pattern::Pattern,
    site::{Site, Volume},
};
