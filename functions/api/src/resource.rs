//! Things as the API answers them: what is wanted (`spec`), what is (`status`), and the version between them (`etag`).

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;
use wharfinger_store::record::Record;

use crate::{
    change::Change,
    forecast::Forecast,
    precondition::{etag, etag_header},
    query::write_cursor,
};

/// A server, a user or a site.
#[derive(Debug, Serialize)]
pub(crate) struct Resource<Spec, Status> {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    /// `null` where the record can't be read.
    spec: Option<Spec>,
    status: Status,
    etag: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<Would>,
    #[serde(flatten)]
    forecast: Option<Forecast>,
    #[serde(skip)]
    version: u64,
}

/// What a request with `dry_run=true` would have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Would {
    /// Make it.
    Create,
    /// Give it the spec or the power that is shown.
    Change,
    /// Nothing: it is wanted like this already.
    Keep,
    /// Delete it.
    Delete,
}

impl From<Change> for Would {
    fn from(change: Change) -> Self {
        match change {
            Change::Create => Self::Create,
            Change::Replace(_) => Self::Change,
            Change::Keep => Self::Keep,
        }
    }
}

impl<Spec: Serialize, Status: Serialize> Resource<Spec, Status> {
    /// The resource `name` with the dates and the version of `record`.
    pub(crate) fn new<I, S>(name: &str, record: &Record<I, S>, spec: Option<Spec>, status: Status) -> Self {
        Self {
            name: name.to_owned(),
            server: None,
            spec,
            status,
            etag: etag(record.version),
            created_at: record.created_at,
            updated_at: record.updated_at,
            would: None,
            forecast: None,
            version: record.version,
        }
    }

    /// The resource as one of `server`.
    pub(crate) fn of_server(mut self, server: &str) -> Self {
        self.server = Some(server.to_owned());
        self
    }

    /// It is so: 200.
    pub(crate) fn shown(self) -> Response {
        self.answered(StatusCode::OK)
    }

    /// It is new: 201, at the path `location`.
    pub(crate) fn created(self, location: &str) -> Response {
        let mut response = self.answered(StatusCode::CREATED);
        let location = HeaderValue::try_from(location).expect("paths of names are ASCII");
        response.headers_mut().insert(header::LOCATION, location);
        response
    }

    /// It was asked for and takes its time: 202.
    pub(crate) fn accepted(self) -> Response {
        self.answered(StatusCode::ACCEPTED)
    }

    /// It would be so: 200, without an ETag, as there is no such version.
    pub(crate) fn preview(mut self, would: Would) -> Response {
        self.would = Some(would);
        (StatusCode::OK, Json(self)).into_response()
    }

    /// The same, with what AWS would make of it.
    pub(crate) fn forecast(mut self, would: Would, forecast: Forecast) -> Response {
        self.forecast = Some(forecast);
        self.preview(would)
    }

    fn answered(self, status: StatusCode) -> Response {
        let etag = etag_header(self.version);
        (status, [(header::ETAG, etag)], Json(self)).into_response()
    }
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct List<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T: Serialize> List<T> {
    /// The answer for a page whose items are shown as `items`; another follows from the sort key `next` on.
    pub(crate) fn answer(next: Option<String>, items: Vec<T>) -> Response {
        Json(Self { items, next: next.as_deref().map(write_cursor) }).into_response()
    }
}
