//! Makes a server: a new one with our defaults, or one that slept with what was recorded of it.
//!
//! What was recorded may name what is gone meanwhile. A server that AWS refuses twice for the same reason is made without
//! the settings that AWS means, which keeps nobody out; a condition names them.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};
use wharfinger_aws::{
    error::AwsError,
    secrets::Secret,
    transfer::{NewServer, SECURITY_POLICY},
};
use wharfinger_decisions::{
    power::Plan,
    server::{Made, ServerStatus},
    settings::{Settings, refused::Search},
};

use crate::{
    error::{Error, STEP_REFUSED},
    host_keys::Kind,
    memory::Memory,
    reached::{Course, End},
    steps::Outcome,
    visit::Visit,
};

/// How long a search for refused settings is gone on with: what AWS refused longer ago may be there again.
const SEARCH_GOES_ON: SignedDuration = SignedDuration::from_hours(1);

/// What each server is given that is made for the record.
struct Own {
    host_key: Secret,
    tags: BTreeMap<String, String>,
}

/// What came of asking for the server.
struct Asked {
    /// What is remembered of what it was asked for without.
    memory: Memory,
    /// Its id, or why there is none.
    made: Result<String, AwsError>,
}

impl Visit<'_> {
    /// Records that a server is asked for; when that is done, makes it and records its id at once. After an answer that
    /// was lost, the server is waited for before there is another; one whose id is known is not made again while AWS does
    /// not show it yet. If the id can't be recorded, the server is found by its tags.
    pub(crate) async fn create(&self, course: &Course, plan: &Plan) -> Result<Outcome, End> {
        if course.memory.making == self.record.status.making {
            // The server is given the record's id, by which it is found though the answer is lost. The one that the record
            // had with a server that is gone proves nothing.
            if self.is_bound() {
                self.renew_record_id().await?;
            }
            self.server_tags().await?;
            return self.changed(course.memory.clone().making_since(self.moment.present())).await;
        }
        let Asked { memory, made } = self.ask_until_answered(&course.memory).await?;
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
        let now = self.moment.present();
        let progress = memory.settings_search.clone();
        if let Some(progress) = progress.filter(|progress| now.duration_since(progress.at) < SEARCH_GOES_ON) {
            let search = Search::resumed(settings, self.defaults(), progress);
            return self.ask_without(&own, search, memory).await;
        }
        match self.ask_for(&own, &settings).await {
            Err(error) if self.is_refused_again(&error) => {
                let search = Search::new(settings, self.defaults(), error.to_string());
                let asked = self.ask_without(&own, search, memory).await?;
                // If none of the settings is meant, what AWS said of all of them counts.
                let is_about_none = asked.memory.settings_search.is_none() && asked.made.is_err();
                Ok(if is_about_none { Asked { made: Err(error), ..asked } } else { asked })
            }
            Err(error) => Ok(Asked { memory: memory.clone(), made: Err(error) }),
            made => Ok(Asked { memory: Memory { refused_settings: Vec::new(), ..memory.clone() }, made }),
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
    /// server, which is searched before the next try. An answer that says nothing of the settings ends the visit, and the
    /// next one goes on where this one was.
    async fn ask_without(&self, own: &Own, mut search: Search, memory: &Memory) -> Result<Asked, Error> {
        let mut last = None;
        while let Some(settings) = search.next() {
            // What it is made without is known also after a crash.
            let settings_search = Some(search.progress(self.moment.present()));
            let under_way = Memory { refused_settings: search.taken(), settings_search, ..memory.clone() };
            self.note(&under_way).await?;
            match self.ask_for(own, &settings).await {
                Ok(id) => {
                    tracing::warn!(server = %self.server, id, refused = ?search.taken(), "AWS made it without what it refused");
                    return Ok(Asked { memory: Memory { settings_search: None, ..under_way }, made: Ok(id) });
                }
                Err(error) if !error.had_no_effect() => return Ok(Asked { memory: under_way, made: Err(error) }),
                Err(error) if error.is_temporary() => {
                    let refused_settings = memory.refused_settings.clone();
                    return Ok(Asked { memory: Memory { refused_settings, ..under_way }, made: Err(error) });
                }
                Err(error) => {
                    search = search.after_refusal(error.to_string());
                    last = Some(error);
                }
            }
        }
        let refused = last.expect("a search that goes on has something to leave out");
        Ok(Asked { memory: Memory { settings_search: None, ..memory.clone() }, made: Err(refused) })
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
