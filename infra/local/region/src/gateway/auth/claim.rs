//! What a request claims of its signature: whose key, when, for which service, over which headers. It is in the header
//! `Authorization`, or in the query of a presigned URL.
//!
//! Format: "Authentication methods" and "Elements of an AWS API request signature" in AWS's IAM User Guide.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, header::AUTHORIZATION, header::DATE, request::Parts};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::Refusal;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Query parameters that the signer adds, and that the verifier adds again.
const PRESIGNED: [&str; 6] =
    ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature", "X-Amz-SignedHeaders"];
/// The longest life of a presigned URL, a week.
const LONGEST: u64 = 604_800;

/// A claimed signature. Nothing of it is proved yet.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) key_id: String,
    /// The scope after the key: date, region, service, terminator.
    pub(super) scope: String,
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: String,
    pub(super) time: Timestamp,
    /// How long a presigned URL lives from `time` on. None: the signature is in the header.
    pub(super) expires: Option<Duration>,
    pub(super) session_token: Option<String>,
    /// The query that was signed, without what the signer adds.
    pub(super) query: String,
}

impl Claim {
    pub(super) fn read(parts: &Parts) -> Result<Self, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        if let Some(authorization) = parts.headers.get(AUTHORIZATION) {
            let text = authorization.to_str().map_err(|_| Refusal::Malformed("Authorization has other than ASCII"))?;
            return Self::in_header(text, query, &parts.headers);
        }
        Self::in_query(query)
    }

    fn in_header(authorization: &str, query: &str, headers: &HeaderMap) -> Result<Self, Refusal> {
        let fields = authorization.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' '));
        let fields = fields.ok_or(Refusal::Malformed("Authorization does not begin with AWS4-HMAC-SHA256"))?;
        let field = |name: &str| {
            let mut found = fields.split(',').filter_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
            found.next().filter(|_| found.next().is_none())
        };
        let missing = Refusal::Malformed("Authorization needs Credential, SignedHeaders and Signature, each once");
        let (Some(credential), Some(signed), Some(signature)) =
            (field("Credential"), field("SignedHeaders"), field("Signature"))
        else {
            return Err(missing);
        };
        let token = one_of(headers, &HeaderName::from_static("x-amz-security-token"))?;
        Self {
            time: read_time(headers)?,
            expires: None,
            session_token: token.filter(|token| !token.is_empty()).map(str::to_owned),
            query: query.to_owned(),
            signed_headers: names(signed),
            signature: signature.to_owned(),
            key_id: String::new(),
            scope: String::new(),
        }
        .scoped(credential)
    }

    fn in_query(query: &str) -> Result<Self, Refusal> {
        let mut rest = Vec::new();
        let mut found: [Option<String>; PRESIGNED.len()] = Default::default();
        let mut session_token = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = form_urlencoded::parse(pair.as_bytes()).next() else { continue };
            if let Some(place) = PRESIGNED.iter().position(|known| *known == name) {
                if found[place].replace(value.into_owned()).is_some() {
                    return Err(Refusal::Malformed("a parameter of the signature is there twice"));
                }
                continue;
            }
            if name == "X-Amz-Security-Token" {
                session_token = Some(value.into_owned());
            }
            rest.push(pair);
        }
        if found.iter().all(Option::is_none) {
            return Err(Refusal::Unsigned);
        }
        let [Some(algorithm), Some(credential), Some(date), Some(expires), Some(signature), Some(signed)] = found
        else {
            return Err(Refusal::Malformed(
                "a presigned URL needs X-Amz-Algorithm, -Credential, -Date, -Expires, -SignedHeaders and -Signature",
            ));
        };
        if algorithm != ALGORITHM {
            return Err(Refusal::Malformed("X-Amz-Algorithm is not AWS4-HMAC-SHA256"));
        }
        let seconds = expires.parse().ok().filter(|seconds| (1..=LONGEST).contains(seconds));
        let seconds = seconds.ok_or(Refusal::Malformed("X-Amz-Expires is not 1 to 604800 seconds"))?;
        Self {
            time: parse_basic(&date).ok_or(Refusal::Malformed("X-Amz-Date is not like 20260306T101530Z"))?,
            expires: Some(Duration::from_secs(seconds)),
            session_token,
            query: rest.join("&"),
            signed_headers: names(&signed),
            signature,
            key_id: String::new(),
            scope: String::new(),
        }
        .scoped(&credential)
    }

    fn scoped(mut self, credential: &str) -> Result<Self, Refusal> {
        let (key_id, scope) = credential.split_once('/').ok_or(Refusal::Malformed("Credential has no scope"))?;
        key_id.clone_into(&mut self.key_id);
        scope.clone_into(&mut self.scope);
        Ok(self)
    }

    /// The date of the scope that the time asks for.
    pub(super) fn date(&self) -> String {
        self.time.strftime("%Y%m%d").to_string()
    }

    pub(super) fn signs(&self, name: &str) -> bool {
        self.signed_headers.iter().any(|signed| signed == name)
    }
}

