//! How failures are told to a client: an SFTP status and a sentence.

use std::io;

use russh_sftp::protocol::{Packet, Status, StatusCode};

/// Why an operation was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: StatusCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: StatusCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn failure(message: impl Into<String>) -> Self {
        Self::new(StatusCode::Failure, message)
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PermissionDenied, message)
    }

    pub(super) fn absent() -> Self {
        Self::new(StatusCode::NoSuchFile, "No such file or directory")
    }

    pub(super) fn into_packet(self, id: u32) -> Packet {
        status(id, self.code, &self.message)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::NotFound | Kind::NotADirectory => Self::absent(),
            Kind::PermissionDenied => Self::denied("Permission denied"),
            Kind::AlreadyExists => Self::failure("File or directory already exists"),
            Kind::DirectoryNotEmpty => Self::failure("Directory is not empty"),
            Kind::IsADirectory => Self::failure("Is a directory"),
            Kind::StorageFull | Kind::QuotaExceeded => Self::failure("No space left"),
            Kind::InvalidFilename => Self::failure("File name is not valid"),
            Kind::CrossesDevices => Self::failure("Cannot move between file systems: copy it instead"),
            _ => Self::failure(error.to_string()),
        }
    }
}

/// A status packet.
pub(super) fn status(id: u32, code: StatusCode, message: &str) -> Packet {
    let (error_message, language_tag) = (message.to_owned(), "en".to_owned());
    Packet::Status(Status { id, status_code: code, error_message, language_tag })
}

/// Success without anything to tell.
pub(super) fn ok(id: u32) -> Packet {
    status(id, StatusCode::Ok, "")
}
