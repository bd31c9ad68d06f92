//! Redaction: an event as sinks may show it.
//!
//! Masks find places in the message; what was extracted from there is covered with it, and a field that is masked is covered
//! in the message too. What is covered is made anew in the arena, so offsets of all else stay. The event itself, by which
//! conditions, keys and lookups go, is left as it is.

use memchr::memmem;

use crate::event::{Event, Field, Name, Span, Texts, Value};
use crate::parse::{heroku, sd};
use crate::plan::mask::{MaskScratch, Masks, Region, merge};
use crate::plan::rules::cond::Subject;
use crate::plan::rules::{RulesScratch, Seen, SlotId, json_at, without_colours};
use crate::tally::Tally;

/// What redaction writes to, and what it made of the last event.
#[derive(Default)]
pub struct Redactor {
    scratch: MaskScratch,
    /// Of the masks, those that look at the event at hand.
    active: Vec<usize>,
    /// Places in the message.
    regions: Vec<Region>,
    /// Places in another text.
    others: Vec<Region>,
    fields: Vec<Field>,
    /// The message without colours, where it has any.
    plain: Vec<u8>,
    /// Of the event that was looked at last.
    has_colours: bool,
    /// Values that are covered because of their field, one behind the other, with their ends and masks.
    values: Vec<u8>,
    ends: Vec<(usize, usize)>,
    text: Vec<u8>,
    out: Vec<u8>,
}

/// An event and where its texts are.
struct Source<'a> {
    event: &'a Event,
    batch: &'a [u8],
    fields: &'a [Field],
}

