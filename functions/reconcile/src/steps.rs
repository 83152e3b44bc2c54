//! Carries out one step of a plan.

use wharfinger_aws::{error::AwsError, transfer::Server};
use wharfinger_decisions::{
    power::{History, Placement, Plan, Step},
    rebuild,
    server::Asleep,
};

use crate::{
    error::Error,
    memory::Memory,
    reached::{Course, End},
    visit::Visit,
};

/// The result of a step.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// AWS accepted the call, or no call was needed.
    Asked,
    /// The step changed what is remembered, and that is recorded.
    Changed(Box<Memory>),
    /// The step failed, as far as is known, and changed what is remembered all the same. No more steps are taken.
    Failed(Box<Memory>, Error),
}

impl Visit<'_> {
    /// Carries out the step of `plan` on the server as just observed.
    ///
    /// # Errors
    /// When no more steps are to be taken.
    pub(crate) async fn act(&self, course: &Course, plan: &Plan) -> Result<Outcome, End> {
        let transfer = &self.app.transfer;
        let Some(server) = course.observation.server() else {
            return if plan.step == Step::Create { self.create(course, plan).await } else { Ok(Outcome::Asked) };
        };
        match &plan.step {
            Step::Drain => return self.changed(course.memory.clone().draining_since(self.moment.present())).await,
            Step::Stop => transfer.stop_server(&server.id).await?,
            Step::Start => transfer.start_server(&server.id).await?,
            Step::Sleep => return self.put_to_sleep(server, course).await,
            Step::Delete => {
                transfer.delete_server(&server.id).await?;
                return self.changed(Memory { made: None, ..course.memory.clone() }).await;
            }
            Step::ImportHostKeys => return self.give_host_keys(server, course).await,
            Step::Readdress { subnets, addresses } => {
                let target = Placement { subnets: subnets.clone(), addresses: addresses.clone() };
                return self.readdress(server, &target, course).await;
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

    /// Records `memory`.
    pub(crate) async fn changed(&self, memory: Memory) -> Result<Outcome, End> {
        self.note(&memory).await?;
        Ok(Outcome::Changed(Box::new(memory)))
    }

    /// Records what the server is rebuilt from; when that is done, deletes it. What can't be rebuilt is not deleted. If
    /// the deletion fails, its record stays: AWS may have deleted the server all the same.
    async fn put_to_sleep(&self, server: &Server, course: &Course) -> Result<Outcome, End> {
        let recorded = course.memory.asleep.as_ref().map(|asleep| &asleep.settings);
        let refused = course.memory.refused_settings.iter().filter(|refused| refused.is_missing(&server.settings));
        let settings = server.settings.clone().restored(&refused.cloned().collect::<Vec<_>>());
        if recorded != Some(&settings) {
            let asleep = Asleep { since: self.moment.present(), settings };
            return self.changed(Memory { asleep: Some(asleep), ..course.memory.clone() }).await;
        }
        // Looked at once more: the proof of the visit's beginning is older than the drain's last question.
        let facts = self.facts(server, None).await;
        let lacks = rebuild::lacks(&facts);
        if let Some(lack) = rebuild::foremost(&lacks) {
            let (sentence, temporary) = (lack.sentence(), rebuild::pass(&lacks));
            return Err(Error::Unknown { sentence, temporary }.into());
        }
        self.keep_host_keys(&facts).await?;
        self.app.transfer.delete_server(&server.id).await?;
        tracing::info!(server = %self.server, id = server.id, "the server sleeps");
        // The placement in service went with the server: the next one is not to be opened with less.
        let memory = Memory {
            keyed: None,
            logged_since: None,
            made: None,
            history: History::default(),
            refused_settings: Vec::new(),
            ..course.memory.clone()
        };
        Ok(Outcome::Changed(Box::new(memory)))
    }

    /// Gives the server its host keys, and the log of this deployment if it logs its sessions nowhere: without a log it
    /// is harder to know who is there, but nobody is kept out for that. That the log is younger than the sessions is
    /// recorded before there is one.
    async fn give_host_keys(&self, server: &Server, course: &Course) -> Result<Outcome, End> {
        let memory = course.memory.clone();
        if server.log_group_arn.is_none() {
            if memory.logged_since.is_none() {
                return self.changed(Memory { logged_since: Some(self.moment.present()), ..memory }).await;
            }
            if let Err(error) = self.app.transfer.set_log_destination(&server.id, &self.app.log_group).await {
                tracing::warn!(server = %self.server, %error, "its sessions are not logged");
            }
        }
        let fingerprints = self.import_missing_host_keys(&server.id).await?;
        self.changed(Memory { keyed: Some((server.id.clone(), fingerprints)), ..memory }).await
    }

    /// Sets subnets and Elastic IPs. A lasting refusal is remembered.
    async fn readdress(&self, server: &Server, target: &Placement, course: &Course) -> Result<Outcome, End> {
        match self.set_network(server, target).await {
            Err(error) if !error.is_temporary() => {
                let reason = error.sentence();
                tracing::warn!(server = %self.server, reason, "AWS refuses the new network");
                let history = &course.memory.history;
                let history = history.after_refusal(&self.wanted.placement, &server.placement, reason);
                self.changed(Memory { history, ..course.memory.clone() }).await
            }
            answer => Ok(answer.map(|()| Outcome::Asked)?),
        }
    }

    /// The addresses keep the order of the spec, which pairs them with subnets, and are left out if they do not change.
    async fn set_network(&self, server: &Server, target: &Placement) -> Result<(), AwsError> {
        let wanted = &self.network().address_allocation_ids;
        let mut ordered: Vec<_> = wanted.iter().filter(|id| target.addresses.contains(*id)).cloned().collect();
        ordered.extend(target.addresses.iter().filter(|id| !wanted.contains(*id)).cloned());
        let changed = (target.addresses != server.placement.addresses).then_some(&ordered[..]);
        self.app.transfer.set_network(&server.id, &target.subnets, changed).await
    }
}
