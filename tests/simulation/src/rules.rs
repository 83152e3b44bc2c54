//! The rules by their names, as violations, planted bugs and known failures have them.

/// Nobody who was removed can log in, 5 minutes later.
pub const REMOVED: &str = "nobody who was removed can log in";
/// An address block that was withdrawn is closed, 5 minutes later.
pub const CLOSED: &str = "a withdrawn address block is closed";
/// No open session is cut because nobody seems to be there.
pub const NOT_CUT: &str = "nobody is cut for idleness";
/// A person's order to close cuts nobody before `drain_for` is over, unless it says so.
pub const DRAINED: &str = "an order leaves time to finish";
/// What a person opened is not closed within `manual_keep`.
pub const KEPT: &str = "what a person opened stays open for a while";
/// A server is deleted to sleep only if record and secrets rebuild it.
pub const REBUILDABLE: &str = "what is put to sleep can be rebuilt";
/// A server that has woken differs in nothing that people can notice.
pub const REBUILT: &str = "a server wakes as it was";
/// What is shown asleep is not billed, and its Elastic IPs stay allocated.
pub const ASLEEP: &str = "a server that sleeps costs nothing";
/// A server is what was wished last: online and reachable, stopped or asleep.
pub const WISHED: &str = "a server is what was wished last";
/// A server of a name is there once.
pub const ONE_SERVER: &str = "one billed server";
/// A deployment of ours does not break off another of ours.
pub const ONE_DEPLOYMENT: &str = "one deployment of ours at a time";
/// A site has one rollout that is not over.
pub const ONE_ROLLOUT: &str = "one rollout of a site at a time";
/// A rollout's revision is registered once.
pub const ONE_REVISION: &str = "one revision for each rollout";
/// A finished change is in a rollout that began after it.
pub const IN_TIME: &str = "every change is rolled out in time";
/// What was not changed since is not rolled out again.
pub const ONCE: &str = "a change is rolled out once";
/// A rollout has succeeded only where ECS says so.
pub const VERDICT_IS_TRUE: &str = "a verdict is what ECS shows";
/// Every rollout ends.
pub const VERDICT: &str = "every rollout has a verdict";
/// A site that was rolled out stays mounted, with its own directory.
pub const MOUNTED: &str = "no mount is lost";
/// A revision is the one before it, with the site's own volume.
pub const LOSSLESS: &str = "a revision differs only where it should";
/// What is wanted of servers and users is so in the end, on AWS as well as in the API's words.
pub const BROUGHT_ABOUT: &str = "what is wanted is brought about";
/// Lists answer with everything that can be read, whatever else is in the table.
pub const LISTS: &str = "nothing unreadable stops anything else";
/// No function panics.
pub const NO_PANIC: &str = "no function panics";
/// Neither logs nor answers hold what only its owner may know.
pub const SECRET: &str = "no secret is told";
/// A message is given up only where AWS gave cause. A record never does.
pub const GIVEN_UP: &str = "no message is given up without a cause";
/// What is given up raises an alarm of the template.
pub const ALARMED: &str = "what is given up raises an alarm";
