//! The API and the sites over HTTP, with answers as JSON.

use std::net::SocketAddr;

use reqwest::{Method, StatusCode};
use serde_json::Value;

/// A client of one HTTP address.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    base: String,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body; JSON where it is JSON, else a JSON string.
    pub body: Value,
}

impl Http {
    /// A client of `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { client: reqwest::Client::new(), base: format!("http://{address}") }
    }

    /// Asks `path`, with `body` as JSON if there is one.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let request = self.client.request(method, format!("{}{path}", self.base));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        Self::send(request).await
    }

    /// Asks `path` with a body sent as it is, and headers.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask_raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<Answer> {
        let request = self.client.request(method, format!("{}{path}", self.base)).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Self::send(request).await
    }

    async fn send(request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }

    /// `GET path`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask(Method::GET, path, None).await
    }

    /// `PUT path`, which must be taken.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(Method::PUT, path, Some(body)).await?.taken(path)
    }

    /// `POST path`, which must be taken.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn post(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, None).await?.taken(path)
    }

    /// `DELETE path`, which must be taken.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::DELETE, path, None).await?.taken(path)
    }
}

impl Answer {
    /// The body of a successful answer.
    ///
    /// # Errors
    /// When the status is no success.
    pub fn taken(self, path: &str) -> anyhow::Result<Value> {
        anyhow::ensure!(self.status.is_success(), "{path} answered {}: {}", self.status, self.body);
        Ok(self.body)
    }
}