impl Redactor {
    /// The fields of the last event that was covered, as they may be shown.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// An event as it may be shown; `None` if nothing of it is masked. Covered texts go to the end of `made`, covered places
    /// are counted by mask. `rules` is what the program found of the event.
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "the pieces of one loop over a batch")]
    pub fn shown(
        &mut self,
        masks: &Masks,
        rules: &RulesScratch,
        event: &Event,
        fields: &[Field],
        batch: &[u8],
        made: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Option<Event> {
        if !self.choose(masks, rules) {
            return None;
        }
        let source = Source { event, batch, fields };
        let has_colours = self.look_at_message(masks, rules, &source, made);
        tally.redacted.turn_to(masks.names());
        for region in &self.regions {
            tally.redacted.add(region.mask.into(), 1);
        }
        let mut shown = *event;
        let mut any = self.cover_fields(masks, &source, made, has_colours, tally);
        if !event.sd.is_empty()
            && let Some(covered) = self.cover_data(masks, &source, made, tally)
        {
            (shown.sd, any) = (covered, true);
        }
        if !self.regions.is_empty() {
            self.text.clear();
            let raw = Texts { batch, made }.get(event.message);
            self.text.extend_from_slice(if has_colours { &self.plain } else { raw });
            let start = made.len();
            masks.write(&self.text, &self.regions, made);
            (shown.message, any) = (Span::made(start, made.len()), true);
        }
        self.cover_frame(masks, &source, &mut shown, made, tally, any).then_some(shown)
    }

    /// Looks at an event of which parts are to be shown by themselves; returns whether any mask looks at it.
    #[inline(never)]
    pub fn look(&mut self, masks: &Masks, seen: &Seen) -> bool {
        if !self.choose(masks, seen.scratch()) {
            return false;
        }
        let texts = seen.texts();
        let source = Source { event: seen.event(), batch: texts.batch, fields: seen.fields() };
        self.has_colours = self.look_at_message(masks, seen.scratch(), &source, texts.made);
        true
    }

    /// Appends the message of the event that was looked at, as it may be shown.
    pub fn put_message(&self, masks: &Masks, seen: &Seen, out: &mut Vec<u8>) {
        let raw = seen.text(seen.event().message);
        match (self.regions.is_empty(), self.has_colours) {
            (true, _) => out.extend_from_slice(raw),
            (false, true) => masks.write(&self.plain, &self.regions, out),
            (false, false) => masks.write(raw, &self.regions, out),
        }
    }

    /// Whether masks cover any of that message.
    pub fn covers_message(&self) -> bool {
        !self.regions.is_empty()
    }

    /// Whether masks cover any of a field of the event that was looked at: of `text`, which is how the value is shown.
    pub fn covers_field(
        &mut self,
        masks: &Masks,
        seen: &Seen,
        name: &str,
        value: Option<Value>,
        text: &[u8],
    ) -> bool {
        let texts = seen.texts();
        let source = Source { event: seen.event(), batch: texts.batch, fields: seen.fields() };
        let span = match value {
            Some(Value::Text(span) | Value::Raw(span)) if texts.get(span) == text => Some(span),
            _ => None,
        };
        self.find_in(masks, &source, span, text, name.as_bytes(), self.has_colours);
        !self.others.is_empty()
            || self.was_read_from_covered(&source, text, name.as_bytes(), self.has_colours, texts.made)
    }

    /// Appends what stands for the text of a slot where groups have to stay apart, if masks cover any of it; returns whether
    /// they do. `looked` says whether masks look at the event, once that is known.
    pub fn stands_in(
        &mut self,
        masks: &Masks,
        seen: &Seen,
        slot: SlotId,
        text: &[u8],
        looked: &mut Option<bool>,
        out: &mut Vec<u8>,
    ) -> bool {
        let (subject, value) = seen.slot(slot);
        if !matches!(subject, Subject::Text | Subject::Field(_))
            || !*looked.get_or_insert_with(|| self.look(masks, seen))
        {
            return false;
        }
        let is_covered = match subject {
            Subject::Field(name) => self.covers_field(masks, seen, name, value, text),
            _ => self.covers_message(),
        };
        if is_covered {
            masks.stand_in(text, out);
        }
        is_covered
    }

    /// Appends the text that [`Redactor::covers_field`] looked at last, as it may be shown.
    pub fn put_covered(&self, masks: &Masks, text: &[u8], out: &mut Vec<u8>) {
        masks.write(text, &self.others, out);
    }

    /// Picks the masks that look at an event; returns whether there are any.
    fn choose(&mut self, masks: &Masks, rules: &RulesScratch) -> bool {
        let holds = |select: Option<u32>| select.is_none_or(|select| rules.matched().selects(select));
        self.active.clear();
        self.active.extend((0..masks.all().len()).filter(|index| holds(masks.all()[*index].select)));
        !self.active.is_empty()
    }

    /// Finds the places in the message; returns whether it has colours, without which it is then shown.
    fn look_at_message(&mut self, masks: &Masks, rules: &RulesScratch, source: &Source, made: &[u8]) -> bool {
        let texts = Texts { batch: source.batch, made };
        let message = texts.get(source.event.message);
        let has_colours = memchr::memchr(0x1b, message).is_some();
        self.plain.clear();
        if has_colours {
            without_colours(message, &mut self.plain);
        }
        let plain = core::mem::take(&mut self.plain);
        let text = if has_colours { &plain[..] } else { message };
        self.regions.clear();
        self.values.clear();
        self.ends.clear();
        for place in 0..self.active.len() {
            let index = self.active[place];
            match &masks.all()[index].field {
                None => masks.find(index, text, &mut self.scratch, &mut self.regions),
                Some(name) => {
                    let own = source.fields.iter().filter(|field| name_of(field, texts) == name.as_bytes());
                    let mut any = false;
                    for field in own {
                        any = true;
                        self.cover_value(masks, index, field, source, text, has_colours, made);
                    }
                    if let (false, Some(value)) = (any, rules.value(name)) {
                        // One that the output does not show stands in the message all the same.
                        let field = Field { name: Name::Text(Span::NONE), value };
                        self.cover_value(masks, index, &field, source, text, has_colours, made);
                    }
                }
            }
        }
        self.look_for_values(text, false);
        merge(&mut self.regions);
        self.plain = plain;
        has_colours
    }

    /// Covers the places in the message that a masked field was read from.
    #[allow(clippy::too_many_arguments, reason = "the pieces of one look at an event")]
    fn cover_value(
        &mut self,
        masks: &Masks,
        index: usize,
        field: &Field,
        source: &Source,
        message: &[u8],
        has_colours: bool,
        made: &[u8],
    ) {
        let texts = Texts { batch: source.batch, made };
        self.text.clear();
        let span = put_value(field.value, texts, &mut self.text);
        self.others.clear();
        masks.find(index, &self.text, &mut self.scratch, &mut self.others);
        let inside = span.filter(|_| !has_colours).and_then(|span| place_in(span, source.event.message));
        for at in 0..self.others.len() {
            let Region { start, end, .. } = self.others[at];
            let part = &self.text[start as usize..end as usize];
            self.values.extend_from_slice(part);
            self.ends.push((self.values.len(), index));
            if let Some(inside) = inside {
                let (start, end) = (inside + start as usize, inside + end as usize);
                self.regions.push(Region::new(start, end, index));
            } else if let Some((start, end)) = json_at(message, name_of(field, texts)) {
                // A string with escapes: its bytes are not the value's.
                self.regions.push(Region::new(start, end, index));
            }
        }
    }

    /// Covers every place where a masked value stands by itself, in the message or in another text.
    fn look_for_values(&mut self, text: &[u8], is_other: bool) {
        let out = if is_other { &mut self.others } else { &mut self.regions };
        let mut start = 0;
        for (end, index) in &self.ends {
            let value = &self.values[start..*end];
            start = *end;
            let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            for at in memmem::find_iter(text, value) {
                let end = at + value.len();
                let goes_on = is_word(value.first()) && at > 0 && is_word(text.get(at - 1))
                    || is_word(value.last()) && is_word(text.get(end));
                if !goes_on {
                    out.push(Region::new(at, end, *index));
                }
            }
        }
    }

    /// Finds the places in a text that is not the message, or not a part of it, and leaves them in `others`.
    fn look_at_other(&mut self, masks: &Masks, text: &[u8], name: &[u8]) -> bool {
        self.others.clear();
        for place in 0..self.active.len() {
            let index = self.active[place];
            if masks.all()[index].field.as_deref().is_none_or(|own| own.as_bytes() == name) {
                masks.find(index, text, &mut self.scratch, &mut self.others);
            }
        }
        self.look_for_values(text, true);
        merge(&mut self.others);
        !self.others.is_empty()
    }

    /// Makes the fields as they may be shown; returns whether any differs.
    fn cover_fields(
        &mut self,
        masks: &Masks,
        source: &Source,
        made: &mut Vec<u8>,
        has_colours: bool,
        tally: &mut Tally,
    ) -> bool {
        self.fields.clear();
        let mut any = false;
        let mut text = core::mem::take(&mut self.out);
        for field in source.fields {
            let mut shown = *field;
            if let Name::Text(span) = field.name {
                text.clear();
                text.extend_from_slice(Texts { batch: source.batch, made }.get(span));
                if self.covers(masks, source, Some(span), &text, b"", has_colours, tally) {
                    shown.name = Name::Text(write(masks, &text, &self.others, made));
                    any = true;
                }
            }
            text.clear();
            let span = put_value(field.value, Texts { batch: source.batch, made }, &mut text);
            let name_start = text.len();
            text.extend_from_slice(name_of(field, Texts { batch: source.batch, made }));
            let (value, name) = text.split_at(name_start);
            if self.covers(masks, source, span, value, name, has_colours, tally)
                || self.was_read_from_covered(source, value, name, has_colours, made)
            {
                shown.value = covered(masks, field.value, value, &self.others, made);
                any = true;
            }
            self.fields.push(shown);
        }
        self.out = text;
        any
    }

    /// Finds the places of a name or a value: where it is a part of the message, what is covered there, and what masks find
    /// in it alone.
    #[allow(clippy::too_many_arguments, reason = "the pieces of one look at an event")]
    fn covers(
        &mut self,
        masks: &Masks,
        source: &Source,
        span: Option<Span>,
        text: &[u8],
        name: &[u8],
        has_colours: bool,
        tally: &mut Tally,
    ) -> bool {
        let inside = self.find_in(masks, source, span, text, name, has_colours);
        // What stands in the message as well is counted there.
        if !inside && self.regions.is_empty() {
            self.others.iter().for_each(|region| tally.redacted.add(region.mask.into(), 1));
        }
        !self.others.is_empty()
    }

    /// Finds the same and leaves it in `others`; returns whether the text is a part of the message.
    fn find_in(
        &mut self,
        masks: &Masks,
        source: &Source,
        span: Option<Span>,
        text: &[u8],
        name: &[u8],
        has_colours: bool,
    ) -> bool {
        self.look_at_other(masks, text, name);
        let inside = span.filter(|_| !has_colours).and_then(|span| place_in(span, source.event.message));
        let Some(at) = inside else { return false };
        let clipped = |region: &Region| {
            let start = (region.start as usize).max(at);
            let end = (region.end as usize).min(at + text.len());
            (start < end).then(|| Region::new(start - at, end - at, region.mask.into()))
        };
        self.others.extend(self.regions.iter().filter_map(clipped));
        merge(&mut self.others);
        true
    }

    /// Whether a value that is no part of the message was read from a covered place: from one that holds it, or from the
    /// member of a JSON text that is called so. It is then covered as a whole.
    fn was_read_from_covered(
        &mut self,
        source: &Source,
        value: &[u8],
        name: &[u8],
        has_colours: bool,
        made: &[u8],
    ) -> bool {
        if self.regions.is_empty() || value.is_empty() {
            return false;
        }
        let message = match has_colours {
            true => &self.plain[..],
            false => Texts { batch: source.batch, made }.get(source.event.message),
        };
        let member = json_at(message, name);
        let from = self.regions.iter().find(|region| {
            let (start, end) = (region.start as usize, region.end as usize);
            let overlaps = member.is_some_and(|(from, to)| start < to && from < end);
            overlaps
                || member.is_none()
                    && end - start > value.len()
                    && memmem::find(&message[start..end], value).is_some()
        });
        let Some(from) = from else { return false };
        self.others.clear();
        self.others.push(Region::new(0, value.len(), from.mask.into()));
        true
    }

    /// Structured data with its values covered; `None` if none is.
    fn cover_data(
        &mut self,
        masks: &Masks,
        source: &Source,
        made: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Option<Span> {
        let start = made.len();
        let mut any = false;
        let mut value = core::mem::take(&mut self.text);
        let mut copy = core::mem::take(&mut self.out);
        copy.clear();
        copy.extend_from_slice(Texts { batch: source.batch, made }.get(source.event.sd));
        for element in sd::elements(&copy) {
            made.push(b'[');
            made.extend_from_slice(element.id);
            for (name, sent) in element.params {
                made.push(b' ');
                made.extend_from_slice(name);
                made.extend_from_slice(b"=\"");
                value.clear();
                sd::unescaped(sent).for_each(|piece| value.extend_from_slice(piece));
                if self.look_at_other(masks, &value, name) {
                    any = true;
                    self.others.iter().for_each(|region| tally.redacted.add(region.mask.into(), 1));
                    let from = made.len();
                    masks.write(&value, &self.others, made);
                    value.clear();
                    value.extend_from_slice(&made[from..]);
                    made.truncate(from);
                    for byte in &value {
                        if matches!(byte, b'"' | b'\\' | b']') {
                            made.push(b'\\');
                        }
                        made.push(*byte);
                    }
                } else {
                    made.extend_from_slice(sent);
                }
                made.push(b'"');
            }
            made.push(b']');
        }
        (self.text, self.out) = (value, copy);
        if !any {
            made.truncate(start);
            return None;
        }
        Some(Span::made(start, made.len()))
    }

    /// Makes the frame as it may be shown: message and structured data as they are, covered, and the rest by itself. Returns
    /// whether anything of the event differs; `any` says that something does already.
    fn cover_frame(
        &mut self,
        masks: &Masks,
        source: &Source,
        shown: &mut Event,
        made: &mut Vec<u8>,
        tally: &mut Tally,
        any: bool,
    ) -> bool {
        let Event { frame, message, sd, .. } = *source.event;
        let mut parts = [None, None];
        if let Some(at) = place_in(sd, frame).filter(|_| !sd.is_empty()) {
            parts[0] = Some((at, sd.len(), shown.sd));
        }
        if let Some(at) = place_in(message, frame) {
            parts[1] = Some((at, message.len(), shown.message));
        }
        let start = made.len();
        let mut differs = any;
        let mut at = 0;
        let end = [Some((frame.len(), 0, Span::NONE))];
        for (from, len, put) in parts.into_iter().chain(end).flatten() {
            if from < at {
                continue;
            }
            let rest = &source.batch[frame.start() + at..frame.start() + from];
            if self.look_at_other(masks, rest, b"") {
                differs = true;
                self.others.iter().for_each(|region| tally.redacted.add(region.mask.into(), 1));
            }
            masks.write(rest, &self.others, made);
            match put.is_made() {
                true => made.extend_from_within(put.start()..put.end()),
                false => made.extend_from_slice(&source.batch[put.start()..put.end()]),
            }
            at = from + len;
        }
        match differs {
            true => shown.frame = Span::made(start, made.len()),
            false => made.truncate(start),
        }
        differs
    }
}

/// Where a span begins in one that holds it.
fn place_in(span: Span, whole: Span) -> Option<usize> {
    let holds =
        span.is_made() == whole.is_made() && span.start() >= whole.start() && span.end() <= whole.end();
    holds.then(|| span.start() - whole.start())
}

fn name_of<'a>(field: &Field, texts: Texts<'a>) -> &'a [u8] {
    match field.name {
        Name::Known(id) => heroku::FIELDS[id.0 as usize].as_bytes(),
        Name::Text(span) => texts.get(span),
    }
}

