//! The messages of one application, each with what it must become.
//!
//! A [`Template`] is a message with two open places: the sender's time and drain token (in the header), and, where
//! its kind has a request id, one UUID in the text. All else is fixed, so that sending is copying. Text and
//! expectation are written side by side by hand; neither is derived from the other.
//!
//! Deliberately absent: malformed messages (weir's own corpora have them), and addresses that belong to the
//! proxies weir knows by name, since `client_ip` would depend on the pipeline's `trusted_proxies`.

mod app;
mod platform;

use crate::rng::Rng;
use crate::stamp::Style;

/// Stands in a template where the event's own UUID goes; in one text at most once.
pub const UUID_SLOT: &str = "00000000-0000-4000-8000-000000000000";

/// Messages kept for one application: shares are exact to a thousandth.
pub const TEMPLATES: usize = 1000;

/// Which share of kinds is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// 70 % application, 20 % router, 6 % metrics, 4 % platform.
    Fair,
    /// 45 % router (2 % of them errors), 20 % metrics, 15 % text, 10 % JSON, 5 % dyno and api, 5 % failures.
    RouterHeavy,
}

impl Mix {
    /// The name on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Mix::Fair => "fair",
            Mix::RouterHeavy => "router-heavy",
        }
    }

    /// The mix of that name.
    pub fn named(name: &str) -> Option<Mix> {
        [Mix::Fair, Mix::RouterHeavy].into_iter().find(|mix| mix.name() == name)
    }

    /// How many of [`TEMPLATES`] are of each class.
    fn shares(self) -> &'static [(Class, usize)] {
        match self {
            Mix::RouterHeavy => &[
                (Class::Router, 441),
                (Class::RouterError, 9),
                (Class::Load, 95),
                (Class::Memory, 85),
                (Class::Postgres, 12),
                (Class::Redis, 8),
                (Class::Text, 126),
                (Class::Colour, 16),
                (Class::Empty, 6),
                (Class::Lines, 2),
                (Class::Json, 100),
                (Class::Dyno, 30),
                (Class::Api, 20),
                (Class::SignInFailure, 25),
                (Class::AppError, 15),
                (Class::DynoError, 10),
            ],
            Mix::Fair => &[
                (Class::Text, 573),
                (Class::Colour, 63),
                (Class::Empty, 30),
                (Class::Lines, 5),
                (Class::Json, 9),
                (Class::SignInFailure, 8),
                (Class::AppError, 12),
                (Class::Router, 196),
                (Class::RouterError, 4),
                (Class::Load, 26),
                (Class::Memory, 26),
                (Class::Postgres, 5),
                (Class::Redis, 3),
                (Class::Dyno, 18),
                (Class::Api, 8),
                (Class::PostgresLog, 8),
                (Class::DynoError, 4),
                (Class::Build, 1),
                (Class::Loss, 1),
            ],
        }
    }
}

/// What a mix is made of; finer than weir's kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A request that went well.
    Router,
    /// A request with an H code.
    RouterError,
    /// Runtime metrics: load.
    Load,
    /// Runtime metrics: memory.
    Memory,
    /// Metrics of a database.
    Postgres,
    /// Metrics of a cache.
    Redis,
    /// One line of text.
    Text,
    /// One line with ANSI colours.
    Colour,
    /// Nothing at all.
    Empty,
    /// Several lines in one message.
    Lines,
    /// A JSON body.
    Json,
    /// A failed sign-in.
    SignInFailure,
    /// Another failure that the application reports.
    AppError,
    /// What the dyno manager does.
    Dyno,
    /// An R code.
    DynoError,
    /// An action of a person or of the scheduler.
    Api,
    /// A database's own log.
    PostgresLog,
    /// A build, in the form of 2012.
    Build,
    /// A loss notice.
    Loss,
}

/// A value that an event's field must have.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text, with [`UUID_SLOT`] standing for the event's UUID.
    Text(String),
    /// A number that is compared by value: `0.30` and `0.3` are equal.
    Number(String),
    /// A number out of a JSON body, whose digits must be kept.
    Digits(String),
    /// A boolean.
    Bool(bool),
    /// JSON as sent, to be kept verbatim: an array of a JSON body.
    Json(String),
    /// Addresses, in order.
    Addresses(Vec<String>),
}

/// One message and what it must become.
#[derive(Clone, Debug)]
pub struct Template {
    /// What it is to the mix.
    pub class: Class,
    pub pri: u8,
    pub source: &'static str,
    pub process: String,
    /// The text as sent, without the final line feed.
    pub text: String,
    /// Whether a line feed follows over HTTPS; a syslog drain always has one.
    pub line_feed: bool,
    pub style: Style,
    pub kind: &'static str,
    pub severity: &'static str,
    /// In no particular order; an event has exactly these.
    pub fields: Vec<(String, Value)>,
}

impl Template {
    fn new(
        class: Class,
        pri: u8,
        source: &'static str,
        process: &str,
        kind: &'static str,
        text: String,
    ) -> Self {
        Template {
            class,
            pri,
            source,
            process: process.to_string(),
            text,
            line_feed: true,
            style: Style::Offset,
            kind,
            severity: "info",
            fields: Vec::new(),
        }
    }

    fn severity(mut self, severity: &'static str) -> Self {
        self.severity = severity;
        self
    }

    fn text_field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_string(), Value::Text(value.into())));
        self
    }

    fn number(mut self, name: &str, value: impl ToString) -> Self {
        self.fields.push((name.to_string(), Value::Number(value.to_string())));
        self
    }

    /// The facility's name; the corpus uses these four only.
    pub fn facility(&self) -> &'static str {
        match self.pri >> 3 {
            5 => "syslog",
            16 => "local0",
            19 => "local3",
            21 => "local5",
            23 => "local7",
            _ => unreachable!("the corpus uses no other facility"),
        }
    }
}

