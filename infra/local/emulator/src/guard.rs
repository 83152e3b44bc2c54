//! Keeps web pages out. The region has no passwords, so a page in the developer's browser must not reach it: neither by
//! a form or script of another origin, nor by a name of its own that resolves to 127.0.0.1.

use std::net::Ipv4Addr;

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Answers 403 to what a web page sent, and hands on the rest. curl, the SDKs and the aws CLI send neither `Origin`
/// nor `Sec-Fetch-Site`.
pub async fn keep_pages_out(request: Request, next: Next) -> Response {
    match refusal(request.headers()) {
        Some(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
        None => next.run(request).await,
    }
}

fn refusal(headers: &HeaderMap) -> Option<&'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if text(header::HOST).is_some_and(|host| !is_loopback(host)) {
        return Some("The region answers under a loopback address only: use 127.0.0.1 or localhost.");
    }
    let from_page = headers.contains_key(header::ORIGIN)
        || text(header::HeaderName::from_static("sec-fetch-site")).is_some_and(|site| site != "none");
    from_page.then_some("The region does not answer web pages: use curl, the aws CLI or an SDK.")
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(&'static str, &'static str)]) -> Option<&'static str> {
        refusal(&headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
    }

    #[test]
    fn programs_are_let_in() {
        for host in ["127.0.0.1:9000", "127.0.0.1", "localhost:9000", "LOCALHOST", "127.0.0.2:1"] {
            assert_eq!(asked(&[("host", host)]), None, "{host}");
        }
        assert_eq!(asked(&[("host", "127.0.0.1:9000"), ("sec-fetch-site", "none")]), None, "typed into the browser");
    }

    #[test]
    fn pages_are_kept_out() {
        for host in ["evil.example", "evil.example:9000", "127.0.0.1.evil.example", "192.168.0.1:9000", ""] {
            assert!(asked(&[("host", host)]).is_some(), "{host}");
        }
        assert!(asked(&[("host", "127.0.0.1:9000"), ("origin", "http://127.0.0.1:8080")]).is_some());
        assert!(asked(&[("host", "127.0.0.1:9000"), ("origin", "null")]).is_some());
        assert!(asked(&[("host", "127.0.0.1:9000"), ("sec-fetch-site", "cross-site")]).is_some());
        assert!(asked(&[("host", "127.0.0.1:9000"), ("sec-fetch-site", "same-site")]).is_some());
    }
}
