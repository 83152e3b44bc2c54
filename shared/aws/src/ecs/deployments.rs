//! Service deployments: what ECS tells of a deployment of any strategy. They name service revisions, which name the
//! task definitions.

use std::collections::BTreeMap;

use aws_sdk_ecs::types;
use wharfinger_decisions::verdict::ServiceDeployment;

use super::{Ecs, service::time};
use crate::error::AwsError;

/// How many of a service's deployments are read: ours, and what came after it.
const MOST: usize = 10;

impl Ecs {
    /// The latest service deployments of a service, the latest first.
    ///
    /// # Errors
    /// When ECS fails.
    pub async fn service_deployments(&self, cluster: &str, service: &str) -> Result<Vec<ServiceDeployment>, AwsError> {
        let action = || format!("read the service deployments of {cluster}/{service}");
        let listed = self.client.list_service_deployments().cluster(cluster).service(service).send().await;
        let listed = listed.map_err(|error| AwsError::sort(action(), error))?;
        let mut briefs: Vec<_> = listed.service_deployments().iter().collect();
        briefs.sort_by_key(|brief| std::cmp::Reverse(time(brief.created_at())));
        let arns: Vec<String> = briefs
            .iter()
            .take(MOST)
            .filter_map(|brief| brief.service_deployment_arn().map(ToOwned::to_owned))
            .collect();
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.client.describe_service_deployments().set_service_deployment_arns(Some(arns.clone()));
        let described = call.send().await.map_err(|error| AwsError::sort(action(), error))?;
        let mut found: Vec<_> = described.service_deployments().iter().collect();
        found.sort_by_key(|one| arns.iter().position(|arn| Some(arn.as_str()) == one.service_deployment_arn()));
        let definitions = self.definitions(&found, &action()).await?;
        Ok(found.into_iter().map(|one| service_deployment_of(one, &definitions)).collect())
    }

    /// Ends a service deployment, and has ECS go back to the revision before.
    ///
    /// # Errors
    /// When ECS fails, or the deployment is over.
    pub async fn stop_service_deployment(&self, arn: &str) -> Result<(), AwsError> {
        let rollback = types::StopServiceDeploymentStopType::Rollback;
        let call = self.client.stop_service_deployment().service_deployment_arn(arn).stop_type(rollback);
        let answer = call.send().await;
        answer.map(drop).map_err(|error| AwsError::sort(format!("stop the service deployment {arn}"), error))
    }

    /// The task definitions of the target revisions, by their ARNs.
    async fn definitions(
        &self,
        of: &[&types::ServiceDeployment],
        action: &str,
    ) -> Result<BTreeMap<String, String>, AwsError> {
        let mut revisions: Vec<String> = of.iter().filter_map(|one| target(one).map(ToOwned::to_owned)).collect();
        revisions.sort();
        revisions.dedup();
        if revisions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let call = self.client.describe_service_revisions().set_service_revision_arns(Some(revisions));
        let described = call.send().await.map_err(|error| AwsError::sort(action, error))?;
        let definitions = described.service_revisions().iter().filter_map(|revision| {
            Some((revision.service_revision_arn()?.to_owned(), revision.task_definition()?.to_owned()))
        });
        Ok(definitions.collect())
    }
}

fn target(of: &types::ServiceDeployment) -> Option<&str> {
    of.target_service_revision().and_then(|revision| revision.arn())
}

fn service_deployment_of(of: &types::ServiceDeployment, definitions: &BTreeMap<String, String>) -> ServiceDeployment {
    let awaits = |hook: &&types::DeploymentLifecycleHookDetail| {
        hook.status().is_some_and(|status| *status == types::DeploymentLifecycleHookStatus::AwaitingAction)
    };
    let hook = of.lifecycle_hook_details().iter().find(awaits);
    let rollback = of.rollback().and_then(|rollback| rollback.reason());
    ServiceDeployment {
        arn: of.service_deployment_arn().unwrap_or_default().to_owned(),
        status: of.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        reason: of.status_reason().or(rollback).map(ToOwned::to_owned),
        created_at: time(of.created_at()),
        task_definition: target(of).and_then(|arn| definitions.get(arn)).cloned(),
        stage: of.lifecycle_stage().map(|stage| stage.as_str().to_owned()),
        awaits: hook.map(|hook| hook.hook_id().unwrap_or("without an id").to_owned()),
    }
}
