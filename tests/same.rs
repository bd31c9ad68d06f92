//! The quick way of reading a frame and the general way say the same, with vectors and without.
//!
//! Frames are the handed-over cases, the load generator's two mixes in both forms, and thousands of random changes of
//! both: bytes replaced, taken out, doubled, lines cut and joined. Each lies in a batch between others, so that a look
//! beyond its end sees bytes of a neighbour. What is compared is all that an event says, as text, never its spans.

#[path = "../benches/batches/mod.rs"]
mod batches;
#[path = "fuzz/shown.rs"]
mod shown;

use std::sync::Arc;

use base64::Engine;
use jiff::tz::TimeZone;
use weir::batch::{Batch, Form, Identity, ListenerId, Origin, Run};
use weir::limits;
use weir::parse::times::Times;
use weir::parse::{self, Scratch, syslog};
use weir::plan::Plan;
use weir::simd::{self, Level};
use weir_load::corpus::Mix;
use weir_load::generator::{self, Generator, Load};
use weir_load::rng::Rng;
use weir_load::stamp::Stamp;

use shown::{Quick, shown};

fn origin(logplex: bool, form: Form) -> Arc<Origin> {
    Arc::new(Origin {
        listener: ListenerId(0),
        peer: None,
        peer_name: None,
        token: logplex.then(|| "d.of-the-request".into()),
        user: None,
        labels: Vec::new(),
        logplex,
        form,
    })
}

/// Reads every frame in each way.
struct Comparison {
    plans: Vec<Plan>,
    scratches: [Scratch; 2],
    times: Times,
    frames: u64,
}

impl Comparison {
    fn new() -> Comparison {
        let mut trusting = batches::plan(None);
        trusting.trusted = vec!["149.0.0.0/8".parse().unwrap(), "172.68.0.0/16".parse().unwrap()];
        let plans = vec![batches::plan(None), trusting];
        Comparison { plans, scratches: Default::default(), times: Times::new(Level::best()), frames: 0 }
    }

    fn check(&mut self, frames: &[Vec<u8>]) {
        let mut rest = frames;
        while !rest.is_empty() {
            let mut batch = Batch::new(limits::BATCH_BYTES);
            batch.received_us = 1_795_341_084_901_122;
            let mut taken = 0;
            for frame in rest {
                if frame.len() > batch.room() {
                    break;
                }
                let at = batch.append(frame);
                batch.push_frame(at, frame.len(), taken % 7 == 3);
                taken += 1;
                if batch.room() < 20_000 {
                    break;
                }
            }
            rest = &rest[taken.max(1)..];
            let turn = self.frames as usize;
            let form = if turn.is_multiple_of(5) { Form::SyslogOrTail } else { Form::Syslog };
            batch.close_run(&origin(turn.is_multiple_of(3), form), Identity::Batch);
            self.batch(turn % 2, &batch);
        }
    }

    fn batch(&mut self, plan: usize, batch: &Batch) {
        let plan = &self.plans[plan];
        let run: &Run = &batch.runs[0];
        for &frame in &batch.frames {
            let [general, quick] = &mut self.scratches;
            let event = parse::event(plan, batch, run, frame, general);
            let padded = &batch.padded()[frame.at as usize..];
            let header = syslog::header(batch.bytes(), frame.span(), false, 0, &TimeZone::UTC);
            let time = self.times.of(padded, frame.len as usize, false, 0, &TimeZone::UTC);
            assert_eq!(time, header.and_then(|header| header.time_us));
            for (level, read) in [(Level::Portable, true), (Level::best(), true), (Level::best(), false)] {
                quick.fields_read = read;
                let found = simd::dispatch(level, Quick { plan, batch, frame, scratch: quick });
                assert_eq!(
                    shown(&found, quick, batch, read),
                    shown(&event, general, batch, read),
                    "{}, read {read}: {:?}",
                    level.name(),
                    batch.bytes()[frame.span().start()..frame.span().end()].escape_ascii().to_string()
                );
            }
            self.frames += 1;
        }
    }
}

