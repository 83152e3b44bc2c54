//! The end of a server: AWS has none any more. Its host key goes (and can be brought back for a week), then its users'
//! records, and its own record last, so that a crash in between is taken up.

use wharfinger_decisions::names::{ServerName, UserName};
use wharfinger_store::{
    servers::{self, ServerRecord},
    table::StoreError,
    users::{self, UserRecord},
};

use crate::{app::App, pace::Outcome, trouble::Trouble};

/// Forgets `server`.
pub(crate) async fn say(app: &App, server: &ServerName, record: &ServerRecord) -> Result<Outcome, Trouble> {
    app.secrets.delete(&app.host_key_name(server)).await?;
    for (name, user) in app.table.all::<UserRecord>(&users::partition(server)).await? {
        if let Ok(name) = UserName::parse(name) {
            forgotten(app.table.forget(&users::key(server, &name), user.version).await)?;
        }
    }
    forgotten(app.table.forget(&servers::key(server), record.version).await)?;
    tracing::info!(%server, "the server is deleted");
    Ok(Outcome::Done)
}

/// What changed or went meanwhile is for the next look.
fn forgotten(answer: Result<(), StoreError>) -> Result<(), StoreError> {
    match answer {
        Err(StoreError::Conflict) => Ok(()),
        other => other,
    }
}
