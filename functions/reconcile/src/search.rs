//! The search for the server, and for further ones that bear its tags: AWS lists servers without their tags. Of those that
//! were described lately for any of our servers, the search for further ones describes none again whose tags are others'.
//!
//! Whoever may tag servers in this account can give one our tags. So one that is only found by them is ours if it bears
//! the id of our record or has our host key, and is of the kind that we make. Whoever may read tags can copy the id too: it
//! proves nothing while another server is recorded that bore it, and is renewed once that one is gone. Any other server is
//! told, and gets nothing of ours; before there was one for this record, none is made beside it, since the table may be
//! new to a server of ours.

use std::cmp::Reverse;

use jiff::SignedDuration;
use wharfinger_aws::{
    error::{AwsError, Kind},
    transfer::Server,
};
use wharfinger_decisions::{
    deployment::{self, OtherServer, Owner},
    settings::Lost,
};

use crate::{
    memory::SHOWN_WITHIN,
    seen_tags::{REMEMBERED_FOR, has},
    visit::Visit,
};

/// How often AWS is searched for more servers with our tags while the server's id is known.
const SEARCH_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// The result of looking for the server.
pub(crate) struct Found {
    pub(crate) server: Result<Option<Server>, AwsError>,
    pub(crate) other: Option<OtherServer>,
    pub(crate) others: Option<Result<Others, AwsError>>,
}

/// The ids of further servers with our tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Others {
    /// They were made for our record, are billed and unused.
    pub(crate) ours: Vec<String>,
    /// Nothing proves that they were made for our record.
    pub(crate) unproven: Vec<String>,
}

impl Found {
    fn of(server: Result<Option<Server>, AwsError>, others: Option<Result<Others, AwsError>>) -> Self {
        Self { server, other: None, others }
    }
}