/// The messages of the handed-over cases, less their counts.
fn cases() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for line in include_str!("cases/heroku_frames.jsonl").lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(case["b64"].as_str().unwrap()).unwrap();
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let rest =
            if digits > 0 && bytes.get(digits) == Some(&b' ') { &bytes[digits + 1..] } else { &bytes[..] };
        if !rest.is_empty() {
            all.push(rest.to_vec());
        }
    }
    assert!(all.len() > 20, "the cases were not read");
    all
}

/// Frames of the load generator, less their counts.
fn generated(count: u64) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for mix in [Mix::RouterHeavy, Mix::Fair] {
        for form in [generator::Form::Syslog, generator::Form::Https] {
            let load = Load::new(11, mix, form, 1_795_341_084_000_000, 4, None, 30_000);
            let (generator, mut stamp) = (Generator::new(load), Stamp::default());
            for n in 0..count {
                let mut frame = Vec::new();
                generator.frame((n % 4) as u32, n / 4, &mut stamp, &mut frame);
                let count = frame.iter().position(|&byte| byte == b' ').unwrap() + 1;
                all.push(frame.split_off(count));
            }
        }
    }
    all
}

/// Lines as old as the router, and others that the generator does not write.
fn rare() -> Vec<Vec<u8>> {
    let head =
        "<158>1 2026-11-22T09:51:24.537546+00:00 d.5a8fd083-0972-4e18-b912-94dc2d099dac heroku router - - ";
    let app = "<190>1 2026-11-22T09:51:24.537546+00:00 host app web.1 - ";
    let tail = "dyno=web.1 queue=0 wait=1ms connect=0ms service=4ms status=503 bytes=0 protocol=https tls=true tls_version=tls1.3";
    let routers = [
        format!(
            "at=error code=H12 desc=\"Request timeout\" method=GET path=\"/\" host=a.b request_id=r fwd=\"1.2.3.4\" {tail}"
        ),
        format!(
            "at=error code=H31 desc=\"x\" method=GET path=\"/\" host=a.b fwd=\"1.2.3.4\" {tail} agent=\"y\""
        ),
        format!("at=info method=GET path=\"/a b\" host=a fwd=\"1.2.3.4, 5.6.7.8\" {tail}"),
        format!("at=info method=GET path=\"/a\" host=a fwd=\"1.2.3.4 fwd=5.6.7.8\" {tail}"),
        format!("at=info method=GET path=\"/a\" host=a fwd=\"1.2.3.4 agent=5.6.7.8\" {tail}"),
        format!("at=info method=GET path=\"/a\" host=a fwd=\"01.2.3.4\" {tail}"),
        format!("at=info method=GET path=\"/a\" host=a fwd=\"1.2.3.256,1.2.3\" {tail}"),
        format!("at=info method=GET path=\"/a\" host=a fwd=\"unknown, 172.68.1.2\" {tail} "),
        format!("at=info method= path=\"\" host= fwd=\"\" {tail}"),
        "at=info method=GET path=\"/\" host=a fwd=\"1.2.3.4\" dyno= connect= service=ms status= bytes="
            .into(),
        "at=info method=GET path=\"/\" host=a fwd=\"1.2.3.4\" status=007 bytes=123456789012345678".into(),
        "at=info method=GET path=\"/\" host=a fwd=\"1.2.3.4\" dyn".into(),
        "at=info method=GET path=\"/\" host=a fwd=\"1.2.3.4\" bytes".into(),
        "at=info method=GET path=\"/\" host=a fwd=\"1.2.3.4\"".into(),
        "at=info method=GET path=\"/".into(),
        "at=info".into(),
        "at=".into(),
    ];
    let texts = [
        "INFO a",
        "ERR",
        "ER",
        "1 2 3 4 5 ERROR",
        "1 2 3 4 ERROR",
        "a  b  c  d  e FATAL",
        " {\"a\":1}",
        " {",
        "x level=error",
        "I, [x",
        "level=warn",
        "",
        " ",
        "{\"level\":\"warn\",\"lvl\":\"error\"}",
        "{\"level\":\"warn\",\"level\":null,\"lvl\":\"error\"}",
        "{\"level\":\"warn\",\"level\":{\"level\":\"error\"}}",
        "{\"level\":\"warn\",\"level\":[1]}",
        "{\"level\":50 , \"a\": [1, {\"b\": -0.5e3}, [], {}] } ",
        "{\"level\":\"odd\",\"severity\":true,\"a\":\"x FATAL\"}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":01}",
        "{\"a\":tru}",
        "{\"a\":1}}",
        "{\"a\":1",
        "{\"a\":\"b}",
        "{}",
        "{} x }",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaERRORaa-WARN",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-ERR-",
    ];
    let mut all: Vec<String> = routers.iter().map(|line| format!("{head}{line}")).collect();
    all.extend(routers.iter().map(|line| format!("{head}{line}\n")));
    all.extend(texts.iter().flat_map(|text| [format!("{app}{text}"), format!("{app}{text}\r\n")]));
    all.push(format!(
        "{}{}",
        app.replace("web.1", "heroku-redis"),
        "source=REDIS addon=r sample#hit-rate=0.5 sample#memory-redis=1.5bytes"
    ));
    all.push(format!(
        "{}{}",
        app.replace("web.1", "heroku-postgres"),
        "source=true addon=r sample#tables=01 sample#tables=1"
    ));
    all.into_iter().map(String::into_bytes).collect()
}

