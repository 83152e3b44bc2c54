//! `/v1/sites/{site}/rollouts`: what was deployed to the site's service, why, and with which result; and a person's orders
//! to roll out, to break off and to go back. An order is stored and `rollout` is woken, which carries it out.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharfinger_decisions::{
    condition::Condition,
    gate::{Cancellation, SiteOrder, Word},
    names::SiteName,
    rollback::last_good,
    rollout::Rollout,
    text::is_one_line,
};
use wharfinger_store::{
    sites::{self, SiteRecord},
    unreadable::Read,
    windows::WindowRecord,
};

use super::sites::{existing, unknown, what as what_site};
use crate::{
    App,
    call::Call,
    change::settle,
    found::Found,
    problem::{Kind, Problem, Refused},
    resource::{List, Would},
    revision_preview::Preview,
};

/// The longest id that is looked up; DynamoDB refuses keys beyond 1024 bytes.
const LONGEST_ID: usize = 64;

/// The longest reason, in characters.
const LONGEST_REASON: usize = 200;

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
    if let Some(rollout) = find(&api, &site, id).await? {
        return Ok(Json(rollout).into_response());
    }
    exists(&api, &site).await?;
    if let Some(order) = api.table.window(&site).await?.word.order.filter(|order| order.id == id) {
        return Ok(Json(Ordered::of(&site, &order)).into_response());
    }
    // The order may have become the rollout between the two reads.
    find(&api, &site, id).await?.map(|rollout| Json(rollout).into_response()).ok_or_else(|| not_found(&site))
}

/// What a person says with an order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// Why.
    reason: String,
}

/// A reason that people will read.
pub(super) fn checked_reason(reason: &str) -> Result<String, Refused> {
    let reason = reason.trim();
    let is_sentence = !reason.is_empty() && reason.chars().count() <= LONGEST_REASON;
    if is_sentence && is_one_line(reason) {
        return Ok(reason.to_owned());
    }
    Err(Problem::field("/reason", format!("say why in one line of up to {LONGEST_REASON} characters")))
}

/// `POST /v1/sites/{site}/rollouts`: rolls the site out now, whatever its window waits for.
pub(crate) async fn start(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let site = call.known_site()?;
    give(&api, &call, &site, None).await
}

/// `POST /v1/sites/{site}/rollouts/{id}/rollback`: goes back to the last good revision.
pub(crate) async fn roll_back(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let site = call.known_site()?;
    let id = call.part("id");
    if find(&api, &site, id).await?.is_none() {
        exists(&api, &site).await?;
        return Err(not_found(&site));
    }
    give(&api, &call, &site, Some(id)).await
}

async fn give(api: &App, call: &Call, site: &SiteName, undoes: Option<&str>) -> Result<Response, Refused> {
    let dry_run = call.query(&["dry_run"])?.flag("dry_run")?;
    let said: Said = call.body()?;
    let order = SiteOrder {
        id: api.table.chance().uuid_v7(call.now),
        reason: checked_reason(&said.reason)?,
        by: call.caller.clone(),
        at: call.now,
        undoes: undoes.map(str::to_owned),
    };
    Box::pin(settle(api.table.chance(), || order_now(api, call, site, &order, dry_run))).await
}

async fn order_now(
    api: &App,
    call: &Call,
    site: &SiteName,
    order: &SiteOrder,
    dry_run: bool,
) -> Result<Response, Refused> {
    let spec = standing(api, site).await?.intent;
    let target = match &order.undoes {
        Some(undone) => Some(way_back(api, site, undone).await?),
        None => None,
    };
    let mut record = api.table.window_to_change(site, call.now).await?;
    // A write whose answer was lost is done.
    let is_given = record.word.order.as_ref() == Some(order);
    if !is_given {
        check_free(site, &record.word, call.now)?;
    }
    let shown = Ordered::of(site, order);
    if dry_run {
        let revision = Some(api.aws.preview(&api.reach, site, &spec, &order.id, target).await);
        return Ok(Json(Ordered { would: Some(Would::Create), revision, ..shown }).into_response());
    }
    if !is_given {
        record.word.order = Some(order.clone());
        api.table.write_window(site, &record).await?;
    }
    api.wake_site(site).await;
    let location = format!("/v1/sites/{site}/rollouts/{}", order.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(shown)).into_response())
}

