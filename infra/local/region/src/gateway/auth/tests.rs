//! The authorizer against AWS's own signer for Rust, which signs here, and botocore's, whose signatures were written down.

use std::time::Duration;

use axum::http::Request;

use super::*;

const NOW: &str = "2026-03-06T10:15:30Z";
const LONG_LIVED: &str = "AKIAME:hidden/Secret+1";
const TEMPORARY: &str = "ASIAME:hidden/Secret+1:token==";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn authorizer() -> Authorizer {
    Authorizer::new(vec![LONG_LIVED.parse().unwrap(), TEMPORARY.parse().unwrap()])
}

fn verify(request: &Request<Vec<u8>>) -> Result<String, Refusal> {
    verify_at(request, now())
}

fn verify_at(request: &Request<Vec<u8>>, now: Timestamp) -> Result<String, Refusal> {
    let (parts, body) = request.clone().into_parts();
    authorizer().verify(&parts, &body, now).map(|key| key.id().to_owned())
}

/// How a client signs; each test changes one thing.
struct Signer {
    key: &'static str,
    region: &'static str,
    service: &'static str,
    settings: SigningSettings,
}

impl Default for Signer {
    fn default() -> Self {
        Self { key: LONG_LIVED, region: REGION, service: SERVICE, settings: SigningSettings::default() }
    }
}

impl Signer {
    fn presigning(seconds: u64) -> Self {
        let mut signer = Self::default();
        signer.settings.signature_location = SignatureLocation::QueryParams;
        signer.settings.expires_in = Some(Duration::from_secs(seconds));
        signer
    }

