//! The condition of a write.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use crate::{error::StoreError, item::Attributes};

/// A condition expression, with the names and values that it and the update expression use.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    pub(crate) expression: Option<String>,
    pub(crate) names: Option<std::collections::HashMap<String, String>>,
    pub(crate) values: Option<Attributes>,
}

impl Guard {
    /// No condition.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The item does not exist.
    #[must_use]
    pub fn absent() -> Self {
        Self::that("attribute_not_exists(pk)")
    }

    /// The item exists.
    #[must_use]
    pub fn present() -> Self {
        Self::that("attribute_exists(pk)")
    }

    /// A condition expression.
    pub fn that(expression: impl Into<String>) -> Self {
        Self { expression: Some(expression.into()), ..Self::default() }
    }

    /// Adds `expression` to the condition.
    #[must_use]
    pub(crate) fn and(mut self, expression: &str) -> Self {
        self.expression = Some(match self.expression {
            Some(first) => format!("({first}) AND ({expression})"),
            None => expression.to_owned(),
        });
        self
    }

    /// Defines the name placeholder `placeholder` (`#name`).
    #[must_use]
    pub fn name(mut self, placeholder: &str, name: &str) -> Self {
        self.names.get_or_insert_default().insert(placeholder.to_owned(), name.to_owned());
        self
    }

    /// Defines the value placeholder `placeholder` (`:value`).
    ///
    /// # Errors
    /// When the value can't be represented in DynamoDB.
    pub fn value<T: Serialize>(mut self, placeholder: &str, value: T) -> Result<Self, StoreError> {
        let value: AttributeValue = serde_dynamo::to_attribute_value(value)?;
        self.values.get_or_insert_default().insert(placeholder.to_owned(), value);
        Ok(self)
    }

    /// Defines a value placeholder as an attribute that was read.
    pub(crate) fn raw_value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.get_or_insert_default().insert(placeholder.to_owned(), value);
        self
    }
}
