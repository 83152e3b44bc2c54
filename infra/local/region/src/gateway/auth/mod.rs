//! The IAM authorizer of HTTP APIs: who signed a request, by AWS Signature Version 4 for the service `execute-api`.
//!
//! Rules: AWS's "Control access to HTTP APIs with IAM authorization" and "Create a signed AWS API request" (IAM User
//! Guide). The signature is made again with `aws-sigv4`, over the same method, path, query, signed headers and body:
//! dot segments and doubled slashes are taken out of the path, what is there is encoded once more (all services but S3),
//! and the query is sorted. A key's user may do everything: policies are not evaluated here.

mod claim;
pub mod keys;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt::Write as _, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningError, SigningSettings, sign},
    sign::v4,
};
use axum::http::{HeaderName, request::Parts};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use wharfinger_emulator::ids::REGION;

use self::{
    claim::{Claim, one_of},
    keys::AccessKey,
};

const SERVICE: &str = "execute-api";

/// How far a request's time may be from the region's: "within five minutes", IAM User Guide.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Why a request is refused. A caller sees `Forbidden`, as on AWS; the region's log says this.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it is not signed: use curl --aws-sigv4 \"aws:amz:us-east-1:execute-api\", or an SDK's signer")]
    Unsigned,
    #[error("its signature can't be read: {0}")]
    Malformed(&'static str),
    #[error(
        "the access key {0} is not known here: use the one that the region told at its start, or start it with --access-key"
    )]
    UnknownKey(String),
    #[error("its scope is {given}, not {wanted}")]
    Scope { given: String, wanted: String },
    #[error("it was signed at {0}, more than five minutes from now")]
    Skewed(Timestamp),
    #[error("the presigned URL ended at {0}")]
    Expired(Timestamp),
    #[error("its x-amz-security-token is not the session token of the access key")]
    SessionToken,
    #[error("the header host is not signed")]
    HostUnsigned,
    #[error("the header {0} is named as signed, but is not there (curl does so for a header without a value)")]
    HeaderMissing(String),
    #[error("its x-amz-content-sha256 is not the SHA-256 of the body")]
    BodyHash,
    #[error("its signature does not match: look at the secret, and at what changed the path, query, headers or body")]
    Signature,
    #[error("it can't be signed again")]
    Unsignable(#[source] SigningError),
}

/// The keys whose signatures are accepted.
#[derive(Clone, Debug)]
pub(super) struct Authorizer(Vec<AccessKey>);

impl Authorizer {
    pub(super) fn new(keys: Vec<AccessKey>) -> Self {
        Self(keys)
    }

    /// The key that signed the request, which holds for `now`.
    pub(super) fn verify(&self, parts: &Parts, body: &[u8], now: Timestamp) -> Result<&AccessKey, Refusal> {
        let claim = Claim::read(parts)?;
        let known = self.0.iter().find(|key| key.id() == claim.key_id);
        let key = known.ok_or_else(|| Refusal::UnknownKey(claim.key_id.clone()))?;
        check_scope(&claim)?;
        check_time(&claim, now)?;
        check_token(&claim, key)?;
        let headers = signed_headers(&claim, parts)?;
        let hash = hash(body);
        if one_of(&parts.headers, &HeaderName::from_static("x-amz-content-sha256"))?.is_some_and(|told| told != hash) {
            return Err(Refusal::BodyHash);
        }
        let expected = sign_again(&claim, key, parts, &headers, hash).map_err(Refusal::Unsignable)?;
        let matches = expected.as_bytes().ct_eq(claim.signature.as_bytes());
        if bool::from(matches) { Ok(key) } else { Err(Refusal::Signature) }
    }
}

fn check_scope(claim: &Claim) -> Result<(), Refusal> {
    let wanted = format!("{}/{REGION}/{SERVICE}/aws4_request", claim.date());
    if claim.scope == wanted { Ok(()) } else { Err(Refusal::Scope { given: claim.scope.clone(), wanted }) }
}

fn check_time(claim: &Claim, now: Timestamp) -> Result<(), Refusal> {
    let age = now.duration_since(claim.time);
    if age < -SKEW || claim.expires.is_none() && age > SKEW {
        return Err(Refusal::Skewed(claim.time));
    }
    let end = claim.expires.and_then(|life| claim.time.checked_add(life).ok());
    end.filter(|end| now > *end).map_or(Ok(()), |end| Err(Refusal::Expired(end)))
}

fn check_token(claim: &Claim, key: &AccessKey) -> Result<(), Refusal> {
    let (given, known) = (claim.session_token.as_deref(), key.session_token());
    let same = match (given, known) {
        (None, None) => true,
        (Some(given), Some(known)) => given.as_bytes().ct_eq(known.as_bytes()).into(),
        _ => false,
    };
    if same { Ok(()) } else { Err(Refusal::SessionToken) }
}

/// The values of the headers that are named as signed; of one that is there several times, all.
fn signed_headers<'a>(claim: &'a Claim, parts: &'a Parts) -> Result<Vec<(&'a str, &'a str)>, Refusal> {
    if !claim.signs("host") {
        return Err(Refusal::HostUnsigned);
    }
    let mut headers = Vec::new();
    for name in &claim.signed_headers {
        let before = headers.len();
        for value in parts.headers.get_all(name.as_str()) {
            let text = std::str::from_utf8(value.as_bytes());
            headers.push((name.as_str(), text.map_err(|_| Refusal::Malformed("a signed header is not UTF-8"))?));
        }
        if headers.len() == before {
            return Err(Refusal::HeaderMissing(name.clone()));
        }
    }
    Ok(headers)
}

fn hash(body: &[u8]) -> String {
    Sha256::digest(body).iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all that is written");
        text
    })
}

/// The signature that `key` would have made.
fn sign_again(
    claim: &Claim,
    key: &AccessKey,
    parts: &Parts,
    headers: &[(&str, &str)],
    body_hash: String,
) -> Result<String, SigningError> {
    let mut settings = SigningSettings::default();
    // Only what the claim names is signed; the signer would add the date.
    let unnamed = (!claim.signs("x-amz-date")).then_some(vec![Cow::Borrowed("x-amz-date")]);
    settings.excluded_headers = unnamed;
    if let Some(life) = claim.expires {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(life);
    }
    // The token is signed as a header or parameter like others, where the caller has signed it.
    let identity = Credentials::new(key.id(), key.secret(), None, None, "local region").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(SERVICE)
        .time(SystemTime::try_from(claim.time).expect("the time is near the present"))
        .settings(settings)
        .build()
        .expect("all parameters are set")
        .into();
    let uri = format!("{}?{}", parts.uri.path(), claim.query);
    let request = SignableRequest::new(
        parts.method.as_str(),
        uri,
        headers.iter().copied(),
        SignableBody::Precomputed(body_hash),
    )?;
    Ok(sign(request, &params)?.signature().to_owned())
}
