//! `/v1/sites/{site}/rollouts`: what was deployed to the site's service, why, and with which result.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Serialize;
use wharfinger_decisions::{condition::Condition, names::SiteName, rollout::Rollout};
use wharfinger_store::{
    sites::{self, SiteRecord},
    unreadable::Read,
};

use super::sites::{unknown, what as what_site};
use crate::{
    App,
    call::Call,
    found::Found,
    problem::{Problem, Refused},
    resource::List,
};

/// The longest id that is looked up; DynamoDB refuses keys beyond 1024 bytes.
const LONGEST_ID: usize = 64;

/// `GET /v1/sites/{site}/rollouts`: the latest first.
pub(crate) async fn list(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let site = call.known_site()?;
    let request = call.query(&["limit", "after"])?.page(true)?;
    let (page, ()) = tokio::try_join!(async { Ok(api.table.rollouts(&site, &request).await?) }, exists(&api, &site))?;
    let items = page.items.into_iter().map(|(id, rollout)| Shown::of(id, rollout, call.now)).collect();
    Ok(List::answer(page.next, items))
}

/// `GET /v1/sites/{site}/rollouts/{id}`
pub(crate) async fn show(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let (site, id) = (call.known_site()?, call.part("id"));
    call.query(&[])?;
    let found = if id.len() <= LONGEST_ID { api.table.rollout(&site, id).await? } else { None };
    match found {
        Some(rollout) => Ok(Json(rollout).into_response()),
        None => {
            exists(&api, &site).await?;
            Err(Problem::not_found(&format!("this rollout of {}", what_site(&site))))
        }
    }
}

async fn exists(api: &App, site: &SiteName) -> Result<(), Refused> {
    let found = Found::<SiteRecord>::at(&api.table, &sites::key(site)).await?;
    found.map(drop).ok_or_else(|| unknown(site))
}

/// A rollout, or a condition that says that it can't be read.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Rollout(Box<Rollout>),
    Unreadable { id: String, conditions: [Condition; 1] },
}

impl Shown {
    fn of(id: String, read: Read<Rollout>, now: Timestamp) -> Self {
        match read {
            Ok(rollout) => Self::Rollout(Box::new(rollout)),
            Err(unreadable) => Self::Unreadable { id, conditions: [unreadable.condition(now)] },
        }
    }
}
