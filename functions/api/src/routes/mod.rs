//! The API's routes.

pub(crate) mod adoption;
pub(crate) mod check;
pub(crate) mod hold;
pub(crate) mod rollouts;
pub(crate) mod servers;
pub(crate) mod sites;
pub(crate) mod users;

use axum::{
    Router,
    extract::Request,
    middleware::from_fn,
    routing::{get, post, put},
};

use crate::{
    App,
    problem::{Kind, Problem, Refused, answer},
};

/// The whole API.
pub fn router(api: App) -> Router {
    let routes = Router::new()
        .route("/v1/servers", get(servers::list))
        .route("/v1/servers/{server}", get(servers::show).put(servers::put).delete(servers::delete))
        .route("/v1/servers/{server}/start", post(servers::open))
        .route("/v1/servers/{server}/stop", post(servers::stop))
        .route("/v1/servers/{server}/sleep", post(servers::sleep))
        .route("/v1/servers/{server}/wake", post(servers::open))
        .route("/v1/servers/{server}/adopt", post(adoption::adopt))
        .route("/v1/servers/{server}/users", get(users::list))
        .route("/v1/servers/{server}/users/{user}", get(users::show).put(users::put).delete(users::delete))
        .route("/v1/sites", get(sites::list))
        .route("/v1/sites/{site}", get(sites::show).put(sites::put).delete(sites::delete))
        .route("/v1/sites/{site}/check", get(check::show))
        .route("/v1/sites/{site}/hold", put(hold::put).delete(hold::delete))
        .route("/v1/sites/{site}/rollouts", get(rollouts::list).post(rollouts::start))
        .route("/v1/sites/{site}/rollouts/{id}", get(rollouts::show).delete(rollouts::cancel))
        .route("/v1/sites/{site}/rollouts/{id}/rollback", post(rollouts::roll_back))
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(api);
    // A router writes the header `Allow` outside of its own layers: only one around it sees the whole answer.
    Router::new().fallback_service(routes).layer(from_fn(answer))
}

async fn no_route(request: Request) -> Refused {
    let path = request.uri().path();
    let detail = match path.strip_suffix('/') {
        Some(shorter) if !shorter.is_empty() => format!("leave out the slash at the end: {shorter}"),
        _ => "there is no such path: servers are at /v1/servers, with users, start, stop, sleep, wake and adopt below each; sites at /v1/sites, with check, hold, and rollouts with rollback".to_owned(),
    };
    Problem::new(Kind::NoRoute, detail)
}

/// Only the router knows the allowed methods. It adds the `Allow` header, which `problem::finish` puts into words.
async fn wrong_method(request: Request) -> Refused {
    Problem::new(Kind::MethodNotAllowed, format!("{} is not taken here", request.method()))
}
