//! Which route takes a request: as HTTP APIs choose, a full match before one with `{variable}`, that before a greedy
//! `{variable+}`, that before `$default`; and among equals a method by name before `ANY`.

use std::cmp::Reverse;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::wiring;

/// All routes, the first match being the right one.
#[derive(Clone, Debug)]
pub(super) struct Routes(Vec<(String, wiring::Route)>);

/// The route that takes a request.
#[derive(Clone, Debug)]
pub(super) struct Selected<'a> {
    /// The function's name.
    pub(super) function: &'a str,
    pub(super) route: &'a wiring::Route,
    /// The variables of the path.
    pub(super) variables: Map<String, Value>,
}

impl Selected<'_> {
    /// `METHOD /path`, or `$default`.
    pub(super) fn key(&self) -> String {
        if self.route.path == "$default" {
            return self.route.path.clone();
        }
        format!("{} {}", self.route.method, self.route.path)
    }
}

impl Routes {
    pub(super) fn of(functions: &[wiring::Function]) -> Self {
        let with_name = |function: &wiring::Function| {
            let name = function.name.clone();
            function.routes.iter().map(move |route| (name.clone(), route.clone())).collect::<Vec<_>>()
        };
        let mut routes: Vec<_> = functions.iter().flat_map(with_name).collect();
        routes.sort_by_cached_key(|(_, route)| rank(route));
        Self(routes)
    }

    pub(super) fn select(&self, method: &str, path: &str) -> Option<Selected<'_>> {
        self.0.iter().filter(|(_, route)| route.method == "ANY" || route.method == method).find_map(
            |(function, route)| {
                let variables = match_path(&route.path, path)?;
                Some(Selected { function, route, variables })
            },
        )
    }
}

/// The lower, the sooner: step by step a text before a variable before a greedy one, longer paths first.
fn rank(route: &wiring::Route) -> (bool, Vec<u8>, Reverse<usize>, bool) {
    let steps: Vec<u8> = segments(&route.path)
        .map(|segment| match variable(segment) {
            None => 0,
            Some((_, false)) => 1,
            Some((_, true)) => 2,
        })
        .collect();
    let length = Reverse(steps.len());
    (
        route.path == "$default",
        vec![steps.iter().copied().max().unwrap_or(0)].into_iter().chain(steps).collect(),
        length,
        route.method == "ANY",
    )
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.trim_start_matches('/').split('/')
}

/// The name of a variable, and whether it is greedy.
fn variable(segment: &str) -> Option<(&str, bool)> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    Some(name.strip_suffix('+').map_or((name, false), |name| (name, true)))
}

fn match_path(route: &str, path: &str) -> Option<Map<String, Value>> {
    let mut variables = Map::new();
    if route == "$default" {
        return Some(variables);
    }
    let mut given = segments(path);
    for segment in segments(route) {
        match variable(segment) {
            Some((name, true)) => {
                let rest = given.by_ref().collect::<Vec<_>>().join("/");
                if rest.is_empty() {
                    return None;
                }
                variables.insert(name.to_owned(), decode(&rest));
            }
            Some((name, false)) => {
                let value = given.next().filter(|value| !value.is_empty())?;
                variables.insert(name.to_owned(), decode(value));
            }
            None if given.next()? == segment => {}
            None => return None,
        }
    }
    given.next().is_none().then_some(variables)
}

fn decode(text: &str) -> Value {
    Value::String(percent_decode_str(text).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use serde_json::json;

    use super::*;

    fn routes(keys: &[&str]) -> Routes {
        let route = |key: &&str| {
            let (method, path) = key.split_once(' ').unwrap_or(("ANY", key));
            wiring::Route { method: method.into(), path: path.into(), timeout: Duration::from_secs(30), iam: false }
        };
        Routes::of(&[wiring::Function {
            logical: "F".into(),
            name: "f".into(),
            arn: "arn".into(),
            binary: "b".into(),
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(3),
            memory_mb: 128,
            reserved_concurrency: None,
            policy: Default::default(),
            routes: keys.iter().map(route).collect(),
            mappings: vec![],
            asynchronous: wiring::Asynchronous::default(),
        }])
    }

    #[test]
    fn the_most_specific_route_takes_the_request() {
        let routes =
            routes(&["$default", "ANY /v1/{proxy+}", "ANY /v1/{id}", "GET /v1/{id}", "ANY /v1/a", "GET /v1/{id}/b"]);
        for (method, path, expected) in [
            ("GET", "/v1/a", "ANY /v1/a"),
            ("GET", "/v1/x", "GET /v1/{id}"),
            ("PUT", "/v1/x", "ANY /v1/{id}"),
            ("GET", "/v1/x/b", "GET /v1/{id}/b"),
            ("PUT", "/v1/x/b", "ANY /v1/{proxy+}"),
            ("PUT", "/v1/x/y/z", "ANY /v1/{proxy+}"),
            ("GET", "/v2", "$default"),
            ("GET", "/", "$default"),
        ] {
            assert_eq!(routes.select(method, path).unwrap().key(), expected, "{method} {path}");
        }
    }

    #[test]
    fn without_a_default_an_unknown_path_has_no_route() {
        let routes = routes(&["ANY /v1/{proxy+}", "GET /v2/{id}"]);
        for (method, path) in [("GET", "/v3"), ("GET", "/v1"), ("GET", "/v1/"), ("PUT", "/v2/x"), ("GET", "/v2/x/y")] {
            assert!(routes.select(method, path).is_none(), "{method} {path}");
        }
    }

    #[test]
    fn variables_are_decoded() {
        let routes = routes(&["ANY /v1/{name}/{rest+}"]);
        let selected = routes.select("GET", "/v1/a%20b/c/d%2Fe").unwrap();
        assert_eq!(Value::Object(selected.variables), json!({ "name": "a b", "rest": "c/d/e" }));
    }
}