    fn sign(&self, method: &str, path: &str, body: &[u8]) -> Request<Vec<u8>> {
        let key: AccessKey = self.key.parse().unwrap();
        let token = key.session_token().map(str::to_owned);
        let identity = Credentials::new(key.id(), key.secret(), token, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(SystemTime::try_from(now()).unwrap())
            .settings(self.settings.clone())
            .build()
            .unwrap()
            .into();
        let headers = [("host", "127.0.0.1:9000"), ("x-one", "  a   b "), ("x-many", "1"), ("x-many", "2")];
        let signable = SignableRequest::new(method, path, headers.into_iter(), SignableBody::Bytes(body)).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let request = Request::builder().method(method).uri(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let mut request = request.header("user-agent", "test").body(body.to_vec()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

fn signed() -> Request<Vec<u8>> {
    Signer::default().sign("PUT", "/v1/servers/main?dry_run=true&b=2", b"{\"a\":1}")
}

fn set(request: &mut Request<Vec<u8>>, name: &'static str, value: &str) {
    request.headers_mut().insert(name, value.parse().unwrap());
}

#[test]
fn what_the_sdks_signer_signs_is_accepted() {
    let with_hash = {
        let mut signer = Signer::default();
        signer.settings.payload_checksum_kind = aws_sigv4::http_request::PayloadChecksumKind::XAmzSha256;
        signer
    };
    let temporary = Signer { key: TEMPORARY, ..Signer::default() };
    let temporary_presigned = Signer { key: TEMPORARY, ..Signer::presigning(60) };
    for (signer, key) in [
        (Signer::default(), "AKIAME"),
        (with_hash, "AKIAME"),
        (Signer::presigning(60), "AKIAME"),
        (temporary, "ASIAME"),
        (temporary_presigned, "ASIAME"),
    ] {
        for (method, path, body) in [
            ("GET", "/v1/servers", ""),
            ("GET", "/v1/servers?b=2&a=1&a=%2F%20x&c&d=", ""),
            ("GET", "/v1/sites/a%20b@c%2Fd/./e//f/../g/", ""),
            ("DELETE", "/v1/sites/%C3%A4~*'()", ""),
            ("PUT", "/v1/servers/main", "{\"a\":1}"),
            ("POST", "/v1/servers/main/start?", "\u{0}\u{fffd}"),
        ] {
            let request = signer.sign(method, path, body.as_bytes());
            assert_eq!(verify(&request).unwrap(), key, "{method} {path} {:?}", request.uri());
        }
    }
}

#[test]
fn what_botocore_signs_is_accepted() {
    let scope = "AKIAME/20260306/us-east-1/execute-api/aws4_request";
    for (method, path, body, signature) in [
        ("GET", "/v1/servers", "", "b696eb84a977aad8b0faf54337b19f667e280aed4c362b06ddc1dafa032052a5"),
        (
            "PUT",
            "/v1/sites/a%20b@c/./d//e",
            "{\"a\":1}",
            "6f1be2bc7dac58ab1063b069cb8938d8cfb79ccc85437a8cc5f45399b05478de",
        ),
        ("GET", "/v1/sites/%C3%A4~*'", "", "e157c6eb7198dd73a23e11991a7c293f029b30b4064dd5c20bb9b91658c84d59"),
        (
            "GET",
            "/v1/servers?b=2&a=1&a=%2F%20x&c=",
            "",
            "bfbeec37628f8a381ea47d996349e5a1ae645df1a78963e4555d9baffc6435a2",
        ),
    ] {
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={signature}");
        let request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:9000");
        let request = request.header("x-amz-date", "20260306T101530Z").header("authorization", authorization);
        assert_eq!(verify(&request.body(body.into()).unwrap()).unwrap(), "AKIAME", "{method} {path}");
    }
}

#[test]
fn what_botocore_signs_with_date_is_accepted() {
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIAME/20260306/us-east-1/execute-api/aws4_request, \
         SignedHeaders=date;host, Signature=7d73e0cd21e8615d1bd617d3ef1a368ffd3d0209c68c800c6d0d2056e2155e90";
    let request = Request::get("/v1/servers").header("host", "127.0.0.1:9000");
    let request = request.header("date", "Fri, 06 Mar 2026 10:15:30 -0000").header("authorization", authorization);
    assert_eq!(verify(&request.body(vec![]).unwrap()).unwrap(), "AKIAME");
}

#[test]
fn every_change_of_what_was_signed_is_noticed() {
    type Change = fn(&mut Request<Vec<u8>>);
    let changes: [(&str, Change); 10] = [
        ("method", |request| *request.method_mut() = axum::http::Method::POST),
        ("path", |request| *request.uri_mut() = "/v1/servers/Main?dry_run=true&b=2".parse().unwrap()),
        ("query value", |request| *request.uri_mut() = "/v1/servers/main?dry_run=false&b=2".parse().unwrap()),
        ("query gone", |request| *request.uri_mut() = "/v1/servers/main?b=2".parse().unwrap()),
        ("query more", |request| *request.uri_mut() = "/v1/servers/main?dry_run=true&b=2&c=3".parse().unwrap()),
        ("body", |request| request.body_mut()[0] = b'['),
        ("body gone", |request| request.body_mut().clear()),
        ("host", |request| set(request, "host", "127.0.0.1:9001")),
        ("header", |request| set(request, "x-one", "a c")),
        ("date", |request| set(request, "x-amz-date", "20260306T101531Z")),
    ];
    assert!(verify(&signed()).is_ok());
    for (what, change) in changes {
        let mut request = signed();
        change(&mut request);
        assert!(matches!(verify(&request), Err(Refusal::Signature)), "{what}");
    }
}

#[test]
fn what_is_not_signed_may_change() {
    let mut request = signed();
    set(&mut request, "user-agent", "another");
    set(&mut request, "x-forwarded-for", "10.0.0.1");
    assert!(verify(&request).is_ok());
    *request.uri_mut() = "/v1/servers/main?b=2&dry_run=true".parse().unwrap();
    assert!(verify(&request).is_ok(), "the order of the query does not count");
}

#[test]
fn a_wrong_secret_or_key_is_refused() {
    let wrong = Signer { key: "AKIAME:other", ..Signer::default() };
    assert!(matches!(verify(&wrong.sign("GET", "/v1/x", b"")), Err(Refusal::Signature)));
    let unknown = Signer { key: "AKIAYOU:hidden/Secret+1", ..Signer::default() };
    assert!(matches!(verify(&unknown.sign("GET", "/v1/x", b"")), Err(Refusal::UnknownKey(id)) if id == "AKIAYOU"));
}

#[test]
fn an_empty_or_cut_signature_is_refused() {
    for cut in ["", "b696eb84"] {
        let mut request = signed();
        let text = request.headers()["authorization"].to_str().unwrap().to_owned();
        let (before, _) = text.split_once("Signature=").unwrap();
        set(&mut request, "authorization", &format!("{before}Signature={cut}"));
        assert!(matches!(verify(&request), Err(Refusal::Signature)), "{cut}");
    }
}

#[test]
fn another_scope_is_refused() {
    for signer in
        [Signer { region: "eu-central-1", ..Signer::default() }, Signer { service: "transfer", ..Signer::default() }]
    {
        assert!(matches!(verify(&signer.sign("GET", "/v1/x", b"")), Err(Refusal::Scope { .. })));
    }
    let mut request = signed();
    let text = request.headers()["authorization"].to_str().unwrap().replace("20260306", "20260305");
    set(&mut request, "authorization", &text);
    assert!(matches!(verify(&request), Err(Refusal::Scope { .. })));
}

#[test]
fn a_signature_holds_for_five_minutes_around_its_time() {
    let at = |seconds| verify_at(&signed(), now() + SignedDuration::from_secs(seconds));
    assert!(at(-300).is_ok() && at(300).is_ok());
    for seconds in [-301, 301, 86_400] {
        assert!(matches!(at(seconds), Err(Refusal::Skewed(_))), "{seconds}");
    }
}

#[test]
fn a_presigned_url_holds_for_its_own_time() {
    let request = Signer::presigning(3600).sign("GET", "/v1/servers?a=1", b"");
    let at = |seconds| verify_at(&request, now() + SignedDuration::from_secs(seconds));
    assert!(at(-300).is_ok() && at(3600).is_ok());
    assert!(matches!(at(-301), Err(Refusal::Skewed(_))));
    assert!(matches!(at(3601), Err(Refusal::Expired(_))));
    let mut longer = request;
    *longer.uri_mut() = longer.uri().to_string().replace("Expires=3600", "Expires=7200").parse().unwrap();
    assert!(matches!(verify(&longer), Err(Refusal::Signature)));
}

#[test]
fn the_session_token_must_be_that_of_the_key() {
    let temporary = Signer { key: TEMPORARY, ..Signer::default() };
    for (signer, token) in [(&temporary, Some("token")), (&temporary, None), (&Signer::default(), Some("token=="))] {
        let mut request = signer.sign("GET", "/v1/x", b"");
        match token {
            Some(token) => set(&mut request, "x-amz-security-token", token),
            None => drop(request.headers_mut().remove("x-amz-security-token")),
        }
        assert!(matches!(verify(&request), Err(Refusal::SessionToken)), "{token:?}");
    }
}

#[test]
fn a_token_that_is_sent_but_not_signed_is_accepted() {
    let mut temporary = Signer { key: TEMPORARY, ..Signer::default() };
    temporary.settings.session_token_mode = aws_sigv4::http_request::SessionTokenMode::Exclude;
    assert_eq!(verify(&temporary.sign("GET", "/v1/x", b"")).unwrap(), "ASIAME");
}

#[test]
fn the_host_must_be_signed() {
    let mut signer = Signer::default();
    signer.settings.excluded_headers = Some(vec!["host".into()]);
    assert!(matches!(verify(&signer.sign("GET", "/v1/x", b"")), Err(Refusal::HostUnsigned)));
}

/// What curl 7.88 does with `-H 'x-amz-security-token: '`, and AWS refuses.
#[test]
fn a_header_that_is_named_and_not_sent_is_refused() {
    let mut request = signed();
    request.headers_mut().remove("x-one");
    assert!(matches!(verify(&request), Err(Refusal::HeaderMissing(name)) if name == "x-one"));
}

#[test]
fn a_told_hash_must_be_that_of_the_body() {
    let mut request = signed();
    for told in ["UNSIGNED-PAYLOAD", &hash(b"{}")] {
        set(&mut request, "x-amz-content-sha256", told);
        assert!(matches!(verify(&request), Err(Refusal::BodyHash)), "{told}");
    }
    set(&mut request, "x-amz-content-sha256", &hash(b"{\"a\":1}"));
    assert!(verify(&request).is_ok());
}

#[test]
fn an_unsigned_request_is_refused() {
    let request = Request::get("/v1/x").header("host", "127.0.0.1:9000").body(vec![]).unwrap();
    assert!(matches!(verify(&request), Err(Refusal::Unsigned)));
}
