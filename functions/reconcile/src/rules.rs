//! Security-group rules for the trusted addresses. They are added to the first group before the server opens, and
//! revoked from any group of the endpoint when they are no longer wanted: a server that takes nobody new has none.

use wharfinger_decisions::ingress::{self, Changes, Owner, Rule};

use crate::{error::Error, observe::Observation, visit::Visit};

impl Visit<'_> {
    /// Revokes the rules that are no longer wanted, and returns what is seen without them. Every rule is tried. Of several
    /// errors, a temporary one is preferred. `admits`: new clients are to be let in.
    pub(crate) async fn revoke_rules(&self, seen: Observation, admits: bool) -> (Observation, Result<(), Error>) {
        let mut rules = match &seen.rules {
            Ok(rules) => rules.clone(),
            Err(error) => {
                let unknown = if admits { Ok(()) } else { Err(Error::unknown(error)) };
                return (seen, unknown);
            }
        };
        let mut errors = Vec::new();
        for (group, revoked) in self.changes(&seen, &rules, admits).revoke {
            tracing::info!(server = %self.server, %group, rule = revoked, "taking a rule back");
            match self.app.ec2.revoke(&group, &revoked).await {
                Ok(()) => rules.retain(|rule| rule.id != revoked),
                Err(error) => errors.push(error),
            }
        }
        let error = errors.into_iter().min_by_key(|error| !error.is_temporary());
        (Observation { rules: Ok(rules), ..seen }, error.map_or(Ok(()), |error| Err(error.into())))
    }

    /// Adds the missing rules for the trusted addresses. Every rule is tried; the first error is returned.
    pub(crate) async fn authorize_rules(&self, observation: &Observation, admits: bool) -> Result<(), Error> {
        if !admits {
            return Ok(());
        }
        let rules = observation.rules.as_ref().map_err(Error::unknown)?;
        let Some(group) = self.network().security_group_ids.first() else { return Ok(()) };
        let description = self.owner(observation).description();
        let missing = self.changes(observation, rules, admits).authorize;
        if !missing.is_empty() {
            self.check_lease().await?;
        }
        let mut first = Ok(());
        for cidr in &missing {
            tracing::info!(server = %self.server, %group, %cidr, "letting an address block in");
            first = first.and(self.app.ec2.authorize(group, cidr, self.app.sftp_port, &description).await);
        }
        Ok(first?)
    }

    fn owner(&self, observation: &Observation) -> Owner<'_> {
        let adopted = self.item.adopt.as_ref().map(|adoption| &adoption.server);
        let adopted = adopted.filter(|adopted| observation.server().is_some_and(|it| it.id == adopted.server_id));
        let former = adopted.map(|adopted| adopted.deployment.as_str());
        Owner { deployment: &self.deployment.name, server: self.server, former }
    }

    fn changes(&self, observation: &Observation, rules: &[Rule], admits: bool) -> Changes {
        let network = self.network();
        let Some(first) = network.security_group_ids.first() else { return Changes::default() };
        let cidrs = if admits { &network.allowed_cidrs[..] } else { &[][..] };
        ingress::changes(&self.owner(observation), first, self.app.sftp_port, cidrs, rules)
    }
}
