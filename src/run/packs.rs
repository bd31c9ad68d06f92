//! Requests about packs at the admin address, one after the other, on a thread of their own.
//!
//! The thread tries and writes; the main thread has what runs and takes what was written, on the path of every reload.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use hyper::{Method, StatusCode};
use serde_json::{Value as Json, json};

use super::Weir;
use super::reload::Watch;
use crate::catalog::{Catalog, change, tree};
use crate::config::Pipeline;
use crate::pack;
use crate::telemetry::serve::{Answer, Asked};

/// Requests that wait while one is answered.
pub const WAITING_MAX: usize = 16;

/// What the main thread is asked.
pub(super) enum Order {
    /// For what runs.
    Look(Sender<(Pipeline, Arc<Catalog>)>),
    /// To take what is on disk; the reason if it does not.
    Reload(Sender<Result<(), String>>),
}

/// Answers requests until no more can come; returns what the main thread has to obey meanwhile.
pub(super) fn start(asked: Receiver<Asked>) -> io::Result<Receiver<Order>> {
    let (orders, obeyed) = bounded(0);
    crate::flow::spawn("packs".into(), move || {
        while let Ok(asked) = asked.recv() {
            let answer = answer(&asked, &orders);
            // Who asked may have gone.
            let _ = asked.reply.send(answer);
        }
    })?;
    Ok(obeyed)
}

impl Weir {
    pub(super) fn obey(&mut self, order: Order, watch: &mut Watch) {
        // Who asked waits for the answer, unless its thread has ended with the process.
        match order {
            Order::Look(reply) => drop(reply.send((self.pipeline.clone(), self.catalog.clone()))),
            Order::Reload(reply) => drop(reply.send(self.reload(watch.read(&self.pipeline)))),
        }
    }
}

fn refused(status: StatusCode, why: impl Into<String>) -> Answer {
    Answer::text(status, why)
}

fn answer(asked: &Asked, orders: &Sender<Order>) -> Answer {
    let ending = || refused(StatusCode::SERVICE_UNAVAILABLE, "weir is ending\n");
    let (reply, told) = bounded(1);
    if orders.send(Order::Look(reply)).is_err() {
        return ending();
    }
    let Ok((pipeline, catalog)) = told.recv() else { return ending() };
    let mut reload = || {
        let (reply, told) = bounded(1);
        orders.send(Order::Reload(reply)).map_err(|_| "weir is ending\n".to_string())?;
        told.recv().unwrap_or_else(|_| Err("weir is ending\n".into()))
    };
    let segments: Vec<String> = asked.path.split('/').skip(1).map(unescaped).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let is_get = matches!(asked.method, Method::GET | Method::HEAD);
    let done = match (&asked.method, &segments[..]) {
        (_, []) if is_get => return json_of(&tree::list(&catalog)),
        (_, [id]) if is_get => {
            return match tree::show(&catalog, id) {
                Some(shown) => json_of(&shown),
                None => refused(StatusCode::NOT_FOUND, tree::unknown(&catalog, id)),
            };
        }
        (_, [id, "text"]) if is_get => {
            return match catalog.entry(id) {
                Some(entry) => Answer::text(StatusCode::OK, entry.source.text.clone()),
                None => refused(StatusCode::NOT_FOUND, tree::unknown(&catalog, id)),
            };
        }
        (&Method::PUT, [] | [_]) => import(asked, &pipeline, segments.first().copied(), &mut reload),
        (&Method::POST, [id, "rollback"]) => change::roll_back(&pipeline, id, &mut reload),
        (&Method::PATCH, []) => switch(asked, &pipeline, &mut reload),
        (&Method::PATCH, [id] | [id, "alerts", _]) => {
            if catalog.pack(id).is_none() {
                return refused(StatusCode::NOT_FOUND, tree::unknown(&catalog, id));
            }
            let patch = serde_json::from_slice::<Json>(&asked.body).map_err(|error| format!("{error}\n"));
            patch.and_then(|patch| {
                let patch = match &segments[..] {
                    [_, _, alert] => json!({"alerts": {*alert: patch}}),
                    _ => patch,
                };
                change::edit(&pipeline, &json!({*id: patch}), &mut reload)
            })
        }
        _ => {
            let here = "here are GET, PUT and PATCH of /api/v1/packs and /api/v1/packs/ID, GET of \
                        /api/v1/packs/ID/text, PATCH of /api/v1/packs/ID/alerts/NAME, POST of \
                        /api/v1/packs/ID/rollback\n";
            return refused(StatusCode::NOT_FOUND, here);
        }
    };
    match done {
        Ok(json) => json_of(&json),
        Err(why) => refused(StatusCode::UNPROCESSABLE_ENTITY, why),
    }
}

fn json_of(json: &Json) -> Answer {
    Answer::json(json.to_string() + "\n")
}

fn import(
    asked: &Asked,
    pipeline: &Pipeline,
    id: Option<&str>,
    reload: change::Reload<'_>,
) -> Result<Json, String> {
    let name = query(&asked.query, "name").unwrap_or_else(|| "the body".into());
    if let Some(why) = change::vendors(Path::new(&name)) {
        return Err(why + "\n");
    }
    let text = std::str::from_utf8(&asked.body)
        .map_err(|error| format!("{name}: the pack is not UTF-8 at byte {}\n", error.valid_up_to()))?;
    let own = pack::id_of(text);
    if let (Some(id), Some(own)) = (id, &own)
        && id != own
    {
        return Err(format!("{name}: the pack is `{own}`, not `{id}`\n"));
    }
    change::import(pipeline, &name, text, query(&asked.query, "only").as_deref(), reload)
}

fn switch(asked: &Asked, pipeline: &Pipeline, reload: change::Reload<'_>) -> Result<Json, String> {
    let wanted =
        "a body as `{\"ids\": [\"heroku.alert.auth_failure\"], \"mode\": \"on\"}`, mode off, shadow or on\n";
    let body: Json = serde_json::from_slice(&asked.body).map_err(|error| format!("{error}: {wanted}"))?;
    let ids = body["ids"].as_array().into_iter().flatten().map(|id| id.as_str().map(str::to_string));
    let ids = ids.collect::<Option<Vec<String>>>().filter(|ids| !ids.is_empty());
    let mode = body["mode"].as_str().filter(|mode| matches!(*mode, "off" | "shadow" | "on"));
    let (Some(ids), Some(mode)) = (ids, mode) else { return Err(wanted.into()) };
    change::set(pipeline, &ids, mode, reload)
}

/// The value of a key of a query.
fn query(query: &str, key: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == key).map(|(_, value)| unescaped(value)).next()
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => (out.push(byte), rest = &after[2..]).1,
            _ => (out.push(*first), rest = after).1,
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
