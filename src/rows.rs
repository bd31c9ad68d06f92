//! The shard's side of reports: from a matching event to the cells of a row, and to the messages that a join puts together.

use core::fmt::Write;

use crate::batch::Batch;
use crate::encode::Alike;
use crate::event::Value;
use crate::parse::time;
use crate::plan::Plan;
use crate::plan::mask::Masks;
use crate::plan::report::{Cell, What};
use crate::plan::rules::Seen;
use crate::plan::rules::cond::Subject;
use crate::plan::rules::convert::{Number, Type};
use crate::plan::watch::Role;
use crate::redact::Redactor;
use crate::signal::{PieceAt, RowAt, Signals, Word};
use crate::simd::Portable;

/// Stands for the length of a cell that is absent.
const ABSENT: u32 = u32::MAX;

/// Appends a cell, as [`cells`] reads it.
pub fn push_cell(value: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.map_or(ABSENT, |value| value.len() as u32).to_le_bytes());
    out.extend_from_slice(value.unwrap_or_default());
}

/// The cells of a row; `None` is an absent one.
pub fn cells(mut row: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    core::iter::from_fn(move || {
        let (len, rest) = row.split_first_chunk()?;
        match u32::from_le_bytes(*len) {
            ABSENT => {
                row = rest;
                Some(None)
            }
            len => {
                let (value, rest) = rest.split_at_checked(len as usize)?;
                row = rest;
                Some(Some(value))
            }
        }
    })
}

/// What making rows writes to.
#[derive(Default)]
pub struct Rows {
    alike: Alike,
    /// Index of the run that `alike` has turned to.
    turned: Option<u32>,
    text: Vec<u8>,
    row: Vec<u8>,
    redactor: Redactor,
    /// Whether masks look at the event at hand; looked up when it is first asked.
    looked: Option<bool>,
    shown: Vec<u8>,
}

/// An event in its place.
pub struct Place<'a> {
    pub plan: &'a Plan,
    pub batch: &'a Batch,
    /// Index in the batch's runs, and the number that ends the event's id.
    pub id: (u32, u64),
    /// As windows count it.
    pub time_us: i64,
}

impl Rows {
    /// Forgets the batch before.
    pub fn begin(&mut self) {
        self.turned = None;
    }

    /// Appends the rows of an event, and what a join has to know of it.
    pub fn see(&mut self, at: &Place<'_>, seen: &Seen, out: &mut Signals) {
        let (watch, reports) = (&*at.plan.watch, &at.plan.watch.reports);
        self.looked = None;
        let matched = &seen.matched().watches;
        let roles = || matched.iter().filter_map(|index| watch.roles.get(*index as usize));
        let first = out.pieces.len() as u32;
        let joins =
            roles().filter_map(|role| if let Role::Joins { join } = role { Some(*join) } else { None });
        for join in reports.every_join.iter().copied().chain(joins) {
            let edge = |edge: Role| roles().any(|role| *role == edge);
            let (starts, ends) = (edge(Role::Starts { join }), edge(Role::Ends { join }));
            self.row.clear();
            for cell in &reports.joins[join as usize].by {
                self.push(cell, at, seen);
            }
            let key = Word::push(&self.row, &mut out.texts);
            let frame = seen.text(seen.event().frame);
            let frame =
                frame.strip_suffix(b"\n").map_or(frame, |frame| frame.strip_suffix(b"\r").unwrap_or(frame));
            let message = Word::push(seen.text(seen.event().message), &mut out.texts);
            let frame = Word::push(frame, &mut out.texts);
            self.text.clear();
            self.push_id(at);
            let id = Word::push(&self.text, &mut out.texts);
            let origin = at.batch.runs[at.id.0 as usize].origin.clone();
            let received_us = seen.event().received_us;
            let time_us = at.time_us;
            out.pieces.push(PieceAt {
                join,
                key,
                starts,
                ends,
                time_us,
                received_us,
                frame,
                message,
                id,
                origin,
            });
        }
        let piece_of = |join: u32, out: &Signals| {
            let own = out.pieces[first as usize..].iter().position(|piece| piece.join == join)?;
            Some(first + own as u32)
        };
        let rows =
            roles().filter_map(|role| if let Role::Row { report } = role { Some(*report) } else { None });
        for report in reports.every.iter().copied().chain(rows) {
            self.row.clear();
            for cell in &reports.list[report as usize].cells {
                self.push(cell, at, seen);
            }
            let piece = reports.list[report as usize].join.and_then(|join| piece_of(join, out));
            let drain = Word::push(seen.text(seen.event().drain), &mut out.texts);
            let cells = Word::push(&self.row, &mut out.texts);
            out.rows.push(RowAt { report, time_us: at.time_us, drain, cells, piece });
        }
    }

    fn push_id(&mut self, at: &Place<'_>) {
        let (run, last) = at.id;
        if self.turned.replace(run) != Some(run) {
            self.alike.turn_to_run(Portable, at.plan, at.batch, &at.batch.runs[run as usize]);
        }
        self.alike.id(Portable, last, &mut self.text);
    }

