//! What a request's head says: who sends, as whom, and how the body is packed.
//!
//! Pure. All of it is the client's word: lengths are bounded here, and a token counts only where the listener lets it in.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use subtle::ConstantTimeEq;

use crate::config;
use crate::limits;

/// Bytes of a drain token or user name that is believed.
const TOKEN_BYTES: usize = 256;

/// Why a request is answered 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Password,
    Token,
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Plain,
    Gzip,
    Unknown,
}

/// Names and values.
type Labels = Vec<(Box<str>, Box<str>)>;

/// A request's head, read.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// `Logplex-Drain-Token`, else `?drain=`.
    pub token: Option<Box<str>>,
    pub frame_id: Option<Box<str>>,
    pub messages: Option<u64>,
    /// Query parameters but `drain`, by name.
    pub labels: Labels,
    pub logplex: bool,
    /// Lower case, without parameters.
    pub content_type: String,
    pub coding: Coding,
}

impl Head {
    pub fn read(headers: &HeaderMap, query: Option<&str>) -> Head {
        let (drain, labels) = parameters(query.unwrap_or(""));
        let content_type = text(headers, CONTENT_TYPE.as_str()).unwrap_or("");
        let content_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let is_logplex_agent =
            text(headers, USER_AGENT.as_str()).is_some_and(|agent| agent.starts_with("Logplex/"));
        Head {
            token: text(headers, "logplex-drain-token").and_then(word).or(drain),
            frame_id: text(headers, "logplex-frame-id").and_then(frame_id),
            messages: text(headers, "logplex-msg-count").and_then(|count| count.trim().parse().ok()),
            labels,
            logplex: is_logplex_type(&content_type)
                || is_logplex_agent
                || headers.keys().any(|name| name.as_str().starts_with("logplex-")),
            content_type,
            coding: coding(headers),
        }
    }

    /// Whether the body is octet-counted frames, as the content type says.
    pub fn is_logplex_type(&self) -> bool {
        is_logplex_type(&self.content_type)
    }

    /// The user who signed in, if the listener asks for one; checks the token as well.
    pub fn admit(
        &self,
        headers: &HeaderMap,
        listener: &config::Listener,
    ) -> Result<Option<Box<str>>, Refused> {
        let mut user = None;
        if !listener.users.is_empty() {
            user = Some(sign_in(headers, listener).ok_or(Refused::Password)?);
        }
        let is_let_in = |token: &str| listener.drain_tokens.iter().any(|allowed| allowed.as_str() == token);
        if !listener.drain_tokens.is_empty() && !self.token.as_deref().is_some_and(is_let_in) {
            return Err(Refused::Token);
        }
        Ok(user)
    }
}

/// Logplex's own type, and log-shuttle's.
fn is_logplex_type(content_type: &str) -> bool {
    matches!(content_type, "application/logplex-1" | "application/x-logplex-1")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn word(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= TOKEN_BYTES).then(|| text.into())
}

/// A Frame-Id becomes part of event ids: only what is safe in any output is believed.
fn frame_id(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (!text.is_empty() && text.len() <= limits::FRAME_ID_BYTES && text.bytes().all(is_safe))
        .then(|| text.into())
}

fn coding(headers: &HeaderMap) -> Coding {
    match text(headers, CONTENT_ENCODING.as_str()).map(|coding| coding.trim().to_ascii_lowercase()).as_deref()
    {
        None | Some("" | "identity") => match headers.contains_key(CONTENT_ENCODING) {
            true if text(headers, CONTENT_ENCODING.as_str()).is_none() => Coding::Unknown,
            _ => Coding::Plain,
        },
        Some("gzip" | "x-gzip") => Coding::Gzip,
        Some(_) => Coding::Unknown,
    }
}

//= https://www.rfc-editor.org/rfc/rfc7617#section-2
fn sign_in(headers: &HeaderMap, listener: &config::Listener) -> Option<Box<str>> {
    let (scheme, credentials) = text(headers, AUTHORIZATION.as_str())?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = BASE64_STANDARD.decode(credentials.trim()).ok()?;
    let credentials = std::str::from_utf8(&credentials).ok()?;
    let (user, password) = credentials.split_once(':')?;
    let expected = listener.users.get(user)?;
    bool::from(password.as_bytes().ct_eq(expected.expose().as_bytes())).then(|| user.into())
}

/// `drain`, and the other parameters as labels, sorted by name; of equal names the first counts.
fn parameters(query: &str) -> (Option<Box<str>>, Labels) {
    let mut drain = None;
    let mut labels = Labels::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name), decoded(value));
        if name == "drain" {
            drain = drain.or(word(&value));
        } else if !name.is_empty() && labels.len() < limits::LABELS {
            match labels.binary_search_by(|(known, _)| (**known).cmp(&name)) {
                Ok(_) => {}
                Err(at) => labels.insert(at, (name.into(), value.into())),
            }
        }
    }
    (drain, labels)
}

