//! Tasks, as people see them.

use serde_json::{Value, json};

use super::{
    Ecs, definitions,
    model::{State, Task, TaskStatus, bare, invalid},
    paged, refuse_unknown,
};
use crate::{
    error::AwsError,
    input::{list, text, texts},
};

impl Ecs {
    pub(super) fn list_tasks(&self, input: &Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let cluster = state.cluster(text(input, "cluster"))?;
        let service = match text(input, "serviceName") {
            None => None,
            Some(name) => Some(state.service_mut(&cluster, name)?.key()),
        };
        refuse_unknown(input, &["containerInstance", "daemonName", "launchType", "startedBy"])?;
        let stopped = text(input, "desiredStatus") == Some("STOPPED");
        let family = text(input, "family");
        let chosen = state.tasks.values().filter(|task| {
            let stops = matches!(task.status, TaskStatus::Stopping | TaskStatus::Stopped);
            task.cluster == cluster
                && stops == stopped
                && service.as_ref().is_none_or(|service| *service == task.service)
                && family.is_none_or(|family| bare(&task.definition).split(':').next() == Some(family))
        });
        paged("taskArns", chosen.map(|task| self.task_arn(task)).collect(), input, 100)
    }

    pub(super) fn describe_tasks(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let cluster = state.cluster(text(input, "cluster"))?;
        let wanted = texts(input, "tasks");
        if wanted.is_empty() || wanted.len() > 100 {
            return Err(invalid("Tasks must contain between 1 and 100 elements."));
        }
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for id in wanted {
            match state.tasks.get(bare(&id)).filter(|task| task.cluster == cluster) {
                Some(task) => tasks.push(self.show_task(&state, task)),
                None => {
                    let arn = self.context.arn("ecs", &format!("task/{cluster}/{}", bare(&id)));
                    failures.push(json!({"arn": arn, "reason": "MISSING"}));
                }
            }
        }
        Ok(json!({"tasks": tasks, "failures": failures}))
    }

    pub(super) fn stop_task(&self, input: &Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let cluster = state.cluster(text(input, "cluster"))?;
        let id = bare(text(input, "task").unwrap_or_default()).to_owned();
        let (now, due) = (self.now(), self.transition_end());
        let task = state
            .tasks
            .get_mut(&id)
            .filter(|task| task.cluster == cluster)
            .ok_or_else(|| invalid("The referenced task was not found."))?;
        task.stop(now, due, "UserInitiated", text(input, "reason").unwrap_or("Task stopped by user"));
        let task = task.clone();
        Ok(json!({"task": self.show_task(&state, &task)}))
    }

    pub(super) fn task_arn(&self, task: &Task) -> String {
        self.context.arn("ecs", &format!("task/{}/{}", task.cluster, task.id))
    }

    fn show_task(&self, state: &State, task: &Task) -> Value {
        let (last, desired) = match task.status {
            TaskStatus::Pending => ("PENDING", "RUNNING"),
            TaskStatus::Running => ("RUNNING", "RUNNING"),
            TaskStatus::Stopping => ("DEACTIVATING", "STOPPED"),
            TaskStatus::Stopped => ("STOPPED", "STOPPED"),
        };
        let definition = definitions::find(state, &task.definition);
        let body = definition.map(|definition| Value::Object(definition.body.clone())).unwrap_or_default();
        let containers = list(&body, "containerDefinitions").iter().map(|container| {
            json!({
                "name": container["name"], "image": container["image"], "taskArn": self.task_arn(task),
                "lastStatus": last, "networkInterfaces": [],
            })
        });
        let mut shown = json!({
            "taskArn": self.task_arn(task), "clusterArn": self.cluster_arn(&task.cluster),
            "taskDefinitionArn": task.definition, "lastStatus": last, "desiredStatus": desired,
            "group": format!("service:{}", bare(&task.service)), "startedBy": task.deployment,
            "createdAt": task.created, "version": 1, "containers": containers.collect::<Value>(),
            "attachments": [], "attributes": [], "overrides": {"containerOverrides": []}, "tags": [],
        });
        let service = state.services.get(&task.service);
        for member in ["launchType", "platformFamily"] {
            if let Some(value) = service.and_then(|service| service.body.get(member)) {
                shown[member] = value.clone();
            }
        }
        let times = [("startedAt", task.started), ("stoppingAt", task.stopping), ("stoppedAt", task.stopped)];
        for (member, time) in times {
            if let Some(time) = time {
                shown[member] = time.into();
            }
        }
        for (member, why) in [("stopCode", &task.stop_code), ("stoppedReason", &task.stopped_reason)] {
            if let Some(why) = why {
                shown[member] = why.clone().into();
            }
        }
        shown
    }
}
