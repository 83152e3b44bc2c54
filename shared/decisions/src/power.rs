//! Decides a server's next step from what is wanted and what AWS shows: one call, or waiting, and why.
//!
//! The order is AWS's: Elastic IPs and subnets change only while the server is offline, addresses leave before subnets
//! change, and a server is made without addresses. So a server is stopped for them, and never otherwise than asked.
//! What only shuts the door needs the server alone; what opens it or interrupts sessions needs everything known. A
//! server that clients can reach is drained before it is shut. Each step may be lost, repeated or cut short: the next
//! look decides anew.

mod interruption;
mod situation;

use std::collections::BTreeSet;

use crate::{
    ids::{AllocationId, SecurityGroupId, SubnetId},
    preflight::Obstacle,
    server::{Power, ServerPhase},
};

pub use crate::placement::{DriftPolicy, History, Placement, Refused};
pub use interruption::{Interruption, interruption};
pub use situation::{AwsState, Door, Endpoint, Observed, Recorded, Situation, Wanted};

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make it, with subnets and security groups, without addresses.
    Create,
    /// Change the security groups of its endpoint.
    Regroup {
        /// These join.
        add: BTreeSet<SecurityGroupId>,
        /// These leave.
        remove: BTreeSet<SecurityGroupId>,
    },
    /// Set subnets and Elastic IPs of an offline server.
    Readdress {
        /// All subnets it has then.
        subnets: BTreeSet<SubnetId>,
        /// All Elastic IPs it has then.
        addresses: BTreeSet<AllocationId>,
    },
    /// Give it those of our host keys that it lacks.
    ImportHostKeys,
    /// Start it.
    Start,
    /// Take nobody new, and let whoever is logged in go on.
    Drain,
    /// Stop it.
    Stop,
    /// Write down what it is rebuilt from, and delete it.
    Sleep,
    /// Delete it for good.
    Delete,
    /// AWS is working: look again later.
    Wait,
    /// Nothing can be done before a person changes something.
    Blocked,
    /// AWS has deleted it: remove the record.
    Forget,
    /// Everything is as wanted.
    Settled,
}

/// The next step, what the server does meanwhile, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What to do.
    pub step: Step,
    /// What people see.
    pub phase: ServerPhase,
    /// Why, in a sentence.
    pub reason: String,
}

impl Plan {
    fn new(step: Step, phase: ServerPhase, reason: impl Into<String>) -> Self {
        Self { step, phase, reason: reason.into() }
    }

    /// Whether it has to wait until the rules that let clients in are as wanted: it opens the door, or shuts it only to
    /// open it again. What shuts the door for longer never waits for them.
    #[must_use]
    pub fn needs_rules(&self) -> bool {
        match self.step {
            Step::Create | Step::Start => true,
            Step::Stop => self.phase == ServerPhase::Starting,
            Step::Regroup { .. }
            | Step::Readdress { .. }
            | Step::ImportHostKeys
            | Step::Drain
            | Step::Sleep
            | Step::Delete
            | Step::Wait
            | Step::Blocked
            | Step::Forget
            | Step::Settled => false,
        }
    }

    /// Whether rules of ours that are still in its security groups are out of sight afterwards, and stay for good.
    #[must_use]
    pub fn loses_rules(&self) -> bool {
        match &self.step {
            Step::Forget => true,
            Step::Regroup { remove, .. } => !remove.is_empty(),
            _ => false,
        }
    }
}

/// The next step towards `wanted`. `door` is asked only where [`is_to_be_shut`] says so.
#[must_use]
pub fn next(wanted: &Wanted, situation: &Situation, door: &Door) -> Plan {
    let plan = undrained(wanted, situation);
    if !shuts(&plan, situation) {
        return plan;
    }
    match door {
        Door::Open => Plan::new(Step::Drain, ServerPhase::Draining, plan.reason),
        Door::Draining(reason) => Plan::new(Step::Wait, ServerPhase::Draining, reason),
        Door::Empty => plan,
    }
}

/// Whether the next step towards `wanted` shuts the door of a server that takes clients.
#[must_use]
pub fn is_to_be_shut(wanted: &Wanted, situation: &Situation) -> bool {
    shuts(&undrained(wanted, situation), situation)
}

