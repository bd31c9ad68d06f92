//! Where a notifier sends: the parts of a URL that are needed, and what may be shown of it.
//!
//! Invariant: a path, a query and an environment variable's value are in no `Debug` output: a chat's address is its
//! password.

use std::fmt;

use super::value::Text;

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
    /// Mail without encryption.
    Smtp,
    /// Mail, encrypted after a word in clear (STARTTLS).
    SmtpThenTls,
    /// Mail, encrypted from the first byte.
    Smtps,
}

impl Scheme {
    pub fn is_encrypted(self) -> bool {
        !matches!(self, Scheme::Http | Scheme::Smtp)
    }

    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
            Scheme::Smtp => 25,
            Scheme::SmtpThenTls => 587,
            Scheme::Smtps => 465,
        }
    }
}

/// A target.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    pub scheme: Scheme,
    /// A name or an address without brackets, in lower case.
    pub host: String,
    pub port: u16,
    /// Path and query; begins with `/`. May hold a secret.
    pub path: String,
    shown: String,
}

impl Url {
    /// Reads the address of an HTTP server.
    ///
    /// # Errors
    /// What is wrong, and a hint; neither holds any of the text.
    pub fn http(text: &Text) -> Result<Url, (String, String)> {
        const HINT: &str = "example: `https://example.com/hook`";
        let url = read(text, HINT)?;
        match url.scheme {
            Scheme::Http | Scheme::Https => Ok(url),
            _ => Err(("it is no address of an HTTP server".into(), HINT.into())),
        }
    }

    /// Reads the address of a mail server: `smtp://` is not encrypted, with `?tls=required` after STARTTLS, `smtps://`
    /// from the start.
    ///
    /// # Errors
    /// What is wrong, and a hint; neither holds any of the text.
    pub fn smtp(text: &Text) -> Result<Url, (String, String)> {
        const HINT: &str = "`smtp://mail.example.com?tls=required`, `smtps://mail.example.com`, or `smtp://mail.example.com:25` for plain text";
        let mut url = read(text, HINT)?;
        url.scheme = match (url.scheme, url.path.as_str()) {
            (Scheme::Smtp | Scheme::Smtps, "/") => url.scheme,
            (Scheme::Smtp, "/?tls=required") => {
                if !has_port(text) {
                    url.port = Scheme::SmtpThenTls.default_port();
                }
                Scheme::SmtpThenTls
            }
            _ => return Err(("it is no address of a mail server".into(), HINT.into())),
        };
        Ok(url)
    }

    /// Returns what a message may show: no path, no query, variables by name.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Returns host and port as a request names them: an IPv6 address in brackets, the usual port left out.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port == self.scheme.default_port() {
            true => host,
            false => format!("{host}:{}", self.port),
        }
    }

    /// Returns the URL of another path below this one.
    pub fn below(&self, path: &str) -> Url {
        let base = self.path.split('?').next().unwrap_or_default().trim_end_matches('/');
        Url { path: format!("{base}{path}"), ..self.clone() }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn uri(text: &Text) -> Option<hyper::Uri> {
    text.as_str().parse().ok()
}

fn has_port(text: &Text) -> bool {
    uri(text).is_some_and(|uri| uri.port().is_some())
}

fn read(text: &Text, hint: &str) -> Result<Url, (String, String)> {
    let refused = |why: &str| (why.to_string(), hint.to_string());
    let uri = uri(text).ok_or_else(|| refused("it is no URL"))?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some("smtp") => Scheme::Smtp,
        Some("smtps") => Scheme::Smtps,
        _ => return Err(refused("its scheme is not known")),
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        let hint = "a user and a password do not stand in a URL; a mail server has `username` and `password`";
        return Err(("it holds a user name".into(), hint.into()));
    }
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
    let port = uri.port().map_or(Some(scheme.default_port()), |port| Some(port.as_u16()).filter(|p| *p > 0));
    let (false, Some(port)) = (host.is_empty(), port) else { return Err(refused("it names no host")) };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
    let shown = match text.shown() == text.as_str() {
        true => format!(
            "{}://{}",
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map_or("", |a| a.as_str())
        ),
        false => without_path(text.shown()).to_string(),
    };
    Ok(Url { scheme, host, port, path, shown })
}

/// Cuts a URL with variables in it where its path begins.
fn without_path(written: &str) -> &str {
    let from = written.find("://").map_or(0, |at| at + 3);
    let end = written[from..].find(['/', '?', '#']).map_or(written.len(), |at| from + at);
    &written[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, want) in [
            ("http://127.0.0.1:9093", Some((Scheme::Http, "127.0.0.1", 9093, "/"))),
            ("https://Example.com", Some((Scheme::Https, "example.com", 443, "/"))),
            ("https://h/a/b?c=d#e", Some((Scheme::Https, "h", 443, "/a/b?c=d"))),
            ("https://h?c=d", Some((Scheme::Https, "h", 443, "/?c=d"))),
            ("http://[::1]:80/x", Some((Scheme::Http, "::1", 80, "/x"))),
            ("http://u:p@h/", None),
            ("http://h:0/", None),
            ("http://", None),
            ("ftp://h/", None),
            ("smtp://h/", None),
            ("h:80", None),
            ("http://h/\r\nX: y", None),
            ("http://h/a b", None),
        ] {
            let url = Url::http(&text.into());
            let got = url.as_ref().map(|url| (url.scheme, url.host.as_str(), url.port, url.path.as_str()));
            assert_eq!(got.ok(), want, "{text}");
        }
        for (text, want) in [
            ("smtp://h", Some((Scheme::Smtp, 25))),
            ("smtp://h:2525/", Some((Scheme::Smtp, 2525))),
            ("smtp://h?tls=required", Some((Scheme::SmtpThenTls, 587))),
            ("smtp://h:25?tls=required", Some((Scheme::SmtpThenTls, 25))),
            ("smtps://h", Some((Scheme::Smtps, 465))),
            ("smtps://h?tls=required", None),
            ("smtp://h?tls=maybe", None),
            ("https://h", None),
        ] {
            let url = Url::smtp(&text.into());
            assert_eq!(url.map(|url| (url.scheme, url.port)).ok(), want, "{text}");
        }
    }

    #[test]
    fn what_is_shown_has_no_path_and_no_value() {
        let url = Url::http(&"https://hooks.example.com/services/T0/B0/s3cret?k=s3cret".into()).unwrap();
        assert_eq!(format!("{url:?}"), "https://hooks.example.com");
        let text = Text::interpolated("https://h/s3cret".into(), "${URL}".into());
        assert_eq!(format!("{:?}", Url::http(&text).unwrap()), "${URL}");
        let text = Text::interpolated("https://h/s3cret/x".into(), "https://${H}/s3cret/${X}".into());
        assert_eq!(format!("{:?}", Url::http(&text).unwrap()), "https://${H}");
    }

    #[test]
    fn paths_and_authorities() {
        let url = Url::http(&"http://[::1]:9093/am/?x".into()).unwrap();
        assert_eq!((url.authority().as_str(), url.below("/api").path.as_str()), ("[::1]:9093", "/am/api"));
        let url = Url::http(&"https://h".into()).unwrap();
        assert_eq!((url.authority().as_str(), url.below("/api").path.as_str()), ("h", "/api"));
    }
}
