//! The execution roles of the functions.

use wharfinger_emulator::{
    iam::{Role, Roles},
    ids::ACCOUNT,
};

use crate::wiring::Function;

/// The roles that SAM makes for these functions: one each, named `STACK-LogicalNameRole`.
pub(super) fn of(functions: &[Function]) -> Roles {
    let role = |function: &Function| {
        let session_arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}Role/{name}", name = function.name);
        (function.access_key(), Role { session_arn, policy: function.policy.clone() })
    };
    functions.iter().map(role).collect()
}
