//! `deploymentConfiguration`: how a service brings a new revision out, with the bounds of the ECS API reference. What
//! this region would not do is refused rather than kept.

use serde_json::{Value, json};

use super::model::{Stage, invalid};
use crate::{
    error::AwsError,
    input::{list, text, texts},
};

/// How traffic and tasks come to a new revision.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Strategy {
    /// New tasks replace old ones within the limits of the configuration.
    #[default]
    Rolling,
    /// All traffic moves at once, after all new tasks run.
    BlueGreen,
    /// Traffic moves by `step` percent, with `bake` seconds between two steps.
    Linear { step: f64, bake: f64 },
    /// `percent` of the traffic moves, and after `bake` seconds the rest.
    Canary { percent: f64, bake: f64 },
}

/// The deployment circuit breaker, switched on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Breaker {
    pub rollback: bool,
    /// Whether a task that runs sets the count of failures back to 0.
    pub resets: bool,
    threshold: Threshold,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Threshold {
    Count(usize),
    Percent { of_desired: usize, bounds: (usize, usize) },
}

/// Alarms that fail a deployment, switched on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alarms {
    pub names: Vec<String>,
    pub rollback: bool,
}

/// When a rolling deployment counts as done before all its tasks run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct EarlySuccess {
    pub healthy_percent: usize,
    /// Whether the old tasks may still run then.
    pub deferred: bool,
}

/// A hook that pauses a deployment at a stage until somebody continues it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pause {
    pub stages: Vec<Stage>,
    /// In seconds.
    pub timeout: f64,
    /// Whether the deployment goes on when nobody has answered in time, instead of back.
    pub continues: bool,
}

/// A deployment configuration, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Configuration {
    pub strategy: Strategy,
    /// In seconds.
    pub bake: f64,
    pub breaker: Option<Breaker>,
    pub alarms: Option<Alarms>,
    pub early: Option<EarlySuccess>,
    pub pauses: Vec<Pause>,
}

const MINUTE: f64 = 60.0;

/// The longest bake time, in minutes.
const LONGEST_BAKE: u64 = 1440;

/// The fewest and the most failed tasks that trip a circuit breaker whose threshold is BOUNDED_PERCENT.
/// From the ECS developer guide, "How the deployment circuit breaker detects failures".
const THRESHOLD: (usize, usize) = (3, 200);

/// Where a deployment can be paused.
const PAUSES: [Stage; 6] = [
    Stage::ReconcileService,
    Stage::PreScaleUp,
    Stage::PostScaleUp,
    Stage::PostTestTrafficShift,
    Stage::PreProductionTrafficShift,
    Stage::PostProductionTrafficShift,
];

/// What a service has whose creation doesn't say otherwise.
pub(super) fn defaults() -> Value {
    json!({
        "deploymentCircuitBreaker": {"enable": false, "rollback": false}, "maximumPercent": 200,
        "minimumHealthyPercent": 100, "strategy": "ROLLING", "bakeTimeInMinutes": 0,
    })
}

/// Puts what a request says over what a service has. A new strategy drops what only the old one knows.
pub(super) fn merge(present: &mut Value, request: &Value) {
    if request.get("strategy").is_some_and(|strategy| *strategy != present["strategy"])
        && let Some(present) = present.as_object_mut()
    {
        for member in ["linearConfiguration", "canaryConfiguration", "earlySuccessCriteria"] {
            present.remove(member);
        }
    }
    let said = request.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    for (member, value) in said {
        present[member] = value.clone();
    }
}

impl Configuration {
    /// Reads a deployment configuration of a service whose deployment controller is `controller`.
    ///
    /// # Errors
    /// `InvalidParameterException` for what ECS refuses, and for what this region does not do.
    pub(super) fn read(value: &Value, controller: &str) -> Result<Self, AwsError> {
        check_percents(value)?;
        let strategy = strategy(value)?;
        let configuration = Self {
            strategy,
            bake: minutes(value, "bakeTimeInMinutes", LONGEST_BAKE)?.unwrap_or(0.0),
            breaker: breaker(&value["deploymentCircuitBreaker"])?,
            alarms: alarms(&value["alarms"])?,
            early: early_success(value, strategy)?,
            pauses: list(value, "lifecycleHooks").iter().map(|hook| pause(hook, strategy)).collect::<Result<_, _>>()?,
        };
        if configuration.pauses.len() > 10 {
            return Err(invalid("A service can have at most 10 pause hooks."));
        }
        if controller != "ECS" {
            configuration.check_foreign_controller()?;
        }
        Ok(configuration)
    }

    /// What only ECS's own controller knows.
    fn check_foreign_controller(&self) -> Result<(), AwsError> {
        let only =
            |feature: &str| Err(invalid(format!("{feature} can be configured only with ECS deployment controller.")));
        if self.strategy != Strategy::Rolling {
            return only("A deployment strategy");
        }
        if self.breaker.is_some() {
            return only("DeploymentCircuitBreaker feature");
        }
        if self.alarms.is_some() {
            return only("DeploymentAlarms feature");
        }
        if self.early.is_some() || !self.pauses.is_empty() {
            return only("EarlySuccessCriteria and lifecycle hooks");
        }
        Ok(())
    }

