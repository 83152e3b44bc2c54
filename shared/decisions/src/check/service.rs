//! The service, and what this deployment may do with it.

use serde_json::Value;

use super::{Finding, Observed, texts};
use crate::reach;

pub(super) fn exists(observed: &Observed) -> Finding {
    let name = format!("{}/{}", observed.spec.cluster, observed.spec.service);
    let fix = "create it, or correct cluster and service of the site";
    let service = match &observed.service {
        Err(why) => return Finding::unknown("service", why.clone(), ""),
        Ok(None) => return Finding::problem("service", format!("ECS has no service {name}"), fix),
        Ok(Some(service)) => service,
    };
    match service["status"].as_str() {
        Some("ACTIVE") if service["desiredCount"] == 0 => {
            let message = format!("the service {name} is to run no task: a rollout proves nothing");
            Finding::problem("service", message, "set its desired count to 1 or more")
        }
        Some("ACTIVE") => Finding::ok("service", format!("the service {name} is there")),
        status => Finding::problem("service", format!("the service {name} is {}", status.unwrap_or("gone")), fix),
    }
}

/// ECS's own controller, whatever its strategy, and no service whose resources ECS manages.
pub(super) fn strategy(observed: &Observed) -> Finding {
    let Some(service) = observed.service() else { return observed.without_service("strategy") };
    let controller = service["deploymentController"]["type"].as_str().unwrap_or("ECS");
    if controller != "ECS" {
        let message = format!("the service's deployments are made by {controller}, which takes none of a rollout");
        return Finding::problem("strategy", message, "use a service with the deployment controller ECS");
    }
    if service["resourceManagementType"] == "ECS" {
        let message = "it is an Express service, whose task definitions ECS manages";
        return Finding::problem("strategy", message, "use a service of your own");
    }
    let strategy = service["deploymentConfiguration"]["strategy"].as_str().unwrap_or("ROLLING");
    let breaker = &service["deploymentConfiguration"]["deploymentCircuitBreaker"];
    if strategy == "ROLLING" && breaker["enable"] != true {
        let message =
            "it is deployed by ROLLING without a circuit breaker: ECS never gives up on tasks that don't start";
        return Finding::ok("strategy", message);
    }
    Finding::ok("strategy", format!("it is deployed by ECS, {strategy}"))
}

pub(super) fn is_open(observed: &Observed) -> Finding {
    let Some(service) = observed.service() else { return observed.without_service("open") };
    let (spec, patterns) = (&observed.spec, observed.reach.services.as_str());
    if patterns.is_empty() {
        return Finding::unknown("open", "the stack's parameter Services is not known here", "");
    }
    if reach::is_open(patterns, &format!("{}/{}", spec.cluster, spec.service), &service["tags"]) {
        return Finding::ok("open", "this deployment may roll the service out");
    }
    let message = format!("this deployment may not roll it out: the stack's parameter Services is {patterns}");
    Finding::problem("open", message, reach::open_service(service["serviceArn"].as_str().unwrap_or_default()))
}

/// The roles that the tasks carry.
pub(super) fn roles(observed: &Observed) -> Finding {
    let definition = match &observed.definition {
        Err(why) => return Finding::unknown("roles", why.clone(), ""),
        Ok(definition) => definition,
    };
    let patterns = observed.reach.roles.as_str();
    if patterns.is_empty() {
        return Finding::unknown("roles", "the stack's parameter TaskRoles is not known here", "");
    }
    let closed = reach::closed_roles(patterns, definition);
    match closed.first() {
        None => Finding::ok("roles", "this deployment may hand on the roles of the task definition"),
        Some(first) => {
            let message = format!("this deployment may not hand on {}: TaskRoles is {patterns}", closed.join(" and "));
            Finding::problem("roles", message, reach::open_role(first))
        }
    }
}

pub(super) fn containers(observed: &Observed) -> Finding {
    let definition = match &observed.definition {
        Err(why) => return Finding::unknown("container", why.clone(), ""),
        Ok(definition) => definition,
    };
    let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
    let names: Vec<&str> = containers.filter_map(|container| container["name"].as_str()).collect();
    let missing: Vec<&String> = observed.containers.iter().filter(|name| !names.contains(&name.as_str())).collect();
    if let Some(name) = missing.first() {
        let message = format!("the task definition has no container {name}: it has {}", names.join(", "));
        return Finding::problem("container", message, "correct the container of the site");
    }
    Finding::ok("container", format!("the task definition has the container {}", observed.containers.join(", ")))
}

/// A member of the network of the service's tasks.
pub(super) fn network<'a>(service: &'a Value, member: &str) -> Vec<&'a str> {
    texts(&service["networkConfiguration"]["awsvpcConfiguration"][member])
}
