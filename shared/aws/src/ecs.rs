//! ECS: services, and task definitions as the JSON that AWS sends, since a typed copy would lose the fields that the
//! SDK does not know yet.

mod deployments;
mod described;
mod service;

use aws_sdk_ecs::{
    Client, config, config::retry::RetryConfig, types::SortOrder, types::TaskDefinitionField,
    types::TaskDefinitionStatus,
};
use serde_json::Value;
use wharfinger_decisions::verdict::Service;

use self::service::service_of;
use crate::{
    OnFirstUse,
    error::{AwsError, Kind},
    raw::{Answer, replace_body},
};

/// ECS in one Region.
#[derive(Clone, Debug)]
pub struct Ecs {
    client: OnFirstUse<Client>,
}

impl Ecs {
    /// ECS, reached through `client`.
    #[must_use]
    pub fn new(client: OnFirstUse<Client>) -> Self {
        Self { client }
    }

    /// Reads a service, or `None` if it does not exist; with its service deployments, where its deployments alone do not
    /// tell how it goes.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when the cluster does not exist.
    pub async fn service(&self, cluster: &str, service: &str) -> Result<Option<Service>, AwsError> {
        let answer = self.client.describe_services().cluster(cluster).services(service).send().await;
        let answer = answer.map_err(|error| AwsError::sort(format!("describe service {cluster}/{service}"), error))?;
        let Some(described) = answer.services().first() else { return Ok(None) };
        let read = service_of(described);
        let tells_all = read.obstacle().is_some() || read.is_rolling() && !service::has_hooks(described);
        let service_deployments =
            if tells_all { Vec::new() } else { self.service_deployments(cluster, service).await? };
        Ok(Some(Service { service_deployments, ..read }))
    }

    /// Updates a service to the revision `task_definition`. If the service has it already, no deployment starts.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when the service or the cluster does not exist.
    pub async fn update_service(
        &self,
        cluster: &str,
        service: &str,
        task_definition: &str,
    ) -> Result<Service, AwsError> {
        let call = self.client.update_service().cluster(cluster).service(service).task_definition(task_definition);
        let action = || format!("update service {cluster}/{service} to {task_definition}");
        let answer = call.send().await.map_err(|error| AwsError::sort(action(), error))?;
        answer.service().map(service_of).ok_or_else(|| unusable(action(), "it has no service"))
    }

    /// Reads a task definition with its tags, as AWS's JSON: `taskDefinition` and `tags`.
    ///
    /// # Errors
    /// When there is none, or ECS fails.
    pub async fn task_definition(&self, arn: &str) -> Result<Value, AwsError> {
        let answer = Answer::default();
        let call = self.client.describe_task_definition().task_definition(arn).include(TaskDefinitionField::Tags);
        let sent = call.customize().interceptor(answer.clone()).send().await;
        sent.map_err(|error| AwsError::sort(format!("describe task definition {arn}"), error))?;
        answer.json().ok_or_else(|| unusable(format!("describe task definition {arn}"), "it is no JSON"))
    }

    /// Registers a task definition given as RegisterTaskDefinition's JSON. Returns the new revision's ARN.
    ///
    /// The call is never repeated, because a lost answer must not lead to a second revision. After
    /// [`Kind::Unanswered`], check whether the revision exists.
    ///
    /// # Errors
    /// When ECS refuses it or does not answer.
    pub async fn register(&self, input: &Value) -> Result<String, AwsError> {
        let family = input["family"].as_str().unwrap_or_default();
        let body = input.to_string();
        let once = config::Builder::new().retry_config(RetryConfig::disabled());
        let call = self.client.register_task_definition().family(family).customize().config_override(once);
        let sent = call.mutate_request(move |request| replace_body(request, &body)).send().await;
        let action = || format!("register a revision of {family}");
        let answer = sent.map_err(|error| AwsError::sort(action(), error))?;
        let arn = answer.task_definition().and_then(|definition| definition.task_definition_arn());
        arn.map(ToOwned::to_owned).ok_or_else(|| unusable(action(), "it has no ARN"))
    }

    /// The active revisions of a family, the newest first.
    ///
    /// # Errors
    /// When ECS fails.
    pub async fn revisions(&self, family: &str) -> Result<Vec<String>, AwsError> {
        let call = self.client.list_task_definitions().family_prefix(family).sort(SortOrder::Desc);
        let listed = call.status(TaskDefinitionStatus::Active).into_paginator().items().send();
        let listed: Result<Vec<String>, _> = listed.collect().await;
        listed.map_err(|error| AwsError::sort(format!("list revisions of {family}"), error))
    }

    /// Deregisters a revision. Running tasks are not affected.
    ///
    /// # Errors
    /// When ECS fails.
    pub async fn deregister(&self, arn: &str) -> Result<(), AwsError> {
        let answer = self.client.deregister_task_definition().task_definition(arn).send().await;
        answer.map(drop).map_err(|error| AwsError::sort(format!("deregister {arn}"), error))
    }
}

/// Family and revision of a task definition's ARN: `…:task-definition/web:7`.
#[must_use]
pub fn family_and_revision(arn: &str) -> Option<(&str, u64)> {
    let (family, revision) = arn.rsplit('/').next()?.rsplit_once(':')?;
    Some((family, revision.parse().ok()?))
}

fn unusable(action: String, why: &str) -> AwsError {
    AwsError { action, kind: Kind::Unanswered(why.to_owned()) }
}
