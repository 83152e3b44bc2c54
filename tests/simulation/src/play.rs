//! Plays a story from its first scene to the quiet at its end, and has the rules looked at all the while.

use std::time::Duration;

use tokio::time::Instant;
use wharfinger_region::template::plan::Plan;

use crate::{checks, stage::Stage, story::Story, weather::Weather};

/// How often everything is looked at.
const LOOK: Duration = Duration::from_secs(900);

/// For how long all is quiet before the last look.
const CALM: Duration = Duration::from_secs(3600);

/// Plays `story` to its end, or until the rule `enough` is broken. Must run on a paused clock.
pub(crate) async fn play(story: &Story, plan: &Plan, weather: &Weather, enough: Option<&str>) -> anyhow::Result<()> {
    let mut stage = Stage::open(story, plan, weather.clone()).await?;
    let is_enough = || enough.is_some_and(|rule| weather.diary.breaks(rule));
    if happen(&mut stage, story, &is_enough).await && calm_down(&mut stage, &is_enough).await {
        checks::at_last(&stage).await;
    }
    stage.world.stop().await;
    Ok(())
}

/// Everything happens, unless it is enough before.
async fn happen(stage: &mut Stage, story: &Story, is_enough: &impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    let mut next_look = begin + LOOK;
    for scene in &story.scenes {
        look_until(begin + scene.at, &mut next_look, stage).await;
        stage.drop_cut_visits();
        stage.perform(&scene.act).await;
        checks::at_once(stage).await;
        if is_enough() {
            return false;
        }
    }
    look_until(begin + story.length, &mut next_look, stage).await;
    true
}

/// Lets time pass until `at`, and looks at everything every now and then.
async fn look_until(at: Instant, next_look: &mut Instant, stage: &Stage) {
    while *next_look < at {
        tokio::time::sleep_until(*next_look).await;
        *next_look += LOOK;
        checks::all(stage).await;
    }
    tokio::time::sleep_until(at).await;
}

/// Everybody leaves, and nothing goes wrong any more, unless it is enough before the end.
async fn calm_down(stage: &mut Stage, is_enough: &impl Fn() -> bool) -> bool {
    stage.weather.clear_up();
    stage.weather.diary.note("all is quiet from here on");
    stage.everybody_leaves();
    let end = Instant::now() + CALM;
    while Instant::now() < end {
        tokio::time::sleep(LOOK).await;
        checks::all(stage).await;
        if is_enough() {
            return false;
        }
    }
    true
}
