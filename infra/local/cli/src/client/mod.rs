//! What a person uses to work with a region: an HTTP client for the API and the sites, and an SFTP client. The tour
//! and the end-to-end tests share it.

pub mod http;
pub mod sftp;
pub mod wait;
