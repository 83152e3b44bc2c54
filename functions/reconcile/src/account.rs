//! One user's account on Transfer Family: creates, changes or deletes it. Calls are made at the rate that AWS takes, and
//! an account that AWS is too busy for is tried again within the visit.

use wharfinger_aws::error::AwsError;
use wharfinger_decisions::{
    account::{self, Account, Step, Wanted},
    condition::{Condition, Severity, carry_on},
    deployment::Owner,
    names::{SiteName, UserName},
    user::{UserPhase, UserStatus},
};
use wharfinger_runtime::metrics::{self, Trouble};
use wharfinger_store::{
    table::StoreError,
    users::{self, UserRecord},
};

use crate::{
    error::Error,
    records::Sites,
    tally::Progress,
    users::{Job, Outcome},
    visit::Visit,
};

/// How often an account is tried in one visit while AWS is too busy for it.
const MOST_TRIES: u32 = 3;

impl Visit<'_> {
    /// Returns the wanted account of `user`.
    pub(crate) fn account(&self, user: &UserRecord, sites: &Sites) -> Result<Wanted, Error> {
        let spec = &self.record.intent.spec;
        let site = match (&user.intent.site, sites) {
            (None, _) => None,
            (Some(name), Ok(sites)) => match sites.get(name.as_str()) {
                Some(None) => return Err(Error::Missing(unreadable_site(name))),
                site => site.and_then(Option::as_ref),
            },
            (Some(name), Err(error)) => {
                let sentence = format!("the site \"{name}\" can't be read: {error}");
                return Err(Error::Unknown { sentence, temporary: true });
            }
        };
        let root = account::root(&user.intent, site.map(|site| &site.intent), &spec.file_system_id)
            .map_err(|error| Error::Missing(error.to_string()))?;
        Ok(Wanted {
            role: spec.user_role_arn.as_ref().unwrap_or(&self.app.user_role).clone(),
            root,
            posix: user.intent.posix.clone(),
            keys: user.intent.public_keys.clone(),
        })
    }

    /// Brings one account on the server `server_id` to the wanted state and writes the user's status. If the status
    /// can't be written, the next visit repeats the work.
    pub(crate) async fn work(&self, server_id: &str, job: Job) -> Outcome {
        let answer = self.bring(server_id, &job).await;
        let is_busy = answer.as_ref().is_err_and(Error::is_temporary);
        if is_busy && job.tries + 1 < MOST_TRIES {
            return Outcome::Again(Box::new(Job { tries: job.tries + 1, ..job }));
        }
        let name = job.name.clone();
        Outcome::Done(self.conclude_job(server_id, job, answer).await.unwrap_or_else(|error| {
            tracing::warn!(server = %self.server, user = %name, %error, "what came of a user could not be written down");
            Progress::Waiting
        }))
    }

    async fn bring(&self, server_id: &str, job: &Job) -> Result<(), Error> {
        let Job { name, user, wanted, is_there, .. } = job;
        if user.deleting {
            return Ok(self.in_turn(self.app.accounts.delete_user(server_id, name.as_str())).await?);
        }
        let wanted = wanted.as_ref().map_err(|error| Error::Missing(error.sentence()))?;
        match self.take_steps(server_id, name, wanted, *is_there).await {
            // It was there after all, or the answer to CreateUser was lost: what is there now says what is left to do.
            Err(Error::Aws(error)) if error.is_exists() => self.take_steps(server_id, name, wanted, true).await,
            other => other,
        }
    }

    /// Writes down what came of `job`.
    async fn conclude_job(&self, server_id: &str, job: Job, answer: Result<(), Error>) -> Result<Progress, StoreError> {
        let Job { name, user, wanted, .. } = job;
        let key = users::key(self.server, &name);
        if user.deleting && answer.is_ok() {
            tracing::info!(server = %self.server, user = %name, "the user is deleted");
            self.forget(&key, user.version).await?;
            return Ok(Progress::Settled);
        }
        if let Err(error) = &answer {
            tracing::warn!(server = %self.server, user = %name, %error, "a user is not as wanted");
        }
        let progress = match &answer {
            Ok(()) => Progress::Settled,
            Err(error) if error.is_temporary() => Progress::Waiting,
            Err(_) => Progress::Refused,
        };
        if progress == Progress::Refused {
            let thing = format!("user {name} of server {}", self.server);
            metrics::trouble(Trouble::RefusedUser, &thing, self.moment.present());
        }
        let mut status = self.user_status(&user, answer);
        if let (Progress::Settled, Ok(wanted)) = (progress, &wanted) {
            status.applied = Some(wanted.applied(server_id));
        }
        if progress == Progress::Waiting && tells_the_same(&status, &user.status) {
            return Ok(progress);
        }
        match self.app.table.write_status(&key, &status).await {
            Ok(()) | Err(StoreError::Conflict) => Ok(progress),
            Err(error) => Err(error),
        }
    }

    /// Takes all steps to `wanted`. An account that is not there is made without a look. Old keys are removed even if
    /// another step was refused. Returns the first error.
    async fn take_steps(&self, server_id: &str, name: &UserName, wanted: &Wanted, is_there: bool) -> Result<(), Error> {
        let accounts = &self.app.accounts;
        let account = match is_there {
            true => self.in_turn(accounts.account(server_id, name.as_str())).await?,
            false => None,
        };
        if let Some(account) = &account {
            self.take_over_user(name, account).await;
        }
        let mut first = Ok(());
        for step in account::steps(wanted, account.as_ref()) {
            tracing::info!(server = %self.server, user = %name, step = described(&step), "changing a user");
            first = first.and(match &step {
                // Without the account no other step makes sense.
                Step::Create(wanted) => {
                    self.in_turn(accounts.create_user(server_id, name, wanted, &self.tags())).await?;
                    Ok(())
                }
                Step::Update(wanted) => self.in_turn(accounts.update_user(server_id, name, wanted)).await,
                Step::AddKey(key) => self.in_turn(accounts.import_key(server_id, name, key)).await,
                Step::RemoveKey(id) => self.in_turn(accounts.delete_key(server_id, name, id)).await,
            });
        }
        Ok(first?)
    }

    /// Gives an account that has a record here, and that another deployment has made, our tags. It is as wanted without
    /// them: they matter only if its record is lost.
    async fn take_over_user(&self, name: &UserName, account: &Account) {
        if matches!(self.deployment.owner(&account.tags), Owner::Other(_))
            && let Err(error) = self.in_turn(self.app.accounts.tag(&account.arn, &self.tags())).await
        {
            tracing::warn!(server = %self.server, user = %name, %error, "an adopted user could not be tagged");
        }
    }

    /// Makes a call about an account when it is time for it.
    pub(crate) async fn in_turn<T>(&self, call: impl Future<Output = Result<T, AwsError>>) -> Result<T, AwsError> {
        self.app.rate.turn().await;
        let answer = call.await;
        self.app.rate.note(answer.as_ref().is_err_and(AwsError::is_temporary));
        answer
    }

    fn user_status(&self, user: &UserRecord, answer: Result<(), Error>) -> UserStatus {
        let now = self.moment.present();
        let before = &user.status;
        let (state, reason, found) = match &answer {
            Ok(()) => {
                let reason = "can log in while the server is online; the directory must exist on the file system";
                (UserPhase::Ready, reason.to_owned(), vec![])
            }
            Err(error) if error.is_temporary() => (UserPhase::Pending, error.sentence(), vec![]),
            Err(error) => (UserPhase::Failed, error.sentence(), vec![refused(error.sentence(), now)]),
        };
        UserStatus {
            state: if user.deleting { UserPhase::Deleting } else { state },
            reason,
            settled_version: if answer.is_ok() { user.version } else { before.settled_version },
            tried_version: user.version,
            observed_at: Some(now),
            conditions: carry_on(&before.conditions, found),
            applied: before.applied.clone(),
        }
    }
}

fn unreadable_site(site: &SiteName) -> String {
    format!("the record of the site \"{site}\" can't be read: PUT the site again, or deploy the version that wrote it")
}

/// Whether two statuses differ in nothing but their time.
fn tells_the_same(one: &UserStatus, other: &UserStatus) -> bool {
    UserStatus { observed_at: None, ..one.clone() } == UserStatus { observed_at: None, ..other.clone() }
}

fn refused(message: String, since: jiff::Timestamp) -> Condition {
    let remedy = "change what was asked for, or what AWS objects to; it is tried again by itself".into();
    Condition { code: "user_refused".into(), severity: Severity::Error, message, remedy, since }
}

fn described(step: &Step) -> &'static str {
    match step {
        Step::Create(_) => "create",
        Step::Update(_) => "update",
        Step::AddKey(_) => "add key",
        Step::RemoveKey(_) => "remove key",
    }
}