/// A changed copy of one of `frames`.
fn changed(frames: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    const BYTES: &[u8] = b" \"=\\\n\r\t{}[]<>,.:#-_&%01a9AEfdms\x00\x1b\x7f\x80\xc3\xff";
    let pick = |rng: &mut Rng| &frames[rng.below(frames.len() as u64) as usize];
    let mut frame = pick(rng).clone();
    for _ in 0..1 + rng.below(4) {
        if frame.is_empty() {
            break;
        }
        let at = rng.below(frame.len() as u64) as usize;
        match rng.below(8) {
            0..=2 => frame[at] = rng.pick(BYTES),
            3 => frame.insert(at, rng.pick(BYTES)),
            4 => _ = frame.remove(at),
            5 => {
                let to = (at + 1 + rng.below(24) as usize).min(frame.len());
                let part = frame[at..to].to_vec();
                if rng.one_in(2) {
                    frame.splice(at..at, part);
                } else {
                    frame.drain(at..to);
                }
            }
            6 => frame.truncate(at),
            _ => {
                // From one blank of the one to one blank of the other.
                let other = pick(rng);
                let from = rng.below(other.len() as u64) as usize;
                let blank =
                    |text: &[u8], at: usize| at + text[at..].iter().position(|&b| b == b' ').unwrap_or(0);
                let (cut, from) = (blank(&frame, at), blank(other, from));
                frame.truncate(cut);
                frame.extend_from_slice(&other[from..]);
            }
        }
    }
    frame
}

#[test]
fn usual_and_rare_lines_read_the_same_both_ways() {
    let mut comparison = Comparison::new();
    comparison.check(&cases());
    comparison.check(&rare());
    comparison.check(&generated(2000));
    assert!(comparison.frames > 8000);
}

#[test]
fn changed_lines_read_the_same_both_ways() {
    let mut comparison = Comparison::new();
    let pools = [generated(500), [cases(), rare(), rare()].concat()];
    let mut rng = Rng::new(1);
    for _ in 0..40 {
        for pool in &pools {
            let frames: Vec<_> =
                (0..500).map(|_| changed(pool, &mut rng)).filter(|frame| !frame.is_empty()).collect();
            comparison.check(&frames);
        }
    }
    assert!(comparison.frames > 35_000);
}
