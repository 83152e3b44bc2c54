//! Whose a server or a user on AWS is, by its tags: a deployment's name and its id. The name is the stack's; the id
//! stands in the deployment's table. So a table that is new under an old name, or a copy of another stack's table,
//! does not pass for the one that made them.
//!
//! Whoever may tag servers can give one of their own these tags. So a server that is only found by them is a server's
//! own if it bears the id of its record too, which nobody can guess. It is no secret from those who may read the tags.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    condition::{Condition, Severity},
    names::ServerName,
};

/// The tag with the server's name.
const SERVER_TAG: &str = "wharfinger:server";

/// The tag with the deployment's name.
const NAME_TAG: &str = "wharfinger:deployment";

/// The tag with the deployment's id. Release 0.1 gives none.
const ID_TAG: &str = "wharfinger:deployment-id";

/// The tag with the id of the record that a server was made or adopted for. Release 0.1 gives none.
const RECORD_TAG: &str = "wharfinger:record-id";

/// The code of the condition of a server that another deployment has.
pub const OTHER_DEPLOYMENT: &str = "other_deployment";

/// Tags of a server or a user.
pub type Tags = BTreeMap<String, String>;

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The stack's name, which is unique in its account and Region.
    pub name: String,
    /// What is unique to its table; `None` while the table's item can't be read.
    pub id: Option<String>,
}

/// Whose a server or a user of the deployment's servers is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The deployment's.
    Us,
    /// The deployment's by its name, if by anything: it bears no id.
    Unmarked,
    /// Another deployment's, of this id or name.
    Other(String),
    /// A deployment's of our name, and our id is not known.
    Unknown,
}

/// A server that another deployment has, or that bears our tags and was not made for our record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherServer {
    /// AWS's id of the server.
    pub server_id: String,
    /// The deployment that its tags name: by its id, or by its name where that differs from ours or where there is no id.
    pub deployment: String,
}

/// A person's order to take over a server of another deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// The server, as the person saw it.
    #[serde(flatten)]
    pub server: OtherServer,
    /// The caller's ARN, or `anonymous` where the API asks for no identity.
    pub by: String,
    /// When the order was given.
    pub at: Timestamp,
}

