//! Reads the sinks, each by the table of its kind.

use super::reader::{Fields, Placed, Reader};
use crate::config::check::{Place, Places};
use crate::config::defaults;
use crate::config::node::{Node, Value};
use crate::config::schema::{KAFKA_TLS, KINDS, ROTATE, SAMPLE, SASL, SINK, Section, Shape};
use crate::config::sink::{
    Compress, FileSink, KafkaHeader, KafkaKey, KafkaSink, KafkaTls, Rotate, Sasl, Sink, SinkKind, WhenFull,
};
use crate::config::template::Template;
use crate::config::value::{Secret, Text};
use crate::config::written::{Filter, Sample};
use crate::plan::Format;

pub(super) fn sink(r: &mut Reader<'_>, node: &Node, places: &mut Places) -> Option<Sink> {
    // The kind decides which keys are known, so it is looked at before the rest is read.
    let kind = KINDS.iter().find(|(kind, _)| kind_of(node) == Some(kind));
    let f = match kind {
        Some((_, section)) => r.fields(node, section)?,
        None => r.fields_of_any_kind(node, SINK)?,
    };
    let name = r.name(&f);
    if let Some(Placed { at, value }) = &name {
        places.sink_names.push(Place { at: *at, value: value.to_string(), shown: value.shown().into() });
    }
    let name = name.map_or(String::new(), |name| name.value.to_string());
    let format = match r.choice(&f, "format") {
        "eventtracker" => Format::EventTracker,
        _ => Format::Ndjson,
    };
    let when_full = match r.choice(&f, "when_full") {
        "drop" => WhenFull::Drop,
        _ => WhenFull::Block,
    };
    let filter = filter(r, &f);
    let kind = match r.kind(&f, kind.map(|(kind, _)| *kind)) {
        "file" => SinkKind::File(file(r, &f, places)),
        "kafka" => SinkKind::Kafka(Box::new(kafka(r, &f, &name))),
        "stdout" => SinkKind::Stdout,
        _ => SinkKind::Blackhole,
    };
    Some(Sink { name, format, when_full, filter, kind })
}

fn filter(r: &mut Reader<'_>, f: &Fields<'_>) -> Filter {
    let sample = r.list(f, "sample", |r, node, _| {
        let f = r.fields(node, SAMPLE)?;
        let detect = f.node("detect").and_then(|node| r.written(node));
        let keep = r.text(&f, "keep")?;
        let number =
            |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let one_in = keep.strip_prefix("1/").and_then(number).filter(|n| (1..=1_000_000_000).contains(n));
        if one_in.is_none() {
            let message = format!("`keep` is one in so many, not `{}`", keep.shown());
            r.note(f.value_at("keep"), message, "`1/100`; `1/1` is all");
        }
        Some(Sample { detect: detect?, keep: one_in? })
    });
    Filter { detect: f.node("where").and_then(|node| r.written(node)), sample }
}

/// Returns the kind as written, if a sink has one without variables in it.
fn kind_of(node: &Node) -> Option<&str> {
    let Value::Map(entries) = &node.value else { return None };
    let (_, kind) = entries.iter().find(|(key, _)| key.text == "kind")?;
    match &kind.value {
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

fn file(r: &mut Reader<'_>, f: &Fields<'_>, places: &mut Places) -> FileSink {
    let root = r.text(f, "root").unwrap_or_default();
    if root.is_empty() && f.node("root").is_some() {
        r.note(f.value_at("root"), "`root` is empty", "`.` is the working directory");
    }
    let path = r.template(f, "path", Template::path);
    places.files.push(Place {
        at: f.value_at("path"),
        value: (root.clone(), path.clone()),
        shown: String::new(),
    });
    FileSink {
        root,
        path,
        rotate: f.node("rotate").and_then(|node| rotate(r, node)).unwrap_or(defaults::ROTATE),
        compress: match r.choice(f, "compress") {
            "gzip" => Compress::Gzip,
            "zstd" => Compress::Zstd,
            _ => Compress::None,
        },
    }
}

fn rotate(r: &mut Reader<'_>, node: &Node) -> Option<Rotate> {
    let f = r.fields(node, ROTATE)?;
    Some(Rotate { bytes: r.amount(&f, "bytes"), every: r.duration(&f, "every") })
}

fn kafka(r: &mut Reader<'_>, f: &Fields<'_>, name: &str) -> KafkaSink {
    let brokers = r.list(f, "brokers", |r, node, key| {
        let text = r.scalar(node, key)?;
        let port =
            text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(port)) if port > 0) {
            r.note(
                node.at,
                format!("`{}` is no broker", text.shown()),
                "host and port: `kafka.example.com:9092`",
            );
        }
        Some(text)
    });
    if brokers.is_empty() && f.node("brokers").is_some_and(is_empty) {
        r.note(f.value_at("brokers"), "`brokers` is empty", "example: `brokers: [\"127.0.0.1:9092\"]`");
    }
    KafkaSink {
        brokers,
        topic: r.template(f, "topic", Template::topic),
        key: match r.choice(f, "key") {
            "computer" => KafkaKey::Computer,
            "listener" => KafkaKey::Listener,
            "kind" => KafkaKey::Kind,
            "none" => KafkaKey::None,
            _ => KafkaKey::Drain,
        },
        headers: headers(r, f),
        events_per_message: r.count(f, "events_per_message"),
        options: options(r, f),
        sasl: f.node("sasl").and_then(|node| sasl(r, node)),
        tls: f.node("tls").and_then(|node| kafka_tls(r, node)),
        dead_letters: r
            .text(f, "dead_letters")
            .unwrap_or_else(|| Text::plain(format!("weir-out/dead-letters/{name}.ndjson"))),
    }
}