fn shuts(plan: &Plan, situation: &Situation) -> bool {
    let is_open = situation.server.as_ref().is_some_and(|server| is_open(server.state));
    is_open && matches!(plan.step, Step::Stop | Step::Sleep)
}

/// The next step, if nobody is logged in.
fn undrained(wanted: &Wanted, situation: &Situation) -> Plan {
    // Unknown mount targets are a reason to cut nobody off. Where nobody is there, they hold up nothing.
    let takes_clients = situation.server.as_ref().is_some_and(|server| is_open(server.state));
    let obstacles = situation.obstacles.iter();
    let obstacles =
        obstacles.filter(|obstacle| takes_clients || !matches!(obstacle, Obstacle::MountTargetsUnknown { .. }));
    let situation = &Situation { obstacles: obstacles.cloned().collect(), ..situation.clone() };
    let obstacles = &situation.obstacles[..];
    match (wanted.deleting, &situation.server) {
        (_, None) if situation.making => making(wanted),
        (true, None) => Plan::new(Step::Forget, ServerPhase::Deleting, "deleted"),
        (true, Some(_)) => Plan::new(Step::Delete, ServerPhase::Deleting, "it is being deleted"),
        // Nobody can reach a server that sleeps: it is not rebuilt to be stopped.
        (false, None) if wanted.power == Power::Asleep || situation.sleeps && wanted.power == Power::Stopped => {
            asleep(wanted, obstacles)
        }
        (false, None) => create(obstacles),
        (false, Some(server)) if wanted.power == Power::Asleep => put_to_sleep(wanted, server),
        // A door that is to be shut is shut first, whatever else there is to change.
        (false, Some(server)) if wanted.power == Power::Stopped && is_open(server.state) => power(wanted, server, &[]),
        (false, Some(server)) => {
            if let Some(plan) = regroup(wanted, server) {
                return plan;
            }
            match aim(wanted, server, situation) {
                Aim::Wanted => readdress(wanted, &wanted.placement, server, obstacles)
                    .unwrap_or_else(|| power(wanted, server, obstacles)),
                Aim::Keep(why) => keep(power(wanted, server, &[]), &why),
                Aim::Restore(placement) => {
                    readdress(wanted, placement, server, &[]).unwrap_or_else(|| power(wanted, server, &[]))
                }
                Aim::Nothing(why) => {
                    let stopped = wanted.power == Power::Stopped;
                    Plan::new(Step::Blocked, if stopped { ServerPhase::Stopped } else { ServerPhase::Failed }, why)
                }
            }
        }
    }
}

/// CreateServer has no client token: a second one is billed too, and one that is forgotten is billed for good.
fn making(wanted: &Wanted) -> Plan {
    let phase = match wanted.power {
        _ if wanted.deleting => ServerPhase::Deleting,
        Power::Online => ServerPhase::Creating,
        Power::Stopped | Power::Asleep => ServerPhase::Stopping,
    };
    Plan::new(Step::Wait, phase, "a server was asked for, and AWS may not show it yet")
}

/// A server sleeps only when AWS has let go of its addresses: until then it could not be woken.
fn asleep(wanted: &Wanted, obstacles: &[Obstacle]) -> Plan {
    match obstacles.iter().find(|obstacle| matches!(obstacle, Obstacle::AddressHeld(_))) {
        Some(_) => Plan::new(Step::Wait, ServerPhase::Asleep, "AWS is still removing its endpoint"),
        None => Plan::new(Step::Settled, ServerPhase::Asleep, &wanted.power_reason),
    }
}

fn put_to_sleep(wanted: &Wanted, server: &Observed) -> Plan {
    match server.state {
        AwsState::Starting | AwsState::Stopping => {
            Plan::new(Step::Wait, phase(server.state), "AWS is at it; then it is put to sleep")
        }
        _ => Plan::new(Step::Sleep, ServerPhase::Stopping, &wanted.power_reason),
    }
}

/// A server is made without addresses, so that one that is held elsewhere may come free meanwhile.
fn create(obstacles: &[Obstacle]) -> Plan {
    let obstacle = obstacles.iter().find(|obstacle| !matches!(obstacle, Obstacle::AddressHeld(_)));
    obstacle
        .map(|obstacle| obstructed(obstacle, ServerPhase::Creating))
        .unwrap_or_else(|| Plan::new(Step::Create, ServerPhase::Creating, "it is being made: AWS takes a few minutes"))
}

