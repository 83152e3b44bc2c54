//! The end of a service deployment before its time.

use wharfinger_aws::error::{AwsError, Kind};
use wharfinger_decisions::{reach, site::SiteSpec, verdict::ServiceDeployment};

use crate::App;

/// Has ECS end `ours` and go back, unless it does that already. A deployment has no tags of its service for IAM to ask for:
/// where the tag opens services, it is asked for here.
///
/// # Errors
/// When ECS fails, or the service is not open to this deployment.
pub(crate) async fn stop(app: &App, spec: &SiteSpec, ours: &ServiceDeployment) -> Result<(), AwsError> {
    if ours.is_going_back() {
        return Ok(());
    }
    if app.reach.services == reach::TAGGED {
        let (cluster, name) = (spec.cluster.as_str(), spec.service.as_str());
        let service = app.ecs.described_service(cluster, name).await?.unwrap_or_default();
        if !reach::is_open(&app.reach.services, &format!("{cluster}/{name}"), &service["tags"]) {
            let arn = service["serviceArn"].as_str().unwrap_or_default();
            let message = format!("the service is not open to this deployment: {}", reach::open_service(arn));
            let kind = Kind::Refused { code: "service_closed".into(), message };
            return Err(AwsError { action: format!("stop the service deployment {}", ours.arn), kind });
        }
    }
    app.ecs.stop_service_deployment(&ours.arn).await
}
