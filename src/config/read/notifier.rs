//! Reads the notifiers, each by the table of its kind.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::reader::{Fields, Placed, Reader};
use super::sink::{cluster, kind_of};
use crate::config::check::{Place, Places};
use crate::config::node::{At, Node, Value};
use crate::config::notifier::{
    Alertmanager, Allowed, KafkaTopic, LinesFile, Mail, Notifier, NotifierKind, SignIn, Slack, Webhook,
};
use crate::config::schema::{NOTIFIER, NOTIFIER_KINDS};
use crate::config::template::{Part, Template};
use crate::config::url::{Scheme, Url};
use crate::config::value::{Secret, Text};

type ReadUrl = fn(&Text) -> Result<Url, (String, String)>;

pub(super) fn notifier(r: &mut Reader<'_>, node: &Node, places: &mut Places) -> Option<Notifier> {
    let kind = NOTIFIER_KINDS.iter().find(|(kind, _)| kind_of(node) == Some(kind));
    let f = match kind {
        Some((_, section)) => r.fields(node, section)?,
        None => {
            let of_some_kind = |name: &str| NOTIFIER_KINDS.iter().any(|(_, keys)| keys.key(name).is_some());
            r.fields_but(node, NOTIFIER, of_some_kind)?
        }
    };
    let name = r.name(&f);
    if let Some(Placed { at, value }) = &name {
        places.notifier_names.push(Place { at: *at, value: value.to_string(), shown: value.shown().into() });
    }
    let kind = match kind.map(|(kind, _)| *kind) {
        Some("alertmanager") => NotifierKind::Alertmanager(alertmanager(r, &f)?),
        Some("webhook") => NotifierKind::Webhook(webhook(r, &f)?),
        Some("smtp") => NotifierKind::Smtp(Box::new(mail(r, &f)?)),
        Some("slack") => {
            let allowed = allowed(r, &f);
            NotifierKind::Slack(Slack { url: url(r, &f, Url::http, &allowed)?, allowed })
        }
        Some("kafka") => NotifierKind::Kafka(Box::new(kafka(r, &f))),
        Some("file") => NotifierKind::File(file(r, &f)),
        _ => {
            match kind_of(node) {
                Some(text) if text.contains('$') => {
                    let hint = "the kind decides which keys are known, so it is written out";
                    r.note(f.value_at("kind"), "`kind` of a notifier takes no variable", hint);
                }
                _ => drop(r.choice(&f, "kind")),
            }
            return None;
        }
    };
    Some(Notifier { name: name?.value.to_string(), kind })
}

fn alertmanager(r: &mut Reader<'_>, f: &Fields<'_>) -> Option<Alertmanager> {
    let allowed = allowed(r, f);
    let mut urls: Vec<Url> = Vec::new();
    r.list(f, "urls", |r, node, key| {
        let text = r.scalar(node, key)?;
        let url = checked(r, node.at, "urls", &text, Url::http, &allowed)?;
        if urls.contains(&url) {
            r.note(node.at, "a URL stands twice in `urls`", "leave one out");
        }
        urls.push(url);
        Some(())
    });
    if f.node("urls").is_some_and(is_empty) {
        r.note(
            f.value_at("urls"),
            "`urls` is empty",
            "example: `urls: [\"https://alertmanager.example.com\"]`",
        );
    }
    Some(Alertmanager { urls, resend: r.duration(f, "resend").unwrap_or_default(), allowed })
}

fn webhook(r: &mut Reader<'_>, f: &Fields<'_>) -> Option<Webhook> {
    let allowed = allowed(r, f);
    let secret = r.text(f, "secret");
    if secret.as_ref().is_some_and(|secret| secret.is_empty()) {
        r.note(f.value_at("secret"), "`secret` is empty", "is its environment variable empty?");
    }
    let secret = secret.map(|secret| Secret::new(secret.as_str()));
    Some(Webhook { url: url(r, f, Url::http, &allowed)?, secret, allowed })
}