/// Refuses an order against a hold, or beside another one.
fn check_free(site: &SiteName, word: &Word, now: Timestamp) -> Result<(), Refused> {
    if let Some(hold) = word.hold_at(now) {
        let detail = format!("{} is {}: DELETE its hold first", what_site(site), hold.sentence());
        return Err(Problem::new(Kind::NotNow, detail));
    }
    if let Some(order) = &word.order {
        let detail = format!(
            "another order waits already ({}): wait until its rollout {} begins, or DELETE that",
            order.sentence(),
            order.id
        );
        return Err(Problem::new(Kind::NotNow, detail));
    }
    Ok(())
}

/// What a rollback goes back to.
async fn way_back(api: &App, site: &SiteName, id: &str) -> Result<String, Refused> {
    let history = api.table.rollout_history(site).await?;
    last_good(&history, id).map_err(|refusal| Problem::new(Kind::NotNow, refusal.to_string()))
}

/// `DELETE /v1/sites/{site}/rollouts/{id}`: breaks a rollout off, or takes an order back.
pub(crate) async fn cancel(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let site = call.known_site()?;
    let dry_run = call.query(&["dry_run"])?.flag("dry_run")?;
    call.no_body()?;
    Box::pin(settle(api.table.chance(), || break_off(&api, &call, &site, dry_run))).await
}

async fn break_off(api: &App, call: &Call, site: &SiteName, dry_run: bool) -> Result<Response, Refused> {
    let id = call.part("id");
    // Whatever this version can't read of the site: what is under way is broken off all the same.
    if existing(api, site).await?.thing.deleting {
        return Err(Problem::deleting(&what_site(site)));
    }
    let mut record = api.table.window_to_change(site, call.now).await?;
    if record.word.order.take_if(|order| order.id == id).is_some() {
        if !dry_run {
            api.table.write_window(site, &record).await?;
            api.wake_site(site).await;
        }
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let rollout = find(api, site, id).await?.ok_or_else(|| not_found(site))?;
    if rollout.state.is_final() {
        let detail = format!("the rollout is over ({}): to undo it, POST to its rollback", rollout.reason);
        return Err(Problem::new(Kind::NotNow, detail));
    }
    if !dry_run {
        note_cancellation(api, call, site, &mut record).await?;
    }
    Ok((StatusCode::ACCEPTED, Json(rollout)).into_response())
}

async fn note_cancellation(api: &App, call: &Call, site: &SiteName, record: &mut WindowRecord) -> Result<(), Refused> {
    let id = call.part("id");
    if record.word.cancellation.as_ref().is_none_or(|given| given.rollout != id) {
        let cancellation = Cancellation { rollout: id.to_owned(), by: call.caller.clone(), at: call.now };
        record.word.cancellation = Some(cancellation);
        api.table.write_window(site, record).await?;
    }
    api.wake_site(site).await;
    Ok(())
}

/// The site, which can be read and stays.
pub(super) async fn standing(api: &App, site: &SiteName) -> Result<SiteRecord, Refused> {
    let record = existing(api, site).await?.whole(&what_site(site))?;
    if record.deleting { Err(Problem::deleting(&what_site(site))) } else { Ok(record) }
}

async fn find(api: &App, site: &SiteName, id: &str) -> Result<Option<Rollout>, Refused> {
    if id.len() > LONGEST_ID {
        return Ok(None);
    }
    Ok(api.table.rollout(site, id).await?)
}

fn not_found(site: &SiteName) -> Refused {
    Problem::not_found(&format!("this rollout of {}", what_site(site)))
}

async fn exists(api: &App, site: &SiteName) -> Result<(), Refused> {
    let found = Found::<SiteRecord>::at(&api.table, &sites::key(site)).await?;
    found.map(drop).ok_or_else(|| unknown(site))
}

/// A rollout that was ordered and has not begun.
#[derive(Serialize)]
struct Ordered<'a> {
    id: &'a str,
    site: &'a SiteName,
    state: &'static str,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<Would>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Preview>,
}

impl<'a> Ordered<'a> {
    fn of(site: &'a SiteName, order: &'a SiteOrder) -> Self {
        Self { id: &order.id, site, state: "ordered", reason: order.sentence(), would: None, revision: None }
    }
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
