//! DynamoDB: the conditional writes on which everything stands.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TimeToLiveSpecification, TransactWriteItem},
};

use crate::emulated_region::EmulatedRegion;

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

async fn client(region: &EmulatedRegion) -> Client {
    Client::new(&region.config().await)
}

#[tokio::test]
async fn a_failed_condition_gives_the_item_back() {
    let region = EmulatedRegion::new().await;
    let dynamodb = client(&region).await;
    let put = |version: &str| {
        dynamodb
            .put_item()
            .table_name("wharfinger")
            .item("pk", text("SERVER#main"))
            .item("sk", text("SERVER"))
            .item("version", AttributeValue::N(version.to_owned()))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    };
    put("1").send().await.unwrap();
    let error = put("2").send().await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(failed) = error else {
        panic!("{error:?}");
    };
    assert_eq!(failed.item.unwrap()["version"], AttributeValue::N("1".to_owned()));
}

#[tokio::test]
async fn a_cancelled_transaction_says_which_part_failed() {
    let region = EmulatedRegion::new().await;
    let dynamodb = client(&region).await;
    let put = |key: &str| {
        let put = Put::builder()
            .table_name("wharfinger")
            .item("pk", text(key))
            .item("sk", text("x"))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    dynamodb.transact_write_items().transact_items(put("a")).send().await.unwrap();
    let both = dynamodb.transact_write_items().transact_items(put("b")).transact_items(put("a"));
    let error = both.send().await.unwrap_err().into_service_error();
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { panic!("{error:?}") };
    let codes: Vec<_> = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    let missing = dynamodb.get_item().table_name("wharfinger").key("pk", text("b")).key("sk", text("x"));
    assert_eq!(missing.send().await.unwrap().item, None);
}

#[tokio::test]
async fn a_query_pages_and_an_update_counts() {
    let region = EmulatedRegion::new().await;
    let dynamodb = client(&region).await;
    for number in 0..5 {
        let update = dynamodb
            .update_item()
            .table_name("wharfinger")
            .key("pk", text("SITE#blog"))
            .key("sk", text(&format!("ROLLOUT#{number}")))
            .update_expression("ADD seq :one SET begun = if_not_exists(begun, :one)")
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        update.send().await.unwrap();
    }
    let items: Vec<_> = dynamodb
        .query()
        .table_name("wharfinger")
        .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
        .expression_attribute_values(":pk", text("SITE#blog"))
        .expression_attribute_values(":sk", text("ROLLOUT#"))
        .scan_index_forward(false)
        .limit(2)
        .into_paginator()
        .items()
        .send()
        .collect::<Result<_, _>>()
        .await
        .unwrap();
    assert_eq!(items.len(), 5);
    assert_eq!(items[0]["sk"], text("ROLLOUT#4"));
}

#[tokio::test]
async fn a_table_has_its_time_to_live() {
    let region = EmulatedRegion::new().await;
    let dynamodb = client(&region).await;
    let specification = TimeToLiveSpecification::builder().attribute_name("expires").enabled(true).build().unwrap();
    let update = dynamodb.update_time_to_live().table_name("wharfinger").time_to_live_specification(specification);
    update.send().await.unwrap();
    let description = dynamodb.describe_time_to_live().table_name("wharfinger").send().await.unwrap();
    assert_eq!(description.time_to_live_description.unwrap().attribute_name.as_deref(), Some("expires"));
    assert_eq!(dynamodb.list_tables().send().await.unwrap().table_names(), ["wharfinger"]);
    let unknown = dynamodb.get_item().table_name("nothing").key("pk", text("a")).send().await.unwrap_err();
    assert!(unknown.into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn a_value_that_is_refused_while_it_is_read_is_a_validation_error() {
    let region = EmulatedRegion::new().await;
    let dynamodb = client(&region).await;
    let empty = AttributeValue::Ss(Vec::new());
    let put = dynamodb.put_item().table_name("wharfinger").item("pk", text("a")).item("sk", text("b"));
    let refused = put.item("set", empty.clone()).send().await.unwrap_err().into_service_error();
    assert_eq!(refused.meta().code(), Some("ValidationException"));
    assert!(refused.meta().message().unwrap().contains("An string set  may not be empty"), "{refused:?}");
    let short = dynamodb.get_item().table_name("a").key("pk", text("a")).key("sk", text("b"));
    let refused = short.send().await.unwrap_err().into_service_error();
    assert_eq!(refused.meta().code(), Some("ValidationException"));
    assert!(!refused.meta().message().unwrap().contains("VALIDATION"), "{refused:?}");
}

#[tokio::test]
async fn a_transaction_with_empty_values_is_refused() {
    let region = EmulatedRegion::new().await;
    let dynamodb = client(&region).await;
    let put = Put::builder()
        .table_name("wharfinger")
        .item("pk", text("a"))
        .item("sk", text("x"))
        .condition_expression("attribute_not_exists(pk)");
    let values = put.clone().set_expression_attribute_values(Some(HashMap::new()));
    let names = put.set_expression_attribute_names(Some(HashMap::new()));
    for (put, member) in [(values, "ExpressionAttributeValues"), (names, "ExpressionAttributeNames")] {
        let item = TransactWriteItem::builder().put(put.build().unwrap()).build();
        let error = dynamodb.transact_write_items().transact_items(item).send().await.unwrap_err();
        let error = error.into_service_error();
        assert_eq!(error.meta().code(), Some("ValidationException"));
        assert_eq!(error.meta().message(), Some(format!("{member} must not be empty").as_str()));
    }
}

#[tokio::test]
async fn a_table_is_in_this_region() {
    let region = EmulatedRegion::new().await;
    let dynamodb = client(&region).await;
    let table = dynamodb.describe_table().table_name("wharfinger").send().await.unwrap().table.unwrap();
    assert_eq!(table.table_arn(), Some("arn:aws:dynamodb:us-east-1:000000000000:table/wharfinger"));
}
