//! A server's placement in the network, and the history of its placements.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{AllocationId, SubnetId};

/// What is done about drift: AWS shows another placement than the one that was applied for this very spec, because
/// somebody changed it by hand. Sessions are cut to repair it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftPolicy {
    /// It is told, and left as it is until the server is offline.
    #[default]
    Report,
    /// The server is drained and stopped for it, as for a change of the spec.
    Repair,
}

/// A server's placement in the network, which AWS changes only while the server is offline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The subnets of its endpoint.
    pub subnets: BTreeSet<SubnetId>,
    /// Its Elastic IPs.
    pub addresses: BTreeSet<AllocationId>,
}

/// The history of a server's placements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The last one in which clients could reach it. It is restored if another is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_service: Option<Placement>,
    /// The last one that AWS refused. No session is cut for it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// The wanted one, once AWS had it. Another one that AWS shows later is drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Placement>,
}

/// A placement that AWS refused after all checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The placement.
    pub placement: Placement,
    /// AWS's answer.
    pub message: String,
}

impl Placement {
    /// How this placement, which AWS shows, differs from the one that is `wanted`, in words: `it has a and lacks b`.
    #[must_use]
    pub fn differs_from(&self, wanted: &Self) -> String {
        let names = |of: &Self, other: &Self| {
            let subnets = of.subnets.difference(&other.subnets).map(ToString::to_string);
            let addresses = of.addresses.difference(&other.addresses).map(ToString::to_string);
            subnets.chain(addresses).collect::<Vec<_>>().join(", ")
        };
        match (names(self, wanted).as_str(), names(wanted, self).as_str()) {
            ("", "") => "it differs in nothing".to_owned(),
            (more, "") => format!("it has {more} too"),
            ("", less) => format!("it lacks {less}"),
            (more, less) => format!("it has {more} and lacks {less}"),
        }
    }
}

impl History {
    /// Whether somebody changed the placement by hand: `current` is not the one that is `wanted`, which AWS had.
    #[must_use]
    pub fn has_drifted(&self, wanted: &Placement, current: &Placement) -> bool {
        self.applied.as_ref() == Some(wanted) && current != wanted
    }

    /// The history after a look at a server that has the placement `current`, if it exists, and is to have `wanted`.
    #[must_use]
    pub fn after_look(self, wanted: &Placement, current: Option<&Placement>) -> Self {
        let is_applied = current == Some(wanted) || current.is_some() && self.applied.as_ref() == Some(wanted);
        Self { applied: is_applied.then(|| wanted.clone()), ..self }
    }

    /// The history with which a visit begins. `opens`: the server is to be online; `offline`: AWS shows it so. Where there is
    /// no placement to go back to and no session to cut, one that AWS refused is tried again.
    #[must_use]
    pub fn at_first(&self, opens: bool, offline: bool) -> Self {
        let restores = self.in_service.is_some() && opens;
        if restores || !offline {
            return self.clone();
        }
        Self { refused: None, ..self.clone() }
    }

    /// The history after AWS refused, with `message`, a step towards `wanted` from `current`. Where it was a step back
    /// to the placement in service, that one is given up, and the server is opened with what it has.
    #[must_use]
    pub fn after_refusal(&self, wanted: &Placement, current: &Placement, message: String) -> Self {
        if self.refused.as_ref().is_some_and(|refused| refused.placement == *wanted) {
            return Self { in_service: self.in_service.as_ref().map(|_| current.clone()), ..self.clone() };
        }
        Self { refused: Some(Refused { placement: wanted.clone(), message }), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(subnet: u8, address: Option<u8>) -> Placement {
        Placement {
            subnets: [SubnetId::parse(format!("subnet-0000000{subnet}")).unwrap()].into(),
            addresses: address
                .map(|n| AllocationId::parse(format!("eipalloc-0000000{n}")).unwrap())
                .into_iter()
                .collect(),
        }
    }

    #[test]
    fn a_placement_drifts_once_it_was_applied_and_not_before() {
        let (wanted, other) = (placement(1, Some(1)), placement(1, None));
        let made = History::default().after_look(&wanted, Some(&other));
        assert!(!made.has_drifted(&wanted, &other), "it is still on its way");
        let applied = made.after_look(&wanted, Some(&wanted));
        assert!(!applied.has_drifted(&wanted, &wanted));
        assert!(applied.has_drifted(&wanted, &other));
        assert!(applied.clone().after_look(&wanted, Some(&other)).has_drifted(&wanted, &other), "and goes on to");
        assert!(!applied.clone().after_look(&wanted, None).has_drifted(&wanted, &other), "it is another server");
        let changed = applied.after_look(&other, Some(&wanted));
        assert!(!changed.has_drifted(&other, &wanted) && !changed.has_drifted(&wanted, &other), "a PUT is no drift");
    }

    #[test]
    fn what_differs_is_told() {
        let (wanted, other) = (placement(1, Some(1)), placement(1, Some(2)));
        assert_eq!(other.differs_from(&wanted), "it has eipalloc-00000002 and lacks eipalloc-00000001");
        assert_eq!(placement(1, None).differs_from(&wanted), "it lacks eipalloc-00000001");
        assert_eq!(wanted.differs_from(&placement(1, None)), "it has eipalloc-00000001 too");
    }
}
