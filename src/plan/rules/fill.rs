//! Fields: those that the parser found, and those that objects, lists and tables add.

use super::convert::{Number, Type, address};
use super::extract::{self, Extractor, Found, Piece, Source};
use super::program::{SlotId, Step, Take};
use super::run::{Run, in_order};
use super::scratch::Colours;
use super::value::{address_in, each_item, item, made, number_of, pri_severity, text_of};
use crate::event::{Field, Name, Severity, Span, Value};

impl Run<'_, '_> {
    /// Gives the fields that the parser found their slots.
    pub(super) fn load_fields(&mut self) {
        let program = self.program;
        for place in 0..self.subjects.fields.len() {
            let field = self.subjects.fields[place];
            let slot = match field.name {
                Name::Known(id) => program.known.get(id.0 as usize).copied().flatten(),
                Name::Text(name) if program.name_lengths >> name.len().min(63) & 1 == 0 => None,
                Name::Text(name) => program.named.get(text_of(self.subjects, name)).copied(),
            };
            let Some(slot) = slot else { continue };
            let ty = program.slots[slot as usize].ty;
            let is_address =
                |name: Name| matches!(name, Name::Known(id) if program.known_addresses.contains(&id));
            let fits = match (ty, field.value) {
                (Type::Text | Type::List, _) | (Type::Bool, Value::Bool(_)) => true,
                (Type::Ip, Value::Text(_)) if is_address(field.name) => true,
                (ty, Value::Int(_) | Value::Raw(_)) if ty.is_number() => {
                    number_of(self.subjects, ty, field.value).is_some()
                }
                (ty, value) => {
                    let mut fits = true;
                    each_item(self.subjects, value, &mut |text| fits &= ty.fits(text));
                    fits
                }
            };
            match fits {
                true => self.fill(slot, field.value, 0),
                false => self.scratch.add().unconverted += 1,
            }
        }
    }

    fn fill(&mut self, slot: SlotId, value: Value, writer: u32) {
        if self.scratch.values[slot as usize].is_none() {
            self.scratch.filled.push(slot);
        }
        self.scratch.values[slot as usize] = Some(value);
        self.scratch.writers[slot as usize] = writer;
    }

    pub(super) fn extract(&mut self) {
        in_order(&mut self.scratch.objects);
        let objects = core::mem::take(&mut self.scratch.objects);
        let program = self.program;
        for (object, rule) in &objects {
            self.scratch.writing = object + 1;
            for extractor in &program.objects[*object as usize].extract[*rule as usize] {
                self.extract_with(extractor);
            }
        }
        // What was recalled has them already.
        if self.scratch.recalled.is_none() {
            self.scratch.add().objects.clone_from(&objects);
        }
        self.scratch.objects = objects;
    }

    fn extract_with(&mut self, extractor: &Extractor) {
        let mut found = core::mem::take(&mut self.scratch.found);
        found.clear();
        self.strip_colours();
        let span = match self.scratch.colours {
            Colours::Unknown | Colours::None => self.subjects.event.message,
            // What was made without colours has no place in the batch.
            Colours::Some => {
                let start = self.subjects.made.len();
                self.subjects.made.extend_from_slice(&self.scratch.plain);
                Span::made(start, self.subjects.made.len())
            }
        };
        match extractor {
            Extractor::Kv(kv) => kv.find(Source { bytes: text_of(self.subjects, span), span }, &mut found),
            Extractor::Regex { regex, groups } => {
                let at = *regex as usize;
                let mut search = self.search(at);
                let (cache, captures) = &mut *search;
                let text = Source { bytes: text_of(self.subjects, span), span };
                let regex = &self.program.regexes[at];
                extract::captures(regex, cache, captures, groups, text, &mut found);
                self.scratch.searches[at] = Some(search);
            }
            Extractor::Delimited { separator, fields } => {
                let text = Source { bytes: text_of(self.subjects, span), span };
                extract::delimited(separator, fields, text, &mut found);
            }
            Extractor::Json(paths) => self.json(paths, span, &mut found),
            Extractor::Format { pieces, field } => {
                if let Some(span) = self.format(pieces) {
                    found.push((*field, span));
                }
            }
        }
        for (field, span) in &found {
            self.write(*field, *span);
        }
        self.scratch.found = found;
    }