fn obstructed(obstacle: &Obstacle, on_the_way: ServerPhase) -> Plan {
    if obstacle.passes_by_itself() {
        return Plan::new(Step::Wait, on_the_way, obstacle.sentence());
    }
    let phase = if on_the_way == ServerPhase::Stopped { on_the_way } else { ServerPhase::Failed };
    Plan::new(Step::Blocked, phase, obstacle.sentence())
}

/// Whether a server in `state` may take clients.
#[must_use]
pub fn is_open(state: AwsState) -> bool {
    matches!(state, AwsState::Online | AwsState::StopFailed)
}

/// Groups come before everything else but a stop that was asked for: the door must not open to others than the trusted.
fn regroup(wanted: &Wanted, server: &Observed) -> Option<Plan> {
    let Endpoint::Present { groups, .. } = &server.endpoint else { return None };
    let add: BTreeSet<_> = wanted.groups.difference(groups).cloned().collect();
    let remove: BTreeSet<_> = groups.difference(&wanted.groups).cloned().collect();
    let differs = !add.is_empty() || !remove.is_empty();
    differs
        .then(|| Plan::new(Step::Regroup { add, remove }, phase(server.state), "its security groups are being changed"))
}

/// The placement that the steps lead to.
enum Aim<'a> {
    /// The wanted one.
    Wanted,
    /// The one that the server has: the wanted one can't be had, and the sentence says why.
    Keep(String),
    /// The one with which clients could last reach it.
    Restore(&'a Placement),
    /// None: AWS refuses the wanted one, with this message, and there is none to go back to.
    Nothing(String),
}

/// A server that clients could reach is not taken down for a placement that it can't have, and does not stay down.
fn aim<'a>(wanted: &Wanted, server: &Observed, situation: &'a Situation) -> Aim<'a> {
    let History { in_service, refused, .. } = &situation.history;
    if server.placement == wanted.placement {
        return Aim::Wanted;
    }
    // Nobody is cut off to undo what a person did by hand. A server that is offline has it undone.
    if server.state != AwsState::Offline && situation.history.has_drifted(&wanted.placement, &server.placement) {
        let differs = server.placement.differs_from(&wanted.placement);
        return Aim::Keep(format!("somebody changed them in AWS, {differs}"));
    }
    let refused = refused.as_ref().filter(|refused| refused.placement == wanted.placement);
    let Some(in_service) = in_service.as_ref().filter(|_| wanted.power == Power::Online) else {
        let refused = refused.filter(|_| server.state == AwsState::Offline);
        return refused.map_or(Aim::Wanted, |refused| Aim::Nothing(refused.message.clone()));
    };
    let lasting = refused.is_some() || situation.obstacles.iter().any(|obstacle| !obstacle.passes_by_itself());
    let why = refused.map(|refused| refused.message.clone());
    let Some(why) = why.or_else(|| situation.obstacles.first().map(Obstacle::sentence)) else { return Aim::Wanted };
    match server.state {
        AwsState::Offline if lasting => Aim::Restore(in_service),
        AwsState::Offline => Aim::Wanted,
        _ => Aim::Keep(why),
    }
}

/// `plan`, but for a server that is as far as it can come without the wanted placement.
fn keep(plan: Plan, why: &str) -> Plan {
    if plan.step == Step::Settled {
        let reason = format!("it stays online with the subnets and Elastic IPs that it has: {why}");
        return Plan::new(Step::Blocked, plan.phase, reason);
    }
    plan
}

/// Detach, move, attach: each only while the server is offline. `None`: there is nothing to set, or not yet.
fn readdress(wanted: &Wanted, target: &Placement, server: &Observed, obstacles: &[Obstacle]) -> Option<Plan> {
    let moves = target.subnets != server.placement.subnets;
    if *target == server.placement {
        return None;
    }
    let what = if moves { "subnets and Elastic IPs" } else { "Elastic IPs" };
    let stopped = wanted.power == Power::Stopped;
    let on_the_way = if stopped { ServerPhase::Stopping } else { ServerPhase::Starting };
    Some(match server.state {
        AwsState::Starting => {
            Plan::new(Step::Wait, on_the_way, format!("AWS starts it; then it is stopped once to set its {what}"))
        }
        AwsState::Stopping => Plan::new(Step::Wait, on_the_way, format!("it is being stopped once to set its {what}")),
        // It is started first: whether AWS stops one that is not online is not documented.
        AwsState::StartFailed if !stopped => return None,
        AwsState::Online | AwsState::StartFailed | AwsState::StopFailed => Plan::new(
            Step::Stop,
            on_the_way,
            format!("it is being stopped once, because AWS sets {what} only while a server is offline"),
        ),
        AwsState::Offline => match obstacles.first() {
            Some(obstacle) => obstructed(obstacle, if stopped { ServerPhase::Stopped } else { on_the_way }),
            None => readdress_offline(target, &server.placement, on_the_way),
        },
    })
}

