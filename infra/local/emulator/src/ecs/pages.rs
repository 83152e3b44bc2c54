//! What a task answers over HTTP: the files below its mount, as a plain web server does. The mount is a handle that
//! neither `..` nor a symbolic link leaves.

use std::{fmt::Write, io, io::SeekFrom};

use axum::body::Body;
use cap_std::fs::Dir;
use http::{HeaderMap, Method, Response, StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::efs::Mount;

/// What an Apache httpd says that has nothing to serve yet.
const IT_WORKS: &str = "<html><body><h1>It works!</h1></body></html>\n";

/// What was found at a path.
enum Found {
    File(cap_std::fs::File, u64, String),
    Listing(String),
    /// A directory whose address lacks the slash at the end, which its relative links need.
    Moved(String),
}

/// Answers a request from a task's mount; without one, with the page of a fresh web server.
pub(super) async fn answer(mount: Option<Mount>, method: &Method, path: &str, headers: &HeaderMap) -> Response<Body> {
    if method != Method::GET && method != Method::HEAD {
        return page(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "Only GET and HEAD are allowed.\n".to_owned());
    }
    let Some(mount) = mount else { return page(StatusCode::OK, "text/html", IT_WORKS.to_owned()) };
    let Some(wanted) = decode(path) else {
        return page(StatusCode::BAD_REQUEST, "text/plain", "The path is not valid.\n".to_owned());
    };
    let found = tokio::task::spawn_blocking(move || find(mount.directory(), &wanted)).await;
    let mut answer = match found.unwrap_or_else(|_| Err(io::Error::other("the look-up was cut off"))) {
        Ok(Found::File(file, size, name)) => send(file, size, &name, headers).await,
        Ok(Found::Listing(listing)) => page(StatusCode::OK, "text/html; charset=utf-8", listing),
        Ok(Found::Moved(to)) => moved(&to),
        // A path that would leave the mount is not told from one that is not there.
        Err(_) => page(StatusCode::NOT_FOUND, "text/html", "<html><body><h1>Not Found</h1></body></html>\n".to_owned()),
    };
    if method == Method::HEAD {
        *answer.body_mut() = Body::empty();
    }
    answer
}

/// The path in plain text, without the slash at its beginning. None for what no file can be called.
fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    let inside = !text.contains('\0') && !text.contains('\\') && text.split('/').all(|part| part != "..");
    inside.then(|| text.trim_start_matches('/').to_owned())
}

fn find(root: &Dir, path: &str) -> io::Result<Found> {
    let trimmed = path.trim_end_matches('/');
    let name = if trimmed.is_empty() { "." } else { trimmed };
    let metadata = root.metadata(name)?;
    if metadata.is_file() && path == trimmed {
        return open(root, name);
    }
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotFound.into());
    }
    if !path.is_empty() && path == trimmed {
        return Ok(Found::Moved(format!("/{path}/")));
    }
    let directory = root.open_dir(name)?;
    match directory.metadata("index.html") {
        Ok(index) if index.is_file() => open(&directory, "index.html"),
        _ => Ok(Found::Listing(listing(&directory, path)?)),
    }
}

fn open(directory: &Dir, name: &str) -> io::Result<Found> {
    let file = directory.open(name)?;
    let size = file.metadata()?.len();
    Ok(Found::File(file, size, name.to_owned()))
}

fn listing(directory: &Dir, path: &str) -> io::Result<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in directory.entries()? {
        let entry = entry?;
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    let title = escape(path);
    let mut html = format!("<html><head><title>Index of /{title}</title></head><body><h1>Index of /{title}</h1><ul>\n");
    for name in names {
        let _ = writeln!(html, "<li><a href=\"./{}\">{}</a></li>", link(&name), escape(&name));
    }
    html.push_str("</ul></body></html>\n");
    Ok(html)
}

fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

