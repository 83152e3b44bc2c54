//! Plays a story from its first scene to the quiet at its end, and has the rules looked at all the while.

use std::time::Duration;

use tokio::time::Instant;
use wharfinger_region::template::plan::Plan;

use crate::{checks, plant::Plant, stage::Stage, story::Story, weather::Weather};

/// How often everything is looked at.
const LOOK: Duration = Duration::from_secs(900);

/// For how long all is quiet before the last look.
const CALM: Duration = Duration::from_secs(3600);

/// Plays `story` to its end. Must run on a paused clock.
pub(crate) async fn play(story: &Story, plan: &Plan, plant: Option<Plant>) -> anyhow::Result<Weather> {
    let weather = Weather::new(story.seed, plant);
    let mut stage = Stage::open(story, plan, weather.clone()).await?;
    let begin = Instant::now();
    let mut next_look = begin + LOOK;
    for scene in &story.scenes {
        let at = begin + scene.at;
        while next_look < at {
            tokio::time::sleep_until(next_look).await;
            next_look += LOOK;
            checks::all(&stage).await;
        }
        tokio::time::sleep_until(at).await;
        stage.drop_cut_visits();
        stage.perform(&scene.act).await;
        checks::at_once(&stage).await;
    }
    weather.clear_up();
    weather.diary.note("all is quiet from here on");
    let end = Instant::now().max(begin + story.length);
    tokio::time::sleep_until(end).await;
    stage.everybody_leaves();
    while Instant::now() < end + CALM {
        tokio::time::sleep(LOOK).await;
        checks::all(&stage).await;
    }
    checks::at_last(&stage).await;
    stage.world.stop().await;
    Ok(weather)
}
