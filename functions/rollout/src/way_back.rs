//! The way back to an earlier revision. Between the read of a service and its update somebody else may deploy: what the update
//! replaced unseen is brought back.

use jiff::Timestamp;
use wharfinger_aws::error::AwsError;
use wharfinger_decisions::{site::SiteSpec, verdict::Service};

use crate::App;

/// How often what was replaced is brought back, where others deploy again and again.
const MOST: usize = 3;

/// Looks at what `service`, as it shows `revision` or answered to that, replaced since `since`. Where that is none of the
/// `known` revisions, it is brought back. Returns what was, if anything.
///
/// # Errors
/// When ECS fails.
pub(crate) async fn restore(
    app: &App,
    spec: &SiteSpec,
    mut service: Service,
    revision: &str,
    mut known: Vec<String>,
    since: Timestamp,
) -> Result<Option<String>, AwsError> {
    let (cluster, name) = (spec.cluster.as_str(), spec.service.as_str());
    let mut present = revision.to_owned();
    for _ in 0..MOST {
        let seen: Vec<&str> = known.iter().map(String::as_str).collect();
        let over = || service.replaced_since(&present, &seen, since);
        let Some(unseen) = service.replaced_unseen(&present, &seen, None).or_else(over).map(ToOwned::to_owned) else {
            break;
        };
        tracing::warn!(
            revision = present,
            unseen,
            "the way back replaced what somebody deployed: that is brought back"
        );
        service = app.ecs.update_service(cluster, name, &unseen).await?;
        known.push(std::mem::replace(&mut present, unseen));
    }
    Ok((present != revision).then_some(present))
}