/// A name as a link holds it.
fn link(name: &str) -> String {
    name.bytes().fold(String::new(), |mut link, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            link.push(char::from(byte));
        } else {
            let _ = write!(link, "%{byte:02X}");
        }
        link
    })
}

async fn send(file: cap_std::fs::File, size: u64, name: &str, headers: &HeaderMap) -> Response<Body> {
    let mut file = tokio::fs::File::from_std(file.into_std());
    let range =
        headers.get(header::RANGE).and_then(|range| range.to_str().ok()).and_then(|range| parse_range(range, size));
    let response = Response::builder()
        .header(header::CONTENT_TYPE, content_type(name))
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CACHE_CONTROL, "no-cache");
    let response = match range {
        None => response.status(StatusCode::OK).header(header::CONTENT_LENGTH, size),
        Some(Err(())) => {
            let response = response.status(StatusCode::RANGE_NOT_SATISFIABLE);
            return built(response.header(header::CONTENT_RANGE, format!("bytes */{size}")), Body::empty());
        }
        Some(Ok((first, last))) => {
            if file.seek(SeekFrom::Start(first)).await.is_err() {
                return page(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "The file can't be read.\n".to_owned());
            }
            let response = response.status(StatusCode::PARTIAL_CONTENT);
            response
                .header(header::CONTENT_LENGTH, last - first + 1)
                .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{size}"))
        }
    };
    let length = range.and_then(Result::ok).map_or(size, |(first, last)| last - first + 1);
    built(response, Body::from_stream(ReaderStream::with_capacity(file.take(length), 64 * 1024)))
}

/// The first and last byte of a single range; None for what is better answered with the whole file.
fn parse_range(range: &str, size: u64) -> Option<Result<(u64, u64), ()>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, size.saturating_sub(1)),
        (Err(_), Ok(length)) if first.is_empty() && length > 0 => (size.saturating_sub(length), size.saturating_sub(1)),
        _ => return None,
    };
    Some(if first < size { Ok((first, last)) } else { Err(()) })
}

fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" | "log" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "json" | "map" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/vnd.microsoft.icon",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        _ => "application/octet-stream",
    }
}

fn moved(to: &str) -> Response<Body> {
    // Without a name at its beginning, `//host/` would lead to another host.
    let location = format!("/{}", link(to.trim_start_matches('/')));
    built(Response::builder().status(StatusCode::MOVED_PERMANENTLY).header(header::LOCATION, location), Body::empty())
}

pub(super) fn page(status: StatusCode, content_type: &str, text: String) -> Response<Body> {
    built(Response::builder().status(status).header(header::CONTENT_TYPE, content_type), Body::from(text))
}

fn built(response: http::response::Builder, body: Body) -> Response<Body> {
    response.body(body).unwrap_or_else(|_| {
        let mut plain = Response::new(Body::empty());
        *plain.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        plain
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_path_climbs_out() {
        for path in ["/..", "/a/../b", "/%2e%2e/x", "/%2E%2E%2fx", "/..%2fx", "/a\\..\\b", "/%00", "/%zz", "/%ff"] {
            assert_eq!(decode(path), None, "{path}");
        }
        assert_eq!(decode("/a%20b/c..d").as_deref(), Some("a b/c..d"));
    }

    #[test]
    fn a_range_is_cut_to_the_file() {
        assert_eq!(parse_range("bytes=2-5", 10), Some(Ok((2, 5))));
        assert_eq!(parse_range("bytes=2-", 10), Some(Ok((2, 9))));
        assert_eq!(parse_range("bytes=-3", 10), Some(Ok((7, 9))));
        assert_eq!(parse_range("bytes=2-99", 10), Some(Ok((2, 9))));
        assert_eq!(parse_range("bytes=10-", 10), Some(Err(())));
        assert_eq!(parse_range("bytes=0-1,4-5", 10), None);
        assert_eq!(parse_range("bytes=0-", 0), Some(Err(())));
    }
}
