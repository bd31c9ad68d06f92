//! One POST over one connection: no redirect is followed, little of the answer is read.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;

use super::reach::{Failure, Reach};
use crate::config::Secret;

/// Bytes of an answer that a message shows.
const SHOWN_BYTES: usize = 200;

/// Posts JSON; a secret signs it. Returns what was answered.
pub async fn post(reach: &Reach, body: Vec<u8>, secret: Option<&Secret>) -> Result<String, Failure> {
    let stream = TokioIo::new(reach.connect().await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(|error| Failure::again(format!("no HTTP: {error}")))?;
    // It ends with the request, or is dropped with it.
    let connection = Dropped(tokio::spawn(connection));
    let request = request(reach, body, secret)?;
    let answer =
        sender.send_request(request).await.map_err(|error| Failure::again(format!("no answer: {error}")))?;
    let judged = judge(reach, answer).await;
    drop(connection);
    judged
}

/// A task that ends when it is dropped.
struct Dropped<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Dropped<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn request(reach: &Reach, body: Vec<u8>, secret: Option<&Secret>) -> Result<Request<Full<Bytes>>, Failure> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(reach.url.path.as_str())
        .header(HOST, reach.url.authority())
        .header(USER_AGENT, concat!("weir/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(secret) = secret {
        request = request.header("X-Weir-Signature", signature(secret, &body));
    }
    request.body(Full::new(Bytes::from(body))).map_err(|_| Failure::refused("the URL makes no request"))
}

/// The value of `X-Weir-Signature`.
fn signature(secret: &Secret, body: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.expose().as_bytes());
    let tag = ring::hmac::sign(&key, body);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

async fn judge(reach: &Reach, answer: Response<Incoming>) -> Result<String, Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(format!("answered {}", status.as_u16()));
    }
    if status.is_redirection() {
        return Err(Failure::again(format!("answered {}: redirects are not followed", status.as_u16())));
    }
    let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let said = shown(reach, &text(answer).await);
    let why = match said.is_empty() {
        true => format!("answered {}", status.as_u16()),
        false => format!("answered {}: {said}", status.as_u16()),
    };
    // These are about the record itself; anything else may be set right at the target.
    let again = !matches!(status.as_u16(), 400 | 413 | 422);
    Err(Failure { why, again, after: after.map(Duration::from_secs) })
}

/// The begin of an answer's body.
async fn text(answer: Response<Incoming>) -> Vec<u8> {
    let mut body = answer.into_body();
    let mut text = Vec::new();
    while text.len() < SHOWN_BYTES * 4 {
        let Some(Ok(frame)) = body.frame().await else { break };
        text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    text
}

/// An answer on one line, without the path that may be a password.
fn shown(reach: &Reach, text: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(text).into_owned();
    for part in reach.url.path.split(['/', '?', '&', '=']).filter(|part| part.len() >= 4) {
        text = text.replace(part, "***");
    }
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().chars().take(SHOWN_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // Test case 2 of RFC 4231.
        let secret = Secret::new("Jefe");
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature(&secret, b"what do ya want for nothing?"), expected);
    }
}