/// Appends a value as text; returns where it stands, if it is a text or verbatim.
fn put_value(value: Value, texts: Texts, out: &mut Vec<u8>) -> Option<Span> {
    match value {
        Value::Text(span) | Value::Raw(span) | Value::List(span) => {
            out.extend_from_slice(texts.get(span));
            return Some(span);
        }
        Value::Int(mut n) => {
            let start = out.len();
            loop {
                out.push(b'0' + (n % 10) as u8);
                n /= 10;
                if n == 0 {
                    break;
                }
            }
            out[start..].reverse();
        }
        Value::Bool(flag) => out.extend_from_slice(if flag { b"true" } else { b"false" }),
    }
    None
}

fn write(masks: &Masks, text: &[u8], regions: &[Region], made: &mut Vec<u8>) -> Span {
    let start = made.len();
    masks.write(text, regions, made);
    Span::made(start, made.len())
}

/// A value with its places covered. What is written verbatim stays JSON: an array whose covered places lie within its
/// strings stays one, anything else becomes a text.
fn covered(masks: &Masks, value: Value, text: &[u8], regions: &[Region], made: &mut Vec<u8>) -> Value {
    match value {
        Value::List(_) => Value::List(write(masks, text, regions, made)),
        Value::Raw(_) if text.first() == Some(&b'[') && in_strings(text, regions) => {
            let start = made.len();
            let mut at = 0;
            for region in regions {
                made.extend_from_slice(&text[at..region.start as usize]);
                escape(masks.all()[region.mask as usize].with.as_bytes(), made);
                at = region.end as usize;
            }
            made.extend_from_slice(&text[at..]);
            Value::Raw(Span::made(start, made.len()))
        }
        Value::Raw(_) => {
            let start = made.len();
            let first =
                regions.first().map_or(&b""[..], |one| masks.all()[one.mask as usize].with.as_bytes());
            made.extend_from_slice(first);
            Value::Text(Span::made(start, made.len()))
        }
        _ => Value::Text(write(masks, text, regions, made)),
    }
}

/// Whether each region lies within one string of a JSON text, and cuts no escape in two.
fn in_strings(text: &[u8], regions: &[Region]) -> bool {
    let mut regions = regions.iter().peekable();
    let mut at = 0;
    let mut inside = false;
    let mut begun = false;
    while at < text.len() {
        let len =
            if inside && text[at] == b'\\' { if text.get(at + 1) == Some(&b'u') { 6 } else { 2 } } else { 1 };
        let Some(region) = regions.peek() else { return true };
        let (start, end) = (region.start as usize, region.end as usize);
        // A place begins or ends between the pieces of a string, or it cannot be covered within.
        if (at < start && start < at + len) || (at < end && end < at + len) {
            return false;
        }
        begun |= at == start;
        if begun && (!inside || text[at] == b'"') {
            return false;
        }
        if text[at] == b'"' {
            inside = !inside;
        }
        at += len;
        if begun && at == end {
            begun = false;
            regions.next();
        }
    }
    regions.peek().is_none()
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => out.push(b' '),
            _ => out.push(*byte),
        }
    }
}
