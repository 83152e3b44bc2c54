//! One request as handlers see it: names from the path, query, headers, body, caller and time.

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
};
use http::HeaderMap;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use wharfinger_decisions::{
    names::{ServerName, SiteName, UserName},
    text::Invalid,
};
use wharfinger_runtime::Moment;

use crate::{
    App, body,
    context::Context,
    precondition::Preconditions,
    problem::{Kind, Problem, Refused},
    query::Query,
};

/// The longest name that is looked up, in bytes: more than any version took.
const LONGEST_NAME: usize = 255;

/// A request as the handlers see it.
#[derive(Debug)]
pub(crate) struct Call {
    /// When it came, to the millisecond.
    pub(crate) now: Timestamp,
    /// The caller's ARN, with a token its `sub`, or `anonymous` where the gateway asks for no identity.
    pub(crate) caller: String,
    path: Vec<(String, String)>,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
}

/// What a PUT asks for.
#[derive(Debug)]
pub(crate) struct Wanted<S> {
    pub(crate) spec: S,
    pub(crate) preconditions: Preconditions,
    pub(crate) dry_run: bool,
}

impl FromRequest<App> for Call {
    type Rejection = Refused;

    async fn from_request(request: Request, api: &App) -> Result<Self, Refused> {
        let (mut parts, body) = request.into_parts();
        let path = RawPathParams::from_request_parts(&mut parts, api)
            .await
            .map_err(|_| Problem::new(Kind::InvalidName, "the path is not UTF-8"))?;
        let body = to_bytes(body, body::LARGEST)
            .await
            .map_err(|_| Problem::new(Kind::TooLarge, format!("a body has at most {} KiB", body::LARGEST / 1024)))?;
        let moment = parts.extensions.get::<Moment>().expect("`handle` gives each request its moment");
        let now = moment.now.as_millisecond();
        Ok(Self {
            now: Timestamp::from_millisecond(now).expect("a timestamp without its last digits is in range"),
            caller: parts.extensions.get::<Context>().and_then(Context::caller).unwrap_or("anonymous").to_owned(),
            path: path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            query: parts.uri.query().map(ToOwned::to_owned),
            headers: parts.headers,
            body,
        })
    }
}

impl Call {
    /// `{server}` of the path, for a request that may make it.
    pub(crate) fn server(&self) -> Result<ServerName, Refused> {
        self.name("server", ServerName::parse)
    }

    /// `{user}` of the path, for a request that may make it.
    pub(crate) fn user(&self) -> Result<UserName, Refused> {
        self.name("user", UserName::parse)
    }

    /// `{site}` of the path, for a request that may make it.
    pub(crate) fn site(&self) -> Result<SiteName, Refused> {
        self.name("site", SiteName::parse)
    }

    /// `{server}` of the path, for a request about one that exists.
    pub(crate) fn known_server(&self) -> Result<ServerName, Refused> {
        self.known("server").map(ServerName::from_stored)
    }

    /// `{user}` of the path, for a request about one that exists.
    pub(crate) fn known_user(&self) -> Result<UserName, Refused> {
        self.known("user").map(UserName::from_stored)
    }

    /// `{site}` of the path, for a request about one that exists.
    pub(crate) fn known_site(&self) -> Result<SiteName, Refused> {
        self.known("site").map(SiteName::from_stored)
    }

    /// Accepts names that are not allowed today: resources that an earlier version created must be shown and removed.
    fn known(&self, part: &str) -> Result<&str, Refused> {
        let text = self.part(part);
        if !text.is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control) {
            return Ok(text);
        }
        Err(Problem::new(Kind::InvalidName, format!("the {part} in the path is no name")))
    }

    /// The part of the path that `part` names, as it was given.
    pub(crate) fn part(&self, part: &str) -> &str {
        let found = self.path.iter().find(|(name, _)| name == part);
        found.map(|(_, value)| value.as_str()).expect("the route has the part that its handler asks for")
    }

    fn name<T>(&self, part: &str, parse: fn(String) -> Result<T, Invalid>) -> Result<T, Refused> {
        parse(self.part(part).to_owned()).map_err(|invalid| Problem::invalid_name(part, &invalid))
    }

    /// The query, which may have only the parameters `allowed`.
    pub(crate) fn query(&self, allowed: &[&str]) -> Result<Query, Refused> {
        Query::read(self.query.as_deref(), allowed)
    }

    /// The request's preconditions.
    pub(crate) fn preconditions(&self) -> Result<Preconditions, Refused> {
        Preconditions::read(&self.headers)
    }

    /// What a PUT asks for. `planned` are fields of the spec that later versions will take.
    pub(crate) fn wanted<S: DeserializeOwned + Serialize>(&self, planned: &[&str]) -> Result<Wanted<S>, Refused> {
        let dry_run = self.query(&["dry_run"])?.flag("dry_run")?;
        let preconditions = self.preconditions()?;
        Ok(Wanted { spec: body::read(&self.headers, &self.body, planned)?, preconditions, dry_run })
    }

    /// The body.
    pub(crate) fn body<T: DeserializeOwned + Serialize>(&self) -> Result<T, Refused> {
        body::read(&self.headers, &self.body, &[])
    }

    /// Refuses a body on a request that takes none.
    pub(crate) fn no_body(&self) -> Result<(), Refused> {
        match self.body.trim_ascii() {
            b"" | b"{}" => Ok(()),
            _ => Err(Problem::field("", "this request takes no body: leave it empty")),
        }
    }
}
