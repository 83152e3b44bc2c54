//! Security-group rules for trusted addresses: which to add and which to revoke. Only rules with our description are
//! ever revoked.

use std::collections::BTreeSet;

use crate::{cidr::Cidr, ids::SecurityGroupId, names::ServerName};

/// Whose rules: those of one server of one deployment. Two deployments may share a security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The deployment's name.
    pub deployment: &'a str,
    /// The server.
    pub server: &'a ServerName,
    /// The deployment from which the server is being taken over. All rules that it made for the server are taken back, so
    /// that none is left which nobody looks after.
    pub former: Option<&'a str>,
}

impl Owner<'_> {
    /// The description of new rules.
    #[must_use]
    pub fn description(&self) -> String {
        format!("wharfinger:{}/{}", self.deployment, self.server)
    }

    /// Whether a rule with this description is ours. Earlier versions did not name the deployment.
    fn made(&self, description: &str) -> bool {
        description == self.description() || description == format!("wharfinger:{}", self.server)
    }

    /// Whether a rule with this description is of the deployment from which the server is taken over.
    fn took_over(&self, description: &str) -> bool {
        let former = self.former.filter(|former| *former != self.deployment);
        former.is_some_and(|former| description == format!("wharfinger:{former}/{}", self.server))
    }
}

/// An ingress rule as EC2 shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// EC2's id.
    pub id: String,
    /// Its group.
    pub group: SecurityGroupId,
    /// The block it lets in, as EC2 writes it; `None` for another kind of source.
    pub cidr: Option<String>,
    /// The protocol: `tcp`, or `-1` for all.
    pub protocol: String,
    /// The ports, first and last.
    pub ports: (i32, i32),
    /// What it is for.
    pub description: String,
}

/// What to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Blocks to allow in the first wanted group.
    pub authorize: Vec<Cidr>,
    /// Rules to revoke, each with its group.
    pub revoke: Vec<(SecurityGroupId, String)>,
}

/// A block as AWS writes it, without today's validation: a block that was accepted earlier is still the same.
fn as_aws_has_it(text: &str) -> Cidr {
    Cidr::parse(text).unwrap_or_else(|_| Cidr::from_stored(text))
}