    /// Puts what masks leave of the cell's text in its place.
    #[inline(never)]
    fn cover(&mut self, what: &What, masks: &Masks, seen: &Seen) {
        if !matches!(what, What::Slot(_) | What::Number(_) | What::Message)
            || !*self.looked.get_or_insert_with(|| self.redactor.look(masks, seen))
        {
            return;
        }
        let mut shown = core::mem::take(&mut self.shown);
        shown.clear();
        let is_covered = match what {
            What::Message => {
                self.redactor.put_message(masks, seen, &mut shown);
                self.redactor.covers_message()
            }
            What::Slot(slot) | What::Number(slot) => match seen.slot(*slot) {
                (Subject::Field(name), value) => {
                    let is_covered = self.redactor.covers_field(masks, seen, name, value, &self.text);
                    if is_covered {
                        self.redactor.put_covered(masks, &self.text, &mut shown);
                    }
                    is_covered
                }
                _ => false,
            },
            _ => false,
        };
        if is_covered {
            core::mem::swap(&mut self.text, &mut shown);
        }
        self.shown = shown;
    }

    /// Appends a cell of the event to the row at hand.
    fn push(&mut self, cell: &Cell, at: &Place<'_>, seen: &Seen) {
        let event = seen.event();
        self.text.clear();
        let mut any = true;
        match cell.what {
            What::Slot(slot) | What::Computer(slot) => {
                let value = cell.sent.as_ref().and_then(|(key, ty)| sent(seen, slot, key, *ty));
                match value {
                    Some(value) => self.text.extend_from_slice(value),
                    None => {
                        let mut items = 0;
                        seen.each(slot, &mut |item| {
                            if items > 0 {
                                self.text.push(b',');
                            }
                            items += 1;
                            self.text.extend_from_slice(item);
                        });
                        any = items > 0;
                    }
                }
                if !any && matches!(cell.what, What::Computer(_)) {
                    self.text.extend_from_slice(seen.text(event.drain));
                    any = !event.drain.is_empty();
                }
            }
            What::Number(slot) => match seen.number(slot) {
                Some(number) => number.write(&mut self.text),
                None => any = false,
            },
            What::Id => self.push_id(at),
            What::Time => push_time(event.time_us, cell, &mut self.text),
            What::Received => push_time(event.received_us, cell, &mut self.text),
            What::Message => self.text.extend_from_slice(seen.text(event.message)),
            What::Nothing => any = false,
        }
        if any && let Some(masks) = &at.plan.masks {
            self.cover(&cell.what, masks, seen);
        }
        push_cell(any.then_some(&self.text[..]), &mut self.row);
    }
}

fn push_time(us: i64, cell: &Cell, out: &mut Vec<u8>) {
    let at = jiff::Timestamp::from_microsecond(us);
    match (&cell.format, at) {
        (Some((format, zone)), Ok(at)) => {
            let mut text = String::new();
            // The checker has tried the format.
            if write!(text, "{}", at.to_zoned(zone.clone()).strftime(&**format)).is_ok() {
                out.extend_from_slice(text.as_bytes());
            }
        }
        _ => out.extend_from_slice(&time::write(us)),
    }
}

/// The bytes of a field's value as the message has them, without quotes: of several places behind `key` the last one that
/// counts as what the field holds, so that what a client wrote elsewhere into the line cannot stand in for it.
fn sent<'s>(seen: &'s Seen, slot: u16, key: &[u8], ty: Type) -> Option<&'s [u8]> {
    if let Value::Text(span) | Value::List(span) | Value::Raw(span) = seen.value(slot)?
        && !span.is_made()
    {
        return Some(seen.text(span));
    }
    let known = seen.number(slot);
    let message = seen.text(seen.event().message);
    let counts = |value: &[u8]| match known {
        Some(known) => {
            let number = ty.number(value).or_else(|| {
                let digits = value.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
                Number::parse(&value[..digits])
            });
            // Fields of bytes are rounded to whole ones.
            number.is_some_and(|number| (number.billionths() - known.billionths()).abs() < 1_000_000_000)
        }
        None => matches!(value, b"true" | b"false"),
    };
    memchr::memmem::rfind_iter(message, key).find_map(|at| {
        let is_start = at == 0 || message[at - 1].is_ascii_whitespace();
        let value = message[at + key.len()..].strip_prefix(b"=").filter(|_| is_start)?;
        let value = match value.strip_prefix(b"\"") {
            Some(quoted) => &quoted[..memchr::memchr(b'"', quoted)?],
            None => &value[..value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len())],
        };
        counts(value).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_they_were_written() {
        let mut row = Vec::new();
        for cell in [Some(&b"a"[..]), None, Some(b""), Some(&[b'x'; 70_000])] {
            push_cell(cell, &mut row);
        }
        let read: Vec<_> = cells(&row).collect();
        assert_eq!(read[..3], [Some(&b"a"[..]), None, Some(b"")]);
        assert_eq!(read[3].map(<[u8]>::len), Some(70_000));
        // What is cut is not read beyond its end.
        assert_eq!(cells(&row[..row.len() - 1]).count(), 3);
    }
}