/// Undoes `%XX` and `+`; what is longer than a label may be is cut.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len().min(limits::LABEL_BYTES));
    let mut at = 0;
    while at < bytes.len() && out.len() < limits::LABEL_BYTES {
        let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let hex = digit(at + 1).zip(digit(at + 2)).map(|(high, low)| (high * 16 + low) as u8);
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    let mut text = String::from_utf8_lossy(&out).into_owned();
    // What replaced invalid bytes may be longer than they were.
    while text.len() > limits::LABEL_BYTES {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{ListenerKind, Secret, Text};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn query_parameters_become_labels() {
        let table: [(&str, Option<&str>, &[(&str, &str)]); 8] = [
            ("", None, &[]),
            ("drain=d.1&app=shop", Some("d.1"), &[("app", "shop")]),
            ("b=2&a=1&b=3", None, &[("a", "1"), ("b", "2")]),
            ("app=my+shop%20%C3%A9", None, &[("app", "my shop é")]),
            ("app=%zz%4", None, &[("app", "%zz%4")]),
            ("app=%+1%-1", None, &[("app", "% 1%-1")]),
            ("app=%ff", None, &[("app", "\u{fffd}")]),
            ("=x&flag&drain=", None, &[("flag", "")]),
        ];
        for (query, drain, labels) in table {
            let head = Head::read(&HeaderMap::new(), Some(query));
            assert_eq!(head.token.as_deref(), drain, "{query}");
            let got: Vec<(&str, &str)> =
                head.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(got, labels, "{query}");
        }
    }

    #[test]
    fn labels_are_bounded() {
        let many: Vec<String> = (0..100).map(|n| format!("k{n:03}={}", "é".repeat(500))).collect();
        let head = Head::read(&HeaderMap::new(), Some(&many.join("&")));
        assert_eq!(head.labels.len(), limits::LABELS);
        assert!(head.labels.iter().all(|(_, value)| value.len() == limits::LABEL_BYTES));
    }

    #[test]
    fn heads_of_senders() {
        let logplex = headers(&[
            ("content-type", "application/logplex-1"),
            ("logplex-msg-count", "3"),
            ("logplex-frame-id", "09C557EAFCFB6CF2740EE62F62971098"),
            ("logplex-drain-token", "d.2"),
            ("user-agent", "Logplex/v72"),
        ]);
        let head = Head::read(&logplex, Some("drain=d.1"));
        assert_eq!(head.token.as_deref(), Some("d.2"));
        assert_eq!(head.frame_id.as_deref(), Some("09C557EAFCFB6CF2740EE62F62971098"));
        assert_eq!((head.messages, head.logplex, head.coding), (Some(3), true, Coding::Plain));

        let shuttle =
            headers(&[("content-type", "application/x-logplex-1; a=b"), ("content-encoding", "GZIP")]);
        let head = Head::read(&shuttle, None);
        assert_eq!(
            (head.logplex, head.coding, &head.content_type[..]),
            (true, Coding::Gzip, "application/x-logplex-1")
        );

        let other = headers(&[("content-type", "Application/JSON"), ("content-encoding", "br")]);
        let head = Head::read(&other, None);
        assert_eq!(
            (head.logplex, head.coding, &head.content_type[..]),
            (false, Coding::Unknown, "application/json")
        );

        for bad in ["", " ", "a b", "a/../b", &"a".repeat(65)] {
            assert_eq!(Head::read(&headers(&[("logplex-frame-id", bad)]), None).frame_id, None, "{bad}");
        }
    }

    #[test]
    fn passwords_and_tokens() {
        let basic = |credentials: &str| format!("Basic {}", BASE64_STANDARD.encode(credentials));
        let mut listener = crate::receive::tests::listener(ListenerKind::Http);
        let head = Head::read(&headers(&[("logplex-drain-token", "d.1")]), None);
        assert_eq!(head.admit(&headers(&[("authorization", &basic("any:one"))]), &listener), Ok(None));

        listener.users = BTreeMap::from([("heroku".into(), Secret::new("a:b"))]);
        let table = [
            (basic("heroku:a:b"), Ok(Some("heroku".into()))),
            (basic("heroku:a:b").replacen("Basic", "bASIC", 1), Ok(Some("heroku".into()))),
            (basic("heroku:a"), Err(Refused::Password)),
            (basic("heroku:"), Err(Refused::Password)),
            (basic("other:a:b"), Err(Refused::Password)),
            ("Bearer abc".into(), Err(Refused::Password)),
            ("Basic %%%".into(), Err(Refused::Password)),
            (String::new(), Err(Refused::Password)),
        ];
        for (value, expected) in table {
            assert_eq!(head.admit(&headers(&[("authorization", &value)]), &listener), expected, "{value}");
        }
        assert_eq!(head.admit(&HeaderMap::new(), &listener), Err(Refused::Password));

        listener.users.clear();
        listener.drain_tokens = vec![Text::plain("d.9")];
        assert_eq!(head.admit(&HeaderMap::new(), &listener), Err(Refused::Token));
        listener.drain_tokens.push(Text::plain("d.1"));
        assert_eq!(head.admit(&HeaderMap::new(), &listener), Ok(None));
        assert_eq!(
            Head::read(&HeaderMap::new(), None).admit(&HeaderMap::new(), &listener),
            Err(Refused::Token)
        );
    }
}