impl Visit<'_> {
    /// Whether it is time to search for more servers with our tags.
    pub(crate) fn search_is_due(&self) -> bool {
        let searched = self.record.status.searched_at;
        searched.is_none_or(|at| self.moment.present().duration_since(at) >= SEARCH_EVERY)
    }

    /// Looks for the server, by its id if that is `known`; also for further ones if `search` says so.
    pub(crate) async fn find(&self, known: Option<&str>, search: bool) -> Found {
        let found = match known {
            Some(id) => self.app.transfer.server(id).await,
            None => Ok(None),
        };
        match found {
            Ok(Some(server)) => {
                let others = if search { Some(self.others_like(&server.id).await) } else { None };
                self.whose(server, others)
            }
            Ok(None) => match self.tagged_servers().await {
                Ok(tagged) => self.proven_among(tagged),
                Err(error) => self.unseen(error),
            },
            Err(error) => self.unseen(error),
        }
    }

    fn unseen(&self, error: AwsError) -> Found {
        Found { other: self.record.status.other_deployment.clone(), ..Found::of(Err(error), None) }
    }

    /// What it means that AWS has `server`, which is ours unless its tags say otherwise.
    fn whose(&self, server: Server, others: Option<Result<Others, AwsError>>) -> Found {
        match self.deployment.owner(&server.tags) {
            _ if self.is_known_as_ours(&server) => Found::of(Ok(Some(server)), others),
            Owner::Other(deployment) => {
                let other = Some(OtherServer { server_id: server.id, deployment });
                Found { other, ..Found::of(Ok(None), others) }
            }
            Owner::Unknown => Found::of(Err(anybody_s(&server)), others),
            Owner::Us | Owner::Unmarked => Found::of(Ok(Some(server)), others),
        }
    }

    /// Of several servers with our tags, takes one that is proven to be ours: the one whose id is recorded, then the one
    /// with the most users, then the lowest id.
    fn proven_among(&self, mut tagged: Vec<Server>) -> Found {
        tagged.sort_by_key(|server| {
            (!self.is_proven(server), !self.is_recorded(server), Reverse(server.user_count), server.id.clone())
        });
        let ours = tagged.iter().filter(|server| self.is_proven(server)).count();
        let unproven = tagged.split_off(ours);
        let ids = |servers: &[Server]| servers.iter().map(|server| server.id.clone()).collect();
        if ours == 0
            && let Some(first) = unproven.first().filter(|_| !self.has_had_one())
        {
            let others = Others { ours: Vec::new(), unproven: ids(&unproven[1..]) };
            return self.claimed(first, others);
        }
        let others = Others { ours: ids(tagged.get(1..).unwrap_or_default()), unproven: ids(&unproven) };
        Found::of(Ok(tagged.into_iter().next()), Some(Ok(others)))
    }

    /// `server` bears our tags, and there was none for this record yet.
    fn claimed(&self, server: &Server, others: Others) -> Found {
        let deployment = match self.deployment.owner(&server.tags) {
            Owner::Other(deployment) => deployment,
            Owner::Unknown => return Found::of(Err(anybody_s(server)), Some(Ok(others))),
            Owner::Us | Owner::Unmarked => self.deployment.name.clone(),
        };
        let other = Some(OtherServer { server_id: server.id.clone(), deployment });
        Found { other, ..Found::of(Ok(None), Some(Ok(others))) }
    }

    /// Whether a server was made or adopted for this record before.
    fn has_had_one(&self) -> bool {
        self.record_id().is_some() || self.item.asleep.is_some()
    }

    /// Whether `server`, which was found by its tags alone, is ours for certain: its id is recorded, or nothing else than a
    /// server of ours can bear the record's id, or has our key.
    fn is_proven(&self, server: &Server) -> bool {
        let is_proven_by_tags = || self.is_known_as_ours(server) && self.may_prove(server);
        self.is_recorded(server) || is_of_our_kind(server) && (is_proven_by_tags() || self.has_our_key(server))
    }

    /// Whether `server` has a host key of ours, which can't be read from any server: a table that is restored to an earlier
    /// time does not know what was made since.
    fn has_our_key(&self, server: &Server) -> bool {
        let known = &self.record.status.host_key_fingerprints;
        let is_others = matches!(self.deployment.owner(&server.tags), Owner::Other(_) | Owner::Unknown);
        !is_others && server.host_key_fingerprint.as_ref().is_some_and(|shown| known.contains(shown))
    }

    /// Whether the record's id proves that `server` is ours. That of a server that is gone may have been copied. One that
    /// is only deleted for it gets nothing of ours.
    fn may_prove(&self, server: &Server) -> bool {
        let adopted = self.item.adopt.as_ref().map(|adoption| &adoption.server.server_id);
        !self.is_bound() || self.record.deleting || adopted == Some(&server.id)
    }

    /// Whether the record's id is that of the server that is recorded, and no other server was asked for since.
    pub(crate) fn is_bound(&self) -> bool {
        self.record.status.server_id.is_some() && self.record.status.making.is_none()
    }

    /// Whether AWS's id of `server`, which bears our name, is recorded.
    fn is_recorded(&self, server: &Server) -> bool {
        let status = &self.record.status;
        let made = status.made.as_ref().map(|made| &made.id);
        let is_others = || matches!(self.deployment.owner(&server.tags), Owner::Other(_) | Owner::Unknown);
        let is_recorded = [status.server_id.as_ref(), made, status.keyed.as_ref()].contains(&Some(&server.id));
        is_recorded && (self.is_known_as_ours(server) || !is_others())
    }

    /// Whether `server`, which bears our name, was made for our record, by what it bears or what is recorded.
    fn is_ours(&self, server: &Server) -> bool {
        self.is_known_as_ours(server) || self.is_recorded(server)
    }

    /// Whether `server` bears our name, and our record's id or was given our host keys. If somebody changes its tag of the
    /// deployment's id, whoever loses access loses it all the same.
    fn is_known_as_ours(&self, server: &Server) -> bool {
        let is_keyed = self.record.status.keyed.as_ref() == Some(&server.id);
        let is_made_for = deployment::is_made_for(self.record_id().as_deref(), &server.tags);
        (is_keyed || is_made_for) && self.deployment.has_named(self.server, &server.tags)
    }

    /// The servers with our tags. Every server is described.
    async fn tagged_servers(&self) -> Result<Vec<Server>, AwsError> {
        self.tagged_among(self.app.transfer.server_ids().await?).await
    }

    /// The servers with our tags beside the one that is `known`, as far as was seen within an hour.
    async fn others_like(&self, known: &str) -> Result<Others, AwsError> {
        let (tags, since) = (self.deployment.search_tags(self.server), self.moment.now - REMEMBERED_FOR);
        let mut ids = self.app.transfer.server_ids().await?;
        ids.retain(|id| id != known && !self.app.seen_tags.differ(id, &tags, since));
        let found = self.tagged_among(ids).await?;
        let (ours, unproven): (Vec<_>, Vec<_>) = found.into_iter().partition(|server| self.is_ours(server));
        let ids = |servers: Vec<Server>| servers.into_iter().map(|server| server.id).collect();
        Ok(Others { ours: ids(ours), unproven: ids(unproven) })
    }

    async fn tagged_among(&self, ids: Vec<String>) -> Result<Vec<Server>, AwsError> {
        let tags = self.deployment.search_tags(self.server);
        let mut found = Vec::new();
        for id in ids {
            let server = match self.app.transfer.server(&id).await {
                Ok(Some(server)) => server,
                Ok(None) => continue,
                Err(error) if error.is_temporary() || self.may_be_coming() => return Err(error),
                Err(error) => {
                    tracing::warn!(server = %self.server, id, %error, "a server is left out of the search");
                    continue;
                }
            };
            self.app.seen_tags.remember(&id, &server.tags, self.moment.present());
            found.extend(Some(server).filter(|server| has(&server.tags, &tags)));
        }
        Ok(found)
    }

    /// Whether a server was asked for that was not seen yet: any that can't be described may be it.
    fn may_be_coming(&self) -> bool {
        let asked = self.record.status.making;
        asked.is_some_and(|at| self.moment.present().duration_since(at) < SHOWN_WITHIN)
    }
}

