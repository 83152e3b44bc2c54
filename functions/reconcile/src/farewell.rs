//! The end of a server: AWS has none any more. Its host key goes (and can be brought back for a week), then its users'
//! records, and its own record last, so that a crash in between is taken up.

use wharfinger_decisions::names::{ServerName, UserName};
use wharfinger_store::{
    servers::ServerRecord,
    table::StoreError,
    users::{self, UserRecord},
};

use crate::{app::App, pace::Outcome, trouble::Trouble};

/// Forgets `server`.
pub(crate) async fn say(app: &App, server: &ServerName, record: &ServerRecord) -> Result<Outcome, Trouble> {
    app.secrets.delete(&app.host_key_name(server)).await?;
    for (name, user) in app.table.all::<UserRecord>(&users::partition(server)).await? {
        let key = users::key(server, &UserName::from_stored(name));
        forgotten(match user {
            Ok(user) => app.table.forget(&key, user.version).await,
            Err(unreadable) => app.table.forget_unreadable(&unreadable).await,
        })?;
    }
    forgotten(app.table.forget_server(server, record).await)?;
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
