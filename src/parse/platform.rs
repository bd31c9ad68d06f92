//! Lines of the platform itself: codes and loss notices, dyno states, exits and memory, commands and their users.

use memchr::{memchr, memmem, memrchr};

use super::heroku;
use super::logfmt::number_after;
use super::text::{Row, Text, digits, is_blank};
use crate::event::{KindId, Severity, Value};

/// Appends the fields of a platform line of this kind; returns the severity that they tell.
pub(super) fn fields(kind: KindId, text: Text, row: &mut Row) -> Option<Severity> {
    match kind {
        heroku::ERROR_CODE | heroku::UPSTREAM_LOSS => code(kind, text, row),
        heroku::DYNO_STATE => state(text, row),
        heroku::DYNO_EXIT => exit(text, row),
        heroku::DYNO_MEMORY => {
            memory(text, row);
            None
        }
        heroku::API | heroku::DYNO_START => {
            command(text, row);
            None
        }
        _ => None,
    }
}

/// `Error CODE (title)[ -> detail]`.
fn code(kind: KindId, text: Text, row: &mut Row) -> Option<Severity> {
    let rest = text.from("Error ".len().min(text.len()));
    let code = rest.part(0, heroku::code_at(rest.bytes, b"RL")?.len());
    row.text(heroku::CODE, code);
    let mut rest = rest.from(code.len());
    if rest.bytes.starts_with(b" (")
        && let Some(close) = memchr(b')', rest.bytes)
    {
        row.text(heroku::TITLE, rest.part(2, close));
        rest = rest.from(close + 1);
    }
    if let Some(arrow) = memmem::find(rest.bytes, b" -> ") {
        row.text(heroku::DETAIL, rest.from(arrow + 4));
    }
    if kind == heroku::UPSTREAM_LOSS
        && let Some(lost) = lost(text.bytes)
    {
        row.push(heroku::LOST, Value::Int(lost));
    }
    heroku::code_level(code.bytes)
}

/// How many messages a loss notice says are lost.
pub(super) fn lost(text: &[u8]) -> Option<u64> {
    memmem::find_iter(text, b" message").find_map(|end| {
        let count = text[..end].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        digits(&text[end - count..end])
    })
}

/// `State changed from A to B`.
fn state(text: Text, row: &mut Row) -> Option<Severity> {
    let rest =
        text.bytes.strip_prefix(b"State changed from ").map(|rest| text.from(text.len() - rest.len()))?;
    let from = rest.word();
    let to = rest.bytes[from.len()..].strip_prefix(b" to ").map(|to| rest.from(rest.len() - to.len()).word());
    row.text(heroku::FROM_STATE, from);
    let to = to?;
    row.text(heroku::TO_STATE, to);
    (to.bytes == b"crashed").then_some(Severity::Error)
}

/// Exit statuses that are no failure: success, and the two of a process that was told to stop.
const EXITS_AS_TOLD: [u64; 3] = [0, 137, 143];

/// `Process exited[ with status N]`.
fn exit(text: Text, row: &mut Row) -> Option<Severity> {
    let status = number_after(text, b"Process exited with status ")?;
    row.push(heroku::EXIT_STATUS, Value::Int(status));
    (!EXITS_AS_TOLD.contains(&status)).then_some(Severity::Error)
}

/// `Process running mem=870M(170.1%)`.
fn memory(text: Text, row: &mut Row) {
    let rest = text.from("Process running mem=".len().min(text.len()));
    let size = rest.until(b'(');
    let unit = size.bytes.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    if matches!(&size.bytes[size.len() - unit..], b"M" | b"MB") {
        row.number(heroku::MEMORY_MB, size.part(0, size.len() - unit));
    }
    if let Some(percent) = memchr(b'%', rest.bytes).filter(|percent| *percent > size.len()) {
        row.number(heroku::MEMORY_PERCENT, rest.part(size.len() + 1, percent));
    }
}

/// Where a back quote opens a command: behind one of these.
const OPENINGS: [&[u8]; 2] = [b"with command `", b"with command: `"];

/// The command and the user of a line that somebody's action made.
fn command(text: Text, row: &mut Row) {
    let opening = OPENINGS
        .iter()
        .filter_map(|opening| memmem::find(text.bytes, opening).map(|at| at + opening.len()))
        .min();
    let Some(opening) = opening else {
        if let Some((end, user)) = signed(text, memmem::rfind(text.bytes, b" by ")) {
            // A line that only closes a back quote is the end of a command that another line began.
            if text.bytes[..end].last() != Some(&b'`') {
                row.text(heroku::COMMAND, text.part(0, end));
            }
            row.text(heroku::USER, user);
        }
        return;
    };
    let rest = text.from(opening);
    let Some(close) = memrchr(b'`', rest.bytes) else {
        row.text(heroku::COMMAND, rest);
        return;
    };
    let behind = &rest.bytes[close + 1..];
    if behind.starts_with(b" by ") {
        row.text(heroku::COMMAND, rest.part(0, close));
        if let Some((_, user)) = signed(rest, Some(close + 1)) {
            row.text(heroku::USER, user);
        }
    } else if behind.iter().all(|byte| is_blank(*byte)) {
        row.text(heroku::COMMAND, rest.part(0, close));
    } else {
        row.text(heroku::COMMAND, rest);
    }
}

/// Whoever signs with ` by user U` or ` by U`, `at` where that begins: one word, and the last of the text.
fn signed<'a>(text: Text<'a>, at: Option<usize>) -> Option<(usize, Text<'a>)> {
    let at = at?;
    let rest = text.from(at + " by ".len());
    let rest = if rest.bytes.starts_with(b"user ") { rest.from("user ".len()) } else { rest };
    let user = rest.word();
    let ends = rest.bytes[user.len()..].iter().all(|byte| is_blank(*byte));
    (user.len() > 0 && ends).then_some((at, user))
}
