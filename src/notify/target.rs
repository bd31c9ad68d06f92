//! Who is told: one of each URL, topic or file of a notifier.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::http;
use super::lines::Lines;
use super::mail;
use super::queue::Item;
use super::reach::{Failure, Reach};
use super::say;
use crate::config::{Mail, Notifier, NotifierKind, Secret};
use crate::deliver::kafka::topic::Topic;
use crate::limits;

/// One target of a notifier.
pub struct Target {
    /// Name of the notifier.
    pub name: String,
    /// Name of the file in which it keeps what it knows.
    pub file: String,
    /// For a person: the kind, and where.
    pub shown: String,
    /// How often what fires is told again; `None`: once.
    pub resend: Option<Duration>,
    /// Records in one request.
    pub batch: usize,
    way: Way,
}

enum Way {
    Alertmanager(Reach, Duration),
    Webhook(Reach, Option<Secret>),
    Mail(Reach, Box<Mail>),
    Chat(Reach),
    Topic(Box<Topic>),
    Lines(Lines),
}

impl Target {
    /// The targets of a notifier: more than one where several Alertmanagers each get every alert.
    pub fn all(notifier: &Notifier) -> Vec<Target> {
        let name = &notifier.name;
        let one = |shown: &str, batch: usize, way: Way| Target {
            name: name.clone(),
            file: name.clone(),
            shown: format!("{} {shown}", notifier.kind.as_str()),
            resend: None,
            batch,
            way,
        };
        match &notifier.kind {
            NotifierKind::Alertmanager(am) => {
                let each = am.urls.iter().map(|url| {
                    let reach = Reach::new(&url.below("/api/v2/alerts"), &am.allowed);
                    let way = Way::Alertmanager(reach, am.resend);
                    // By the URL, so that another order in the file changes nothing.
                    let which = super::note::number(&format!("{}{}", url.authority(), url.path)) as u32;
                    let file = format!("{name}.{which:08x}");
                    Target { file, resend: Some(am.resend), ..one(url.shown(), limits::NOTIFY_BATCH, way) }
                });
                each.collect()
            }
            NotifierKind::Webhook(hook) => {
                let reach = Reach::new(&hook.url, &hook.allowed);
                vec![one(hook.url.shown(), 1, Way::Webhook(reach, hook.secret.clone()))]
            }
            NotifierKind::Smtp(mail) => {
                let reach = Reach::new(&mail.url, &mail.allowed);
                vec![one(mail.url.shown(), 1, Way::Mail(reach, mail.clone()))]
            }
            NotifierKind::Slack(chat) => {
                vec![one(chat.url.shown(), 1, Way::Chat(Reach::new(&chat.url, &chat.allowed)))]
            }
            NotifierKind::Kafka(kafka) => {
                let way = Way::Topic(Box::new(Topic::new(name, kafka)));
                vec![one(kafka.topic.shown(), 1, way)]
            }
            NotifierKind::File(file) => {
                let way = Way::Lines(Lines::new(file.path.as_path().to_path_buf()));
                vec![one(file.path.shown(), limits::NOTIFY_BATCH, way)]
            }
        }
    }

    /// Tells records, each with whether it is over, until `until` or until `stopped`. Returns what was answered.
    pub async fn tell(
        &mut self,
        items: &[(Arc<Item>, bool)],
        now_us: i64,
        until: Instant,
        stopped: &dyn Fn() -> bool,
    ) -> Result<String, Failure> {
        let Some((first, _)) = items.first() else { return Ok("nothing to tell".into()) };
        match &mut self.way {
            Way::Alertmanager(reach, resend) => {
                let until_us = now_us + 3 * resend.as_micros() as i64 + ROUND_TRIP_US;
                let notes = items.iter().map(|(item, over)| (&item.note, *over));
                http::post(reach, say::alerts(notes, now_us, until_us), None).await
            }
            Way::Webhook(reach, secret) => {
                http::post(reach, first.json.as_bytes().to_vec(), secret.as_ref()).await
            }
            Way::Mail(reach, mail) => mail::send(reach, mail, &first.note).await,
            Way::Chat(reach) => http::post(reach, say::chat(&first.note), None).await,
            Way::Topic(topic) => {
                let key = first.note.key.get("drain").unwrap_or(&first.note.alert);
                match topic.send(&[(key, &first.json)], until, stopped) {
                    Ok(()) => Ok("stored".into()),
                    Err(error) if error.refused => Err(Failure::refused(error.why)),
                    Err(error) => Err(Failure::again(error.why)),
                }
            }
            Way::Lines(lines) => match lines.append(items.iter().map(|(item, _)| &*item.json)) {
                Ok(()) => Ok("written".into()),
                Err(error) => Err(Failure::again(error.to_string())),
            },
        }
    }
}

/// What a request may take on top: three re-sends ahead also where it arrives late.
const ROUND_TRIP_US: i64 = limits::NOTIFY_REQUEST_S as i64 * 1_000_000;
