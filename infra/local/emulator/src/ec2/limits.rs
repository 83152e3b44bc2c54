//! What security groups may hold and say. From the quotas of Amazon VPC and the EC2 API reference.

use super::rules::{Peer, Rule};
use crate::error::AwsError;

/// Rules that a group may have, for each direction and each IP version: a rule for a group counts in both versions.
const RULES: usize = 60;

/// Security groups that a network interface may have.
const GROUPS: usize = 5;

/// What names and descriptions are made of, as EC2 writes it.
const CHARACTERS: &str = "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*";

/// Refuses a group with more rules than it may have.
pub(super) fn check_rules<'a>(rules: impl Iterator<Item = &'a Rule> + Clone) -> Result<(), AwsError> {
    for egress in [false, true] {
        let count =
            |peers: fn(&Peer) -> bool| rules.clone().filter(|rule| rule.egress == egress && peers(&rule.peer)).count();
        let (v4, v6) = (count(|peer| !matches!(peer, Peer::Cidr6(_))), count(|peer| !matches!(peer, Peer::Cidr(_))));
        if v4.max(v6) > RULES {
            let message = "The maximum number of rules per security group has been reached.";
            return Err(AwsError::client("RulesPerSecurityGroupLimitExceeded", message));
        }
    }
    Ok(())
}

/// Refuses more security groups than an interface may have.
pub(super) fn check_groups(groups: &[String]) -> Result<(), AwsError> {
    if groups.len() <= GROUPS {
        return Ok(());
    }
    let message = "The maximum number of security groups per interface has been reached.";
    Err(AwsError::client("SecurityGroupsPerInterfaceLimitExceeded", message))
}

/// Refuses a name or description, `kind`, that EC2 does not take.
pub(super) fn check_text(kind: &str, text: &str) -> Result<(), AwsError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || ". _-:/()#,@[]+=&;{}!$*".contains(letter);
    if text.len() < 256 && text.chars().all(allowed) {
        return Ok(());
    }
    let message = format!(
        "Invalid {kind}. Valid {kind}s are strings less than 256 characters from the following set:  {CHARACTERS}"
    );
    Err(AwsError::client("InvalidParameterValue", message))
}
