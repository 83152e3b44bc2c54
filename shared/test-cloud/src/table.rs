//! The table: an embedded DynamoDB.

use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::TABLE;

/// The items of the one table.
pub(crate) struct Items(Database);

impl Items {
    pub(crate) fn new() -> Self {
        let database = Database::memory().expect("a database in memory");
        let table = json!({
            "TableName": TABLE,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            "BillingMode": "PAY_PER_REQUEST",
        });
        database.create_table(form(&table)).expect("a table in memory");
        Self(database)
    }

    /// Puts an item, given in DynamoDB's JSON.
    pub(crate) fn put(&self, item: &Value) {
        self.0.put_item(form(&json!({ "TableName": TABLE, "Item": item }))).expect("it is put");
    }

    /// The item at `pk`, `sk` in DynamoDB's JSON.
    pub(crate) fn get(&self, pk: &str, sk: &str) -> Option<Value> {
        let get = json!({ "TableName": TABLE, "Key": { "pk": { "S": pk }, "sk": { "S": sk } } });
        let got = self.0.get_item(form(&get)).expect("it is read");
        let got = serde_json::to_value(got).expect("DynamoDB's answers are JSON");
        got.get("Item").filter(|item| !item.is_null()).cloned()
    }

    /// Does a call of the table's; `None`: it is none of these.
    pub(crate) fn call(&self, operation: &str, input: &Value) -> Option<(u16, String)> {
        let database = &self.0;
        Some(match operation {
            "GetItem" => answer(database.get_item(form(input))),
            "PutItem" => answer(database.put_item(form(input))),
            "UpdateItem" => answer(database.update_item(form(input))),
            "DeleteItem" => answer(database.delete_item(form(input))),
            "Query" => answer(database.query(form(input))),
            "TransactWriteItems" => answer(database.transact_write_items(form(input))),
            _ => return None,
        })
    }
}

fn form<T: DeserializeOwned>(input: &Value) -> T {
    T::deserialize(input).expect("the request has DynamoDB's form")
}

fn answer(done: Result<impl Serialize, DynoxideError>) -> (u16, String) {
    match done {
        Ok(output) => (200, serde_json::to_string(&output).expect("DynamoDB's answers are JSON")),
        Err(error) => (400, error.to_json()),
    }
}

/// A JSON value in DynamoDB's form.
pub(crate) fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(value) => json!({ "BOOL": value }),
        Value::Number(value) => json!({ "N": value.to_string() }),
        Value::String(value) => json!({ "S": value }),
        Value::Array(items) => json!({ "L": items.iter().map(attribute).collect::<Vec<_>>() }),
        Value::Object(members) => {
            let members: Map<_, _> = members.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
            json!({ "M": members })
        }
    }
}
