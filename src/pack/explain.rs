//! Why a line is what it is: every test of a condition, true or false, and what each part of the event held.

use serde_json::Value as Json;

use super::compile::For;
use super::probe::{Probe, Seen};
use super::{CompileError, Pack, compile};
use crate::ledger::Ledger;
use crate::ledger::record::KeyValue;
use crate::ledger::window::Reading;
use crate::outcome::Outcome;
use crate::parse::time;
use crate::plan::rules::cond::{Compare, Cond, Glob, How, Op, Subject, Test};
use crate::plan::rules::convert::{Number, Type};
use crate::plan::rules::plain::{Parts, holds, test_holds};
use crate::plan::watch::Form;
use crate::shard::Shard;

/// Literals of a test that are shown.
const LITERALS_SHOWN: usize = 6;
/// Bytes of a value that are shown.
const VALUE_SHOWN: usize = 120;

/// Explains one line; `only` is the id of an alert, category or knowledge object, bare or whole. `with` are frames that came
/// before it: then windows are told as far as they were.
///
/// # Errors
/// Packs that do not go together. An id that nothing has is answered by a text that says so.
pub fn explain(
    packs: &[Pack],
    line: &[u8],
    received_us: i64,
    only: Option<&str>,
    with: &[Vec<u8>],
) -> Result<String, CompileError> {
    let compiled = compile::compile_with(packs, &[], For::Explaining)?;
    let types: Vec<(String, Type)> =
        packs.iter().flat_map(|pack| &pack.fields).map(|field| (field.name.to_string(), field.ty)).collect();
    let mut probe = Probe::new(compiled, types, true).knowing(packs);
    let program = probe.program().clone();
    let seen = probe.see(line, received_us);
    let mut out = String::new();
    event(&mut out, &seen, &program);
    let wanted = |pack: &Pack, kind: &str, id: &str| match only {
        Some(only) => only == id || only == format!("{}.{kind}.{id}", pack.id),
        None => kind == "alert",
    };
    let windows = if with.is_empty() { Vec::new() } else { windows(packs, line, with)? };
    let mut any = false;
    for pack in packs {
        let all = pack
            .objects
            .iter()
            .flat_map(|object| object.rules.iter().map(move |rule| ("knowledge", &object.id, &rule.when)))
            .chain(pack.categories.iter().map(|category| ("category", &category.id, &category.when)))
            .chain(pack.alerts.iter().map(|alert| ("alert", &alert.id, &alert.when)));
        for (kind, id, when) in all.filter(|(kind, id, _)| wanted(pack, kind, id)) {
            any = true;
            let matches = holds(when, &seen.parts);
            let word = if matches { "matches" } else { "does not match" };
            out.push_str(&format!("\n{}.{kind}.{id}: {word}\n", pack.id));
            tree(&mut out, when, &seen.parts, 1);
            let own = windows.iter().filter(|(alert, _)| *alert == format!("{}.{kind}.{id}", pack.id));
            own.for_each(|(_, text)| out.push_str(text));
        }
    }
    if let (Some(only), false) = (only, any) {
        out.push_str(&format!("\nno alert, category or knowledge object is called `{only}`\n"));
    }
    Ok(out)
}

