//! JSON bodies as they are on the wire. The SDK's types drop the members that the SDK does not know yet.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::AfterDeserializationInterceptorContextRef},
        orchestrator::HttpRequest,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{body::SdkBody, config_bag::ConfigBag};
use serde_json::Value;

/// Keeps the body of an answer as it came, if it is JSON.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer(Arc<Mutex<Option<Value>>>);

impl Answer {
    /// Takes the body. `None`: there was no answer, or it is no JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        self.0.lock().expect("nobody panics while holding it").take()
    }
}

impl Intercept for Answer {
    fn name(&self) -> &'static str {
        "Answer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok());
        *self.0.lock().expect("nobody panics while holding it") = body;
        Ok(())
    }
}

/// Sends `body` instead of the request's own.
pub(crate) fn replace_body(request: &mut HttpRequest, body: &str) {
    *request.body_mut() = SdkBody::from(body);
    request.headers_mut().insert("content-length", body.len().to_string());
}

/// Sends `members` with the members that the request has, and instead of those of the same name.
pub(crate) fn extend_body<'a>(request: &mut HttpRequest, members: impl IntoIterator<Item = (&'a String, &'a Value)>) {
    let body = request.body().bytes().and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    let mut body = body.expect("the SDK writes JSON");
    for (name, value) in members {
        body[name] = value.clone();
    }
    replace_body(request, &body.to_string());
}