    /// Whether old and new tasks run side by side until the traffic has moved.
    pub(super) fn shifts_traffic(&self) -> bool {
        self.strategy != Strategy::Rolling
    }

    /// The share of the traffic that the next shift brings to the new revision, which has `weight` percent.
    pub(super) fn next_weight(&self, weight: f64) -> f64 {
        match self.strategy {
            Strategy::Rolling | Strategy::BlueGreen => 100.0,
            Strategy::Linear { step, .. } => (weight + step).min(100.0),
            Strategy::Canary { percent, .. } => {
                if weight < percent {
                    percent
                } else {
                    100.0
                }
            }
        }
    }

    /// How long a deployment waits after a shift that was not the last, in seconds.
    pub(super) fn step_bake(&self) -> f64 {
        match self.strategy {
            Strategy::Rolling | Strategy::BlueGreen => 0.0,
            Strategy::Linear { bake, .. } | Strategy::Canary { bake, .. } => bake,
        }
    }
}

impl Breaker {
    /// So many failed tasks trip it.
    pub(super) fn threshold(&self, desired: usize) -> usize {
        match self.threshold {
            Threshold::Count(count) => count,
            Threshold::Percent { of_desired, bounds: (least, most) } => {
                (desired * of_desired).div_ceil(100).clamp(least, most)
            }
        }
    }
}

fn check_percents(value: &Value) -> Result<(), AwsError> {
    let percent = |member: &str, default: u64| match value.get(member).filter(|value| !value.is_null()) {
        None => Ok(default),
        Some(value) => value.as_u64().ok_or_else(|| invalid(format!("{member} must not be negative."))),
    };
    let (most, fewest) = (percent("maximumPercent", 200)?, percent("minimumHealthyPercent", 100)?);
    if fewest > most {
        return Err(invalid("minimumHealthyPercent must not exceed maximumPercent."));
    }
    if (fewest, most) == (100, 100) {
        let message = "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.";
        return Err(invalid(message));
    }
    Ok(())
}

fn strategy(value: &Value) -> Result<Strategy, AwsError> {
    let (linear, canary) = (&value["linearConfiguration"], &value["canaryConfiguration"]);
    let name = text(value, "strategy").unwrap_or("ROLLING");
    if linear.is_object() && name != "LINEAR" {
        return Err(invalid("linearConfiguration is valid only with the deployment strategy LINEAR."));
    }
    if canary.is_object() && name != "CANARY" {
        return Err(invalid("canaryConfiguration is valid only with the deployment strategy CANARY."));
    }
    match name {
        "ROLLING" => Ok(Strategy::Rolling),
        "BLUE_GREEN" if value.get("bakeTimeInMinutes").is_none_or(Value::is_null) => {
            Err(invalid("bakeTimeInMinutes is required with the deployment strategy BLUE_GREEN."))
        }
        "BLUE_GREEN" => Ok(Strategy::BlueGreen),
        "LINEAR" => Ok(Strategy::Linear {
            step: percent(linear, "stepPercent", 3.0)?.unwrap_or(10.0),
            bake: minutes(linear, "stepBakeTimeInMinutes", LONGEST_BAKE)?.unwrap_or(6.0 * MINUTE),
        }),
        "CANARY" => Ok(Strategy::Canary {
            percent: percent(canary, "canaryPercent", 0.1)?.unwrap_or(5.0),
            bake: minutes(canary, "canaryBakeTimeInMinutes", LONGEST_BAKE)?.unwrap_or(10.0 * MINUTE),
        }),
        other => Err(invalid(format!("Invalid deployment strategy {other}."))),
    }
}

/// A share of the traffic, a multiple of 0.1.
fn percent(value: &Value, member: &str, least: f64) -> Result<Option<f64>, AwsError> {
    let Some(percent) = value.get(member).filter(|value| !value.is_null()) else { return Ok(None) };
    let tenths = percent.as_f64().map(|percent| percent * 10.0);
    match tenths {
        Some(tenths) if (tenths - tenths.round()).abs() < 1e-6 && (least * 10.0..=1000.0).contains(&tenths) => {
            Ok(Some(tenths.round() / 10.0))
        }
        _ => Err(invalid(format!("{member} must be a multiple of 0.1 from {least} to 100."))),
    }
}

/// A number of minutes, in seconds.
#[expect(clippy::cast_precision_loss, reason = "at most 20160")]
fn minutes(value: &Value, member: &str, most: u64) -> Result<Option<f64>, AwsError> {
    match value.get(member).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(minutes) => match minutes.as_u64() {
            Some(minutes) if minutes <= most => Ok(Some(minutes as f64 * MINUTE)),
            _ => Err(invalid(format!("{member} must be between 0 and {most}."))),
        },
    }
}

fn required_flag(value: &Value, of: &str, member: &str) -> Result<bool, AwsError> {
    value[member].as_bool().ok_or_else(|| invalid(format!("{of}.{member} is required.")))
}