impl Deployment {
    /// The tags by which a server is searched for. Release 0.1 gives it no others.
    #[must_use]
    pub fn search_tags(&self, server: &ServerName) -> Tags {
        [(SERVER_TAG, server.as_str()), (NAME_TAG, &self.name)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// The tags of the server `server`, whose record has the id `record_id`.
    #[must_use]
    pub fn server_tags(&self, server: &ServerName, record_id: &str) -> Tags {
        let mut tags = self.tags(server);
        tags.insert(RECORD_TAG.to_owned(), record_id.to_owned());
        tags
    }

    /// The tags of the users of the server `server`.
    #[must_use]
    pub fn tags(&self, server: &ServerName) -> Tags {
        let mut tags = self.search_tags(server);
        tags.extend(self.id.clone().map(|id| (ID_TAG.to_owned(), id)));
        tags
    }

    /// Whose a thing with these `tags` is.
    #[must_use]
    pub fn owner(&self, tags: &Tags) -> Owner {
        if let Some(name) = tags.get(NAME_TAG).filter(|name| **name != self.name) {
            return Owner::Other(name.clone());
        }
        match (tags.get(ID_TAG), &self.id) {
            (None, _) => Owner::Unmarked,
            (Some(_), None) => Owner::Unknown,
            (Some(tagged), Some(id)) if tagged == id => Owner::Us,
            (Some(tagged), Some(_)) => Owner::Other(tagged.clone()),
        }
    }

    /// Whether a server of ours with these `tags` has yet to be given the ids of the deployment and of its record, or was
    /// given others. While the deployment's is not known, it is not.
    #[must_use]
    pub fn lacks_ids(&self, server: &ServerName, record_id: Option<&str>, tags: &Tags) -> bool {
        let lacks = |id: &String| tags.get(ID_TAG) != Some(id) || !is_made_for(record_id, tags);
        self.id.as_ref().is_some_and(lacks) && self.has_named(server, tags)
    }

    /// Whether `tags` name this deployment and its server `server`.
    #[must_use]
    pub fn has_named(&self, server: &ServerName, tags: &Tags) -> bool {
        self.search_tags(server).iter().all(|(key, value)| tags.get(key) == Some(value))
    }
}

/// Whether `tags` are of a server that was made or adopted for the record with the id `record_id`.
#[must_use]
pub fn is_made_for(record_id: Option<&str>, tags: &Tags) -> bool {
    record_id.is_some() && tags.get(RECORD_TAG).map(String::as_str) == record_id
}

/// Whether `tags` name the server `server`.
#[must_use]
pub fn is_of(server: &ServerName, tags: &Tags) -> bool {
    tags.get(SERVER_TAG).is_some_and(|name| name == server.as_str())
}

impl OtherServer {
    /// Why nothing is done about the server, in a sentence for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { server_id, deployment } = self;
        format!(
            "{server_id} on AWS is tagged as this server by the deployment {deployment}, and nothing proves that it was \
             made for this record: it is left as it is, with its users, and no other one is made"
        )
    }

    /// The condition, which begins at `now`.
    #[must_use]
    pub fn condition(&self, now: Timestamp) -> Condition {
        let remedy = "if this table is new, restored or copied and the server is to be yours, POST …/adopt takes it over \
            with those of its users that have a record here; else delete that server in Transfer Family, or DELETE this one, \
            which leaves that server alone";
        Condition {
            code: OTHER_DEPLOYMENT.into(),
            severity: Severity::Error,
            message: self.sentence(),
            remedy: remedy.into(),
            since: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(name: &str, id: &str) -> Deployment {
        Deployment { name: name.into(), id: Some(id.into()) }
    }

    fn main() -> ServerName {
        ServerName::parse("main").unwrap()
    }

    #[test]
    fn what_a_deployment_made_is_its_own_and_no_other_s() {
        let ours = deployment("harbour", "1");
        assert_eq!(ours.owner(&ours.tags(&main())), Owner::Us);
        for (other, told) in [(deployment("harbour", "2"), "2"), (deployment("quay", "1"), "quay")] {
            assert_eq!(ours.owner(&other.tags(&main())), Owner::Other(told.into()));
        }
    }

    #[test]
    fn what_release_0_1_made_bears_no_id_and_gets_both() {
        let ours = deployment("harbour", "1");
        let old = ours.search_tags(&main());
        assert_eq!(ours.owner(&old), Owner::Unmarked);
        let lacks_ids = |record_id, tags: &Tags| ours.lacks_ids(&main(), record_id, tags);
        assert!(lacks_ids(None, &old) && lacks_ids(Some("r"), &ours.tags(&main())));
        assert!(!lacks_ids(Some("r"), &ours.server_tags(&main(), "r")));
        assert!(lacks_ids(Some("r"), &ours.server_tags(&main(), "another")));
        assert!(!lacks_ids(None, &deployment("quay", "1").search_tags(&main())));
        assert!(!lacks_ids(None, &Tags::new()), "whose it is can't be told");
        assert!(!ours.lacks_ids(&ServerName::parse("second").unwrap(), None, &old));
    }

    #[test]
    fn only_the_record_s_id_proves_that_a_server_was_made_for_it() {
        let ours = deployment("harbour", "1");
        assert!(is_made_for(Some("r"), &ours.server_tags(&main(), "r")));
        assert!(!is_made_for(Some("r"), &ours.tags(&main())) && !is_made_for(None, &ours.tags(&main())));
        assert!(!is_made_for(Some("r"), &ours.server_tags(&main(), "s")));
    }

    #[test]
    fn while_its_id_is_not_known_nothing_is_given_one_and_what_has_one_may_be_anybody_s() {
        let unknown = Deployment { id: None, ..deployment("harbour", "1") };
        let old = unknown.search_tags(&main());
        assert_eq!((unknown.tags(&main()), unknown.owner(&old)), (old.clone(), Owner::Unmarked));
        let marked = deployment("harbour", "1").tags(&main());
        assert_eq!(unknown.owner(&marked), Owner::Unknown);
        assert!(!unknown.lacks_ids(&main(), None, &old) && !unknown.lacks_ids(&main(), None, &marked));
        assert_eq!(unknown.owner(&deployment("quay", "1").tags(&main())), Owner::Other("quay".into()));
    }
}
