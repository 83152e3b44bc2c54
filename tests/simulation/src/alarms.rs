//! The template's alarms on queues that hold what was given up.

use std::collections::BTreeSet;

use serde_json::Value;
use wharfinger_region::{
    region::TEMPLATE,
    template::{TemplateError, document},
};

use crate::plant::Plant;

/// The names in the template of the queues in which a single message raises an alarm.
///
/// # Errors
/// When the template can't be read.
pub(crate) fn watched_queues(plant: Option<Plant>) -> Result<BTreeSet<String>, TemplateError> {
    let document = document::read(TEMPLATE)?;
    let resources = document.get("Resources").and_then(Value::as_object).into_iter().flatten();
    let alarms = resources.filter(|(_, body)| body["Type"] == "AWS::CloudWatch::Alarm").map(|(_, body)| body);
    let tolerated = |most: u64| plant.map_or(most, |plant| plant.tolerates(most));
    let at_once = alarms.filter(|body| body["Properties"]["Threshold"].as_u64().map(tolerated) == Some(0));
    let metrics = at_once.flat_map(|body| body["Properties"]["Metrics"].as_array().into_iter().flatten());
    let depths = metrics.map(|metric| &metric["MetricStat"]["Metric"]);
    let depths = depths.filter(|metric| metric["MetricName"] == "ApproximateNumberOfMessagesVisible");
    let queue = |metric: &Value| metric["Dimensions"][0]["Value"]["Fn::GetAtt"][0].as_str().map(str::to_owned);
    Ok(depths.filter_map(queue).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_watches_every_queue_of_dead_letters() {
        let watched = watched_queues(None).unwrap();
        assert!(watched.contains("ServersDeadLetters") && !watched.contains("ServersQueue"), "{watched:?}");
    }
}