fn breaker(value: &Value) -> Result<Option<Breaker>, AwsError> {
    if !value.is_object() {
        return Ok(None);
    }
    let enable = required_flag(value, "deploymentCircuitBreaker", "enable")?;
    let rollback = required_flag(value, "deploymentCircuitBreaker", "rollback")?;
    let resets = value["resetOnHealthyTask"].as_bool().unwrap_or(true);
    let threshold = threshold(&value["thresholdConfiguration"])?;
    Ok(enable.then_some(Breaker { rollback, resets, threshold }))
}

fn threshold(value: &Value) -> Result<Threshold, AwsError> {
    if !value.is_object() {
        return Ok(Threshold::Percent { of_desired: 50, bounds: THRESHOLD });
    }
    let number = value["value"].as_u64().and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0);
    let number = number.ok_or_else(|| invalid("thresholdConfiguration.value must be a positive number."))?;
    match text(value, "type") {
        Some("COUNT") => Ok(Threshold::Count(number)),
        Some("BOUNDED_PERCENT") => Ok(Threshold::Percent { of_desired: number, bounds: THRESHOLD }),
        Some("UNBOUNDED_PERCENT") => Ok(Threshold::Percent { of_desired: number, bounds: (1, usize::MAX) }),
        _ => Err(invalid("thresholdConfiguration.type must be COUNT, BOUNDED_PERCENT or UNBOUNDED_PERCENT.")),
    }
}

fn alarms(value: &Value) -> Result<Option<Alarms>, AwsError> {
    if !value.is_object() {
        return Ok(None);
    }
    let enable = required_flag(value, "alarms", "enable")?;
    let rollback = required_flag(value, "alarms", "rollback")?;
    let names = texts(value, "alarmNames");
    if enable && names.is_empty() {
        return Err(invalid("alarms.alarmNames must name an alarm."));
    }
    Ok(enable.then_some(Alarms { names, rollback }))
}

fn early_success(value: &Value, strategy: Strategy) -> Result<Option<EarlySuccess>, AwsError> {
    let criteria = &value["earlySuccessCriteria"];
    if criteria["enable"] != true {
        return Ok(None);
    }
    if strategy != Strategy::Rolling {
        return Err(invalid("earlySuccessCriteria is valid only with the deployment strategy ROLLING."));
    }
    let fewest = value["minimumHealthyPercent"].as_u64().unwrap_or(100);
    let percent = criteria["healthyPercent"].as_u64().filter(|percent| (fewest..=100).contains(percent));
    let percent = percent
        .and_then(|percent| usize::try_from(percent).ok())
        .ok_or_else(|| invalid("earlySuccessCriteria.healthyPercent must be between minimumHealthyPercent and 100."))?;
    match text(criteria, "sourceServiceRevisionCleanup") {
        Some("BLOCKING") => Ok(Some(EarlySuccess { healthy_percent: percent, deferred: false })),
        Some("DEFERRED") => Ok(Some(EarlySuccess { healthy_percent: percent, deferred: true })),
        _ => Err(invalid("earlySuccessCriteria.sourceServiceRevisionCleanup must be BLOCKING or DEFERRED.")),
    }
}

fn pause(hook: &Value, strategy: Strategy) -> Result<Pause, AwsError> {
    if text(hook, "targetType").unwrap_or("AWS_LAMBDA") != "PAUSE" {
        return Err(invalid("This region runs no Lambda functions as lifecycle hooks, only hooks of the type PAUSE."));
    }
    if text(hook, "hookTargetArn").is_some() || text(hook, "roleArn").is_some() {
        return Err(invalid("hookTargetArn and roleArn are not used by hooks of the type PAUSE."));
    }
    let names = texts(hook, "lifecycleStages");
    let stage = |name: &String| PAUSES.into_iter().find(|stage| stage.name() == name);
    let stages: Option<Vec<Stage>> = names.iter().map(stage).collect();
    let stages = stages.filter(|stages| !stages.is_empty()).ok_or_else(|| {
        invalid(format!("A PAUSE hook can't be configured at the lifecycle stages {}.", names.join(", ")))
    })?;
    let rolling = [Stage::PreScaleUp, Stage::PostScaleUp];
    if strategy == Strategy::Rolling && !stages.iter().all(|stage| rolling.contains(stage)) {
        return Err(invalid(
            "This region pauses the deployment strategy ROLLING at PRE_SCALE_UP and POST_SCALE_UP only.",
        ));
    }
    let timeout = &hook["timeoutConfiguration"];
    let waits = minutes(timeout, "timeoutInMinutes", 20_160)?.unwrap_or(1440.0 * MINUTE);
    if waits < MINUTE {
        return Err(invalid("timeoutInMinutes must be between 1 and 20160."));
    }
    match text(timeout, "action").unwrap_or("ROLLBACK") {
        action @ ("ROLLBACK" | "CONTINUE") => Ok(Pause { stages, timeout: waits, continues: action == "CONTINUE" }),
        other => Err(invalid(format!("Invalid timeout action {other}."))),
    }
}
