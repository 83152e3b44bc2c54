//! The AWS endpoint: one port for all services. It finds out from a request which service, operation and wire
//! protocol are meant, counts the call, asks IAM whether a function may make it, applies an injected fault, and writes
//! the answer in the caller's protocol.
//! Signatures are not verified: an access key id only tells callers apart.

use std::{collections::BTreeMap, io, sync::Arc};

use axum::{body::Body, extract::Request, response::IntoResponse};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    endpoint::{
        between::Between,
        calls::Calls,
        faults::{Fault, Faults},
        meter::{Meter, Reading},
        traffic::Traffic,
        wire::{self, Call, Protocol},
    },
    error::AwsError,
    guard,
    iam::{Roles, policy::Decision, refusal, request, requirements},
    service::Service,
};

/// The largest request body, in bytes: DynamoDB's 16 MB for a batch, and room for its names.
const BODY_LIMIT: usize = 20 * 1024 * 1024;

/// The services behind one endpoint, what they were asked, and the faults to answer with. Cheap to clone.
#[derive(Clone, Default)]
pub struct Services {
    services: Arc<BTreeMap<&'static str, Arc<dyn Service>>>,
    /// What was called, and by whom.
    pub calls: Calls,
    /// What the calls consumed, in the units that AWS bills.
    pub meter: Meter,
    /// What the next calls answer instead of the services.
    pub faults: Faults,
    traffic: Traffic,
    roles: Roles,
    between: Option<Arc<dyn Between>>,
}

impl Services {
    /// These services behind one endpoint, found by their names; STS's `GetCallerIdentity` comes with it.
    #[must_use]
    pub fn new(services: impl IntoIterator<Item = Arc<dyn Service>>) -> Self {
        let mut found: BTreeMap<&'static str, Arc<dyn Service>> = BTreeMap::new();
        let sts: Arc<dyn Service> = Arc::new(crate::sts::Sts);
        for service in std::iter::once(sts).chain(services) {
            found.insert(service.name(), service);
        }
        Self { services: Arc::new(found), ..Self::default() }
    }

    /// The same with roles: what their access key ids call is refused unless their policies allow it.
    #[must_use]
    pub fn with_roles(mut self, roles: Roles) -> Self {
        self.roles = roles;
        self
    }

    /// The same with `between` in front of the services.
    #[must_use]
    pub fn with_between(mut self, between: Arc<dyn Between>) -> Self {
        self.between = Some(between);
        self
    }

    /// The same at a distance, and with rates.
    #[must_use]
    pub fn with_traffic(mut self, traffic: Traffic) -> Self {
        self.traffic = traffic;
        self
    }

    /// The service with this name, e.g. `transfer`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Service>> {
        self.services.get(name)
    }

    /// All services, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Service>> {
        self.services.values()
    }

    async fn answer(&self, mut call: Call) -> Result<Value, AwsError> {
        let Some(service) = self.get(&call.service) else {
            let known: Vec<&str> = self.services.keys().copied().collect();
            let message = format!("This region has no service {:?}; it has {}.", call.service, known.join(", "));
            return Err(AwsError::client("UnknownService", message).with_status(404));
        };
        if call.operation.is_empty() {
            let message = format!("The request to {} names no operation.", call.service);
            return Err(AwsError::client("MissingAction", message));
        }
        self.calls.record(&call.caller, &call.service, &call.operation);
        self.traffic.admit(&call.service, &call.operation)?;
        self.authorize(&call)?;
        let reading = Reading::begin(&mut call);
        let mut answer = match self.faults.take(&call.service, &call.operation) {
            None => match &self.between {
                Some(between) => between.call(call, service.as_ref()).await,
                None => service.call(&call.operation, call.input).await,
            },
            Some(Fault::Answer(error)) => Err(error),
            Some(Fault::FailLater) => service.call_to_fail(&call.operation, call.input).await,
            Some(Fault::LoseAnswer) => {
                let outcome = service.call(&call.operation, call.input).await;
                tracing::debug!(service = call.service, operation = call.operation, ?outcome, "The answer is lost");
                Err(AwsError::client("InternalFailure", "The answer of this call was lost.").with_status(500))
            }
        };
        self.meter.note(reading, &mut answer);
        answer
    }

    /// Asks IAM whether the caller may make this call. Whoever is no function may do everything.
    fn authorize(&self, call: &Call) -> Result<(), AwsError> {
        let Some(role) = self.roles.get(&call.caller) else { return Ok(()) };
        let find = |service: &str, arn: &str| self.get(service)?.resource(arn);
        let Some(requests) = requirements::of(&call.service, &call.operation, &call.input, &find) else {
            let unknown = request::Request::new(format!("{}:{}", call.service, call.operation), "*");
            self.calls.record_answer(&call.caller, unknown, false);
            return Err(refusal::unknown(&call.service, &call.operation));
        };
        for request in requests {
            let decision = role.policy.decide(&request);
            if !matches!(decision, Decision::Allowed(_)) {
                let refusal = refusal::answer(&call.service, role, &request, decision);
                tracing::warn!(operation = call.operation, %refusal, "A function's role does not allow its call");
                self.calls.record_answer(&call.caller, request, false);
                return Err(refusal);
            }
            self.calls.record_answer(&call.caller, request, true);
        }
        Ok(())
    }
}

/// Answers one AWS request in-process.
pub async fn handle(services: &Services, request: http::Request<Bytes>) -> Response<Bytes> {
    let request_id = crate::ids::random_uuid().to_string();
    let (head, body) = request.into_parts();
    let protocol = wire::protocol(&head);
    let answer = match wire::decode(protocol, &head, &body) {
        Ok(call) => {
            let (service, operation) = (call.service.clone(), call.operation.clone());
            let answer = services.traffic.carry(&service, services.answer(call)).await;
            if let Err(error) = &answer {
                tracing::debug!(service, operation, %error, "An AWS call is refused");
            }
            wire::encode(protocol, &service, &operation, &request_id, answer)
        }
        Err(error) => wire::encode(protocol, "", "", &request_id, Err(error)),
    };
    with_request_id(protocol, answer, &request_id)
}

fn with_request_id(protocol: Protocol, mut answer: Response<Bytes>, request_id: &str) -> Response<Bytes> {
    let headers: &mut HeaderMap = answer.headers_mut();
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", value.clone());
        if protocol == Protocol::Ec2 {
            headers.insert("x-amz-request-id", value);
        }
    }
    answer
}

/// Serves the endpoint on `listener` until `shutdown`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, services: Services, shutdown: CancellationToken) -> io::Result<()> {
    let app = axum::Router::new().fallback(move |request: Request| {
        let services = services.clone();
        async move { respond(&services, request).await }
    });
    let app = app.layer(axum::middleware::from_fn(guard::keep_pages_out));
    axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

async fn respond(services: &Services, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    match axum::body::to_bytes(body, BODY_LIMIT).await {
        Ok(body) => handle(services, http::Request::from_parts(head, body)).await.map(Body::from),
        Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, "The request is larger than 20 MiB, or was cut off.").into_response(),
    }
}
