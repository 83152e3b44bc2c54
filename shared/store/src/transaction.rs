//! Transactions: several items, all or nothing.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{Delete, Put, TransactWriteItem, Update},
};
use serde::Serialize;

use crate::table::{Attributes, Guard, Key, StoreError, Table, table_error};

impl Table {
    /// The write of a whole item in a transaction, on `condition`.
    pub(crate) fn put_in_transaction<T: Serialize>(
        &self,
        key: &Key,
        item: &T,
        condition: Guard,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut attributes: Attributes = serde_dynamo::to_item(item)?;
        attributes.extend(key.attributes());
        let put = Put::builder()
            .table_name(self.name())
            .set_item(Some(attributes))
            .set_condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values)
            .build()
            .expect("table and item are set");
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// An update in a transaction, on `condition`.
    pub(crate) fn update_in_transaction(&self, key: &Key, change: &str, condition: Guard) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(self.name())
            .set_key(Some(key.attributes()))
            .update_expression(change)
            .set_condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values)
            .build()
            .expect("table, key and change are set");
        TransactWriteItem::builder().update(update).build()
    }

    /// The removal of an item in a transaction, on `condition`.
    pub(crate) fn delete_in_transaction(&self, key: &Key, condition: Guard) -> TransactWriteItem {
        let delete = Delete::builder()
            .table_name(self.name())
            .set_key(Some(key.attributes()))
            .set_condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values)
            .build()
            .expect("table and key are set");
        TransactWriteItem::builder().delete(delete).build()
    }

    /// Writes all of `items` or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a condition did not hold, or another transaction was in progress on one of the
    /// items.
    pub(crate) async fn transact(&self, what: &'static str, items: Vec<TransactWriteItem>) -> Result<(), StoreError> {
        // With a token of its own a transaction that is sent again, because its answer was lost, is done once.
        let token = self.chance().id();
        let call = self.client().transact_write_items().set_transact_items(Some(items));
        let answer = call.client_request_token(token).send().await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if is_conflict(&error) => Err(StoreError::Conflict),
            Err(error) => Err(table_error(what, error)),
        }
    }
}

fn is_conflict<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        return false;
    };
    let codes = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    codes.into_iter().any(|code| matches!(code, "ConditionalCheckFailed" | "TransactionConflict"))
}
