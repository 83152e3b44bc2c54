//! `/v1/sites/{site}/rollouts`: what was brought to the site's service, why, and what became of it.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use wharfinger_decisions::names::SiteName;
use wharfinger_store::sites::{self, SiteRecord};

use super::sites::what as what_site;
use crate::{
    App,
    call::Call,
    problem::{Problem, Refused},
    resource::List,
};

/// The longest id that can be one; DynamoDB refuses keys beyond 1024 bytes.
const LONGEST_ID: usize = 64;

/// `GET /v1/sites/{site}/rollouts`: the latest first.
pub(crate) async fn list(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let site = call.site()?;
    let request = call.query(&["limit", "after"])?.page(true)?;
    let (page, ()) = tokio::try_join!(async { Ok(api.table.rollouts(&site, &request).await?) }, exists(&api, &site))?;
    let items = page.items.iter().map(|(_, rollout)| rollout).collect();
    Ok(List::answer(&page, items))
}

/// `GET /v1/sites/{site}/rollouts/{id}`
pub(crate) async fn show(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let (site, id) = (call.site()?, call.part("id"));
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
    let site_record: Option<SiteRecord> = api.table.get(&sites::key(site)).await?;
    site_record.map(drop).ok_or_else(|| Problem::not_found(&what_site(site)))
}
