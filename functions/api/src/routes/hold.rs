//! `/v1/sites/{site}/hold`: a person's word that the site is not rolled out for a while. Uploads gather meanwhile.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use wharfinger_decisions::{gate::SiteHold, names::SiteName};

use super::rollouts::{checked_reason, standing};
use crate::{
    App,
    call::Call,
    change::settle,
    problem::{Problem, Refused},
};

/// The longest hold.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// What a PUT asks for.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Until when, such as `2026-01-31T18:00:00Z`.
    until: Timestamp,
    /// Why.
    reason: String,
}

/// `PUT /v1/sites/{site}/hold`
pub(crate) async fn put(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let site = call.known_site()?;
    let dry_run = call.query(&["dry_run"])?.flag("dry_run")?;
    let Asked { until, reason } = call.body()?;
    if until <= call.now || until.duration_since(call.now) > LONGEST {
        return Err(Problem::field("/until", "a hold ends in the future, and within 366 days"));
    }
    let hold = SiteHold { until, reason: checked_reason(&reason)?, by: call.caller.clone(), at: call.now };
    Box::pin(settle(api.table.chance(), || place(&api, &call, &site, &hold, dry_run))).await
}

async fn place(api: &App, call: &Call, site: &SiteName, hold: &SiteHold, dry_run: bool) -> Result<Response, Refused> {
    standing(api, site).await?;
    let mut record = api.table.window_to_change(site, call.now).await?;
    // One whose write was done and its answer lost is new all the same.
    let is_new = record.word.hold_at(call.now).is_none_or(|present| present == hold);
    if !dry_run {
        record.word.hold = Some(hold.clone());
        api.table.write_window(site, &record).await?;
        api.wake_site(site).await;
    }
    let status = if is_new && !dry_run { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(hold)).into_response())
}

/// `DELETE /v1/sites/{site}/hold`: what has gathered is rolled out, when it is finished.
pub(crate) async fn delete(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let site = call.known_site()?;
    let dry_run = call.query(&["dry_run"])?.flag("dry_run")?;
    call.no_body()?;
    Box::pin(settle(api.table.chance(), || lift(&api, &call, &site, dry_run))).await
}

async fn lift(api: &App, call: &Call, site: &SiteName, dry_run: bool) -> Result<Response, Refused> {
    standing(api, site).await?;
    let mut record = api.table.window_to_change(site, call.now).await?;
    if record.word.hold.take().is_some() && !dry_run {
        api.table.write_window(site, &record).await?;
        api.wake_site(site).await;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
