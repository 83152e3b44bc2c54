//! `GET /v1/sites/{site}/check`: whether a site's service can mount its directory, and how to mend what keeps it from it.
//!
//! AWS is asked by describe calls alone, side by side and for a bounded time. What it does not tell is unknown.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use futures::future::try_join_all;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use wharfinger_aws::error::AwsError;
use wharfinger_decisions::{
    check::{self, Finding, Observed, Seen, Target, Uploader},
    names::{ServerName, SiteName},
    reach::Reach,
    site::SiteSpec,
};
use wharfinger_store::{
    servers::{self, ServerRecord},
    table::StoreError,
    users::{self, UserRecord},
};

use super::sites::{existing, what};
use crate::{
    App, Aws,
    call::Call,
    found::Found,
    problem::{Kind, Problem, Refused},
};

/// How long AWS is asked in all, so that the function answers within its own 15 s.
const LONGEST: Duration = Duration::from_secs(10);

/// The answer.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    site: &'a str,
    /// No problem was found. What is unknown may still be one.
    ok: bool,
    findings: Vec<Finding>,
}

/// `GET /v1/sites/{site}/check`
pub(crate) async fn show(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.known_site()?;
    call.query(&[])?;
    let found = existing(&api, &name).await?;
    if let Some(unreadable) = &found.unreadable {
        let detail = format!("the record of {} can't be read by this version: {}", what(&name), unreadable.reason);
        return Err(Problem::new(Kind::Unreadable, detail));
    }
    let users = uploaders(&api, &name).await?;
    let observed = Box::pin(api.aws.observe(found.thing.intent, users, api.reach.clone())).await;
    let findings = check::judge(&observed);
    Ok(Json(Checked { site: name.as_str(), ok: check::is_ok(&findings), findings }).into_response())
}

/// Who uploads to the site.
async fn uploaders(api: &App, site: &SiteName) -> Result<Vec<Uploader>, StoreError> {
    let servers = api.table.all::<ServerRecord>(servers::PARTITION).await?;
    let users = try_join_all(servers.into_iter().map(|(server, _)| async move {
        let partition = users::partition(&ServerName::from_stored(server.clone()));
        let users = Found::<UserRecord>::all(&api.table, &partition).await?;
        let sees = |found: &Found<UserRecord>| {
            found.unreadable.is_none() && !found.thing.deleting && found.thing.intent.site.as_ref() == Some(site)
        };
        let see = users.into_iter().filter(|(_, found)| sees(found)).map(|(user, found)| {
            let posix = found.thing.intent.posix;
            Uploader { name: format!("{server}/{user}"), uid: posix.uid, gid: posix.gid }
        });
        Ok::<_, StoreError>(see.collect::<Vec<_>>())
    }));
    Ok(users.await?.concat())
}

impl Aws {
    /// Looks at everything that a rollout of `spec` depends on.
    async fn observe(&self, spec: SiteSpec, users: Vec<Uploader>, reach: Reach) -> Observed {
        let until = Instant::now() + LONGEST;
        let access_point = async {
            match &spec.access_point_id {
                Some(id) => self.file_systems.access_point(id).await,
                None => Ok(None),
            }
        };
        let (service, targets, access_point, policy) = futures::join!(
            seen(until, self.ecs.described_service(spec.cluster.as_str(), spec.service.as_str())),
            seen(until, self.file_systems.targets(&spec.file_system_id)),
            seen(until, access_point),
            seen(until, self.file_systems.policy(&spec.file_system_id)),
        );
        let (subnets, groups) = network(&service, &targets);
        let (definition, subnets, groups) = futures::join!(
            self.definition(until, &service),
            seen(until, self.ec2.task_subnets(&subnets)),
            seen(until, self.ec2.groups_with_rules(&groups)),
        );
        let containers = spec.places().iter().map(|place| place.container.to_string()).collect();
        Observed { containers, reach, service, definition, targets, subnets, groups, access_point, policy, users, spec }
    }

    /// The task definition that the service runs.
    async fn definition(&self, until: Instant, service: &Seen<Option<Value>>) -> Seen<Value> {
        let service = service.as_ref().map_err(Clone::clone)?;
        let arn = service.as_ref().and_then(|service| service["taskDefinition"].as_str());
        let arn = arn.ok_or_else(|| "there is no service that has a task definition".to_owned())?;
        let mut answer = seen(until, self.ecs.task_definition(arn)).await?;
        Ok(answer["taskDefinition"].take())
    }
}

/// The subnets of the service's tasks, and the security groups on both sides.
fn network(service: &Seen<Option<Value>>, targets: &Seen<Option<Vec<Target>>>) -> (Vec<String>, Vec<String>) {
    let own = |member: &str| {
        let service = service.as_ref().ok().and_then(Option::as_ref);
        let network = service.map(|service| &service["networkConfiguration"]["awsvpcConfiguration"][member]);
        let items = network.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        items.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let theirs = targets.as_ref().ok().and_then(Option::as_ref).into_iter().flatten();
    let groups = own("securityGroups").into_iter().chain(theirs.flat_map(|target| target.groups.clone()));
    (own("subnets"), groups.collect())
}

/// What AWS answers until then, or why it doesn't.
async fn seen<T>(until: Instant, call: impl Future<Output = Result<T, AwsError>>) -> Seen<T> {
    match timeout_at(until, call).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("AWS has not answered within {} s", LONGEST.as_secs())),
    }
}
