//! The endpoint without sockets: an HTTP client for the AWS SDK whose requests are answered in this process. Nothing in
//! it waits for anything but the services, so that it runs under a paused clock.

use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use super::front::{self, Services};

/// Hands the SDK's requests to the services of one region. Cheap to clone.
#[derive(Clone)]
pub struct InProcess {
    services: Services,
}

impl InProcess {
    /// A client of these services.
    #[must_use]
    pub fn new(services: Services) -> Self {
        Self { services }
    }

    /// Answers one request.
    ///
    /// # Errors
    /// When the request's body is a stream, which none of the services takes, or is no HTTP request.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let (head, body) = request.into_parts();
        let body = body.bytes().map(Bytes::copy_from_slice);
        let body = body.ok_or_else(|| ConnectorError::user("the body is a stream".into()))?;
        let (head, body) = front::handle(&self.services, http::Request::from_parts(head, body)).await.into_parts();
        let status =
            StatusCode::try_from(head.status.as_u16()).map_err(|error| ConnectorError::other(error.into(), None))?;
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        for (name, value) in &head.headers {
            if let Ok(value) = value.to_str() {
                response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(response)
    }
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("InProcess").finish_non_exhaustive()
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.clone();
        HttpConnectorFuture::new(async move { client.send(request).await })
    }
}

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
