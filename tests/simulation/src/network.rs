//! The functions' way to AWS: the in-process client, with connections that can break.

use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::HttpRequest,
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use wharfinger_emulator::endpoint::client::InProcess;

use crate::invocation;

/// A client whose connections break where the weather says so.
#[derive(Clone, Debug)]
pub(crate) struct Network(pub(crate) InProcess);

impl HttpConnector for Network {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let answer = client.send(request).await;
            if invocation::take_cut() {
                return Err(ConnectorError::io("connection reset by peer".into()));
            }
            answer
        })
    }
}

impl HttpClient for Network {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
