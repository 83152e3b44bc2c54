//! The rules by their names, as violations, planted bugs and known failures have them.

/// Nobody who was removed can log in, 5 minutes later.
pub const REMOVED: &str = "nobody who was removed can log in";
/// An address block that was withdrawn is closed, 5 minutes later.
pub const CLOSED: &str = "a withdrawn address block is closed";
/// No session that AWS's metrics tell of is cut by the idle sweep's stop.
pub const NOT_CUT: &str = "nobody is cut for idleness";
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