    /// Values of a JSON text: from the fields where the parser has read it, else from the text.
    fn json(&mut self, paths: &[(Vec<Box<[u8]>>, u32)], span: Span, found: &mut Found) {
        for (path, field) in paths {
            if !self.subjects.fields.is_empty() {
                let same = |name: &[u8]| {
                    let mut rest = Some(name);
                    for (index, part) in path.iter().enumerate() {
                        let dot = if index > 0 { &b"."[..] } else { b"" };
                        rest = rest.and_then(|rest| rest.strip_prefix(dot)?.strip_prefix(&**part));
                    }
                    rest == Some(b"")
                };
                let value = self.subjects.fields.iter().find_map(|field| match (field.name, field.value) {
                    (Name::Text(name), Value::Text(value) | Value::Raw(value) | Value::List(value))
                        if same(text_of(self.subjects, name)) =>
                    {
                        Some(value)
                    }
                    _ => None,
                });
                found.extend(value.map(|value| (*field, value)));
                continue;
            }
            let Some(value) = extract::json(text_of(self.subjects, span), path) else { continue };
            let sent = span.slice(value.start, value.end);
            let bytes = text_of(self.subjects, sent);
            if !value.string || memchr::memchr(b'\\', bytes).is_none() {
                found.push((*field, sent));
                continue;
            }
            let start = self.subjects.made.len();
            let mut plain = core::mem::take(&mut self.scratch.lower);
            plain.clear();
            extract::unescape(bytes, &mut plain);
            self.subjects.made.extend_from_slice(&plain);
            self.scratch.lower = plain;
            found.push((*field, Span::made(start, self.subjects.made.len())));
        }
    }

    fn format(&mut self, pieces: &[Piece]) -> Option<Span> {
        let mut text = core::mem::take(&mut self.scratch.lower);
        text.clear();
        let whole = pieces.iter().all(|piece| match piece {
            Piece::Text(part) => {
                text.extend_from_slice(part);
                true
            }
            Piece::Slot(slot) => {
                let before = text.len();
                let mut any = false;
                self.each(*slot, &mut |part| {
                    if text.len() > before {
                        text.push(b',');
                    }
                    text.extend_from_slice(part);
                    any = true;
                });
                any
            }
        });
        let start = self.subjects.made.len();
        if whole {
            self.subjects.made.extend_from_slice(&text);
        }
        self.scratch.lower = text;
        whole.then(|| Span::made(start, self.subjects.made.len()))
    }

    /// Gives a field the value that a span converts to, unless it has one.
    fn write(&mut self, field: u32, span: Span) {
        let field = &self.program.fields[field as usize];
        if span.is_empty() {
            return;
        }
        let slot = field.slot as usize;
        if self.scratch.values[slot].is_some() {
            let by = self.scratch.writers[slot];
            // What the parser has read, and what an earlier extractor of the object found, stays without a word.
            let conflicts = by != 0 && by != self.scratch.writing;
            self.scratch.add().conflicts += u32::from(conflicts);
            return;
        }
        let Some(value) = self.converted(field.ty, span) else {
            self.scratch.add().unconverted += 1;
            return;
        };
        self.fill(field.slot, value, self.scratch.writing);
        if field.output {
            let name = match field.known {
                Some(id) => Name::Known(id),
                None => Name::Text(made(self.subjects.made, field.name.as_bytes())),
            };
            self.subjects.fields.push(Field { name, value });
        }
    }

