//! What a deployment may roll out: services and roles that somebody has opened to it. What is not is told with the way to
//! open it.

use serde_json::Value;

use crate::{
    condition::{Condition, Severity},
    rollout::{Rollout, State},
};

/// The tag that opens an ECS service to rollouts, with the value `true`.
pub const TAG: &str = "wharfinger:allow";

/// The parameter `Services` where the tag opens them.
pub const TAGGED: &str = "tagged";

/// The stack's parameters that say what may be rolled out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// `Services`: patterns of `cluster/service`, or `tagged`. Empty: not known.
    pub services: String,
    /// `TaskRoles`: patterns of the names of roles, with their path. Empty: not known.
    pub roles: String,
}

/// How AWS words a missing permission, around the action and around the resource.
const REFUSAL: (&str, &str) = ("is not authorized to perform: ", " on resource: ");

/// The condition of a site whose latest rollout was refused because its service, or a role of its task definition, is
/// not open to this deployment.
#[must_use]
pub fn closed(latest: &Rollout) -> Option<Condition> {
    if latest.state != State::Failed {
        return None;
    }
    let (action, resource) = missing_permission(&latest.reason)?;
    let (code, message, remedy) = match action {
        "ecs:UpdateService" => ("service_closed", service(resource), open_service(resource)),
        "iam:PassRole" => ("role_closed", role(resource), open_role(resource)),
        _ => return None,
    };
    let since = latest.finished_at.unwrap_or(latest.started_at);
    Some(Condition { code: code.into(), severity: Severity::Error, message, remedy, since })
}

/// The action and the resource of a refusal in AWS's words.
fn missing_permission(sentence: &str) -> Option<(&str, &str)> {
    let (_, rest) = sentence.split_once(REFUSAL.0)?;
    let (action, rest) = rest.split_once(REFUSAL.1)?;
    let resource = rest.split_whitespace().next()?;
    Some((action, resource.trim_end_matches(['.', ','])))
}

fn service(arn: &str) -> String {
    format!("this deployment may not roll out the service {arn}: it is not open to it")
}

/// The sentence that opens the ECS service `arn`. It is a command only where a shell takes the ARN as it is.
#[must_use]
pub fn open_service(arn: &str) -> String {
    let tag = match is_plain(arn) {
        true => format!("aws ecs tag-resource --resource-arn {arn} --tags key={TAG},value=true"),
        false => format!("set its tag {TAG} to true"),
    };
    format!("open it: {tag}; or append it to the list in the stack's parameter Services; then roll the site out again")
}

fn role(arn: &str) -> String {
    format!("this deployment may not hand the role {arn} to tasks, as the service's task definition asks")
}

/// The sentence that opens the IAM role `arn`. A tag would not do: IAM's user guide calls conditions on a role's tags
/// unreliable for `iam:PassRole`. It has a command only where a shell, and the parameter's list, take the name as it is.
#[must_use]
pub fn open_role(arn: &str) -> String {
    let name = role_name(arn);
    let command = match is_plain(name) && !name.contains(',') {
        true => format!(" (sam deploy --parameter-overrides TaskRoles='THE-PRESENT-LIST,{name}')"),
        false => String::new(),
    };
    format!(
        "open it: append {name} to the present list in the stack's parameter TaskRoles{command}; then roll the site out again"
    )
}

/// Whether a shell takes `text` as it is.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte))
}

/// Whether the parameter `services` opens the service `cluster/service`, which has these `tags` as ECS describes them.
#[must_use]
pub fn is_open(services: &str, service: &str, tags: &Value) -> bool {
    match services {
        TAGGED => tags.as_array().into_iter().flatten().any(|tag| tag["key"] == TAG && tag["value"] == "true"),
        list => fits_any(list, service),
    }
}

/// The roles of a task definition, as ECS describes it, that the parameter `roles` does not open.
#[must_use]
pub fn closed_roles<'a>(roles: &str, definition: &'a Value) -> Vec<&'a str> {
    let carried = ["taskRoleArn", "executionRoleArn"].into_iter().filter_map(|member| definition[member].as_str());
    carried.filter(|arn| !fits_any(roles, role_name(arn))).collect()
}