/// Whether `server` is of the kind that we make: its users are our accounts, over SFTP, on a file system, in a VPC.
fn is_of_our_kind(server: &Server) -> bool {
    !server.lost.iter().any(|lost| matches!(lost, Lost::OtherKind { .. }))
}

fn anybody_s(server: &Server) -> AwsError {
    let sentence = "the item DEPLOYMENT, id of the table, which has the deployment's id, can't be read".into();
    AwsError { action: format!("tell whose the server {} is", server.id), kind: Kind::Unanswered(sentence) }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use wharfinger_decisions::{names::ServerName, power::AwsState, server::Made, settings::Lost};
    use wharfinger_store::servers::ServerItem;
    use wharfinger_test_cloud::Cloud;

    use super::*;
    use crate::testing;

    /// The record of a server that was asked for, and none was seen yet.
    fn asked() -> ServerItem {
        let mut record = testing::record();
        (record.status.server_id, record.status.keyed) = (None, None);
        ServerItem { record_id: Some("ours".into()), ..record.into() }
    }

    /// A server that bears the id of the record.
    fn tagged(id: &str, user_count: i32) -> Server {
        let tags = testing::deployment().server_tags(&ServerName::parse("main").unwrap(), "ours");
        Server { id: id.into(), user_count, tags, host_key_fingerprint: None, ..testing::server(AwsState::Online) }
    }

    /// What is found for `item` where AWS has these.
    fn found(item: &ServerItem, servers: Vec<Server>) -> (Option<String>, Others) {
        let (app, deployment, name) =
            (testing::app(&Cloud::new().sdk()), testing::deployment(), ServerName::parse("main").unwrap());
        let lease = testing::lease();
        let visit = Visit::new(&app, &deployment, &name, &lease, item, testing::invocation(Timestamp::UNIX_EPOCH));
        let found = visit.proven_among(servers);
        (found.server.unwrap().map(|server| server.id), found.others.unwrap().unwrap())
    }

    #[tokio::test]
    async fn of_several_servers_one_of_ours_is_in_use_and_first_the_one_with_users() {
        let name = ServerName::parse("main").unwrap();
        let theirs = Server { tags: testing::deployment().tags(&name), ..tagged("s-0", 9) };
        let (server, others) = found(&asked(), vec![theirs, tagged("s-c", 0), tagged("s-b", 2), tagged("s-a", 0)]);
        assert_eq!(server.as_deref(), Some("s-b"));
        assert_eq!(others, Others { ours: vec!["s-a".into(), "s-c".into()], unproven: vec!["s-0".into()] });
    }

    #[tokio::test]
    async fn the_server_that_is_recorded_as_made_counts_for_more_than_tags() {
        let mut item = asked();
        item.record.status.made = Some(Made { id: "s-b".into(), at: Timestamp::UNIX_EPOCH });
        let (server, _) = found(&item, vec![tagged("s-a", 9), tagged("s-b", 0)]);
        assert_eq!(server.as_deref(), Some("s-b"));
    }

    #[tokio::test]
    async fn a_server_with_our_host_key_is_ours_whatever_the_table_knows_of_it() {
        let tags = testing::deployment().server_tags(&ServerName::parse("main").unwrap(), "of a later time");
        let restored = ServerItem { record_id: Some("ours".into()), ..testing::record().into() };
        for (fingerprint, expected) in [("SHA256:abc", Some("s-a".to_owned())), ("SHA256:theirs", None)] {
            let host_key_fingerprint = Some(fingerprint.to_owned());
            let server = Server { host_key_fingerprint, tags: tags.clone(), ..tagged("s-a", 0) };
            assert_eq!(found(&restored, vec![server]).0, expected);
        }
    }

    #[tokio::test]
    async fn a_server_of_another_kind_is_not_ours_by_its_tags() {
        let other_kind = Lost::OtherKind {
            member: "IdentityProviderType",
            value: "\"AWS_LAMBDA\"".into(),
            ours: "\"SERVICE_MANAGED\"",
        };
        let decoy = Server { lost: vec![other_kind], ..tagged("s-a", 9) };
        let (server, others) = found(&asked(), vec![decoy]);
        assert_eq!((server, others.unproven), (None, vec!["s-a".to_owned()]));
    }

    #[tokio::test]
    async fn a_copy_of_the_recorded_server_s_tags_is_deleted_with_the_record_and_is_ours_for_nothing_else() {
        for (deleting, expected) in [(false, None), (true, Some("s-a".to_owned()))] {
            let mut item = asked();
            (item.record.status.server_id, item.record.deleting) = (Some("s-1".into()), deleting);
            assert_eq!(found(&item, vec![tagged("s-a", 0)]).0, expected);
        }
    }
}
