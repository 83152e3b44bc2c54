//! What is known of a server that is to be deleted and rebuilt: independent answers, each of which may be missing.

use wharfinger_aws::transfer::Server;
use wharfinger_decisions::{
    power::{AwsState, Wanted},
    rebuild::{self, Accounts, Facts, Kept, Lack, SecretVersion, Unanswered},
    server::Power,
    wish::Because,
};
use wharfinger_store::table::StoreError;

use crate::{
    error::Error,
    host_keys::{self, Kind},
    observe::Observation,
    records::unanswered,
    status::SECOND_SERVER,
    visit::Visit,
};

impl Visit<'_> {
    /// The visit that leaves a server as it is which is to sleep and could not be rebuilt; `None` for any other.
    /// `accounts`: what is known of its accounts, if AWS has listed them.
    pub(crate) async fn kept_for_a_lack(
        &self,
        first: &Observation,
        accounts: Option<Result<Accounts, Unanswered>>,
    ) -> Option<Self> {
        let server = first.server().filter(|_| self.wanted.power == Power::Asleep && !self.wanted.deleting)?;
        let power = match server.state {
            AwsState::Online | AwsState::StopFailed => Power::Online,
            AwsState::Offline | AwsState::StartFailed => Power::Stopped,
            AwsState::Starting | AwsState::Stopping => return None,
        };
        let mut lacks = self.lacks(server, accounts).await;
        lacks.extend(self.lacks_of_network(server, first));
        // What AWS is too busy to tell is asked again before the server is deleted.
        if lacks.iter().all(Lack::is_unanswered_for_now) {
            return None;
        }
        let reason = format!("it is not put to sleep: {}", rebuild::foremost(&lacks)?.sentence());
        let wanted = Wanted { power, because: Because::Spec, power_reason: reason, ..self.wanted.clone() };
        Some(self.with_less(wanted, lacks))
    }

    /// What says that a rebuilt server would be another one, or could not be made.
    fn lacks_of_network(&self, server: &Server, observation: &Observation) -> Vec<Lack> {
        let has_its_groups = match &observation.endpoint {
            Ok(endpoint) => endpoint.as_ref().is_none_or(|endpoint| endpoint.groups == self.wanted.groups),
            Err(error) => return vec![Lack::Unknown(unanswered(&Error::unknown(error)))],
        };
        let is_in_place = has_its_groups && server.placement.subnets == self.wanted.placement.subnets;
        let is_alone = match &observation.others {
            Some(Ok(others)) => others.ours.is_empty(),
            Some(Err(_)) | None => {
                self.record.status.conditions.iter().all(|condition| condition.code != SECOND_SERVER)
            }
        };
        let network = (!is_in_place).then_some(Lack::Network);
        network.into_iter().chain((!is_alone).then_some(Lack::SecondServer)).collect()
    }

    /// Returns what a server rebuilt from our record and secret would lack of the one that was just `observed`.
    pub(crate) async fn lacks(&self, observed: &Server, accounts: Option<Result<Accounts, Unanswered>>) -> Vec<Lack> {
        rebuild::lacks(&self.facts(observed, accounts).await)
    }

    /// Returns what is known of the server that was just `observed`. Changes nothing, but that a secret which is about to
    /// be deleted is kept. `accounts`: as above.
    pub(crate) async fn facts(&self, observed: &Server, accounts: Option<Result<Accounts, Unanswered>>) -> Facts {
        let accounts = async {
            match accounts {
                Some(known) => known,
                None => self.accounts_on(&observed.id).await,
            }
        };
        let (host_keys, secrets, made_here, accounts) = tokio::join!(
            Box::pin(self.app.transfer.host_keys(&observed.id)),
            Box::pin(self.kept_host_keys()),
            Box::pin(self.made_host_keys()),
            Box::pin(accounts),
        );
        let roles = observed.settings.roles().into_iter();
        let may_pass = [Some(&self.app.user_role), self.record.intent.spec.user_role_arn.as_ref()];
        Facts {
            host_keys: host_keys.map_err(|error| unanswered(&error.into())),
            secrets,
            made_here: made_here.map_err(|error| unanswered(&error.into())),
            attached: observed.placement.addresses.clone(),
            wanted: self.wanted.placement.addresses.clone(),
            is_left: self.is_left_as_it_is(observed) || self.is_refused(),
            accounts,
            lost: observed.lost.clone(),
            roles: roles.map(|(member, role)| (member.to_owned(), role.to_owned())).collect(),
            may_pass: may_pass.into_iter().flatten().map(|role| role.as_str().to_owned()).collect(),
        }
    }

    /// Whether AWS refused the placement that is wanted.
    fn is_refused(&self) -> bool {
        let refused = self.record.status.history.refused.as_ref();
        refused.is_some_and(|refused| refused.placement == self.wanted.placement)
    }

    /// Records the keys of our secret, which the server has, as made for it: from then on nothing else shows that.
    pub(crate) async fn keep_host_keys(&self, facts: &Facts) -> Result<(), StoreError> {
        let made_here = facts.made_here.as_ref().ok();
        for (_, kept) in &facts.secrets {
            if let Ok(Kept::Key(fingerprint)) = kept
                && !made_here.is_some_and(|made_here| made_here.contains(fingerprint))
            {
                self.app.table.add_host_key(self.server, fingerprint).await?;
            }
        }
        Ok(())
    }

    /// What the versions of the host keys' secret hold. None is made. They are read one after the other: the first read
    /// restores a secret that is about to be deleted.
    async fn kept_host_keys(&self) -> Vec<(SecretVersion, Result<Kept, Unanswered>)> {
        let mut kept = Vec::new();
        for kind in Kind::ALL {
            let version = kind.version(self.app, self.server);
            let secret = self.app.secrets.get(&version).await;
            let held = secret.map(|secret| host_keys::kept(secret.as_ref())).map_err(|error| unanswered(&error.into()));
            kept.push((version, held));
        }
        kept
    }

    /// The accounts on the server `server_id` that the table could not bring back.
    async fn accounts_on(&self, server_id: &str) -> Result<Accounts, Unanswered> {
        let (listed, records) = tokio::join!(self.app.transfer.users(server_id), self.records());
        let listed = listed.map_err(|error| unanswered(&error.into()))?;
        let records = records.map_err(|error| unanswered(&error.into()))?;
        self.lost_accounts(&records, &listed)
    }
}
