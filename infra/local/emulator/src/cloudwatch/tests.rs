use jiff::Timestamp;

use super::*;
use crate::{clock::Clock, testing};

fn service() -> (Arc<CloudWatch>, Metrics) {
    let clock = Clock::starting_at(Timestamp::from_second(1_000_000_200).unwrap());
    let context = testing::context_at(clock);
    let metrics = Metrics::default();
    (CloudWatch::new(context, None, metrics.clone()).unwrap(), metrics)
}

fn put(metrics: &Metrics, second: i64, value: f64) {
    let at = Timestamp::from_second(second).unwrap();
    metrics.put("AWS/Transfer", "BytesIn", &[("ServerId", "s-1")], at, value, "Bytes");
}

fn query(stat: &str) -> Value {
    json!({
        "StartTime": 1_000_000_200, "EndTime": 1_000_001_100, "ScanBy": "TimestampAscending",
        "MetricDataQueries": [{ "Id": "q", "MetricStat": { "Period": 300, "Stat": stat, "Metric": {
            "Namespace": "AWS/Transfer", "MetricName": "BytesIn",
            "Dimensions": [{ "Name": "ServerId", "Value": "s-1" }] } } }],
    })
}

#[tokio::test]
async fn data_are_gathered_by_period_and_the_end_is_left_out() {
    let (service, metrics) = service();
    for (second, value) in [(1_000_000_200, 1.0), (1_000_000_260, 3.0), (1_000_000_500, 0.0), (1_000_001_100, 9.0)] {
        put(&metrics, second, value);
    }
    for (stat, values) in
        [("Sum", json!([4.0, 0.0])), ("SampleCount", json!([2.0, 1.0])), ("Average", json!([2.0, 0.0]))]
    {
        let answer = service.call("GetMetricData", query(stat)).await.unwrap();
        assert_eq!(answer["MetricDataResults"][0]["Values"], values, "{stat}");
        assert_eq!(answer["MetricDataResults"][0]["Timestamps"], json!([1_000_000_200.0, 1_000_000_500.0]));
    }
}

#[tokio::test]
async fn a_metric_without_data_answers_empty_and_complete() {
    let (service, _) = service();
    let result = service.call("GetMetricData", query("Sum")).await.unwrap()["MetricDataResults"][0].clone();
    assert_eq!((&result["Values"], &result["StatusCode"]), (&json!([]), &json!("Complete")));
}

#[tokio::test]
async fn pages_follow_each_other() {
    let (service, metrics) = service();
    put(&metrics, 1_000_000_200, 1.0);
    put(&metrics, 1_000_000_500, 2.0);
    let mut input = query("Sum");
    input["MaxDatapoints"] = 1.into();
    let first = service.call("GetMetricData", input.clone()).await.unwrap();
    assert_eq!(first["MetricDataResults"][0]["StatusCode"], "PartialData");
    input["NextToken"] = first["NextToken"].clone();
    let second = service.call("GetMetricData", input).await.unwrap();
    assert_eq!(second["MetricDataResults"][0]["Values"], json!([2.0]));
    assert!(second.get("NextToken").is_none());
}

#[tokio::test]
async fn a_period_that_aws_does_not_have_is_refused() {
    let (service, _) = service();
    let mut input = query("Sum");
    input["MetricDataQueries"][0]["MetricStat"]["Period"] = 45.into();
    assert_eq!(service.call("GetMetricData", input).await.unwrap_err().code, "InvalidParameterValueException");
}

#[tokio::test]
async fn short_periods_have_data_of_the_last_three_hours_only() {
    let (service, metrics) = service();
    let now = 1_000_000_200;
    put(&metrics, now - 4 * 3600, 1.0);
    put(&metrics, now - 60, 2.0);
    for (period, since, values) in
        [(30, now - 3600, json!([2.0])), (30, now - 5 * 3600, json!([])), (60, now - 5 * 3600, json!([1.0, 2.0]))]
    {
        let mut input = query("Sum");
        input["StartTime"] = since.into();
        input["MetricDataQueries"][0]["MetricStat"]["Period"] = period.into();
        let answer = service.call("GetMetricData", input).await.unwrap();
        assert_eq!(answer["MetricDataResults"][0]["Values"], values, "{period} since {since}");
    }
}

#[tokio::test]
async fn queries_that_share_an_id_or_have_a_bad_one_are_refused() {
    let (service, _) = service();
    let mut twice = query("Sum");
    let again = twice["MetricDataQueries"][0].clone();
    twice["MetricDataQueries"].as_array_mut().unwrap().push(again);
    let refused = service.call("GetMetricData", twice).await.unwrap_err();
    assert_eq!(refused.code, "ValidationException");
    assert_eq!(refused.message, "The values for parameter id in MetricDataQueries are not unique.");
    for id in ["Q", "1q", "q-1", ""] {
        let mut input = query("Sum");
        input["MetricDataQueries"][0]["Id"] = id.into();
        assert_eq!(service.call("GetMetricData", input).await.unwrap_err().code, "ValidationException", "{id}");
    }
    let mut many = query("Sum");
    let one = many["MetricDataQueries"][0].clone();
    let numbered = |number: usize| {
        let mut query = one.clone();
        query["Id"] = format!("q{number}").into();
        query
    };
    many["MetricDataQueries"] = (0..501).map(numbered).collect();
    assert_eq!(service.call("GetMetricData", many).await.unwrap_err().code, "ValidationException");
}

#[tokio::test]
async fn a_start_after_the_end_has_the_code_of_its_operation() {
    let (service, _) = service();
    let mut data = query("Sum");
    data["EndTime"] = data["StartTime"].clone();
    assert_eq!(service.call("GetMetricData", data).await.unwrap_err().code, "ValidationException");
    let statistics = json!({ "Namespace": "Own", "MetricName": "Latency", "Period": 60, "Statistics": ["Sum"],
        "StartTime": 1_000_000_000, "EndTime": 1_000_000_000 });
    let refused = service.call("GetMetricStatistics", statistics).await.unwrap_err();
    assert_eq!(refused.code, "InvalidParameterValueException");
}

#[tokio::test]
async fn more_than_1440_data_points_are_too_many_for_statistics() {
    let (service, _) = service();
    let ask = |end: i64| {
        json!({ "Namespace": "Own", "MetricName": "Latency", "Period": 60, "Statistics": ["Sum"],
            "StartTime": 1_000_000_020, "EndTime": end })
    };
    assert!(service.call("GetMetricStatistics", ask(1_000_000_020 + 1440 * 60)).await.is_ok());
    let refused = service.call("GetMetricStatistics", ask(1_000_000_020 + 1441 * 60)).await.unwrap_err();
    assert_eq!(refused.code, "InvalidParameterCombinationException");
}

#[tokio::test]
async fn data_put_by_a_caller_are_listed_and_read() {
    let (service, _) = service();
    let datum = json!({ "MetricName": "Latency", "Value": 5, "Timestamp": 1_000_000_200 });
    service.call("PutMetricData", json!({ "Namespace": "Own", "MetricData": [datum] })).await.unwrap();
    let listed = service.call("ListMetrics", json!({ "Namespace": "Own" })).await.unwrap();
    assert_eq!(listed["Metrics"][0]["MetricName"], "Latency");
    let input = json!({ "Namespace": "Own", "MetricName": "Latency", "Period": 60, "Statistics": ["Maximum"],
        "StartTime": 1_000_000_000, "EndTime": 1_000_001_000 });
    let answer = service.call("GetMetricStatistics", input).await.unwrap();
    assert_eq!(answer["Datapoints"][0]["Maximum"], 5.0);
}