fn readdress_offline(target: &Placement, current: &Placement, phase: ServerPhase) -> Plan {
    if target.subnets != current.subnets {
        let subnets = if current.addresses.is_empty() { &target.subnets } else { &current.subnets };
        let step = Step::Readdress { subnets: subnets.clone(), addresses: BTreeSet::new() };
        return Plan::new(step, phase, "its subnets are being changed");
    }
    let step = Step::Readdress { subnets: target.subnets.clone(), addresses: target.addresses.clone() };
    Plan::new(step, phase, "its Elastic IPs are being attached")
}

/// The door, once the placement is settled; it is opened only where there are no `obstacles`.
fn power(wanted: &Wanted, server: &Observed, obstacles: &[Obstacle]) -> Plan {
    use AwsState::{Offline, Online, StartFailed, Starting, StopFailed, Stopping};
    let because = &wanted.power_reason;
    match (wanted.power, server.state) {
        (Power::Online, Online) if server.lacks_host_keys => {
            Plan::new(Step::ImportHostKeys, ServerPhase::Starting, "it is being given its host keys")
        }
        (Power::Online, Online) => match server.endpoint {
            Endpoint::Present { available: true, .. } => Plan::new(Step::Settled, ServerPhase::Online, because),
            Endpoint::Unknown => Plan::new(Step::Wait, ServerPhase::Starting, "its VPC endpoint can't be seen"),
            _ => Plan::new(Step::Wait, ServerPhase::Starting, "its VPC endpoint is not ready yet"),
        },
        (Power::Stopped | Power::Asleep, Offline) => Plan::new(Step::Settled, ServerPhase::Stopped, because),
        (Power::Online, Offline | StartFailed | StopFailed) => match obstacles.first() {
            Some(obstacle) => obstructed(obstacle, ServerPhase::Starting),
            None if server.state == Offline => Plan::new(Step::Start, ServerPhase::Starting, because),
            None => {
                let reason = format!("AWS says {}: it is started again", name(server.state));
                Plan::new(Step::Start, ServerPhase::Starting, reason)
            }
        },
        (Power::Stopped | Power::Asleep, Online) => Plan::new(Step::Stop, ServerPhase::Stopping, because),
        (Power::Stopped | Power::Asleep, StartFailed | StopFailed) => Plan::new(
            Step::Stop,
            ServerPhase::Stopping,
            format!("AWS says {}: it is stopped again", name(server.state)),
        ),
        (Power::Online, Starting | Stopping) => Plan::new(Step::Wait, ServerPhase::Starting, because),
        (Power::Stopped | Power::Asleep, Starting | Stopping) => Plan::new(Step::Wait, ServerPhase::Stopping, because),
    }
}

/// What a server in `state` does, where nothing more is known.
#[must_use]
pub fn phase(state: AwsState) -> ServerPhase {
    match state {
        AwsState::Offline => ServerPhase::Stopped,
        AwsState::Online => ServerPhase::Online,
        AwsState::Starting => ServerPhase::Starting,
        AwsState::Stopping => ServerPhase::Stopping,
        AwsState::StartFailed | AwsState::StopFailed => ServerPhase::Failed,
    }
}

fn name(state: AwsState) -> &'static str {
    match state {
        AwsState::Offline => "OFFLINE",
        AwsState::Online => "ONLINE",
        AwsState::Starting => "STARTING",
        AwsState::Stopping => "STOPPING",
        AwsState::StartFailed => "START_FAILED",
        AwsState::StopFailed => "STOP_FAILED",
    }
}

#[cfg(test)]
mod tests;
