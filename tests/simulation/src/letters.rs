//! What was given up, looked at as it comes: later, nobody could tell what gave cause.

use jiff::SignedDuration;

use crate::{alarms, rules, stage::Stage};

/// How long after AWS's last fault a message may be found given up: what is left of a look's distance, and the time in
/// which a message is hidden after its last try.
const AFTERMATH: SignedDuration = SignedDuration::from_mins(20);

/// What was given up since the last look raises an alarm, and was not given up without a cause.
pub(crate) fn look(stage: &Stage) {
    let (plan, weather, now) = (stage.world.plan(), &stage.weather, stage.now());
    for queue in plan.queues.iter().filter(|queue| plan.takes_dead_letters(&queue.arn)) {
        let letters = stage.world.queues().bodies(&queue.declaration.name);
        let Some(letter) = letters.last().filter(|_| weather.are_new(&queue.logical, letters.len())) else { continue };
        let seen = format!("{} holds {letter}", queue.logical);
        weather.diary.note(format_args!("given up: {seen}"));
        if !alarms::watched_queues(weather.plant).is_ok_and(|watched| watched.contains(&queue.logical)) {
            weather.diary.violated(rules::ALARMED, seen.clone());
        }
        if weather.unrest(now).is_none_or(|at| now.duration_since(at) > AFTERMATH) {
            weather.diary.violated(rules::GIVEN_UP, seen);
        }
    }
}