/// How far the windows are that the line belongs to, behind the frames that came before it: alert and text.
fn windows(packs: &[Pack], line: &[u8], before: &[Vec<u8>]) -> Result<Vec<(String, String)>, CompileError> {
    let mut all = packs.to_vec();
    all.iter_mut().flat_map(|pack| &mut pack.alerts).for_each(|alert| alert.mode = "on".into());
    let mut probe =
        Probe::new(compile::compile_with(&all, &[], For::Tests)?, Vec::new(), true).knowing(packs);
    let plan = probe.plan().clone();
    let (mut shard, mut ledger, mut outcome) =
        (Shard::default(), Ledger::new(plan.clone()), Outcome::default());
    let mut time_of = |frame: &[u8]| {
        let seen = probe.see(frame, 0);
        seen.json["time"].as_str().and_then(|time| time::rfc3339(time.as_bytes())).unwrap_or(0)
    };
    let until = time_of(line);
    // What is later is not known yet, and the line itself may be among the frames.
    let mut frames: Vec<(i64, &[u8])> = before.iter().map(|frame| (time_of(frame), &frame[..])).collect();
    let itself = frames.iter().rposition(|(_, frame)| *frame == line);
    itself.map(|at| frames.remove(at));
    frames.retain(|(time, _)| *time <= until);
    frames.push((until, line));
    let mut now = 0;
    for ((time, frame), number) in frames.into_iter().zip(1..) {
        now = now.max(time);
        shard.process(&plan, &probe.batch(frame, number, now), &mut outcome);
        ledger.apply(&outcome);
    }
    let Some(signals) = &outcome.signals else { return Ok(Vec::new()) };
    let readings = ledger.alerts().readings(signals).into_iter();
    let text =
        |(index, key, reading, (from, to)): (usize, Vec<(Box<str>, KeyValue)>, Reading, (i64, i64))| {
            let alert = &plan.watch.alerts[index];
            let number = |number: Number| {
                let mut out = Vec::new();
                number.write(&mut out);
                String::from_utf8_lossy(&out).into_owned()
            };
            let steps = match &alert.form {
                Form::AllOf(steps) => Some(u64::from(*steps)),
                Form::Sequence(steps) => Some(steps.iter().filter(|negated| !**negated).count() as u64),
                _ => None,
            };
            let bound =
                alert.bound.map(|bound| bound.to).or(steps.map(Number::of)).map_or("-".into(), number);
            let keys: Vec<String> =
                key.iter().map(|(name, value)| format!("{name} {}", value.shown())).collect();
            let verdict = if reading.holds { "holds" } else { "does not hold" };
            let value = number(reading.value);
            let stamp = |us: i64| String::from_utf8_lossy(&time::write(us)).into_owned();
            let (from, to) = (stamp(from), stamp(to));
            let text = format!(
                "  {value} of {bound} in the window {from} to {to}, which {verdict}: {}\n",
                keys.join(", ")
            );
            (alert.about.alert.to_string(), text)
        };
    Ok(readings.map(text).collect())
}