fn mail(r: &mut Reader<'_>, f: &Fields<'_>) -> Option<Mail> {
    let allowed = allowed(r, f);
    let url = url(r, f, Url::smtp, &allowed);
    let from = r.text(f, "from");
    if let Some(from) = &from {
        mailbox(r, f.value_at("from"), from);
    }
    let to = r.list(f, "to", |r, node, key| {
        let text = r.scalar(node, key)?;
        mailbox(r, node.at, &text);
        Some(text)
    });
    if f.node("to").is_some_and(is_empty) {
        r.note(f.value_at("to"), "`to` is empty", "example: `to: [oncall@example.com]`");
    }
    let sign_in = match (r.text(f, "username"), r.text(f, "password")) {
        (None, None) => None,
        (Some(username), Some(password)) => {
            if password.is_empty() {
                r.note(f.value_at("password"), "the password is empty", "is its environment variable empty?");
            }
            Some(SignIn { username, password: Secret::new(password.as_str()) })
        }
        _ => {
            r.note(f.at, "`username` and `password` come together", "give both, or neither");
            None
        }
    };
    let url = url?;
    if sign_in.is_some() && url.scheme == Scheme::Smtp {
        let hint = "`smtp://HOST?tls=required`, or `smtps://HOST`";
        r.note(f.key_at("username"), "the password would be sent in plain text", hint);
    }
    Some(Mail { url, from: from?, to, sign_in, allowed })
}

fn mailbox(r: &mut Reader<'_>, at: At, text: &Text) {
    if text.parse::<lettre::message::Mailbox>().is_err() {
        r.note(at, format!("`{}` is no mail address", text.shown()), "example: `weir <weir@example.com>`");
    }
}

fn kafka(r: &mut Reader<'_>, f: &Fields<'_>) -> KafkaTopic {
    let topic = r.text(f, "topic").unwrap_or_default();
    let fixed = |template: Template| template.parts().iter().all(|part| matches!(part, Part::Literal(_)));
    if f.node("topic").is_some() && !Template::topic(&topic).is_ok_and(fixed) {
        let message = format!("`{}` is no topic", topic.shown());
        r.note(f.value_at("topic"), message, "letters, digits, `.`, `_` and `-`: `weir.alerts`");
    }
    KafkaTopic { cluster: cluster(r, f), topic }
}

fn file(r: &mut Reader<'_>, f: &Fields<'_>) -> LinesFile {
    let path = r.text(f, "path").unwrap_or_default();
    if path.is_empty() && f.node("path").is_some() {
        r.note(f.value_at("path"), "`path` is empty", "example: `path: weir-out/alerts.ndjson`");
    }
    LinesFile { path }
}

/// Reads `allow_private`: networks and addresses, and host names as written in a URL.
fn allowed(r: &mut Reader<'_>, f: &Fields<'_>) -> Allowed {
    let mut allowed = Allowed::default();
    r.list(f, "allow_private", |r, node, key| {
        let text = r.scalar(node, key)?;
        let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if let Ok(network) = text.parse::<IpNet>() {
            allowed.networks.push(network.trunc());
        } else if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            allowed.networks.push(IpNet::from(address));
        } else if !text.is_empty() && text.chars().all(host) {
            allowed.hosts.push(text.to_ascii_lowercase());
        } else {
            let message = format!("`{}` is no host, address or network", text.shown());
            r.note(
                node.at,
                message,
                "example: `allow_private: [\"127.0.0.1\", 10.0.0.0/8, alerts.internal]`",
            );
        }
        Some(())
    });
    allowed
}

fn url(r: &mut Reader<'_>, f: &Fields<'_>, read: ReadUrl, allowed: &Allowed) -> Option<Url> {
    let text = r.text(f, "url")?;
    checked(r, f.value_at("url"), "url", &text, read, allowed)
}

/// Reads a URL; notes also where it can be seen already that it will not be reached.
fn checked(
    r: &mut Reader<'_>,
    at: At,
    key: &str,
    text: &Text,
    read: ReadUrl,
    allowed: &Allowed,
) -> Option<Url> {
    let url = match read(text) {
        Ok(url) => url,
        Err((message, hint)) => {
            r.note(at, format!("`{key}`: {message}"), hint);
            return None;
        }
    };
    let address = match url.host.as_str() {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host => host.parse().ok(),
    };
    if let Some(address) = address.filter(|address| !allowed.permits(&url.host, *address)) {
        let hint = match text.shown() == text.as_str() {
            true => format!("`allow_private: [\"{address}\"]` allows it"),
            false => "`allow_private` names those that are meant".to_string(),
        };
        r.note(at, format!("`{key}` leads to an address that is not public"), hint);
    }
    Some(url)
}

fn is_empty(node: &Node) -> bool {
    node.is_null() || matches!(&node.value, Value::List(items) if items.is_empty())
}