fn is_empty(node: &Node) -> bool {
    node.is_null() || matches!(&node.value, Value::List(items) if items.is_empty())
}

fn headers(r: &mut Reader<'_>, f: &Fields<'_>) -> Vec<KafkaHeader> {
    let mut seen = Vec::new();
    r.list(f, "headers", |r, node, key| {
        let Shape::List { of: Shape::Choice(words), .. } = key.shape else {
            unreachable!("`headers` is a list of words in the tables")
        };
        let given = Placed { at: node.at, value: r.scalar(node, key)? };
        let header = match r.word(&given, key, words)? {
            "id" => KafkaHeader::Id,
            "kind" => KafkaHeader::Kind,
            _ => KafkaHeader::Schema,
        };
        if seen.contains(&header) {
            r.note(node.at, format!("header `{}` stands twice", given.value.shown()), "leave one out");
        }
        seen.push(header);
        Some(header)
    })
}

/// Options of librdkafka that a key of the sink stands for.
const OPTIONS_WITH_A_KEY: [(&str, &str); 9] = [
    ("bootstrap.servers", "brokers"),
    ("metadata.broker.list", "brokers"),
    ("sasl.mechanism", "sasl"),
    ("sasl.mechanisms", "sasl"),
    ("sasl.username", "sasl"),
    ("sasl.password", "sasl"),
    ("ssl.ca.location", "tls"),
    ("ssl.certificate.location", "tls"),
    ("ssl.key.location", "tls"),
];

fn options(r: &mut Reader<'_>, f: &Fields<'_>) -> std::collections::BTreeMap<String, Secret> {
    let options =
        r.map(f, "options", |r, node, key| r.scalar(node, key).map(|text| Secret::new(text.as_str())));
    let mut out = std::collections::BTreeMap::new();
    for (option, value) in options {
        if let Some((_, key)) = OPTIONS_WITH_A_KEY.iter().find(|(name, _)| *name == option.value)
            && f.node(key).is_some()
        {
            let message = format!("option `{}` and key `{key}` say the same thing", option.value);
            r.note(option.at, message, format!("leave it to `{key}`"));
        }
        out.insert(option.value, value);
    }
    out
}

fn sasl(r: &mut Reader<'_>, node: &Node) -> Option<Sasl> {
    let f = r.fields(node, SASL)?;
    let mechanism = r.choice(&f, "mechanism");
    let username = r.text(&f, "username").unwrap_or_default();
    Some(Sasl { mechanism, username, password: r.secret(&f, "password") })
}

fn kafka_tls(r: &mut Reader<'_>, node: &Node) -> Option<KafkaTls> {
    if node.is_null() {
        return Some(KafkaTls::default());
    }
    let f = r.fields(node, KAFKA_TLS)?;
    let tls = KafkaTls { ca: r.text(&f, "ca"), cert: r.text(&f, "cert"), key: r.text(&f, "key") };
    r.file(&f, "ca", tls.ca.as_ref());
    r.file(&f, "cert", tls.cert.as_ref());
    r.file(&f, "key", tls.key.as_ref());
    if tls.cert.is_some() != tls.key.is_some() {
        r.note(f.at, "`cert` and `key` come together", "give both, or neither");
    }
    Some(tls)
}

impl Reader<'_> {
    /// Takes apart a sink whose kind is missing or wrong: the keys of any kind are known.
    fn fields_of_any_kind<'n>(&mut self, node: &'n Node, section: &'static Section) -> Option<Fields<'n>> {
        self.fields_but(node, section, |name| KINDS.iter().any(|(_, keys)| keys.key(name).is_some()))
    }

    /// Returns the kind found before, or notes what is wrong with it.
    fn kind(&mut self, f: &Fields<'_>, found: Option<&'static str>) -> &'static str {
        if let Some(kind) = found {
            return kind;
        }
        let written = f.node("kind").and_then(|node| match &node.value {
            Value::Scalar { text, .. } => Some(text.as_str()),
            _ => None,
        });
        match written {
            Some("prometheus") => {
                let hint = "`observe` serves /metrics already; remove the sink";
                self.note(f.value_at("kind"), "Prometheus needs no sink", hint);
            }
            Some(text) if text.contains('$') => {
                let hint = "the kind decides which keys are known, so it is written out";
                self.note(f.value_at("kind"), "`kind` of a sink takes no variable", hint);
            }
            _ => drop(self.choice(f, "kind")),
        }
        "blackhole"
    }

    /// Reads a template; notes why it is refused.
    fn template(
        &mut self,
        f: &Fields<'_>,
        name: &str,
        parse: fn(&Text) -> Result<Template, (String, String)>,
    ) -> Template {
        let Some(text) = self.text(f, name) else { return Template::default() };
        parse(&text).unwrap_or_else(|(message, hint)| {
            self.note(f.value_at(name), format!("`{name}`: {message}"), hint);
            Template::default()
        })
    }
}
