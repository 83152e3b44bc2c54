//! A function's answer as an HTTP answer: the format 2.0 response, or any other JSON as the body of a 200.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

/// Reads the answer; the error says what is wrong with it.
pub(super) fn to_response(payload: &[u8]) -> Result<Response, &'static str> {
    let answer: Value =
        if payload.is_empty() { Value::Null } else { serde_json::from_slice(payload).map_err(|_| "it is not JSON")? };
    let Some(status) = answer.get("statusCode") else {
        return Ok(plain_response(&answer));
    };
    let status = status.as_u64().or_else(|| status.as_str().and_then(|text| text.parse().ok()));
    let status =
        status.and_then(|status| u16::try_from(status).ok()).and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = Response::new(Body::from(read_body(&answer)?));
    *response.status_mut() = status.ok_or("its statusCode is no HTTP status")?;
    set_headers(&mut response, &answer)?;
    response.headers_mut().entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain;charset=UTF-8"));
    Ok(response)
}

fn plain_response(answer: &Value) -> Response {
    let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn read_body(answer: &Value) -> Result<Vec<u8>, &'static str> {
    let body = match &answer["body"] {
        Value::Null => return Ok(Vec::new()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if answer["isBase64Encoded"].as_bool() == Some(true) {
        return STANDARD.decode(body).map_err(|_| "its body is not base64");
    }
    Ok(body.into_bytes())
}

fn set_headers(response: &mut Response, answer: &Value) -> Result<(), &'static str> {
    let mut append = |name: &str, value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header's name is not allowed")?;
        let value = HeaderValue::from_str(&text).map_err(|_| "a header's value is not allowed")?;
        // The length is that of the body; the function's own word could contradict it.
        if name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING {
            response.headers_mut().append(name, value);
        }
        Ok(())
    };
    let several = answer["multiValueHeaders"].as_object();
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        if !several.is_some_and(|several| several.contains_key(name)) {
            append(name, value)?;
        }
    }
    for (name, values) in several.into_iter().flatten() {
        values.as_array().into_iter().flatten().try_for_each(|value| append(name, value))?;
    }
    answer["cookies"].as_array().into_iter().flatten().try_for_each(|cookie| append("set-cookie", cookie))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn shown(answer: Value) -> (u16, Vec<(String, String)>, Vec<u8>) {
        let (parts, body) = to_response(answer.to_string().as_bytes()).unwrap().into_parts();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        (parts.status.as_u16(), headers.collect(), body)
    }

    #[tokio::test]
    async fn a_full_answer_becomes_status_headers_cookies_and_body() {
        let (status, headers, body) = shown(json!({
            "statusCode": 201, "headers": { "etag": "\"1\"", "x": "once" }, "multiValueHeaders": { "x": ["a", "b"] },
            "cookies": ["k=v"], "body": "aGk=", "isBase64Encoded": true,
        }))
        .await;
        assert_eq!((status, body.as_slice()), (201, b"hi".as_slice()));
        for expected in [("etag", "\"1\""), ("x", "a"), ("x", "b"), ("set-cookie", "k=v")] {
            assert!(headers.contains(&(expected.0.to_owned(), expected.1.to_owned())), "{headers:?}");
        }
        assert!(!headers.contains(&("x".to_owned(), "once".to_owned())));
    }

    #[tokio::test]
    async fn plain_json_is_the_body_of_a_200() {
        let (status, headers, body) = shown(json!({ "a": 1 })).await;
        assert_eq!((status, body.as_slice()), (200, b"{\"a\":1}".as_slice()));
        assert!(headers.contains(&("content-type".to_owned(), "application/json".to_owned())));
    }

    #[test]
    fn an_answer_that_is_none_is_told() {
        assert!(to_response(b"<html>").is_err());
        assert!(to_response(br#"{"statusCode": 1000}"#).is_err());
    }
}
