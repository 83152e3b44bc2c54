//! Lists in pages: one partition in the order of its sort keys, with a cursor to go on from.

use aws_sdk_dynamodb::{
    operation::query::builders::QueryFluentBuilder,
    types::{AttributeValue, Select},
};
use serde::de::DeserializeOwned;

use crate::{
    item::{Read, read},
    table::{Key, StoreError, Table, table_error},
};

/// How many items of a whole partition are asked for at once.
const PAGE: u16 = 500;

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items, with their sort keys. One that can't be read holds up no other.
    pub items: Vec<(String, Read<T>)>,
    /// Where the next page starts; `None`: this was the last.
    pub next: Option<String>,
}

/// Which part of a list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The most items.
    pub limit: u16,
    /// The last page's `next`.
    pub after: Option<String>,
    /// The greatest sort key first.
    pub newest_first: bool,
    /// What was written in the last second or so may be missing: half the price of a strongly consistent read.
    pub may_lag: bool,
}

impl PageRequest {
    /// The first `limit` items.
    #[must_use]
    pub fn first(limit: u16) -> Self {
        Self { limit, after: None, newest_first: false, may_lag: false }
    }
}

impl Table {
    /// Reads a page of the partition `pk`, strongly consistent unless it may lag.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn page<T: DeserializeOwned>(&self, pk: &str, request: &PageRequest) -> Result<Page<T>, StoreError> {
        let start = request.after.as_ref().map(|sk| Key::new(pk, sk).attributes());
        let answer = self
            .partition(pk)
            .consistent_read(!request.may_lag)
            .scan_index_forward(!request.newest_first)
            // One more than asked for tells whether another page follows.
            .limit(i32::from(request.limit) + 1)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| table_error("list items", error))?;
        let mut next = answer.last_evaluated_key.as_ref().and_then(sort_key);
        let mut items = answer.items.unwrap_or_default();
        let limit = usize::from(request.limit);
        if items.len() > limit {
            items.truncate(limit);
            next = items.last().and_then(sort_key);
        }
        let items = items.into_iter().map(|item| (sort_key(&item).unwrap_or_default(), read(item)));
        Ok(Page { items: items.collect(), next })
    }

    /// Reads the whole partition `pk`, strongly consistent.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn all<T: DeserializeOwned>(&self, pk: &str) -> Result<Vec<(String, Read<T>)>, StoreError> {
        self.all_pages(pk, PageRequest::first(PAGE)).await
    }

    /// Reads the whole partition `pk`, where what was written in the last second or so may be missing.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn all_may_lag<T: DeserializeOwned>(&self, pk: &str) -> Result<Vec<(String, Read<T>)>, StoreError> {
        self.all_pages(pk, PageRequest { may_lag: true, ..PageRequest::first(PAGE) }).await
    }

    /// Counts the items of the partition `pk`, where what was written in the last second or so may be missing. It costs
    /// half a read unit for each 4 KB of them, as if they were read.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn size_of(&self, pk: &str) -> Result<usize, StoreError> {
        let (mut size, mut start) = (0, None);
        loop {
            let answer = self
                .partition(pk)
                .select(Select::Count)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| table_error("count items", error))?;
            size += usize::try_from(answer.count).unwrap_or_default();
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(size);
            }
        }
    }

    /// The query for the items of the partition `pk`.
    fn partition(&self, pk: &str) -> QueryFluentBuilder {
        let query = self.client().query().table_name(self.name()).key_condition_expression("pk = :pk");
        query.expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
    }

    async fn all_pages<T: DeserializeOwned>(
        &self,
        pk: &str,
        mut request: PageRequest,
    ) -> Result<Vec<(String, Read<T>)>, StoreError> {
        let mut items = Vec::new();
        loop {
            let page = self.page(pk, &request).await?;
            items.extend(page.items);
            match page.next {
                Some(next) => request.after = Some(next),
                None => return Ok(items),
            }
        }
    }
}

fn sort_key(item: &crate::table::Attributes) -> Option<String> {
    item.get("sk").and_then(|value| value.as_s().ok()).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharfinger_test_cloud::{Cloud, TABLE, chance};

    use super::*;

    #[tokio::test]
    async fn items_are_counted_over_all_pages_of_one_partition() {
        let cloud = Cloud::new();
        let table = Table::new(aws_sdk_dynamodb::Client::new(&cloud.sdk()), TABLE, chance());
        let large = "x".repeat(300_000);
        for number in 0..5 {
            cloud.put_plain("USERS#main", &number.to_string(), &json!({"large": large}));
        }
        cloud.put_plain("USERS#other", "0", &json!({}));
        assert_eq!(table.size_of("USERS#main").await.unwrap(), 5);
        assert!(cloud.count("Query") > 1, "a page ends at 1 MB");
        assert_eq!(table.size_of("USERS#none").await.unwrap(), 0);
    }
}
