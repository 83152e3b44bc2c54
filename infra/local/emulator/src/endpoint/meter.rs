//! What calls consume in the units that AWS bills: DynamoDB's request units, and the metrics that are asked for.
//!
//! DynamoDB tells its units when it is asked with `ReturnConsumedCapacity`: every call is asked, and the answer taken
//! out again where the caller did not ask.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use crate::{endpoint::wire::Call, error::AwsError};

/// What one caller has consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Consumed {
    /// DynamoDB's read request units: 1 for 4 KB read with strong consistency.
    pub read_units: f64,
    /// DynamoDB's write request units: 1 for 1 KB, the double in a transaction. A failed condition counts 1.
    pub write_units: f64,
    /// Metrics asked for with `GetMetricData`.
    pub metrics: u64,
}

/// What each caller has consumed. Cheap to clone; clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<BTreeMap<String, Consumed>>>);

impl Meter {
    /// What each caller, by its access key id, has consumed.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Consumed> {
        self.lock().clone()
    }

    pub(crate) fn note(&self, reading: Reading, answer: &mut Result<Value, AwsError>) {
        let (reads, writes, metrics) = match reading.kind {
            Kind::Other => return,
            Kind::Metrics(asked) => (0.0, 0.0, asked),
            Kind::Table { writes, asked_by_caller, items } => {
                let units = match answer {
                    Ok(output) => units(output, asked_by_caller),
                    Err(_) if writes => items,
                    Err(_) => 0.0,
                };
                if writes { (0.0, units, 0) } else { (units, 0.0, 0) }
            }
        };
        let mut all = self.lock();
        let consumed = all.entry(reading.caller).or_default();
        consumed.read_units += reads;
        consumed.write_units += writes;
        consumed.metrics += metrics;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Consumed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call whose answer will tell what it consumed.
pub(crate) struct Reading {
    caller: String,
    kind: Kind,
}

enum Kind {
    Table {
        writes: bool,
        asked_by_caller: bool,
        /// What it costs at least when its condition fails.
        items: f64,
    },
    Metrics(u64),
    Other,
}

impl Reading {
    /// Looks at `call`, and has it asked for what it will consume.
    pub(crate) fn begin(call: &mut Call) -> Self {
        let kind = match (call.service.as_str(), call.operation.as_str()) {
            ("dynamodb", operation) => match writes(operation) {
                Some(writes) => {
                    let items = call.input["TransactItems"].as_array().map_or(1.0, |items| 2.0 * items.len() as f64);
                    let asked_by_caller = call.input["ReturnConsumedCapacity"].is_string();
                    if !asked_by_caller {
                        call.input["ReturnConsumedCapacity"] = json!("TOTAL");
                    }
                    Kind::Table { writes, asked_by_caller, items }
                }
                None => Kind::Other,
            },
            ("monitoring", "GetMetricData") => {
                Kind::Metrics(call.input["MetricDataQueries"].as_array().map_or(0, |queries| queries.len() as u64))
            }
            _ => Kind::Other,
        };
        Self { caller: call.caller.clone(), kind }
    }
}

/// Whether an operation on items writes; `None`: it is not one on items.
fn writes(operation: &str) -> Option<bool> {
    match operation {
        "GetItem" | "Query" | "Scan" | "BatchGetItem" => Some(false),
        "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems" => Some(true),
        _ => None,
    }
}

fn units(output: &mut Value, asked_by_caller: bool) -> f64 {
    let consumed = output["ConsumedCapacity"].clone();
    if !asked_by_caller && let Some(members) = output.as_object_mut() {
        members.remove("ConsumedCapacity");
    }
    let of_table = |table: &Value| table["CapacityUnits"].as_f64().unwrap_or_default();
    consumed.as_array().map_or_else(|| of_table(&consumed), |tables| tables.iter().map(of_table).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(service: &str, operation: &str, input: Value) -> Call {
        Call { caller: "me".into(), service: service.into(), operation: operation.into(), input }
    }

    #[test]
    fn units_are_counted_and_told_only_to_those_who_asked() {
        let meter = Meter::default();
        for (input, told) in [(json!({}), false), (json!({ "ReturnConsumedCapacity": "TOTAL" }), true)] {
            let mut call = call("dynamodb", "PutItem", input);
            let reading = Reading::begin(&mut call);
            assert_eq!(call.input["ReturnConsumedCapacity"], "TOTAL");
            let mut answer = Ok(json!({ "ConsumedCapacity": { "CapacityUnits": 2.0 } }));
            meter.note(reading, &mut answer);
            assert_eq!(answer.unwrap().get("ConsumedCapacity").is_some(), told);
        }
        assert_eq!(meter.all()["me"], Consumed { write_units: 4.0, ..Consumed::default() });
    }

    #[test]
    fn a_transaction_a_failed_condition_and_metrics_are_counted() {
        let meter = Meter::default();
        let mut transaction = call("dynamodb", "TransactWriteItems", json!({ "TransactItems": [{}, {}] }));
        let tables = json!({ "ConsumedCapacity": [{ "CapacityUnits": 4.0 }, { "CapacityUnits": 2.0 }] });
        meter.note(Reading::begin(&mut transaction), &mut Ok(tables));
        meter.note(Reading::begin(&mut transaction), &mut Err(AwsError::client("TransactionCanceledException", "x")));
        let mut metrics = call("monitoring", "GetMetricData", json!({ "MetricDataQueries": [{}, {}, {}, {}] }));
        meter.note(Reading::begin(&mut metrics), &mut Ok(json!({})));
        assert_eq!(meter.all()["me"], Consumed { write_units: 10.0, metrics: 4, ..Consumed::default() });
    }
}
