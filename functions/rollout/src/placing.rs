//! Places paths that name no file system: events may tell a path as the user sees it. It lies in the directory that the
//! user has as `/`. What can't be placed is told, and rolls nothing out.

use std::collections::BTreeSet;

use anyhow::Context as _;
use jiff::Timestamp;
use wharfinger_decisions::{
    directory::{Directory, split_event_path},
    ids::FileSystemId,
    names::{ServerName, UserName},
    sftp_event::{LONGEST_NAME, SftpEvent, shortened},
};
use wharfinger_runtime::metrics::{self, Trouble};
use wharfinger_store::{
    activity::Unplaced,
    servers::{self, ServerItem},
    unreadable::Read,
    users::{self, UserRecord},
};

use crate::{App, batch::Batch};

/// Whose event it is.
enum Home {
    /// A user's who sees this directory as `/`.
    Known(FileSystemId, Directory),
    /// A user's of the server, and nobody knows what they see.
    Unknown(ServerName),
    /// That of a server which is not ours.
    Elsewhere,
}

/// Places the paths in `batch` that name no file system. Events whose user can't be looked up are marked as failed.
pub(crate) async fn place(app: &App, batch: &mut Batch, now: Timestamp) {
    if batch.uploads.iter().all(|(_, event)| event.unplaced().next().is_none()) {
        return;
    }
    let read = app.table.all::<ServerItem>(servers::PARTITION).await.context("list the servers");
    let (mut told, Batch { uploads, failed, .. }) = (BTreeSet::new(), batch);
    for (id, event) in uploads.iter_mut().filter(|(_, event)| event.unplaced().next().is_some()) {
        let home = match &read {
            Ok(servers) => home(app, servers, event).await,
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        match home {
            Ok(Home::Known(file_system, directory)) => event.place_in(&file_system, &directory),
            Ok(Home::Unknown(server)) => tell(app, event, &server, &mut told, now).await,
            Ok(Home::Elsewhere) => {}
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "a path can't be placed yet; its event comes again");
                failed.insert(id.clone());
            }
        }
    }
}

async fn home(app: &App, servers: &[(String, Read<ServerItem>)], event: &SftpEvent) -> anyhow::Result<Home> {
    let (Some(id), Some(user)) = (&event.server_id, &event.user) else { return Ok(Home::Elsewhere) };
    let is_its = |read: &Read<ServerItem>| match read {
        Ok(item) => item.record.status.server_id.as_ref() == Some(id),
        Err(unreadable) => ServerItem::remains(unreadable).record.status.server_id.as_ref() == Some(id),
    };
    let ours = servers.iter().find(|(_, read)| is_its(read));
    let Some(server) = ours.map(|(name, _)| ServerName::from_stored(name.as_str())) else { return Ok(Home::Elsewhere) };
    let key = users::key(&server, &UserName::from_stored(user.as_str()));
    let read = app.table.read::<UserRecord>(&key).await.context("read the user")?;
    let applied = read.and_then(Result::ok).and_then(|record| record.status.applied);
    let root = applied.as_ref().and_then(|applied| split_event_path(&applied.root));
    Ok(match root {
        Some((file_system, path)) => Home::Known(file_system, Directory::from_stored(path)),
        None => Home::Unknown(server),
    })
}

/// Tells of a path that nobody can place: once a server in a batch, in the log, as a metric, and in the server's status.
async fn tell(app: &App, event: &SftpEvent, server: &ServerName, told: &mut BTreeSet<String>, now: Timestamp) {
    let (Some(path), Some(user), Some(id)) = (event.unplaced().next(), &event.user, &event.server_id) else { return };
    tracing::error!(%server, user, path, "the path can't be placed on a file system: it rolls nothing out");
    if !told.insert(id.clone()) {
        return;
    }
    metrics::trouble(Trouble::UnplacedPath, &format!("user {user} of server {server}"), now);
    let unplaced = Unplaced { path: shortened(path, LONGEST_NAME), user: user.clone(), at: now };
    if let Err(error) = app.table.note_unplaced(id, &unplaced).await {
        tracing::warn!(%server, %error, "a path that can't be placed was not noted");
    }
}
