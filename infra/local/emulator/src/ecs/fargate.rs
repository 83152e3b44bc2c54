//! What Fargate runs: the sizes of tasks that it has, and what it asks of a task definition.

use serde_json::Value;

use super::model::client_error;
use crate::{
    error::AwsError,
    input::{list, text, texts},
};

/// CPU units, the least and the most memory for them, and its steps, in MiB.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html>
const SIZES: [(u32, u32, u32, u32); 8] = [
    (256, 512, 512, 1),
    (256, 1024, 2048, 1024),
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16_384, 1024),
    (4096, 8192, 30_720, 1024),
    (8192, 16_384, 61_440, 4096),
    (16_384, 32_768, 122_880, 8192),
];

/// Checks a task definition that is to run on Fargate.
///
/// # Errors
/// `ClientException`.
pub(super) fn check(definition: &Value) -> Result<(), AwsError> {
    if !texts(definition, "requiresCompatibilities").iter().any(|one| one == "FARGATE") {
        return Ok(());
    }
    if text(definition, "networkMode") != Some("awsvpc") {
        return Err(client_error("Fargate only supports network mode ‘awsvpc’."));
    }
    for member in ["cpu", "memory"] {
        if text(definition, member).is_none() {
            return Err(client_error(format!("Fargate requires that '{member}' be defined at the task level.")));
        }
    }
    if !has_size(definition) {
        return Err(client_error("No Fargate configuration exists for given values."));
    }
    let logs = |container: &Value| container["logConfiguration"]["logDriver"] == "awslogs";
    if list(definition, "containerDefinitions").iter().any(logs) && text(definition, "executionRoleArn").is_none() {
        let message = "Fargate requires task definition to have execution role ARN to support log driver awslogs.";
        return Err(client_error(message));
    }
    Ok(())
}

/// Whether Fargate has tasks of this size.
pub(super) fn has_size(definition: &Value) -> bool {
    let (cpu, memory) = (units(definition, "cpu", "vcpu"), units(definition, "memory", "gb"));
    let (Some(cpu), Some(memory)) = (cpu, memory) else { return false };
    SIZES.iter().any(|(of, least, most, step)| {
        *of == cpu && (*least..=*most).contains(&memory) && (memory - least).is_multiple_of(*step)
    })
}

/// A task's CPU units or MiB of memory, given as such or in vCPU or GB. What is neither is no size of a task.
pub(super) fn units(definition: &Value, member: &str, whole: &str) -> Option<u32> {
    let given = text(definition, member)?.trim().to_ascii_lowercase();
    match given.strip_suffix(whole) {
        None => given.parse().ok(),
        Some(number) => in_units(number.trim()),
    }
}

/// A decimal number of 1024 units each, such as `.25`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a small whole number")]
fn in_units(number: &str) -> Option<u32> {
    let units = number.parse::<f64>().ok()? * 1024.0;
    (units.fract() == 0.0 && (0.0..1e9).contains(&units)).then_some(units as u32)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fargate_has_the_sizes_of_its_table() {
        for (cpu, memory, there) in [
            ("256", "512", true),
            (".25 vCPU", "0.5GB", true),
            ("256", "1024", true),
            ("256", "1536", false),
            ("256", "4096", false),
            ("1 vcpu", "2 GB", true),
            ("8192", "20480", true),
            ("8192", "20000", false),
            ("300", "512", false),
            ("much", "512", false),
        ] {
            assert_eq!(has_size(&json!({ "cpu": cpu, "memory": memory })), there, "{cpu} with {memory}");
        }
    }
}
