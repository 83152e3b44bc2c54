//! What a rollout that a dry run asks for would change in the service's task definition, asked of ECS by describe calls
//! alone.

use serde::Serialize;
use wharfinger_aws::error::AwsError;
use wharfinger_decisions::{
    diff::{Difference, differences},
    names::SiteName,
    reach::{self, Reach},
    revision,
    site::SiteSpec,
};

use crate::Aws;

/// What a rollout would bring to the service.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Preview {
    /// The revision that the service has.
    before: Option<String>,
    /// The revision that it would go back to. A new one has no ARN yet.
    after: Option<String>,
    /// What would differ.
    changes: Vec<Difference>,
    /// Why nothing would come of it, in a sentence.
    obstacle: Option<String>,
}

impl Aws {
    /// What the rollout `id` of `site` would bring: the next revision, or `target`. Of a service that is not within `reach`
    /// nothing is told.
    pub(crate) async fn preview(
        &self,
        reach: &Reach,
        site: &SiteName,
        spec: &SiteSpec,
        id: &str,
        target: Option<String>,
    ) -> Preview {
        let preview = async {
            self.check_open(reach, spec).await?;
            self.try_preview(site, spec, id, target).await
        };
        Box::pin(preview).await.unwrap_or_else(|obstacle| Preview { obstacle: Some(obstacle), ..Preview::default() })
    }

    /// Refuses a service that is not open to this deployment, in a sentence. A list says it before ECS is asked.
    async fn check_open(&self, reach: &Reach, spec: &SiteSpec) -> Result<(), String> {
        let name = format!("{}/{}", spec.cluster, spec.service);
        let closed =
            |arn: &str| format!("the service {name} is not open to this deployment: {}", reach::open_service(arn));
        match reach.services.as_str() {
            reach::TAGGED => {
                let described = self.ecs.described_service(spec.cluster.as_str(), spec.service.as_str()).await;
                match described.map_err(|error| error.to_string())? {
                    Some(service) if !reach::is_open(reach::TAGGED, &name, &service["tags"]) => {
                        Err(closed(service["serviceArn"].as_str().unwrap_or_default()))
                    }
                    _ => Ok(()),
                }
            }
            list if reach::is_open(list, &name, &serde_json::Value::Null) => Ok(()),
            _ => Err(closed(&name)),
        }
    }

    async fn try_preview(
        &self,
        site: &SiteName,
        spec: &SiteSpec,
        id: &str,
        target: Option<String>,
    ) -> Result<Preview, String> {
        let sentence = |error: AwsError| error.to_string();
        let service = self.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await.map_err(sentence)?;
        let service = service
            .ok_or_else(|| format!("the cluster {} has no service {}: create it", spec.cluster, spec.service))?;
        if let Some(obstacle) = service.obstacle() {
            return Err(obstacle);
        }
        let before = service.task_definition.expect("a service without one was an obstacle");
        let described = self.ecs.task_definition(&before).await.map_err(sentence)?;
        let next = match &target {
            Some(arn) => self.ecs.task_definition(arn).await.map_err(sentence)?,
            None => revision::make(&described, site, spec, &[], id).map_err(|refusal| refusal.to_string())?,
        };
        let changes = differences(&described, &next);
        Ok(Preview { before: Some(before), after: target, changes, obstacle: None })
    }
}
