//! The front of a service: a listener whose requests are answered by the service's running tasks, by turns.

use std::sync::{Arc, atomic::Ordering};

use axum::{body::Body, extract::Request};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    Ecs,
    model::{ServiceRecord, ServiceStatus, Task, TaskStatus, bare},
    pages,
};

impl Ecs {
    /// Answers a request to a service as one of its running tasks does; 503 when none runs. The answer's
    /// `x-task-definition` names the revision, e.g. `web:2`.
    pub async fn answer(
        &self,
        cluster: &str,
        service: &str,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Response<Body> {
        let key = format!("{cluster}/{service}");
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let running = self.tasks_in_turn(&key, turn);
        if running.is_empty() {
            let text = format!("The service {service} of the cluster {cluster} has no running task.\n");
            return pages::page(StatusCode::SERVICE_UNAVAILABLE, "text/plain", text);
        }
        let (task, definition) = &running[turn % running.len()];
        let mount = self.mounts().get(task).cloned().flatten();
        let mut answer = pages::answer(mount, method, path, headers).await;
        if let Ok(value) = HeaderValue::from_str(bare(definition)) {
            answer.headers_mut().insert("x-task-definition", value);
        }
        answer
    }

    /// The running tasks that may answer request number `turn`, by id and task definition: those of a revision that is
    /// being shifted to get its share of the requests.
    fn tasks_in_turn(&self, key: &str, turn: usize) -> Vec<(String, String)> {
        let state = self.state();
        let running = state.tasks_of(key).filter(|task| task.status == TaskStatus::Running);
        let shifted = state.services.get(key).and_then(ServiceRecord::shifted);
        // 617 has no divisor in common with 1000, so that a share is spread over the requests.
        let place = u32::try_from(turn * 617 % 1000).unwrap_or_default();
        let takes_part = |task: &&Task| match shifted {
            None => true,
            Some((deployment, percent)) => (task.deployment == deployment) == (f64::from(place) < percent * 10.0),
        };
        running.filter(takes_part).map(|task| (task.id.clone(), task.definition.clone())).collect()
    }

    /// Serves a service on `listener` until `shutdown`.
    pub(super) fn listen(self: &Arc<Self>, key: String, listener: TcpListener, shutdown: &CancellationToken) {
        let address = match listener.local_addr() {
            Ok(address) => address,
            Err(error) => {
                tracing::error!(%error, service = key, "The service's listener has no address");
                return;
            }
        };
        self.addresses().insert(key.clone(), address);
        tracing::info!(service = key, "The service is served at http://{address}/");
        let (ecs, shutdown) = (Arc::clone(self), shutdown.clone());
        tokio::spawn(async move {
            let app = axum::Router::new().fallback(move |request: Request| {
                let (ecs, key) = (Arc::clone(&ecs), key.clone());
                async move {
                    let (cluster, service) = key.split_once('/').unwrap_or_default();
                    let path = request.uri().path();
                    ecs.answer(cluster, service, request.method(), path, request.headers()).await
                }
            });
            if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned()).await {
                tracing::error!(%error, "A service's listener failed");
            }
        });
    }

    /// Gives every active service that has none an address.
    pub(super) async fn listen_to_all(self: &Arc<Self>, shutdown: &CancellationToken) {
        let active: Vec<String> = {
            let (state, addresses) = (self.state(), self.addresses());
            let new = state
                .services
                .iter()
                .filter(|(key, service)| service.status == ServiceStatus::Active && !addresses.contains_key(*key));
            new.map(|(key, _)| key.clone()).collect()
        };
        for key in active {
            match TcpListener::bind(("127.0.0.1", 0)).await {
                Ok(listener) => self.listen(key, listener, shutdown),
                Err(error) => tracing::error!(%error, service = key, "No port is free for the service"),
            }
        }
    }
}
