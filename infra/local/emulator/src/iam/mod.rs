//! IAM in front of the functions: every AWS call of a function is evaluated against its role's policies in the
//! template, as AWS would, and refused when they don't allow it. So each story on a laptop proves that what is deployed
//! may do what it does. People's calls stay unrestricted, as an administrator's are.
//!
//! [`requirements`] says what a call must be allowed to do, [`policy`] and [`condition`] decide it, [`refusal`] words
//! the answer. Rules are those of AWS's Service Authorization Reference:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>

pub mod condition;
pub mod pattern;
pub mod policy;
pub mod refusal;
pub mod request;
pub mod requirements;

use std::{collections::BTreeMap, sync::Arc};

use self::policy::Policy;

/// The execution role of one function.
#[derive(Clone, Debug)]
pub struct Role {
    /// The role's session, as AWS's messages name it.
    pub session_arn: String,
    /// What it may do.
    pub policy: Policy,
}

/// The roles of all functions, by the access key ids that their processes use. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Roles(Arc<BTreeMap<String, Role>>);

impl Roles {
    /// The role behind an access key id; None: it is a person's.
    #[must_use]
    pub fn get(&self, access_key: &str) -> Option<&Role> {
        self.0.get(access_key)
    }
}

impl FromIterator<(String, Role)> for Roles {
    fn from_iter<T: IntoIterator<Item = (String, Role)>>(roles: T) -> Self {
        Self(Arc::new(roles.into_iter().collect()))
    }
}