/// What the event is, and where its fields come from.
fn event(out: &mut String, seen: &Seen<'_>, program: &crate::plan::rules::Program) {
    let word = |key: &str| seen.json[key].as_str().unwrap_or("-").to_string();
    for key in ["time", "drain", "hostname", "source", "process", "kind", "severity"] {
        out.push_str(&format!("{key:<12} {}\n", word(key)));
    }
    let flags: Vec<&str> =
        seen.json["flags"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    if !flags.is_empty() {
        out.push_str(&format!("{:<12} {}\n", "flags", flags.join(", ")));
    }
    let categories: Vec<&str> =
        seen.json["categories"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    out.push_str(&format!(
        "{:<12} {}\n",
        "categories",
        if categories.is_empty() { "-".into() } else { categories.join(", ") }
    ));
    let objects: Vec<&str> =
        seen.matched.objects.iter().map(|(object, _)| &*program.objects()[*object as usize]).collect();
    out.push_str(&format!(
        "{:<12} {}\n",
        "objects",
        if objects.is_empty() { "-".into() } else { objects.join(", ") }
    ));
    for (subject, _, values) in &seen.parts.parts {
        let Subject::Field(name) = subject else { continue };
        let from = match seen.writers.iter().find(|(field, _)| **field == **name) {
            Some((_, object)) => object.as_str(),
            None => "the parser",
        };
        let hidden = if seen.json["fields"].get(&**name).is_some() { "" } else { ", not in the output" };
        let attribution = program.slot(subject).and_then(|slot| program.attribution(slot));
        let credit = attribution.map_or(String::new(), |attribution| format!("; {attribution}"));
        out.push_str(&format!("  {name} = {}   ({from}{hidden}{credit})\n", shown(values)));
    }
}

fn tree(out: &mut String, cond: &Cond, parts: &Parts, depth: usize) {
    let mark = if holds(cond, parts) { "true " } else { "false" };
    let indent = "  ".repeat(depth);
    match cond {
        Cond::All(all) | Cond::Any(all) => {
            let word = if matches!(cond, Cond::All(_)) { "all of" } else { "any of" };
            let nothing = if all.is_empty() { " nothing" } else { "" };
            out.push_str(&format!("{indent}{mark} {word}{nothing}\n"));
            all.iter().for_each(|part| tree(out, part, parts, depth + 1));
        }
        Cond::Not(inner) => {
            out.push_str(&format!("{indent}{mark} not\n"));
            tree(out, inner, parts, depth + 1);
        }
        Cond::Test(test) => {
            out.push_str(&format!("{indent}{mark} {}", describe(test)));
            if !test_holds(test, parts) {
                let found = parts.parts.iter().find(|(subject, ..)| *subject == test.subject);
                match (found, parts.get(&test.subject)) {
                    (None, _) => out.push_str("   (absent)"),
                    (Some((.., sent)), []) => {
                        out.push_str(&format!("   (counts as absent: {} does not convert)", shown(sent)));
                    }
                    (_, values) if test.subject != Subject::Text => {
                        out.push_str(&format!("   (is {})", shown(values)))
                    }
                    _ => {}
                }
            }
            out.push('\n');
        }
    }
}

fn shown(values: &[Vec<u8>]) -> String {
    let one = |value: &Vec<u8>| {
        let text = String::from_utf8_lossy(value);
        let cut: String = text.chars().take(VALUE_SHOWN).collect();
        let rest = if cut.len() < text.len() { "…" } else { "" };
        format!("`{}{rest}`", cut.escape_debug())
    };
    values.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Describes a test in words.
pub(super) fn describe(test: &Test) -> String {
    let name = subject(&test.subject);
    let literals = |any: &[Box<[u8]>]| {
        let mut texts: Vec<String> = any
            .iter()
            .take(LITERALS_SHOWN)
            .map(|one| format!("`{}`", String::from_utf8_lossy(one)))
            .collect();
        if any.len() > LITERALS_SHOWN {
            texts.push(format!("{} more", any.len() - LITERALS_SHOWN));
        }
        texts.join(" or ")
    };
    match &test.op {
        Op::Exists => format!("{name} exists"),
        Op::Text { how, cased, any } => {
            let how = match how {
                How::Equals => "is",
                How::Contains => "contains",
                How::Starts => "starts with",
                How::Ends => "ends with",
            };
            format!("{name} {how} {}{}", literals(any), if *cased { " in this case" } else { "" })
        }
        Op::Glob { pattern, cased } => {
            let text: String = pattern
                .iter()
                .map(|piece| match piece {
                    Glob::Literal(literal) => String::from_utf8_lossy(literal).into_owned(),
                    Glob::Many => "*".into(),
                    Glob::One => "?".into(),
                })
                .collect();
            format!("{name} is like `{text}`{}", if *cased { " in this case" } else { "" })
        }
        Op::Regex(pattern) => format!("{name} matches `{pattern}`"),
        Op::Number(compare, number) => {
            let compare = match compare {
                Compare::Equal => "=",
                Compare::Less => "<",
                Compare::LessOrEqual => "<=",
                Compare::Greater => ">",
                Compare::GreaterOrEqual => ">=",
            };
            let mut text = Vec::new();
            number.write(&mut text);
            format!("{name} {compare} {}", String::from_utf8_lossy(&text))
        }
        Op::Network(network) => format!("{name} is in {network}"),
        Op::Same(other) => format!("{name} equals {}", subject(other)),
    }
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Text => "message".into(),
        Subject::Key(key) => key.name().into(),
        Subject::Label(name) => format!("labels.{name}"),
        Subject::Field(name) => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::pack::{built_in, explain};

    #[test]
    fn explain_shows_each_test() {
        let packs = [built_in("heroku").unwrap()];
        let line = b"<190>1 2026-01-01T00:00:00Z d.x app web.1 - - job failed";
        let text = explain::explain(&packs, line, 0, Some("auth_failure"), &[]).unwrap();
        for part in [
            "kind         app\n",
            "categories   heroku.category.application\n",
            "heroku.alert.auth_failure: does not match\n",
            "      true  kind is `app` or `postgres_log`\n",
            "      false status = 401   (absent)\n",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let router =
            b"<158>1 2026-01-01T00:00:00Z d.x heroku router - - at=info method=GET path=\"/\" host=a.example.com \
            request_id=b8f6e0f5-0f3c-4c1a-9d0a-1c1f1a2b3c4d fwd=\"193.0.6.139\" dyno=web.1 connect=0ms service=201ms \
            status=200 bytes=1 protocol=https";
        let text = explain::explain(&packs, router, 0, None, &[]).unwrap();
        let country = "  client_country = `NL`   (worked out, not in the output; IP Geolocation by DB-IP (https://db-ip.com))\n";
        assert!(text.contains(country), "{text}");
        let json = br#"<190>1 2026-01-01T00:00:00Z d.x app web.1 - - {"status":"abc"}"#;
        let text = explain::explain(&packs, json, 0, Some("heroku.alert.auth_failure"), &[]).unwrap();
        assert!(text.contains("false status = 401   (counts as absent: `abc` does not convert)"), "{text}");
        assert!(explain::explain(&packs, line, 0, Some("x"), &[]).unwrap().contains("is called `x`"));
    }
}
