//! A year in a test: the functions on an emulated region, with people, faults and crashes drawn from a seed.
//!
//! [`story`] draws what happens, [`play`] plays it in a world of its own on a paused clock, and the rules are looked at
//! after every act. The same story is the same to the last call of AWS, so that a failing seed replays.

mod checks;
mod diary;
mod functions;
mod invocation;
mod model;
mod network;
mod people;
pub mod plant;
mod stage;
pub mod story;
mod watch;
mod weather;

use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Builder;
use wharfinger_region::{
    region::{TEMPLATE, world::ENDPOINT},
    template::plan::Plan,
};

pub use crate::diary::Violation;
use crate::{plant::Plant, story::Story};

/// What came of a story.
#[derive(Clone, Debug)]
pub struct Report {
    /// What happened.
    pub lines: Vec<String>,
    /// The rules that did not hold, the first violation of each.
    pub violations: Vec<Violation>,
    /// How much time passed in the world.
    pub simulated: Duration,
}

/// Plays stories, one after the other.
#[derive(Debug)]
pub struct Player {
    plan: Plan,
}

impl Player {
    /// A player on the template that is deployed.
    ///
    /// # Errors
    /// When the template can't be read.
    pub fn new() -> anyhow::Result<Self> {
        let parameters = [("LogLevel".to_owned(), "info".to_owned())].into();
        Ok(Self { plan: Plan::read(TEMPLATE, &parameters, ENDPOINT)? })
    }

    /// Plays `story`, with a bug planted or not.
    ///
    /// # Errors
    /// When the world can't be made.
    pub fn play(&self, story: &Story, plant: Option<Plant>) -> anyhow::Result<Report> {
        fastrand::seed(story.seed);
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.context("start a paused runtime")?;
        runtime.block_on(async {
            let begin = tokio::time::Instant::now();
            let weather = stage::play(story, &self.plan, plant).await?;
            let (lines, violations) = (weather.diary.lines(), weather.diary.violations());
            Ok(Report { lines, violations, simulated: begin.elapsed() })
        })
    }
}
