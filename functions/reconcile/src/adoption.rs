//! A server that another deployment has, or that bears our tags before there was one for our record: it is left alone, with
//! its users and its rules, until a person orders to take it over. One of ours that release 0.1 made gets the ids of the
//! deployment and the record.

use wharfinger_aws::transfer::Server;
use wharfinger_decisions::{
    deployment::OtherServer,
    power::{Plan, Step},
    server::ServerPhase,
};

use crate::{
    error::Error,
    memory::Memory,
    next_visit::{NextVisit, Wakeup},
    observe::Observation,
    reached::{Course, End},
    tally::Tally,
    visit::Visit,
};

impl Visit<'_> {
    /// Takes over the server that was `seen` if it is another deployment's and a person has ordered that, and returns
    /// what is seen then. The error says why it is not ours yet.
    pub(crate) async fn adopted(&self, seen: Observation) -> (Observation, Option<Error>) {
        let ordered = self.item.adopt.as_ref().map(|adoption| &adoption.server);
        let Some(other) = seen.other.as_ref().filter(|other| Some(*other) == ordered) else { return (seen, None) };
        tracing::info!(server = %self.server, id = other.server_id, deployment = other.deployment, "it is adopted");
        if let Err(error) = self.take_over(other).await {
            return (seen, Some(error));
        }
        let seen = Box::pin(self.observe(Some(&other.server_id), true)).await;
        let sentence = "it is taken over, and AWS does not show that yet".into();
        let lags = seen.other.is_some().then_some(Error::Unknown { sentence, temporary: true });
        (seen, lags)
    }

    async fn take_over(&self, other: &OtherServer) -> Result<(), Error> {
        if let Some(server) = self.app.transfer.server(&other.server_id).await? {
            self.check_lease().await?;
            self.tag_as_ours(&server).await?;
        }
        Ok(())
    }

    async fn tag_as_ours(&self, server: &Server) -> Result<(), Error> {
        let tags = self.server_tags().await?;
        Ok(self.app.transfer.tag(&server.arn, &tags).await?)
    }

    /// Gives a server of ours the ids of the deployment and the record if it lacks them, and ends the order that made it ours once
    /// its rules are. What fails is done at the next visit.
    pub(crate) async fn mark(&self, seen: &Observation, rules_are_ours: bool) {
        let Some(server) = seen.server() else { return };
        if self.deployment.lacks_ids(self.server, self.record_id().as_deref(), &server.tags)
            && let Err(error) = self.tag_as_ours(server).await
        {
            tracing::warn!(server = %self.server, %error, "it could not be given the tags of the deployment and the record");
        }
        if let Some(adoption) = self.item.adopt.as_ref().filter(|_| rules_are_ours)
            && let Err(error) = self.app.table.end_adoption(self.server, adoption).await
        {
            tracing::warn!(server = %self.server, %error, "the order to adopt it could not be ended");
        }
    }

    /// Ends the visit to a server that is `other`'s: it is told. If the record is to be deleted, it goes, and that server
    /// stays, with what it is rebuilt from.
    pub(crate) async fn leave_alone(
        &self,
        seen: Observation,
        other: &OtherServer,
        memory: Memory,
        error: Option<Error>,
    ) -> Result<Wakeup, Error> {
        // Only what AWS shows now is another's: a server that was just taken over, or can't be seen, is deleted first.
        if self.record.deleting && error.is_none() && seen.server.is_ok() {
            self.forget_records().await?;
            return Ok(NextVisit::NotNeeded.into());
        }
        let end = error.map_or_else(|| End::Plan(self.left_alone(other)), End::Failed);
        let course = Course { observation: seen, rules: Ok(()), lost: Ok(()), memory };
        Ok(self.conclude(course.ends(end), &Tally::default()).await?)
    }

    /// What is done about a server that is `other`'s: nothing, before a person says what is to be done.
    pub(crate) fn left_alone(&self, other: &OtherServer) -> Plan {
        let is_known = self.record.status.server_id.as_deref() == Some(&other.server_id);
        let before = self.item.phase();
        let phase = if is_known || before == ServerPhase::Asleep { before } else { ServerPhase::Failed };
        Plan { step: Step::Blocked, phase, reason: other.sentence() }
    }
}
