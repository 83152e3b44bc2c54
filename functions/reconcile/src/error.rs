//! What keeps a server or a user from being as wanted, by who can do something about it.

use wharfinger_aws::error::{AwsError, Kind};
use wharfinger_store::table::StoreError;

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// AWS did not do it.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Something that people have to provide is not there: a sentence that says what to do.
    #[error("{0}")]
    Missing(String),
    /// AWS could not be asked about something that the step needs.
    #[error("{sentence}")]
    Unknown {
        /// What was asked, and the answer.
        sentence: String,
        /// Time alone may help.
        temporary: bool,
    },
    /// Our own table did not answer. The whole visit is tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No host key could be made.
    #[error("no host key could be made")]
    HostKey(#[from] ssh_key::Error),
}

impl Error {
    /// Whether time alone may help.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Aws(error) => error.is_temporary(),
            Self::Unknown { temporary, .. } => *temporary,
            Self::Store(_) => true,
            Self::Missing(_) | Self::HostKey(_) => false,
        }
    }

    /// The error of a question to AWS that others asked too.
    pub(crate) fn unknown(error: &AwsError) -> Self {
        Self::Unknown { sentence: sentence(error), temporary: error.is_temporary() }
    }

    /// For people: what happened, and what to do.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Aws(error) => sentence(error),
            other => other.to_string(),
        }
    }
}

/// What AWS answered, and what to do, for people.
pub(crate) fn sentence(error: &AwsError) -> String {
    match &error.kind {
        Kind::Busy(_) | Kind::Unanswered(_) => format!("waiting for AWS: {error}"),
        Kind::NotFound => format!("{error}: name one that exists in this account and Region"),
        Kind::Exists | Kind::Refused { .. } => {
            format!("{error}. It is tried again; change what was asked for, or what AWS objects to")
        }
    }
}