/// A role's name, with its path.
#[must_use]
pub fn role_name(arn: &str) -> &str {
    arn.split_once(":role/").map_or(arn, |(_, name)| name)
}

/// Whether one of the `patterns`, which are separated by commas, fits `text` as IAM reads them.
#[must_use]
pub fn fits_any(patterns: &str, text: &str) -> bool {
    patterns.split(',').any(|pattern| fits(pattern.as_bytes(), text.as_bytes()))
}

fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => fits(rest, text) || text.split_first().is_some_and(|(_, text)| fits(pattern, text)),
        (Some((b'?', rest)), Some((_, text))) => fits(rest, text),
        (Some((wanted, rest)), Some((found, text))) => wanted == found && fits(rest, text),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::window::Window;

    fn rollout(state: State, reason: &str) -> Rollout {
        let told = json!({
            "id": "id", "site": "blog", "state": state, "reason": reason, "started_at": Timestamp::UNIX_EPOCH,
            "cause": Window::default().cause(String::new()),
        });
        serde_json::from_value(told).unwrap()
    }

    fn refusal(action: &str, resource: &str) -> String {
        format!(
            "update service local/web to web:2: AWS refuses it: AccessDeniedException: User: arn:aws:sts::1:assumed-role/r/s \
             is not authorized to perform: {action} on resource: {resource} because no identity-based policy allows the \
             {action} action"
        )
    }

    #[test]
    fn a_service_that_is_not_open_is_told_with_the_command_that_opens_it() {
        let arn = "arn:aws:ecs:us-east-1:000000000000:service/local/web";
        let told = closed(&rollout(State::Failed, &refusal("ecs:UpdateService", arn))).unwrap();
        assert_eq!(told.code, "service_closed");
        let command = format!("aws ecs tag-resource --resource-arn {arn} --tags key=wharfinger:allow,value=true;");
        assert!(told.remedy.contains(&command), "{}", told.remedy);
    }

    #[test]
    fn a_role_that_is_not_open_is_told_with_its_parameter() {
        let arn = "arn:aws:iam::000000000000:role/apps/web-task";
        let told = closed(&rollout(State::Failed, &refusal("iam:PassRole", arn))).unwrap();
        assert_eq!(told.code, "role_closed");
        assert!(told.remedy.contains("TaskRoles='THE-PRESENT-LIST,apps/web-task'"), "{}", told.remedy);
    }

    #[test]
    fn what_a_shell_would_read_otherwise_is_in_no_command() {
        for name in ["a'; rm -rf /;'", "a*", "$(id)", "a b", "a,b"] {
            let remedy = open_role(&format!("arn:aws:iam::000000000000:role/{name}"));
            assert!(remedy.contains(name) && !remedy.contains("sam deploy"), "{remedy}");
        }
        let remedy = open_service("arn:aws:ecs:us-east-1:000000000000:service/local/web;id");
        assert!(!remedy.contains("aws ecs"), "{remedy}");
    }

    #[test]
    fn patterns_are_read_as_iam_does() {
        for (patterns, text, fit) in [
            ("wharfinger/*", "wharfinger/web-task", true),
            ("wharfinger/*", "web-task", false),
            ("a,b/*", "b/c/d", true),
            ("web-?", "web-1", true),
            ("web-?", "web-", false),
            ("*", "", true),
        ] {
            assert_eq!(fits_any(patterns, text), fit, "{patterns} {text}");
        }
    }

    #[test]
    fn what_has_another_reason_is_not_closed() {
        let arn = "arn:aws:ecs:us-east-1:000000000000:service/local/web";
        for latest in [
            rollout(State::Succeeded, &refusal("ecs:UpdateService", arn)),
            rollout(State::Failed, &refusal("ecs:DescribeServices", arn)),
            rollout(State::Failed, "the new tasks did not come to run"),
            rollout(State::Failed, "is not authorized to perform: "),
        ] {
            assert_eq!(closed(&latest), None, "{}", latest.reason);
        }
    }
}