/// The changes by which `cidrs`, and nothing else of ours, reach `port` through the group `first`. `rules` are those
/// of all groups where rules of `owner` can be.
#[must_use]
pub fn changes(owner: &Owner<'_>, first: &SecurityGroupId, port: u16, cidrs: &[Cidr], rules: &[Rule]) -> Changes {
    let opens = |rule: &Rule, cidr: &Cidr| {
        rule.group == *first
            && !owner.took_over(&rule.description)
            && rule.protocol == "tcp"
            && rule.ports == (i32::from(port), i32::from(port))
            && rule.cidr.as_deref().is_some_and(|text| *cidr == as_aws_has_it(text))
    };
    let wanted: BTreeSet<&Cidr> = cidrs.iter().collect();
    let authorize = wanted.iter().filter(|cidr| !rules.iter().any(|rule| opens(rule, cidr)));
    let is_unwanted = |rule: &Rule| owner.made(&rule.description) && !wanted.iter().any(|cidr| opens(rule, cidr));
    let revoke = rules.iter().filter(|rule| owner.took_over(&rule.description) || is_unwanted(rule));
    Changes {
        authorize: authorize.map(|cidr| (*cidr).clone()).collect(),
        revoke: revoke.map(|rule| (rule.group.clone(), rule.id.clone())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The changes for the server `main` of the deployment `harbour`.
    fn changes(cidrs: &[Cidr], rules: &[Rule]) -> Changes {
        let server = ServerName::parse("main").unwrap();
        super::changes(
            &Owner { deployment: "harbour", server: &server, former: Some("quay") },
            &group(1),
            22,
            cidrs,
            rules,
        )
    }
    fn group(n: u8) -> SecurityGroupId {
        SecurityGroupId::parse(format!("sg-0000000{n}")).unwrap()
    }
    fn cidr(n: u8) -> Cidr {
        Cidr::parse(format!("10.{n}.0.0/16")).unwrap()
    }
    fn rule(group_number: u8, block: u8, description: &str) -> Rule {
        Rule {
            id: format!("sgr-{group_number}-{block}-{description}"),
            group: group(group_number),
            cidr: Some(cidr(block).to_string()),
            protocol: "tcp".into(),
            ports: (22, 22),
            description: description.into(),
        }
    }

    #[test]
    fn rules_of_others_are_left_alone() {
        let rules = [rule(1, 1, "office"), rule(1, 2, "wharfinger:other"), rule(1, 3, "wharfinger:harbour/main")];
        let changes = changes(&[], &rules);
        assert_eq!(changes.revoke, [(group(1), rules[2].id.clone())]);
    }

    #[test]
    fn two_deployments_that_share_a_group_leave_each_others_rules_alone() {
        let rules = [rule(1, 1, "wharfinger:harbour/main"), rule(1, 2, "wharfinger:wharf/main")];
        assert_eq!(changes(&[], &rules).revoke, [(group(1), rules[0].id.clone())]);
    }

    #[test]
    fn the_rules_of_a_deployment_from_which_a_server_is_taken_over_give_way_to_ours() {
        let rules = [
            rule(1, 1, "wharfinger:quay/main"),
            rule(2, 2, "wharfinger:quay/main"),
            rule(1, 3, "wharfinger:quay/other"),
        ];
        let changes = changes(&[cidr(1)], &rules);
        let revoked = [(group(1), rules[0].id.clone()), (group(2), rules[1].id.clone())];
        assert_eq!((changes.authorize, changes.revoke), (vec![cidr(1)], revoked.to_vec()));
    }

    #[test]
    fn a_rule_that_an_earlier_version_made_is_kept_and_taken_back_as_ours() {
        let rules = [rule(1, 1, "wharfinger:main"), rule(1, 2, "wharfinger:main")];
        let changes = changes(&[cidr(1)], &rules);
        assert_eq!((changes.authorize, changes.revoke), (vec![], vec![(group(1), rules[1].id.clone())]));
    }

    #[test]
    fn a_block_that_someone_let_in_already_is_not_let_in_twice() {
        let changes = changes(&[cidr(1)], &[rule(1, 1, "office")]);
        assert_eq!(changes, Changes::default());
    }

    #[test]
    fn another_port_or_group_is_another_rule() {
        let rules = [rule(2, 1, "wharfinger:main"), Rule { ports: (2222, 2222), ..rule(1, 1, "wharfinger:main") }];
        let changes = changes(&[cidr(1)], &rules);
        assert_eq!((changes.authorize, changes.revoke.len()), (vec![cidr(1)], 2));
    }

    proptest! {
        #[test]
        fn after_the_changes_there_is_nothing_to_change(
            wanted in prop::collection::vec(1u8..9, 0..6),
            there in prop::collection::btree_set((1u8..3, 1u8..9, any::<bool>()), 0..8),
        ) {
            let wanted: Vec<_> = wanted.into_iter().map(cidr).collect();
            let mut rules: Vec<_> = there.into_iter()
                .map(|(group, block, ours)| rule(group, block, if ours { "wharfinger:main" } else { "theirs" }))
                .collect();
            let theirs = rules.iter().filter(|rule| rule.description == "theirs").count();
            let first = changes(&wanted, &rules);
            rules.retain(|rule| !first.revoke.iter().any(|(_, id)| *id == rule.id));
            for block in first.authorize {
                rules.push(Rule {
                    id: block.to_string(), group: group(1), cidr: Some(block.to_string()), protocol: "tcp".into(),
                    ports: (22, 22), description: "wharfinger:main".into(),
                });
            }
            prop_assert_eq!(changes(&wanted, &rules), Changes::default());
            prop_assert_eq!(rules.iter().filter(|rule| rule.description == "theirs").count(), theirs);
        }
    }
}