    fn converted(&mut self, ty: Type, span: Span) -> Option<Value> {
        let text = text_of(self.subjects, span);
        match ty {
            Type::Text => Some(Value::Text(span)),
            Type::List => Some(Value::List(span)),
            Type::Bool => match text {
                b"true" => Some(Value::Bool(true)),
                b"false" => Some(Value::Bool(false)),
                _ => None,
            },
            Type::Ip => address_in(text).map(|(from, to)| Value::Text(span.slice(from, to))),
            _ => {
                let number = ty.number(text)?;
                Some(match number.whole() {
                    Some(whole) => Value::Int(whole),
                    None => {
                        let start = self.subjects.made.len();
                        number.write(self.subjects.made);
                        Value::Raw(Span::made(start, self.subjects.made.len()))
                    }
                })
            }
        }
    }

    /// Fields that are a part of another.
    pub(super) fn take(&mut self) {
        let program = self.program;
        for taken in &program.taken {
            let to = program.fields[taken.field as usize].slot;
            if self.scratch.values[to as usize].is_some() {
                continue;
            }
            let Some(value) = self.scratch.values[taken.from as usize] else { continue };
            let span = match (taken.take, value) {
                (Take::Class, value) => {
                    let number = number_of(self.subjects, Type::Whole(999), value).and_then(Number::whole);
                    let Some(class) = number.filter(|status| *status >= 100) else { continue };
                    let text = [b'0' + (class / 100) as u8, b'x', b'x'];
                    made(self.subjects.made, &text)
                }
                (Take::Country, Value::Text(span)) => {
                    let address = address(text_of(self.subjects, span));
                    let (Some(countries), Some(address)) = (&program.countries, address) else { continue };
                    made(self.subjects.made, countries.of(address).letters())
                }
                (take, Value::List(span)) => {
                    let text = text_of(self.subjects, span);
                    let Some((from, to)) = item(text, take, self.subjects.around.trusted) else { continue };
                    span.slice(from, to)
                }
                _ => continue,
            };
            self.write(taken.field, span);
        }
    }

    pub(super) fn derive(&mut self) {
        let program = self.program;
        if program.derive_reads_text {
            self.match_message();
        }
        for derived in &program.derived {
            if let Some(field) = derived.field
                && self.scratch.values[program.fields[field as usize].slot as usize].is_some()
            {
                continue;
            }
            let Some(span) = derived.steps.iter().find_map(|step| self.step(step)) else { continue };
            match derived.field {
                Some(field) => {
                    self.write(field, span);
                    self.match_value(program.fields[field as usize].slot);
                }
                None => {
                    let text = text_of(self.subjects, span);
                    let known = Severity::ALL.iter().find(|severity| severity.name().as_bytes() == text);
                    if let Some(severity) = known.copied().or_else(|| pri_severity(text)) {
                        self.subjects.event.severity = severity;
                    }
                }
            }
        }
    }

    fn step(&mut self, step: &Step) -> Option<Span> {
        self.strip_colours();
        match step {
            Step::Map { from, values } => {
                let mut key = core::mem::take(&mut self.scratch.lower);
                key.clear();
                let mut any = false;
                self.each(*from, &mut |text| {
                    if !core::mem::replace(&mut any, true) {
                        key.extend(text.iter().map(u8::to_ascii_lowercase));
                    }
                });
                let value = values.get(&key[..]).filter(|_| any);
                self.scratch.lower = key;
                value.map(|value| made(self.subjects.made, value))
            }
            Step::Detect { root, value } => self.holds(*root).then(|| made(self.subjects.made, value)),
            Step::From { from, unless } => {
                if unless.is_some_and(|root| self.holds(root)) {
                    return None;
                }
                let mut text = core::mem::take(&mut self.scratch.lower);
                text.clear();
                self.each(*from, &mut |part| text.extend_from_slice(part));
                let span = (!text.is_empty()).then(|| made(self.subjects.made, &text));
                self.scratch.lower = text;
                span
            }
        }
    }
}
