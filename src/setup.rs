//! The Heroku commands that make an app drain into a pipeline, as text for a shell.
//!
//! Invariant: no password is printed; a command refers to `$DRAIN_PASSWORD`. Every other line is a comment, so the
//! whole can be piped into a shell.

use crate::config::{Listener, ListenerKind, Pipeline, TlsMode};

/// Stands for the host where none was given.
const HOST: &str = "YOUR_HOST";

/// Returns the commands for `app`; `host` is the name under which Heroku reaches this machine.
pub fn commands(app: &str, host: Option<&str>, pipeline: &Pipeline) -> String {
    let mut out = format!(
        "# Without the debug level and the runtime metrics there is no resource utilization to report.\n\
         heroku config:add LOG_LEVEL=DEBUG -a {app}\n\
         heroku labs:enable log-runtime-metrics -a {app}\n\
         heroku restart -a {app}\n"
    );
    if host.is_none() {
        out.push_str(&format!(
            "\n# Put the name under which Heroku reaches this machine in place of {HOST}, or give --host.\n"
        ));
    }
    out.push_str("\n# One drain is enough; each further one delivers every message once more.\n");
    let mut drains = 0;
    for listener in pipeline.listeners.iter().filter(|listener| listener.enabled) {
        out.push_str(&drain(app, host.unwrap_or(HOST), listener, &mut drains));
    }
    match drains {
        0 => out.push_str("# This pipeline has no listener that Heroku can send to.\n"),
        _ => out.push_str(&format!("\nheroku drains -a {app}\n")),
    }
    out
}

/// Returns the lines of one listener; only the first drain of all is no comment.
fn drain(app: &str, host: &str, listener: &Listener, drains: &mut usize) -> String {
    let port = match listener.bind.port() {
        0 => "PORT".to_string(),
        port => port.to_string(),
    };
    let mut out = format!("# Listener {} ({}", listener.name, listener.kind.as_str());
    out.push_str(&format!(", port {port}):"));
    let url = match (listener.kind, &listener.tls) {
        (ListenerKind::Udp, _) => {
            out.push_str(" Heroku does not send over UDP.\n");
            return out;
        }
        (ListenerKind::Tcp, Some(_)) => format!("syslog+tls://{host}:{port}"),
        (ListenerKind::Tcp, None) => format!("syslog://{host}:{port}"),
        (ListenerKind::Http, _) => format!("https://{}{host}:{port}/?app={app}", login(listener)),
    };
    out.push_str(&format!("{}\n", remark(listener)));
    if listener.bind.ip().is_loopback() {
        out.push_str("# It is bound to loopback, so something in front has to forward to it.\n");
    }
    if listener.bind.port() == 0 {
        out.push_str("# Its port is chosen at the start: put it in place of PORT.\n");
    }
    let comment = if *drains == 0 { "" } else { "# " };
    out.push_str(&format!("{comment}heroku drains:add \"{url}\" -a {app}\n"));
    if let (ListenerKind::Tcp, Some(TlsMode::Sniff)) =
        (listener.kind, listener.tls.as_ref().map(|tls| tls.mode))
    {
        out.push_str(&format!(
            "# heroku drains:add \"syslog://{host}:{port}\" -a {app}    # plain, on the same port\n"
        ));
    }
    *drains += 1;
    out
}

fn login(listener: &Listener) -> String {
    match listener.users.keys().next() {
        Some(user) => format!("{}:$DRAIN_PASSWORD@", percent(user)),
        None => String::new(),
    }
}

fn remark(listener: &Listener) -> &'static str {
    match (listener.kind, listener.tls.is_some(), listener.users.is_empty()) {
        (ListenerKind::Http, false, _) => {
            " acknowledged, so nothing is lost unseen. It has no certificate: end TLS in front of it, at the port of the URL."
        }
        (ListenerKind::Http, true, true) => {
            " acknowledged, so nothing is lost unseen. It has no users: anybody who finds the port may send."
        }
        (ListenerKind::Http, true, false) => " acknowledged, so nothing is lost unseen.",
        (_, true, _) => " encrypted; not acknowledged.",
        (_, false, _) => " neither encrypted nor acknowledged.",
    }
}

/// Writes a user name so that it can stand in a URL and between a shell's double quotes.
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, Text, Tls};

    #[test]
    fn the_built_in_pipeline_gives_the_guides_commands() {
        let text = commands("my-app", Some("logs.example.com"), &Pipeline::default());
        let run: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        let expect = [
            "heroku config:add LOG_LEVEL=DEBUG -a my-app",
            "heroku labs:enable log-runtime-metrics -a my-app",
            "heroku restart -a my-app",
            "heroku drains:add \"syslog://logs.example.com:6514\" -a my-app",
            "heroku drains -a my-app",
        ];
        assert_eq!(run, expect);
        assert!(
            text.contains("# heroku drains:add \"https://logs.example.com:8080/?app=my-app\" -a my-app"),
            "{text}"
        );
        assert!(!text.contains("YOUR_HOST"));
    }

    #[test]
    fn passwords_stay_out() {
        let mut pipeline = Pipeline::default();
        pipeline.listeners.remove(0);
        pipeline.listeners[1].users.insert("a b".into(), Secret::new("hunter2"));
        let text = commands("my-app", None, &pipeline);
        assert!(
            text.contains("\nheroku drains:add \"https://a%20b:$DRAIN_PASSWORD@YOUR_HOST:8080/?app=my-app\""),
            "{text}"
        );
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn a_sniffing_port_takes_both() {
        let mut pipeline = Pipeline::default();
        let (cert, key) = (Text::from("c"), Text::from("k"));
        pipeline.listeners[0].tls = Some(Tls { cert, key, client_ca: None, mode: TlsMode::Sniff });
        let text = commands("my-app", Some("h"), &pipeline);
        assert!(text.contains("\nheroku drains:add \"syslog+tls://h:6514\""), "{text}");
        assert!(text.contains("\n# heroku drains:add \"syslog://h:6514\""), "{text}");
    }
}
