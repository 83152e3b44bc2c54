//! What every ARN and resource id is made of.

/// The account of every local region.
pub const ACCOUNT: &str = "000000000000";

/// The name of every local region.
pub const REGION: &str = "us-east-1";

/// A random AWS resource id: `prefix` and 17 hexadecimal digits.
#[must_use]
pub fn random_id(prefix: &str) -> String {
    let digits = random_uuid().simple().to_string();
    format!("{prefix}{}", &digits[..17])
}

/// A random id for what AWS names by UUIDs. Ids of a region guard nothing; they come from the thread's `fastrand`
/// generator, so that a thread that seeds it gets the same region again.
#[must_use]
pub fn random_uuid() -> uuid::Uuid {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid()
}
