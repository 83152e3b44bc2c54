//! ListSecrets: filters, order and pages.

use serde_json::{Value, json};

use super::{SecretsManager, refused, secret::Secret};
use crate::{
    error::AwsError,
    input::{list, text, texts, whole},
    page::page,
};

impl SecretsManager {
    pub(super) fn list(&self, input: &Value) -> Result<Value, AwsError> {
        let limit = whole(input, "MaxResults").map_or(100, |limit| usize::try_from(limit).unwrap_or(0).clamp(1, 100));
        let planned = input["IncludePlannedDeletion"].as_bool().unwrap_or(false);
        let filters = list(input, "Filters").iter().map(Filter::read).collect::<Result<Vec<_>, _>>()?;
        if text(input, "SortBy").is_some_and(|by| by != "name") {
            return Err(invalid("This region sorts secrets by name alone."));
        }
        let secrets = self.secrets();
        let mut found: Vec<&Secret> = secrets
            .values()
            .filter(|secret| planned || secret.deletion.is_none())
            .filter(|secret| filters.iter().all(|filter| filter.admits(secret)))
            .collect();
        if text(input, "SortOrder") == Some("desc") {
            found.reverse();
        }
        let shown = found.into_iter().map(|secret| (secret.name.clone(), secret.show("SecretVersionsToStages")));
        let page = page(shown, text(input, "NextToken"), limit)
            .ok_or_else(|| refused("InvalidNextTokenException", "The NextToken is not valid."))?;
        let mut answer = json!({ "SecretList": page.items });
        if let Some(next) = page.next {
            answer["NextToken"] = next.into();
        }
        Ok(answer)
    }
}

/// What a filter looks at.
enum Field {
    Name,
    Description,
    TagKey,
    TagValue,
}

/// Values of which one must begin what is looked at; one that begins with `!` must not.
struct Filter {
    field: Field,
    values: Vec<String>,
}

impl Filter {
    fn read(filter: &Value) -> Result<Self, AwsError> {
        let field = match filter["Key"].as_str().unwrap_or_default() {
            "name" => Field::Name,
            "description" => Field::Description,
            "tag-key" => Field::TagKey,
            "tag-value" => Field::TagValue,
            other => return Err(invalid(&format!("This region does not filter secrets by {other}."))),
        };
        Ok(Self { field, values: texts(filter, "Values") })
    }

    fn admits(&self, secret: &Secret) -> bool {
        self.values.iter().any(|value| match value.strip_prefix('!') {
            Some(value) => !self.finds(secret, value),
            None => self.finds(secret, value),
        })
    }

    /// All but descriptions are compared by case.
    fn finds(&self, secret: &Secret, value: &str) -> bool {
        let description = || secret.description.as_deref().unwrap_or_default().to_lowercase();
        match self.field {
            Field::Name => secret.name.starts_with(value),
            Field::Description => description().starts_with(&value.to_lowercase()),
            Field::TagKey => secret.tags.keys().any(|key| key.starts_with(value)),
            Field::TagValue => secret.tags.values().any(|tag| tag.starts_with(value)),
        }
    }
}

fn invalid(message: &str) -> AwsError {
    refused("InvalidParameterException", message)
}
