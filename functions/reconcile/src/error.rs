//! Why a server or a user is not as wanted, by who can do something about it.

use wharfinger_aws::error::AwsError;
use wharfinger_decisions::rebuild::FoundHostKey;
use wharfinger_store::table::StoreError;

/// The code of the condition that AWS refused a step.
pub(crate) const STEP_REFUSED: &str = "step_refused";

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The AWS call failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Something that people have to provide is missing. The sentence says what to do.
    #[error("{0}")]
    Missing(String),
    /// A secret of ours holds a host key of others.
    #[error("{}", .0.sentence())]
    HostKeyFound(FoundHostKey),
    /// Something that the step depends on is unknown.
    #[error("{sentence}")]
    Unknown {
        /// What was asked, and what was answered.
        sentence: String,
        /// Whether a retry may succeed.
        temporary: bool,
    },
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No host key could be generated.
    #[error("no host key could be made")]
    HostKey(#[from] ssh_key::Error),
}

impl Error {
    /// Whether a retry may succeed without anybody changing anything.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Aws(error) => error.is_temporary(),
            Self::Unknown { temporary, .. } => *temporary,
            Self::Store(_) => true,
            Self::Missing(_) | Self::HostKeyFound(_) | Self::HostKey(_) => false,
        }
    }

    /// The code of the condition that it is, where it lasts.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::HostKeyFound(_) => "host_key_found",
            _ => STEP_REFUSED,
        }
    }

    /// What to do about it beside what its sentence says; empty if nothing.
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::HostKeyFound(found) => found.remedy(),
            _ => String::new(),
        }
    }

    /// Copies the error of a call whose result several steps share.
    pub(crate) fn unknown(error: &AwsError) -> Self {
        Self::Unknown { sentence: error.sentence(), temporary: error.is_temporary() }
    }

    /// A sentence for people: what happened, and what to do.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Aws(error) => error.sentence(),
            other => other.to_string(),
        }
    }
}
