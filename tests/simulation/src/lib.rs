//! A year in a test: the functions on an emulated region, with people, faults and crashes drawn from a seed.
//!
//! [`story`] draws what happens, [`Player::play`] plays it in a world of its own on a paused clock, and the rules are looked at
//! after every act. The same story is the same to the last call of AWS, so that a failing seed replays.

mod alarms;
mod calls;
mod checks;
mod diary;
mod functions;
mod invocation;
pub mod known;
mod letters;
mod model;
mod network;
pub mod ordeal;
mod people;
pub mod plant;
mod play;
mod portrait;
pub mod program;
pub mod rules;
mod secrets;
mod stage;
pub mod story;
pub mod summary;
pub mod trial;
mod truth;
mod watch;
mod weather;

use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Builder;
use wharfinger_region::{
    region::{TEMPLATE, world::ENDPOINT},
    template::plan::Plan,
};

pub use crate::{diary::Violation, people::ask};
use crate::{
    ordeal::Trial,
    plant::Plant,
    stage::Stage,
    story::{Mix, Story},
    trial::Tried,
    weather::Weather,
};

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
        self.play_until(story, plant, None)
    }

    /// Puts a server to sleep and wakes it, again and again, with one call of a function gone wrong each time.
    ///
    /// # Errors
    /// When the world can't be made.
    pub fn try_sleep(&self, trial: Trial) -> anyhow::Result<Tried> {
        let story = Story { seed: 0, scenes: Vec::new(), length: Duration::ZERO, features: Vec::new() };
        self.in_a_world(&story, None, async |weather| {
            let mut stage = Stage::open(&story, &self.plan, weather.clone()).await?;
            let tried = trial::play(&mut stage, weather, trial).await;
            stage.world.stop().await;
            Ok(tried)
        })
    }

    /// Plays `story` until the rule `enough` does not hold, where one is given.
    fn play_until(&self, story: &Story, plant: Option<Plant>, enough: Option<&str>) -> anyhow::Result<Report> {
        self.in_a_world(story, plant, async |weather| {
            let begin = tokio::time::Instant::now();
            play::play(story, &self.plan, weather, enough).await?;
            let (lines, violations) = (weather.diary.lines(), weather.diary.violations());
            Ok(Report { lines, violations, simulated: begin.elapsed() })
        })
    }

    /// Runs `act` on a paused clock, with everything drawn from the story's seed.
    fn in_a_world<T>(
        &self,
        story: &Story,
        plant: Option<Plant>,
        act: impl AsyncFnOnce(&Weather) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        fastrand::seed(story.seed);
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.context("start a paused runtime")?;
        let weather = Weather::new(story.seed, plant);
        let _logs = tracing::subscriber::set_default(weather.secrets.subscriber());
        runtime.block_on(act(&weather))
    }
}

/// A story in which a rule does not hold.
#[derive(Clone, Debug)]
pub struct Find {
    /// The story.
    pub story: Story,
    /// What came of it.
    pub report: Report,
    /// How many seeds were played.
    pub seeds: u64,
}

impl Player {
    /// Plays the stories of `seeds` until a rule does not hold: any, or the one that is looked for.
    ///
    /// # Errors
    /// When a world can't be made.
    pub fn hunt(
        &self,
        mix: &Mix,
        plant: Option<Plant>,
        rule: Option<&str>,
        seeds: std::ops::Range<u64>,
    ) -> anyhow::Result<Option<Find>> {
        let first = seeds.start;
        for seed in seeds {
            let story = Story::of(seed, mix);
            let report = self.play_until(&story, plant, rule)?;
            if report.breaks(rule) {
                return Ok(Some(Find { story, report, seeds: seed - first + 1 }));
            }
        }
        Ok(None)
    }

    /// A shorter story in which the same rule does not hold: acts are left out for as long as that goes on, in at most
    /// `tries` more plays.
    ///
    /// # Errors
    /// When a world can't be made.
    pub fn shrink(&self, find: Find, plant: Option<Plant>, mut tries: usize) -> anyhow::Result<Find> {
        let Some(rule) = find.report.violations.first().map(|violation| violation.rule) else { return Ok(find) };
        let mut best = find;
        let mut chunk = best.story.scenes.len() / 2;
        while chunk > 0 {
            let mut start = 0;
            while start < best.story.scenes.len() && tries > 0 {
                let mut story = best.story.clone();
                story.scenes.drain(start..(start + chunk).min(story.scenes.len()));
                let report = self.play_until(&story, plant, Some(rule))?;
                tries -= 1;
                if report.breaks(Some(rule)) {
                    best = Find { story, report, seeds: best.seeds };
                } else {
                    start += chunk;
                }
            }
            chunk /= 2;
        }
        Ok(best)
    }
}

impl Report {
    /// Whether a rule does not hold: any, or this one.
    #[must_use]
    pub fn breaks(&self, rule: Option<&str>) -> bool {
        self.violations.iter().any(|violation| rule.is_none_or(|rule| rule == violation.rule))
    }
}

impl std::fmt::Display for Find {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "seed {} breaks:", self.story.seed)?;
        for violation in &self.report.violations {
            writeln!(f, "  {}: {}", violation.rule, violation.seen)?;
        }
        writeln!(f, "its story:")?;
        for scene in &self.story.scenes {
            let seconds = scene.at.as_secs();
            writeln!(f, "  {:02}:{:02}:{:02} {}", seconds / 3600, seconds / 60 % 60, seconds % 60, scene.act)?;
        }
        writeln!(f, "play it with: cargo run --release -p simulation -- --seed {}", self.story.seed)
    }
}