fn names(signed: &str) -> Vec<String> {
    signed.split(';').map(str::to_owned).collect()
}

/// A header that may be there once.
pub(super) fn one_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::Malformed("a header of the signature is there twice"));
    }
    first.map(|value| value.to_str().map_err(|_| Refusal::Malformed("a header has other than ASCII"))).transpose()
}

/// `x-amz-date`, else `Date`: "if both are there, the value of x-amz-date counts".
fn read_time(headers: &HeaderMap) -> Result<Timestamp, Refusal> {
    if let Some(text) = one_of(headers, &HeaderName::from_static("x-amz-date"))? {
        return parse_basic(text).ok_or(Refusal::Malformed("x-amz-date is not like 20260306T101530Z"));
    }
    let text = one_of(headers, &DATE)?.ok_or(Refusal::Malformed("there is neither x-amz-date nor Date"))?;
    let written = jiff::fmt::rfc2822::parse(text).map(|zoned| zoned.timestamp()).ok();
    written.or_else(|| parse_basic(text)).ok_or(Refusal::Malformed("Date is not a date of HTTP"))
}

/// `20260306T101530Z`, and nothing else.
fn parse_basic(text: &str) -> Option<Timestamp> {
    let shaped = text.len() == 16
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok().filter(|_| shaped)?;
    TimeZone::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let request = axum::http::Request::get(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIAME/20260306/us-east-1/execute-api/aws4_request,SignedHeaders=host;x-amz-date, Signature=ab";

    #[test]
    fn a_header_is_read_with_and_without_spaces() {
        let claim =
            Claim::read(&parts("/v1/x?b=1&a=2", &[("authorization", SIGNED), ("x-amz-date", "20260306T101530Z")]));
        let claim = claim.unwrap();
        assert_eq!(
            (claim.key_id.as_str(), claim.scope.as_str()),
            ("AKIAME", "20260306/us-east-1/execute-api/aws4_request")
        );
        assert_eq!((claim.signed_headers, claim.signature.as_str()), (names("host;x-amz-date"), "ab"));
        assert_eq!((claim.time.to_string().as_str(), claim.query.as_str()), ("2026-03-06T10:15:30Z", "b=1&a=2"));
    }

    #[test]
    fn date_counts_where_there_is_no_x_amz_date() {
        let time = |headers: &[(&str, &str)]| {
            let all = [&[("authorization", SIGNED)], headers].concat();
            Claim::read(&parts("/", &all)).map(|claim| claim.time.to_string())
        };
        assert_eq!(time(&[("date", "Fri, 06 Mar 2026 10:15:30 GMT")]).unwrap(), "2026-03-06T10:15:30Z");
        assert_eq!(time(&[("date", "20260306T101530Z")]).unwrap(), "2026-03-06T10:15:30Z");
        let both = [("date", "Fri, 06 Mar 2026 11:00:00 GMT"), ("x-amz-date", "20260306T101530Z")];
        assert_eq!(time(&both).unwrap(), "2026-03-06T10:15:30Z");
        let bad =
            ["2026-03-06T10:15:30Z", "20260306T101530", "20261306T101530Z", "20260306T101530Z ", "+2026306T101530Z"];
        for bad in bad {
            assert!(time(&[("x-amz-date", bad)]).is_err(), "{bad}");
        }
        assert!(time(&[]).is_err());
    }

    #[test]
    fn what_is_no_claim_is_refused() {
        let refused = |uri: &str, headers: &[(&str, &str)]| Claim::read(&parts(uri, headers)).unwrap_err();
        assert!(matches!(refused("/v1/x", &[]), Refusal::Unsigned));
        let date = ("x-amz-date", "20260306T101530Z");
        for bad in [
            "Bearer x",
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host",
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=x",
            "AWS4-HMAC-SHA256 Credential=a/b, Credential=c/d, SignedHeaders=host, Signature=x",
        ] {
            assert!(matches!(refused("/v1/x", &[("authorization", bad), date]), Refusal::Malformed(_)), "{bad}");
        }
        let url = "/v1/x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb&X-Amz-Date=20260306T101530Z&X-Amz-SignedHeaders=host&X-Amz-Signature=x";
        for expires in ["", "&X-Amz-Expires=0", "&X-Amz-Expires=604801", "&X-Amz-Expires=60&X-Amz-Expires=60"] {
            assert!(matches!(refused(&format!("{url}{expires}"), &[]), Refusal::Malformed(_)), "{expires}");
        }
        assert!(Claim::read(&parts(&format!("{url}&X-Amz-Expires=60"), &[])).is_ok());
    }
}
