//! What API Gateway adds to a request: method, request id and caller.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The gateway's context of a request, which requests carry as an extension.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Context {
    pub(crate) http: Http,
    pub(crate) request_id: Option<String>,
    authorizer: Option<Authorizer>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Http {
    pub(crate) method: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Authorizer {
    iam: Option<Iam>,
    jwt: Option<Jwt>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Iam {
    user_arn: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Jwt {
    #[serde(default)]
    claims: BTreeMap<String, serde_json::Value>,
}

impl Context {
    /// The caller's ARN, or with a token its `sub`. `None` where the gateway asks for no identity.
    pub(crate) fn caller(&self) -> Option<&str> {
        let authorizer = self.authorizer.as_ref()?;
        let of_token = || authorizer.jwt.as_ref()?.claims.get("sub")?.as_str();
        authorizer.iam.as_ref().and_then(|iam| iam.user_arn.as_deref()).or_else(of_token)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn caller_with(authorizer: &Value) -> Option<String> {
        let context = json!({ "http": { "method": "GET" }, "authorizer": authorizer });
        serde_json::from_value::<Context>(context).unwrap().caller().map(ToOwned::to_owned)
    }

    #[test]
    fn a_caller_is_known_by_arn_or_by_the_subject_of_a_token() {
        let iam = json!({ "iam": { "userArn": "arn:aws:iam::000000000000:user/alice" } });
        let jwt = json!({ "jwt": { "claims": { "sub": "alice", "iss": "https://issuer" }, "scopes": null } });
        assert_eq!(caller_with(&iam).as_deref(), Some("arn:aws:iam::000000000000:user/alice"));
        assert_eq!(caller_with(&jwt).as_deref(), Some("alice"));
        assert_eq!(caller_with(&json!({ "jwt": { "claims": {}, "scopes": null } })), None);
        assert_eq!(caller_with(&Value::Null), None);
    }
}