/// What stays the same over the messages of one application.
struct App {
    host: String,
    web: u64,
    dyno_ids: Vec<String>,
    addon: String,
}

/// The messages of application number `app`: exactly [`TEMPLATES`], shares as the mix says.
pub fn templates(seed: u64, app: usize, mix: Mix) -> Vec<Template> {
    let mut rng = Rng::new(seed ^ (app as u64 + 1) << 40);
    let name = rng.pick(app::NOUNS);
    let number = 1000 + rng.below(9000);
    let host = if app.is_multiple_of(3) {
        format!("www.{name}-{number}.example")
    } else {
        format!("{name}-{number}.herokuapp.com")
    };
    let app_id = 10_000_000 + rng.below(190_000_000);
    let web = 2 + rng.below(7);
    let dyno_ids = (0..=web).map(|_| format!("heroku.{app_id}.{}", rng.uuid())).collect();
    let addon = format!("postgresql-{name}-{}", 10_000 + rng.below(90_000));
    let app = App { host, web, dyno_ids, addon };
    let mut all = Vec::with_capacity(TEMPLATES);
    for &(class, count) in mix.shares() {
        for _ in 0..count {
            let mut template = template(&app, class, &mut rng);
            template.style = match rng.below(20) {
                0 => Style::Zulu,
                1 => Style::Short,
                _ => Style::Offset,
            };
            template.line_feed &= !rng.one_in(16);
            all.push(template);
        }
    }
    all
}

fn template(app: &App, class: Class, rng: &mut Rng) -> Template {
    match class {
        Class::Router => platform::router(app, rng),
        Class::RouterError => platform::router_error(app, rng),
        Class::Load => platform::load(app, rng),
        Class::Memory => platform::memory(app, rng),
        Class::Postgres => platform::postgres(app, rng),
        Class::Redis => platform::redis(rng),
        Class::Dyno => platform::dyno(app, rng),
        Class::DynoError => platform::dyno_error(app, rng),
        Class::Api => platform::api(rng),
        Class::PostgresLog => platform::postgres_log(rng),
        Class::Build => platform::build(rng),
        Class::Loss => platform::loss(rng),
        Class::Text => app::text(app, rng),
        Class::Colour => app::colour(app, rng),
        Class::Empty => app::empty(app, rng),
        Class::Lines => app::lines(app, rng),
        Class::Json => app::json(app, rng),
        Class::SignInFailure => app::sign_in_failure(app, rng),
        Class::AppError => app::error(app, rng),
    }
}

const METHODS: &[&str] =
    &["GET", "GET", "GET", "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];

/// An address outside the ranges of the proxies that weir has presets for.
fn address(rng: &mut Rng) -> String {
    if rng.one_in(25) {
        return format!(
            "2a02:8{:02x}:{:x}::{:x}",
            rng.below(256),
            1 + rng.below(65_000),
            16 + rng.below(60_000)
        );
    }
    let first = rng.pick(&[77, 81, 85, 90, 93, 109, 145, 149, 176, 178, 194, 212]);
    format!("{first}.{}.{}.{}", rng.below(256), rng.below(256), 1 + rng.below(254))
}

fn path(rng: &mut Rng) -> String {
    let id = match rng.below(3) {
        0 => rng.below(1000).to_string(),
        1 => rng.below(10_000_000).to_string(),
        _ => format!("{:012x}", rng.bits() >> 16),
    };
    let shape = rng.pick(&[
        "/",
        "/robots.txt",
        "/users/sign_in",
        "/api/v1/users/{}",
        "/api/v1/orders/{}/items",
        "/assets/application-{}.js",
        "/assets/application-{}.css",
        "/products/{}",
        "/search?q=blue+shoes&page={}",
        "/checkout/{}",
        "/healthz",
        "/api/v2/events?since={}&limit=100",
        "/admin/users/{}/edit",
        "/graphql",
        "/webhooks/stripe",
        "/images/thumb/{}.png",
        "/dashboard?tab=activity&user={}",
    ]);
    shape.replace("{}", &id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for mix in [Mix::Fair, Mix::RouterHeavy] {
            assert_eq!(mix.shares().iter().map(|&(_, n)| n).sum::<usize>(), TEMPLATES);
            assert_eq!(Mix::named(mix.name()), Some(mix));
        }
    }

    #[test]
    fn sizes_are_near_the_measured_ones() {
        let mean = |mix, class: &dyn Fn(Class) -> bool| {
            let all = (0..8).flat_map(|app| templates(3, app, mix)).filter(|t| class(t.class));
            let sizes: Vec<usize> = all.map(|t| t.text.len()).collect();
            sizes.iter().sum::<usize>() / sizes.len()
        };
        let app = |c| matches!(c, Class::Text | Class::Colour | Class::Empty | Class::Lines | Class::Json);
        let measured = [
            ("app", mean(Mix::Fair, &app), 128),
            ("router", mean(Mix::RouterHeavy, &|c| c == Class::Router), 236),
            ("load", mean(Mix::RouterHeavy, &|c| c == Class::Load), 136),
            ("memory", mean(Mix::RouterHeavy, &|c| c == Class::Memory), 277),
        ];
        for (name, got, real) in measured {
            assert!(got * 100 > real * 75 && got * 100 < real * 135, "{name}: {got} bytes, real {real}");
        }
    }

    #[test]
    fn a_text_has_one_slot_at_most() {
        for mix in [Mix::Fair, Mix::RouterHeavy] {
            for template in templates(1, 0, mix) {
                assert!(template.text.matches(UUID_SLOT).count() <= 1, "{}", template.text);
            }
        }
    }
}
