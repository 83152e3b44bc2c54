//! The deployed template (AWS SAM) as the plan of a local region: what AWS CloudFormation would resolve and create,
//! resolved here, so that what runs on a laptop is wired as what is deployed.
//!
//! [`document`] reads YAML with CloudFormation's tags, [`parameter`] checks what was set, [`intrinsic`] resolves
//! references and functions, [`rule`] asserts what must hold of parameters together, [`event`], [`http_api`] and
//! [`resource`] read what runs, and [`plan`] puts it together.

pub mod document;
pub mod event;
pub mod http_api;
pub mod intrinsic;
pub mod parameter;
pub mod plan;
pub mod resource;
pub mod rule;

use thiserror::Error;

/// Why a template can't be run here. Each message names the parameter or resource, and what is allowed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// The text is not YAML, or not a template.
    #[error("the template can't be read: {0}")]
    Unreadable(String),
    /// A name was set that the template doesn't have.
    #[error("the template has no parameter {name}; it has {known}")]
    UnknownParameter {
        /// The name that was set.
        name: String,
        /// All parameters of the template, comma-separated.
        known: String,
    },
    /// A parameter has a value that it doesn't allow, or none.
    #[error("parameter {name}: {problem}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// Parameters don't go together.
    #[error("rule {name}: {problem}")]
    Rule {
        /// The rule.
        name: String,
        /// What it asserts.
        problem: String,
    },
    /// A resource can't be run here.
    #[error("resource {resource}: {problem}")]
    Resource {
        /// The resource's logical name.
        resource: String,
        /// What is wrong, and what is allowed.
        problem: String,
    },
}
