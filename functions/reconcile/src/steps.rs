//! Carries out one step of a plan.

use wharfinger_aws::{
    error::AwsError,
    transfer::{NewServer, Server},
};
use wharfinger_decisions::{
    idle::Action,
    power::{Placement, Step},
    server::{Asker, Power, WantedPower},
};
use wharfinger_store::table::StoreError;

use crate::{
    error::{Error, sentence},
    host_key,
    reached::End,
    visit::Visit,
};

/// The result of a step after which more steps may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// AWS accepted the call, or no call was needed.
    Asked,
    /// AWS created a server with this id.
    Made(String),
    /// AWS permanently refuses the new network, with this message.
    Refused(String),
}

impl Visit<'_> {
    /// Carries out `step` on `server`, as just observed.
    ///
    /// # Errors
    /// When no more steps are to be taken.
    pub(crate) async fn act(&self, server: Option<&Server>, step: &Step) -> Result<Outcome, End> {
        let transfer = &self.app.transfer;
        let Some(server) = server else {
            return Ok(if *step == Step::Create { Outcome::Made(self.create().await?) } else { Outcome::Asked });
        };
        match step {
            Step::Stop { if_idle: true } => self.stop_if_idle(&server.id).await?,
            Step::Stop { if_idle: false } => transfer.stop_server(&server.id).await?,
            Step::Start => transfer.start_server(&server.id).await?,
            Step::Delete => transfer.delete_server(&server.id).await?,
            Step::Readdress { subnets, addresses } => {
                let target = Placement { subnets: subnets.clone(), addresses: addresses.clone() };
                match self.readdress(server, &target).await {
                    Err(error) if !error.is_temporary() => return Ok(Outcome::Refused(sentence(&error))),
                    answer => answer?,
                }
            }
            Step::Regroup { add, remove } => {
                if let Some(endpoint) = &server.vpc_endpoint_id {
                    self.app.ec2.regroup(endpoint, add, remove).await?;
                }
            }
            Step::Create | Step::Wait | Step::Blocked | Step::Forget | Step::Settled => {}
        }
        Ok(Outcome::Asked)
    }

    async fn create(&self) -> Result<String, Error> {
        let network = self.network();
        let file_system = &self.record.intent.spec.file_system_id;
        if let Some(missing) = self.app.file_systems.missing(file_system, &network.vpc_id).await? {
            return Err(Error::Missing(missing));
        }
        let host_key = host_key::obtain(self.app, self.server).await?;
        let new = NewServer {
            vpc_id: &network.vpc_id,
            subnet_ids: &network.subnet_ids,
            security_group_ids: &network.security_group_ids,
            host_key: &host_key,
            tags: &self.tags(),
        };
        Ok(self.app.transfer.create_server(&new).await?)
    }

    /// Stops the server, or withdraws the idle sweep's stop if the server is in use after all.
    async fn stop_if_idle(&self, id: &str) -> Result<(), End> {
        let decision = self.idle_decision(id).await;
        if decision.action == Action::Stop {
            return Ok(self.app.transfer.stop_server(id).await?);
        }
        let now = self.moment.present();
        let reason = format!("it was to be stopped, but stays online: {}", decision.reason);
        let power = WantedPower { power: Power::Online, by: Asker::Autostop, reason: reason.clone(), at: now };
        match self.app.table.want_power(self.server, &power, self.record.version, now).await {
            // A conflict: a person was faster, and the next visit reads what they want.
            Ok(_) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        self.app.table.note_decision(self.server, &decision).await?;
        Err(End::Kept(reason))
    }

    /// Sets subnets and Elastic IPs. The addresses keep the order of the spec, which pairs them with subnets, and are
    /// left out if they do not change.
    async fn readdress(&self, server: &Server, target: &Placement) -> Result<(), AwsError> {
        let wanted = &self.network().address_allocation_ids;
        let mut ordered: Vec<_> = wanted.iter().filter(|id| target.addresses.contains(*id)).cloned().collect();
        ordered.extend(target.addresses.iter().filter(|id| !wanted.contains(*id)).cloned());
        let changed = (target.addresses != server.placement.addresses).then_some(&ordered[..]);
        self.app.transfer.set_network(&server.id, &target.subnets, changed).await
    }
}
