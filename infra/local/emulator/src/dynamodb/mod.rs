//! DynamoDB: `dynoxide`, embedded, behind the region's endpoint. It keeps its own file, so there is nothing to save.

mod request;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{error::AwsError, service::Service};
use crate::ids::{ACCOUNT, REGION};

/// A table could not be made, or the database's file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DynamodbError {
    /// The file can't be opened.
    #[error("the DynamoDB file {path} can't be opened")]
    Open {
        /// The file; `:memory:` without one.
        path: String,
        /// Why not.
        #[source]
        source: DynoxideError,
    },
    /// A table's definition was refused.
    #[error("the DynamoDB table {table} can't be created")]
    Table {
        /// The table's name.
        table: String,
        /// Why not.
        #[source]
        source: AwsError,
    },
}

/// The DynamoDB of the region.
pub struct Dynamodb {
    database: Database,
    on_disk: bool,
}

impl std::fmt::Debug for Dynamodb {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Dynamodb").field("on_disk", &self.on_disk).finish_non_exhaustive()
    }
}

impl Dynamodb {
    /// Opens the database in `file`, or in memory, and creates those of `tables` (inputs of `CreateTable`) that are
    /// not there yet.
    ///
    /// # Errors
    /// When the file can't be used or a table's definition is refused.
    pub fn new(file: Option<&Path>, tables: &[Value]) -> Result<Arc<Self>, DynamodbError> {
        let path = file.map_or_else(|| ":memory:".to_owned(), |file| file.to_string_lossy().into_owned());
        let opened = if file.is_some() { Database::new(&path) } else { Database::memory() };
        let database = opened.map_err(|source| DynamodbError::Open { path, source })?;
        for table in tables {
            match answer(&database, "CreateTable", table.clone()) {
                Err(source) if source.code != "ResourceInUseException" => {
                    let table = table["TableName"].as_str().unwrap_or("without a name").to_owned();
                    return Err(DynamodbError::Table { table, source });
                }
                _ => {}
            }
        }
        Ok(Arc::new(Self { database, on_disk: file.is_some() }))
    }
}

#[async_trait]
impl Service for Dynamodb {
    fn name(&self) -> &'static str {
        "dynamodb"
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        if !self.on_disk {
            // In memory a call takes microseconds; answering in place keeps a paused runtime's order of events.
            return answer(&self.database, operation, input);
        }
        let (database, operation) = (self.database.clone(), operation.to_owned());
        tokio::task::spawn_blocking(move || answer(&database, &operation, input))
            .await
            .unwrap_or_else(|_| Err(AwsError::client("InternalServerError", "The call was cut off.").with_status(500)))
    }

    fn snapshot(&self) -> Value {
        Value::Null
    }
}

fn answer(database: &Database, operation: &str, input: Value) -> Result<Value, AwsError> {
    let call = Call { operation, input };
    match operation {
        "CreateTable" => call.run(|request| database.create_table(request)),
        "DeleteTable" => call.run(|request| database.delete_table(request)),
        "DescribeTable" => call.run(|request| database.describe_table(request)),
        "UpdateTable" => call.run(|request| database.update_table(request)),
        "ListTables" => call.run(|request| database.list_tables(request)),
        "UpdateTimeToLive" => call.run(|request| database.update_time_to_live(request)),
        "DescribeTimeToLive" => call.run(|request| database.describe_time_to_live(request)),
        "PutItem" => call.run(|request| database.put_item(request)),
        "GetItem" => call.run(|request| database.get_item(request)),
        "DeleteItem" => call.run(|request| database.delete_item(request)),
        "UpdateItem" => call.run(|request| database.update_item(request)),
        "Query" => call.run(|request| database.query(request)),
        "Scan" => call.run(|request| database.scan(request)),
        "BatchGetItem" => call.run(|request| database.batch_get_item(request)),
        "BatchWriteItem" => call.run(|request| database.batch_write_item(request)),
        "TransactWriteItems" => call.run(|request| database.transact_write_items(request)),
        "TagResource" => call.run(|request| database.tag_resource(request)),
        "UntagResource" => call.run(|request| database.untag_resource(request)),
        _ => Err(AwsError::unknown_operation("dynamodb", operation)),
    }
}

/// One operation with its input.
struct Call<'a> {
    operation: &'a str,
    input: Value,
}

impl Call<'_> {
    fn run<Request: DeserializeOwned, Output: Serialize>(
        self,
        act: impl FnOnce(Request) -> dynoxide::Result<Output>,
    ) -> Result<Value, AwsError> {
        let request = request::read(self.operation, self.input)?;
        let output = act(request).map_err(|error| aws_error(self.operation, &error))?;
        let output = serde_json::to_value(output)
            .map_err(|why| AwsError::client("InternalServerError", why.to_string()).with_status(500))?;
        Ok(if self.operation.ends_with("Table") { in_this_region(output) } else { output })
    }
}

/// A table's description with the ARNs of this region, where `dynoxide` writes its own name.
fn in_this_region(description: Value) -> Value {
    match description {
        Value::String(text) => match text.strip_prefix("arn:aws:dynamodb:dynoxide:000000000000:") {
            Some(resource) => format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:{resource}").into(),
            None => Value::String(text),
        },
        Value::Array(items) => items.into_iter().map(in_this_region).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, member)| (name, in_this_region(member))).collect())
        }
        other => other,
    }
}

/// `dynoxide` writes its errors as DynamoDB does; the members beside code and message (the item of a failed
/// condition, the reasons of a cancelled transaction) go along.
fn aws_error(operation: &str, error: &DynoxideError) -> AwsError {
    let mut members = match serde_json::from_str(&error.to_json()) {
        Ok(Value::Object(members)) => members,
        _ => serde_json::Map::new(),
    };
    let code = members.remove("__type").and_then(|code| code.as_str()?.rsplit('#').next().map(str::to_owned));
    let message = members.remove("message").and_then(|message| message.as_str().map(str::to_owned));
    let message = message.unwrap_or_else(|| error.to_string());
    let message = match error {
        DynoxideError::EnvelopedValidation(_) => request::enveloped(operation, &message),
        _ => message,
    };
    AwsError { status: error.status_code(), code: code.unwrap_or_default(), message, members }
}
