//! A server and what it depends on, as AWS has it.

use super::*;

/// Transfer Family by the rules of its API: each call panics where AWS would refuse it.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) situation: Situation,
    pub(super) door: Door,
    pub(super) stops: usize,
    /// A placement that AWS refuses when it is set.
    pub(super) refuses: Option<Placement>,
}

impl Default for World {
    fn default() -> Self {
        Self { situation: Situation::default(), door: Door::Open, stops: 0, refuses: None }
    }
}

impl World {
    /// A server that is as `wanted`.
    pub(super) fn settled(wanted: &Wanted) -> Self {
        let mut world = Self::default();
        world.settle(wanted);
        world
    }

    pub(super) fn server(&mut self) -> &mut Observed {
        self.situation.server.as_mut().expect("a server")
    }

    pub(super) fn next(&self, wanted: &Wanted) -> Plan {
        next(wanted, &self.situation, &self.door)
    }

    /// Makes the next plan as a visit does: nobody is waited for where nobody could log in, and a door that is not to be
    /// shut is open.
    pub(super) fn visit(&mut self, wanted: &Wanted) -> Plan {
        let was_in_service = self.situation.history.in_service.is_some();
        if !was_in_service {
            self.door = Door::Empty;
        } else if !is_to_be_shut(wanted, &self.situation) {
            self.door = Door::Open;
        }
        self.next(wanted)
    }

    pub(super) fn apply(&mut self, wanted: &Wanted, step: &Step) {
        match step {
            Step::Create => {
                assert!(self.situation.server.is_none(), "a second server");
                self.situation.server = Some(Observed {
                    state: AwsState::Starting,
                    placement: Placement { addresses: BTreeSet::new(), ..wanted.placement.clone() },
                    endpoint: Endpoint::Absent,
                    lacks_host_keys: true,
                });
            }
            Step::Delete => drop(self.situation.server.take().expect("there is a server to delete")),
            Step::Sleep => {
                self.check_that_nobody_is_cut();
                let server = self.situation.server.take().expect("there is a server to put to sleep");
                assert!(!matches!(server.state, AwsState::Starting | AwsState::Stopping));
                let held = server.placement.addresses.first().cloned();
                self.situation.obstacles.extend(held.map(Obstacle::AddressHeld));
                self.situation.history = History::default();
                self.situation.sleeps = true;
                self.door = Door::Open;
            }
            Step::Drain => self.door = Door::Draining("alice is logged in".into()),
            Step::Wait => self.time_passes(),
            Step::Settled | Step::Forget | Step::Blocked => {}
            change => self.change(wanted, change),
        }
    }

    fn change(&mut self, wanted: &Wanted, step: &Step) {
        let refuses = self.refuses.clone();
        let history = self.situation.history.clone();
        if *step == Step::Stop {
            self.check_that_nobody_is_cut();
        }
        let server = self.server();
        match step {
            Step::Start => {
                assert!(!matches!(server.state, AwsState::Online | AwsState::Starting), "an unnecessary start");
                server.state = AwsState::Starting;
            }
            Step::ImportHostKeys => server.lacks_host_keys = false,
            Step::Stop => {
                assert_ne!(server.state, AwsState::Offline, "StopServer on a server that is offline");
                assert!(!matches!(server.state, AwsState::Starting | AwsState::Stopping));
                server.state = AwsState::Stopping;
                self.stops += 1;
            }
            Step::Readdress { subnets, addresses } => {
                let current = &server.placement;
                assert_eq!(server.state, AwsState::Offline, "addresses are set only while offline");
                assert!(current.addresses.is_empty() || *subnets == current.subnets, "addresses leave first");
                assert!(addresses.is_empty() || addresses.len() == subnets.len());
                let new = Placement { subnets: subnets.clone(), addresses: addresses.clone() };
                if refuses.as_ref() == Some(&new) {
                    let refused = history.after_refusal(&wanted.placement, current, "AWS refuses it".into());
                    self.situation.history = refused;
                } else {
                    server.placement = new;
                }
            }
            Step::Regroup { add, remove } => {
                let Endpoint::Present { groups, .. } = &mut server.endpoint else { panic!("no endpoint") };
                groups.extend(add.iter().cloned());
                groups.retain(|group| !remove.contains(group));
                assert!(!groups.is_empty(), "an endpoint keeps a group");
            }
            other => panic!("{other:?} does not change a server"),
        }
    }

    fn check_that_nobody_is_cut(&self) {
        let is_open = self.situation.server.as_ref().is_some_and(|server| server.state == AwsState::Online);
        assert!(!is_open || self.door == Door::Empty, "somebody is cut off");
    }

    pub(super) fn time_passes(&mut self) {
        if matches!(self.door, Door::Draining(_)) {
            self.door = Door::Empty;
        }
        self.situation.obstacles.retain(|obstacle| !obstacle.passes_by_itself());
        let Some(server) = &mut self.situation.server else { return };
        server.state = match server.state {
            AwsState::Starting => AwsState::Online,
            AwsState::Stopping => AwsState::Offline,
            other => other,
        };
        let groups = match &server.endpoint {
            Endpoint::Present { groups, .. } => groups.clone(),
            _ => [group(1)].into(),
        };
        server.endpoint = Endpoint::Present { groups, available: true };
    }

    /// Runs until nothing more is done; returns the steps.
    pub(super) fn settle(&mut self, wanted: &Wanted) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..40 {
            let plan = self.visit(wanted);
            if plan.phase == ServerPhase::Online {
                self.door = Door::Open;
                self.situation.history.in_service = self.situation.server.clone().map(|server| server.placement);
            }
            if matches!(plan.phase, ServerPhase::Online | ServerPhase::Stopped) {
                self.situation.sleeps = false;
            }
            if matches!(plan.step, Step::Settled | Step::Forget | Step::Blocked) {
                return steps;
            }
            self.apply(wanted, &plan.step);
            steps.push(plan.step);
        }
        panic!("it never settles: {steps:?}");
    }
}
