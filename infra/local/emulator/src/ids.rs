//! What every ARN and resource id is made of.

/// The account of every local region.
pub const ACCOUNT: &str = "000000000000";

/// The name of every local region.
pub const REGION: &str = "us-east-1";

/// A random AWS resource id: `prefix` and 17 hexadecimal digits.
#[must_use]
pub fn random_id(prefix: &str) -> String {
    let digits = uuid::Uuid::new_v4().simple().to_string();
    format!("{prefix}{}", &digits[..17])
}
