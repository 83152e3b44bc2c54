//! Makes a server: a new one with our defaults, or one that slept with what was recorded of it.
//!
//! What was recorded may name what is gone meanwhile. A server that AWS refuses twice for the same reason is made without
//! the settings that AWS means, which keeps nobody out; a condition names them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharfinger_aws::{
    error::AwsError,
    secrets::Secret,
    transfer::{NewServer, SECURITY_POLICY},
};
use wharfinger_decisions::{
    power::Plan,
    server::{Made, ServerStatus},
    settings::{
        Settings,
        refused::{RefusedSetting, Search},
    },
};

use crate::{
    error::Error,
    host_keys::Kind,
    memory::Memory,
    reached::{Course, End},
    status::STEP_REFUSED,
    steps::Outcome,
    visit::Visit,
};

/// What each server is given that is made for the record.
struct Own {
    host_key: Secret,
    tags: BTreeMap<String, String>,
}

/// What the server was asked for without, and its id, or why there is none.
type Asked = (Vec<RefusedSetting>, Result<String, AwsError>);

impl Visit<'_> {
    /// Records that a server is asked for; when that is done, makes it and records its id at once. After an answer that
    /// was lost, the server is waited for before there is another; one whose id is known is not made again while AWS does
    /// not show it yet. If the id can't be recorded, the server is found by its tags.
    pub(crate) async fn create(&self, course: &Course, plan: &Plan) -> Result<Outcome, End> {
        if course.memory.making == self.record.status.making {
            // The server is given the record's id, by which it is found though the answer is lost.
            self.server_tags().await?;
            return self.changed(course.memory.clone().making_since(self.moment.present())).await;
        }
        let (refused_settings, made) = self.ask_until_answered(&course.memory).await?;
        let memory = Memory { refused_settings, ..course.memory.clone() };
        let id = match made {
            Ok(id) => id,
            Err(error) => return Ok(Outcome::Failed(Box::new(memory), error.into())),
        };
        tracing::info!(server = %self.server, id, "a server was made");
        let made = Some(Made { id: id.clone(), at: self.moment.present() });
        let memory = Memory { made, ..memory };
        let status = ServerStatus {
            server_id: Some(id),
            power: plan.phase,
            reason: plan.reason.clone(),
            ..self.record.status.clone()
        };
        if let Err(error) = self.remember(&memory, status).await {
            tracing::warn!(server = %self.server, %error, "the new server's id could not be written down");
        }
        Ok(Outcome::Changed(Box::new(memory)))
    }

    /// Asks for the server. Returns what it was asked for without, and its id or why there is none, as far as is known.
    ///
    /// # Errors
    /// When it was not asked for, or what it was to be made without could not be recorded.
    async fn ask_until_answered(&self, memory: &Memory) -> Result<Asked, Error> {
        let (host_key, _) = self.host_key(Kind::Ed25519, &[]).await?;
        let own = Own { host_key, tags: self.server_tags().await? };
        let mut settings = self.item.asleep.clone().map(|asleep| asleep.settings).unwrap_or_default();
        for (member, default) in self.defaults() {
            settings.members.entry(member).or_insert(default);
        }
        match self.ask_for(&own, &settings).await {
            Err(error) if self.is_refused_again(&error) => self.ask_without(&own, settings, error, memory).await,
            Err(error) => Ok((memory.refused_settings.clone(), Err(error))),
            id => Ok((Vec::new(), id)),
        }
    }

    /// What a server has of which nothing else is recorded.
    fn defaults(&self) -> BTreeMap<String, Value> {
        let log_group = ("StructuredLogDestinations".to_owned(), json!([self.app.log_group]));
        [("SecurityPolicyName".to_owned(), SECURITY_POLICY.into()), log_group].into()
    }

    /// Whether AWS refused the server with the same words in an earlier visit: some refusals pass, and one of a permission
    /// is about no setting.
    fn is_refused_again(&self, error: &AwsError) -> bool {
        let told = error.sentence();
        let conditions = &self.record.status.conditions;
        !error.is_temporary()
            && !error.is_denied()
            && conditions.iter().any(|known| known.code == STEP_REFUSED && known.message == told)
    }

    /// Asks for the server without the settings to which AWS objects. After a call without an answer there may be a
    /// server, which is searched before the next try.
    async fn ask_without(
        &self,
        own: &Own,
        settings: Settings,
        refusal: AwsError,
        memory: &Memory,
    ) -> Result<Asked, Error> {
        let mut search = Search::new(settings, self.defaults(), refusal.to_string());
        while let Some(settings) = search.next() {
            // What it is made without is known also after a crash.
            self.note(&Memory { refused_settings: search.taken(), ..memory.clone() }).await?;
            match self.ask_for(own, &settings).await {
                Ok(id) => {
                    let refused = search.taken();
                    tracing::warn!(server = %self.server, id, ?refused, "AWS made it without what it refused");
                    return Ok((refused, Ok(id)));
                }
                Err(error) if !error.had_no_effect() => return Ok((search.taken(), Err(error))),
                Err(error) if error.is_temporary() => return Ok((memory.refused_settings.clone(), Err(error))),
                Err(error) => search = search.after_refusal(error.to_string()),
            }
        }
        Ok((memory.refused_settings.clone(), Err(refusal)))
    }

    async fn ask_for(&self, own: &Own, settings: &Settings) -> Result<String, AwsError> {
        let network = self.network();
        let new = NewServer {
            vpc_id: &network.vpc_id,
            subnet_ids: &network.subnet_ids,
            security_group_ids: &network.security_group_ids,
            host_key: &own.host_key,
            tags: &own.tags,
            settings,
        };
        self.app.transfer.create_server(&new).await
    }
}
