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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::tests::read;

    fn check(kind: KindId, cases: &[(&str, Option<Severity>, &str)]) {
        for (text, severity, expected) in cases {
            let (told, shown) = read(text, |text, row| fields(kind, text, row));
            assert_eq!((told, &*shown), (*severity, *expected), "{text}");
        }
    }

    #[test]
    fn codes_and_loss_notices() {
        let (warning, error, critical) =
            (Some(Severity::Warning), Some(Severity::Error), Some(Severity::Critical));
        check(
            heroku::ERROR_CODE,
            &[
                (
                    "Error R14 (Memory quota exceeded)",
                    critical,
                    "code: 'R14', title: 'Memory quota exceeded'",
                ),
                (
                    "Error R10 (Boot timeout) -> Web process failed to bind -> twice",
                    critical,
                    "code: 'R10', title: 'Boot timeout', detail: 'Web process failed to bind -> twice'",
                ),
                ("Error R77 (New)", error, "code: 'R77', title: 'New'"),
                ("Error L15 -> x", warning, "code: 'L15', detail: 'x'"),
                (
                    "Error L11 (Tail buffer overflow) -> This tail session dropped 500 messages",
                    warning,
                    "code: 'L11', title: 'Tail buffer overflow', detail: 'This tail session dropped 500 messages'",
                ),
                ("Error R14 (never closed", critical, "code: 'R14'"),
                ("Error L", None, ""),
                ("Err", None, ""),
            ],
        );
        check(
            heroku::UPSTREAM_LOSS,
            &[
                (
                    "Error L10 (output buffer overflow): 302626 messages dropped since 2017-08-28T08:07:27+00:00.",
                    warning,
                    "code: 'L10', title: 'output buffer overflow', lost: 302626",
                ),
                (
                    "Error L13: 111 messages lost since 2013-11-04T21:31:32.125756+00:00.",
                    critical,
                    "code: 'L13', lost: 111",
                ),
                ("Error L12: no messages, 1 message", warning, "code: 'L12', lost: 1"),
            ],
        );
    }

    #[test]
    fn what_dynos_do() {
        let error = Some(Severity::Error);
        check(
            heroku::DYNO_STATE,
            &[
                (
                    "State changed from starting to crashed",
                    error,
                    "from_state: 'starting', to_state: 'crashed'",
                ),
                (
                    "State changed from crashed to starting",
                    None,
                    "from_state: 'crashed', to_state: 'starting'",
                ),
                ("State changed from up", None, "from_state: 'up'"),
                ("State changed", None, ""),
            ],
        );
        check(
            heroku::DYNO_EXIT,
            &[
                ("Process exited", None, ""),
                ("Process exited with status 0", None, "exit_status: 0"),
                ("Process exited with status 137", None, "exit_status: 137"),
                ("Process exited with status 143", None, "exit_status: 143"),
                ("Process exited with status 1", error, "exit_status: 1"),
                ("Process exited with status x", None, ""),
            ],
        );
        check(
            heroku::DYNO_MEMORY,
            &[
                ("Process running mem=870M(170.1%)", None, "memory_mb: 870, memory_percent: 170.1"),
                ("Process running mem=528MB(103.3%)", None, "memory_mb: 528, memory_percent: 103.3"),
                ("Process running mem=1G(1%)", None, "memory_percent: 1"),
                ("Process running mem=5M", None, "memory_mb: 5"),
                ("Process running mem=%(", None, ""),
                ("Process running mem=", None, ""),
            ],
        );
        check(heroku::DYNO_LIFECYCLE, &[("Stopping all processes with SIGTERM", None, "")]);
    }

    #[test]
    fn commands_and_their_users() {
        let cases = [
            ("Starting process with command `bash` by user a@b.c", "command: 'bash', user: 'a@b.c'"),
            ("Starting process with command `bash` by a@b.c", "command: 'bash', user: 'a@b.c'"),
            ("Starting process with command: `bash`", "command: 'bash'"),
            ("Starting process with command `target/start Web `", "command: 'target/start Web '"),
            (
                "Starting process with command `a `b` $X && \"c\"` by user u",
                "command: 'a `b` $X && \"c\"', user: 'u'",
            ),
            (
                "Starting process with command `echo by user x` by user u",
                "command: 'echo by user x', user: 'u'",
            ),
            ("Starting process with command `sh -c 'if x; then", "command: 'sh -c 'if x; then'"),
            ("Starting process with command `sh -c 'a by user b", "command: 'sh -c 'a by user b'"),
            ("Starting process with command `x=`date`; then", "command: 'x=`date`; then'"),
            ("fi'` by user dev@example.com", "user: 'dev@example.com'"),
            ("  echo `date`", ""),
            ("Starting process with command ``", ""),
            (
                "Set LANG, RAILS_ENV config vars by developer@example.com",
                "command: 'Set LANG, RAILS_ENV config vars', user: 'developer@example.com'",
            ),
            ("Release v9 created by user <myemail>", "command: 'Release v9 created', user: '<myemail>'"),
            ("Set BY by user u", "command: 'Set BY', user: 'u'"),
            ("Release by x by user u\n", "command: 'Release by x', user: 'u'"),
            ("Build failed -- check your build output: https://example.com", ""),
            ("Written by a b", ""),
            ("Build succeeded", ""),
            (" by user ", ""),
            (" by u", "user: 'u'"),
        ];
        check(heroku::API, &cases.map(|(text, expected)| (text, None, expected)));
        check(heroku::DYNO_START, &cases.map(|(text, expected)| (text, None, expected)));
    }
}
