//! DynamoDB: items of a table. A transaction asks for the action of each of its items.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>

use serde_json::Value;

use crate::{
    iam::request::{Request, arn},
    input::{list, text},
};

pub(super) fn requests(operation: &str, input: &Value) -> Option<Vec<Request>> {
    let on = |action: &str, item: &Value| {
        let table = arn("dynamodb", "table/", text(item, "TableName").unwrap_or_default());
        Request::new(format!("dynamodb:{action}"), table)
    };
    Some(match operation {
        "DeleteItem" | "DescribeTable" | "GetItem" | "PutItem" | "UpdateItem" => vec![on(operation, input)],
        "Query" | "Scan" => {
            let request = on(operation, input);
            let index = text(input, "IndexName").map(|index| format!("{}/index/{index}", request.resource));
            vec![Request { resource: index.unwrap_or_else(|| request.resource.clone()), ..request }]
        }
        "TransactWriteItems" => {
            let kinds = [
                ("Put", "PutItem"),
                ("Update", "UpdateItem"),
                ("Delete", "DeleteItem"),
                ("ConditionCheck", "ConditionCheckItem"),
            ];
            let items = list(input, "TransactItems").iter();
            items
                .flat_map(|item| kinds.iter().filter_map(move |(kind, action)| Some((*action, item.get(*kind)?))))
                .map(|(action, item)| on(action, item))
                .collect()
        }
        _ => return None,
    })
}
