//! The HTTP API in front of functions: it picks the route as API Gateway does, makes an event in payload format 2.0
//! of the request, and an HTTP answer of the function's.
//!
//! Format: AWS's "Create AWS Lambda proxy integrations for HTTP APIs". Where the template asks for IAM, requests must be
//! signed if the region was started so; else a caller is known by the access key that it names, or as `local`.

mod answer;
pub mod auth;
mod request;
mod route;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wharfinger_emulator::{clock::Clock, guard};

use self::{
    auth::{Authorizer, Refusal, keys::AccessKey},
    request::Caller,
    route::{Routes, Selected},
};
use crate::{
    lambda::{FunctionError, Lambda, PAYLOAD_LIMIT},
    wiring,
};

#[derive(Debug)]
struct Gateway {
    routes: Routes,
    lambda: Lambda,
    clock: Clock,
    /// None: nobody has to sign.
    authorizer: Option<Authorizer>,
}

/// Serves the routes of `functions` on `listener` until `stopping`; requests in work are answered first. With `keys`,
/// the routes that the template gives to IAM answer only who signs with one of them; without, anyone.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    functions: &[wiring::Function],
    lambda: Lambda,
    clock: Clock,
    keys: Option<Vec<AccessKey>>,
    stopping: CancellationToken,
) -> std::io::Result<()> {
    let router = router(functions, lambda, clock, keys).layer(axum::middleware::from_fn(guard::keep_pages_out));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stopping.cancelled_owned()).await
}

/// The routes of `functions`, for requests that bear where they come from as [`ConnectInfo`].
pub(crate) fn router(
    functions: &[wiring::Function],
    lambda: Lambda,
    clock: Clock,
    keys: Option<Vec<AccessKey>>,
) -> axum::Router {
    let gateway =
        Arc::new(Gateway { routes: Routes::of(functions), lambda, clock, authorizer: keys.map(Authorizer::new) });
    axum::Router::new().fallback(handle).with_state(gateway)
}

async fn handle(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(source): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(selected) = gateway.routes.select(parts.method.as_str(), parts.uri.path()) else {
        return refuse(StatusCode::NOT_FOUND, "Not Found");
    };
    let body = match read_body(body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let caller = match gateway.identify(&selected, &parts, &body) {
        Ok(caller) => caller,
        Err(reason) => {
            tracing::warn!(%reason, method = %parts.method, path = parts.uri.path(), "a request is forbidden");
            return refuse(StatusCode::FORBIDDEN, "Forbidden");
        }
    };
    let event = request::to_event(&parts, &body, &selected, caller.as_ref(), source, &gateway.clock);
    let event = Bytes::from(event.to_string());
    if event.len() > PAYLOAD_LIMIT {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    }
    gateway.ask(&selected, event).await
}

impl Gateway {
    /// Who asks, on a route of IAM.
    fn identify(&self, selected: &Selected<'_>, parts: &Parts, body: &[u8]) -> Result<Option<Caller>, Refusal> {
        if !selected.route.iam {
            return Ok(None);
        }
        let Some(authorizer) = &self.authorizer else {
            return Ok(Some(Caller::claimed(&parts.headers)));
        };
        let key = authorizer.verify(parts, body, self.clock.now())?;
        Ok(Some(Caller::verified(key)))
    }

    async fn ask(&self, selected: &Selected<'_>, event: Bytes) -> Response {
        let asked = self.lambda.invoke(selected.function, event);
        match tokio::time::timeout(selected.route.timeout, asked).await {
            Err(_) | Ok(Err(FunctionError::Stopped)) => refuse(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
            Ok(Ok(invocation)) => answer::to_response(&invocation.payload).unwrap_or_else(|problem| {
                tracing::error!(function = selected.function, problem, "a function's answer is not one for HTTP");
                refuse(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }),
            Ok(Err(error)) => {
                tracing::error!(function = selected.function, %error, "a request failed");
                refuse(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }
}

async fn read_body(body: Body) -> Result<Bytes, Response> {
    let limited = http_body_util::Limited::new(body, PAYLOAD_LIMIT);
    match http_body_util::BodyExt::collect(limited).await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"))
        }
        Err(_) => Err(refuse(StatusCode::BAD_REQUEST, "Bad Request")),
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}
