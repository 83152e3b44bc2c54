//! Who may mount, through which access point, and as whom.

use serde_json::Value;

use super::{AccessPoint, Finding, Observed, texts};

pub(super) fn point(observed: &Observed) -> Finding {
    let (spec, code) = (&observed.spec, "access_point");
    let Some(id) = &spec.access_point_id else {
        let message = "the site has no access point: its directory must be there before a task starts";
        return Finding::ok(code, message);
    };
    let point = match &observed.access_point {
        Err(why) => return Finding::unknown(code, why.clone(), ""),
        Ok(None) => {
            let message = format!("there is no access point {id} in this account and Region");
            return Finding::problem(code, message, "correct access_point_id of the site");
        }
        Ok(Some(point)) => point,
    };
    if point.file_system != spec.file_system_id.as_str() {
        let message = format!("the access point {id} is one of the file system {}", point.file_system);
        return Finding::problem(code, message, "correct file_system_id or access_point_id of the site");
    }
    if !point.available {
        return Finding::problem(code, format!("the access point {id} is not available"), "wait, or make another");
    }
    if point.path.trim_end_matches('/') != spec.directory.as_str().trim_end_matches('/') {
        let message = format!(
            "containers see {} through the access point {id}, and people upload to {}",
            point.path, spec.directory
        );
        return Finding::problem(code, message, "make an access point whose root directory is the site's");
    }
    Finding::ok(code, format!("the access point {id} leads to the site's directory"))
}

/// Whether the file system lets the tasks in. A role's own policies are not read.
pub(super) fn permissions(observed: &Observed) -> Finding {
    let code = "permissions";
    let policy = match &observed.policy {
        Err(why) => return Finding::unknown(code, why.clone(), ""),
        Ok(None) => {
            let message = "the file system has no policy: whoever reaches a mount target may mount it";
            return Finding::ok(code, message);
        }
        Ok(Some(policy)) => policy,
    };
    let role = match observed.task_role() {
        Err(why) => return Finding::unknown(code, why, ""),
        Ok(role) => role,
    };
    let point = observed.access_point.as_ref().ok().and_then(Option::as_ref);
    let statements: Vec<&Value> = match &policy["Statement"] {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    let of = |effect: &str| statements.iter().filter(|one| one["Effect"] == effect && is_mount(one)).copied().collect();
    let (denials, allowances): (Vec<&Value>, Vec<&Value>) = (of("Deny"), of("Allow"));
    if denials.iter().any(|denial| names(denial, role) && !spares_tls(denial)) {
        let message = "the file system's policy denies mounts under conditions that are not looked at";
        return Finding::unknown(code, message, "see that it lets the task role mount with TLS and IAM");
    }
    if allowances.iter().any(|allowance| names(allowance, role) && holds(allowance, point)) {
        return Finding::ok(code, "the file system's policy lets the tasks mount it");
    }
    let Some(role) = role else {
        let message = "the task definition has no task role, so tasks mount as nobody, whom the file system's policy does \
                       not let in";
        let fix = "give it a task role that may elasticfilesystem:ClientMount and ClientWrite on the file system";
        return Finding::problem(code, message, fix);
    };
    let message =
        format!("the file system's policy does not let {role} in; the role's own policies decide, which are not read");
    let fix = "see that the role may elasticfilesystem:ClientMount and ClientWrite on the file system";
    Finding::unknown(code, message, fix)
}

/// As whom files are uploaded and read.
pub(super) fn posix_ids(observed: &Observed) -> Finding {
    let code = "posix_ids";
    let owner = match (&observed.spec.access_point_id, &observed.access_point) {
        (None, _) => None,
        (Some(_), Err(why)) => return Finding::unknown(code, why.clone(), ""),
        (Some(_), Ok(point)) => point.as_ref().and_then(|point| point.owner),
    };
    let Some((uid, gid)) = owner else {
        return Finding::ok(code, "containers read the files as their own user, by the files' modes");
    };
    let others: Vec<String> = observed
        .users
        .iter()
        .filter(|user| user.uid != uid && user.gid != gid)
        .map(|user| format!("{} ({}:{})", user.name, user.uid, user.gid))
        .collect();
    if others.is_empty() {
        return Finding::ok(code, format!("containers work as {uid}:{gid}, and so do those who upload"));
    }
    let message = format!(
        "containers work as {uid}:{gid}, and these users upload as others: {}. What they don't let everybody read is \
         not seen",
        others.join(", ")
    );
    Finding::problem(code, message, format!("give them \"posix\": {{\"uid\": {uid}, \"gid\": {gid}}}"))
}

/// One text, or a list of them.
fn one_or_more(value: &Value) -> Vec<&str> {
    value.as_str().map_or_else(|| texts(value), |one| vec![one])
}

fn is_mount(statement: &Value) -> bool {
    let mounts = ["*", "elasticfilesystem:*", "elasticfilesystem:Client*", "elasticfilesystem:ClientMount"];
    one_or_more(&statement["Action"]).iter().any(|action| mounts.contains(action))
}

/// Whether a statement is about the tasks: about everybody, or about their role.
fn names(statement: &Value, role: Option<&str>) -> bool {
    let principal = &statement["Principal"];
    let all = if principal.is_object() { one_or_more(&principal["AWS"]) } else { one_or_more(principal) };
    all.iter().any(|one| *one == "*" || Some(*one) == role)
}

/// Whether a denial is of mounts without TLS alone, which ours are not.
fn spares_tls(denial: &Value) -> bool {
    let insecure = &denial["Condition"]["Bool"]["aws:SecureTransport"];
    insecure == "false" || *insecure == Value::Bool(false)
}

/// Whether a statement's conditions are those of a mount through a mount target, and through `point`.
fn holds(allowance: &Value, point: Option<&AccessPoint>) -> bool {
    let conditions = allowance["Condition"].as_object();
    let pairs = conditions.into_iter().flatten().filter_map(|(_, keys)| keys.as_object()).flatten();
    pairs.into_iter().all(|(key, value)| match key.as_str() {
        "elasticfilesystem:AccessedViaMountTarget" | "aws:SecureTransport" => {
            value == "true" || *value == Value::Bool(true)
        }
        "elasticfilesystem:AccessPointArn" => {
            point.is_some_and(|point| one_or_more(value).contains(&point.arn.as_str()))
        }
        _ => false,
    })
}
