//! The HTTP API of the template, in API Gateway's own types: its routes become routes of the functions that their
//! integrations name.
//!
//! Sources: CloudFormation's reference of `AWS::ApiGatewayV2`. A property that would change what the front does, and
//! that the front doesn't have, is refused by name.

use std::{collections::BTreeMap, time::Duration};

use super::resource::Fields;
use crate::wiring::{Function, Route};

const NO_TOKENS: &str = "the local region can't check tokens; leave Authorization at iam";

/// What routes and functions are joined by.
#[derive(Debug, Default)]
pub struct HttpApi {
    integrations: BTreeMap<String, Integration>,
    routes: Vec<(String, OpenRoute)>,
    permitted: Vec<String>,
    deployed: bool,
}

#[derive(Clone, Debug)]
struct Integration {
    function_arn: String,
    timeout: Duration,
}

#[derive(Clone, Debug)]
struct OpenRoute {
    method: String,
    path: String,
    target: String,
    iam: bool,
}

impl HttpApi {
    /// Reads a resource of `kind` if it belongs to the API; false if it doesn't.
    ///
    /// # Errors
    /// If it asks for what the front doesn't have.
    pub fn add(&mut self, kind: &str, fields: &Fields<'_>) -> Result<bool, String> {
        match kind {
            "AWS::ApiGatewayV2::Api" => check_api(fields)?,
            "AWS::ApiGatewayV2::Stage" => {
                check_stage(fields)?;
                self.deployed = true;
            }
            "AWS::ApiGatewayV2::Authorizer" => {
                return Err(NO_TOKENS.to_owned());
            }
            "AWS::ApiGatewayV2::Integration" => {
                let name = fields.scope.physical_name(fields.logical)?;
                self.integrations.insert(name, read_integration(fields)?);
            }
            "AWS::ApiGatewayV2::Route" => self.routes.push((fields.logical.to_owned(), read_route(fields)?)),
            "AWS::Lambda::Permission" => self.permitted.extend(read_permission(fields)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Gives each route to its function.
    ///
    /// # Errors
    /// The route, and why API Gateway would not get through to a function.
    pub fn join(self, functions: &mut [Function]) -> Result<(), (String, String)> {
        for (logical, open) in self.routes {
            let problem = |problem: String| (logical.clone(), problem);
            if !self.deployed {
                return Err(problem("no stage of the API takes it".to_owned()));
            }
            let integration = open.target.strip_prefix("integrations/").and_then(|name| self.integrations.get(name));
            let integration =
                integration.ok_or_else(|| problem(format!("Target {} is no integration", open.target)))?;
            let function = functions.iter_mut().find(|function| function.arn == integration.function_arn);
            let function = function
                .ok_or_else(|| problem(format!("{} is not a function of this template", integration.function_arn)))?;
            if !self.permitted.iter().any(|name| *name == function.name || *name == function.arn) {
                return Err(problem(format!("API Gateway has no AWS::Lambda::Permission on {}", function.logical)));
            }
            let (method, path, timeout, iam) = (open.method, open.path, integration.timeout, open.iam);
            function.routes.push(Route { method, path, timeout, iam });
        }
        Ok(())
    }
}

fn check_api(fields: &Fields<'_>) -> Result<(), String> {
    fields.refuse(&["CorsConfiguration", "Body", "BodyS3Location", "RouteKey", "Target"])?;
    match fields.text("ProtocolType")?.as_deref() {
        Some("HTTP") => Ok(()),
        other => Err(format!("the local region has HTTP APIs only, not {}", other.unwrap_or("one without a type"))),
    }
}

fn check_stage(fields: &Fields<'_>) -> Result<(), String> {
    fields.refuse(&["StageVariables", "DeploymentId"])?;
    match fields.text("StageName")?.as_deref() {
        Some("$default") => {}
        other => {
            return Err(format!(
                "the local region has the stage $default only, not {}",
                other.unwrap_or("a nameless one")
            ));
        }
    }
    if !fields.flag("AutoDeploy", false)? {
        return Err("without AutoDeploy nothing of the API would be deployed".to_owned());
    }
    Ok(())
}

fn read_integration(fields: &Fields<'_>) -> Result<Integration, String> {
    fields.refuse(&["RequestParameters", "ResponseParameters", "ConnectionType", "CredentialsArn"])?;
    match (fields.text("IntegrationType")?.as_deref(), fields.text("PayloadFormatVersion")?.as_deref()) {
        (Some("AWS_PROXY"), Some("2.0")) => {}
        _ => return Err("the local region invokes functions (AWS_PROXY) with payload format 2.0 only".to_owned()),
    }
    let timeout = fields.number("TimeoutInMillis", 30_000, 50..=30_000)?;
    let function_arn = fields.text("IntegrationUri")?.ok_or("it has no IntegrationUri")?;
    Ok(Integration { function_arn, timeout: Duration::from_millis(timeout) })
}

fn read_route(fields: &Fields<'_>) -> Result<OpenRoute, String> {
    fields.refuse(&["RequestParameters", "AuthorizationScopes"])?;
    let key = fields.text("RouteKey")?.ok_or("it has no RouteKey")?;
    let (method, path) = key.split_once(' ').unwrap_or(("ANY", &key));
    if path != "$default" && !path.starts_with('/') {
        return Err(format!("RouteKey is {key}, but must be METHOD /path or $default"));
    }
    let iam = match fields.text("AuthorizationType")?.as_deref() {
        None | Some("NONE") => false,
        Some("AWS_IAM") => true,
        Some("JWT") => return Err(NO_TOKENS.to_owned()),
        Some(other) => return Err(format!("the local region knows the authorization AWS_IAM, not {other}")),
    };
    let target = fields.text("Target")?.ok_or("it has no Target")?;
    Ok(OpenRoute { method: method.to_uppercase(), path: path.to_owned(), target, iam })
}

/// The function that API Gateway may invoke by this permission, if it is one for API Gateway.
fn read_permission(fields: &Fields<'_>) -> Result<Option<String>, String> {
    let for_gateway = fields.text("Principal")?.as_deref() == Some("apigateway.amazonaws.com");
    let invokes = matches!(fields.text("Action")?.as_deref(), Some("lambda:InvokeFunction" | "lambda:*"));
    if for_gateway && invokes { fields.text("FunctionName") } else { Ok(None) }
}
