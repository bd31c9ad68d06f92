//! Framing: where one message ends and the next begins.
//!
//! A `Framer` is told the bytes of one connection, file or body in order and answers with frames. Any split of a stream
//! gives the same frames and the same garbage: bytes count when they are consumed, and what cannot be decided yet is
//! carried. At most `max(limit, 12) + 8` bytes are ever carried: a count, its space, and a frame of `limit` bytes, or
//! the 20 bytes that tell a frame start.
//!
//! It does not look into a frame, holds no bytes, and never fails: what is no frame is garbage, counted.

use memchr::memchr;

use crate::limits::COUNT_DIGITS;

/// What a listener, a file or a body is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Decides once, by the first bytes.
    Auto,
    Octet,
    Newline,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN, end of file, body or record: ends the last line.
    Clean,
    /// A reset, or our own cut: what is unfinished is garbage.
    Cut,
}

/// What the next bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A frame at `start..end`; the next step begins at `next`.
    Frame { start: usize, end: usize, truncated: bool, next: usize },
    /// No further frame in these bytes: those from `carry` on must come again, before what follows them.
    More { carry: usize },
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// `Framing::Auto` before its decision.
    Undecided,
    /// A line, of which the first `seen` bytes hold no LF: they are not searched again.
    Line { seen: usize },
    /// The rest of a truncated line.
    LineRest,
    /// A count, or LF and CR before it.
    Count,
    /// So many bytes of a truncated frame.
    FrameRest(usize),
    /// Garbage up to the next LF.
    LostLine,
    /// Garbage up to the next frame start.
    Lost,
    /// Garbage to the end of the body.
    LostBody,
}

/// The framing state of one connection, file or body.
#[derive(Clone, Debug)]
pub struct Framer {
    state: State,
    limit: usize,
    /// A body is not searched for a further frame start after a framing error.
    body: bool,
    /// Bytes that were no part of a frame, over the stream's whole life.
    pub garbage_bytes: u64,
    /// Of them, those since the last frame.
    pub garbage_since_frame: u64,
}

impl Framer {
    /// A stream at its start; frames over `limit` bytes are truncated.
    pub fn new(framing: Framing, limit: usize) -> Framer {
        let state = match framing {
            Framing::Auto => State::Undecided,
            Framing::Octet => State::Count,
            Framing::Newline => State::Line { seen: 0 },
        };
        Framer { state, limit, body: false, garbage_bytes: 0, garbage_since_frame: 0 }
    }

    /// The body of a POST: after a framing error all the rest of it is garbage.
    pub fn body(framing: Framing, limit: usize) -> Framer {
        Framer { body: true, ..Framer::new(framing, limit) }
    }

    /// The next step in `bytes[from..]`, which follow directly on all bytes consumed so far.
    #[inline]
    pub fn step(&mut self, bytes: &[u8], from: usize) -> Step {
        if self.state == State::Count
            && let Some(word) = bytes.get(from..).and_then(|rest| rest.first_chunk())
            && let Some((len, digits)) = usual_count(u64::from_le_bytes(*word))
            && len <= self.limit.min(bytes.len() - from - digits - 1)
        {
            let start = from + digits + 1;
            return self.frame(start, start + len, false, start + len);
        }
        self.step_by_step(bytes, from)
    }

    /// The same, by one state after the other.
    fn step_by_step(&mut self, bytes: &[u8], from: usize) -> Step {
        let mut at = from;
        loop {
            let rest = &bytes[at..];
            match self.state {
                State::Undecided => match is_frame_start(rest) {
                    None => return Step::More { carry: at },
                    Some(true) => self.state = State::Count,
                    Some(false) => self.state = State::Line { seen: 0 },
                },
                State::Line { seen } => match self.line(rest, seen) {
                    Line::Unfinished => return Step::More { carry: at },
                    Line::Empty { next } => at += next,
                    Line::Whole { len, truncated, next } => {
                        return self.frame(at, at + len, truncated, at + next);
                    }
                },
                State::LineRest => match memchr(b'\n', rest) {
                    None => return Step::More { carry: bytes.len() },
                    Some(lf) => {
                        at += lf + 1;
                        self.state = State::Line { seen: 0 };
                    }
                },
                State::Count => {
                    at += rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
                    match count(&bytes[at..]) {
                        Count::Unfinished => return Step::More { carry: at },
                        Count::Error if self.body => self.state = State::LostBody,
                        Count::Error => self.state = State::LostLine,
                        Count::Of { len, digits } => {
                            let start = at + digits + 1;
                            let kept = len.min(self.limit);
                            if bytes.len() - start < kept {
                                return Step::More { carry: at };
                            }
                            if len > kept {
                                self.state = State::FrameRest(len - kept);
                            }
                            return self.frame(start, start + kept, len > kept, start + kept);
                        }
                    }
                }
                State::FrameRest(left) if left > rest.len() => {
                    self.state = State::FrameRest(left - rest.len());
                    return Step::More { carry: bytes.len() };
                }
                State::FrameRest(left) => {
                    at += left;
                    self.state = State::Count;
                }
                State::LostLine => match memchr(b'\n', rest) {
                    None => return self.all_garbage(bytes, at),
                    Some(lf) => {
                        self.garbage(lf + 1);
                        at += lf + 1;
                        self.state = State::Lost;
                    }
                },
                State::Lost => {
                    let (skip, found) = next_frame_start(rest);
                    self.garbage(skip);
                    at += skip;
                    if !found {
                        return Step::More { carry: at };
                    }
                    self.state = State::Count;
                }
                State::LostBody => return self.all_garbage(bytes, at),
            }
        }
    }

    /// Whether a step over `carry`, which the last step left, and the bytes `new` behind it could do more than carry
    /// them all: a receiver asks before it joins the two, so that a slow sender's frame is not copied once a byte.
    pub fn can_go_on(&self, carry: &[u8], new: &[u8]) -> bool {
        match self.state {
            State::Line { .. } => carry.len() + new.len() > self.limit || memchr(b'\n', new).is_some(),
            State::Count => match count(carry) {
                Count::Of { len, digits } => carry.len() + new.len() > digits + len.min(self.limit),
                Count::Unfinished | Count::Error => true,
            },
            _ => true,
        }
    }

    /// The last frame, if `rest`, the carry of the last step, holds one; all else in it is garbage.
    pub fn finish(&mut self, rest: &[u8], end: End) -> Option<(usize, usize, bool)> {
        let in_line = matches!(self.state, State::Undecided | State::Line { .. });
        if rest.is_empty() {
            return None;
        }
        // A line over the limit has been delivered, but where `auto` is undecided and the limit below 20.
        if in_line && (end == End::Clean || matches!(self.line(rest, 0), Line::Whole { .. })) {
            self.garbage_since_frame = 0;
            return Some((0, rest.len().min(self.limit), rest.len() > self.limit));
        }
        self.garbage(rest.len());
        None
    }

    /// Looks for the end of the line at the start of `rest`, whose first `seen` bytes hold no LF.
    fn line(&mut self, rest: &[u8], seen: usize) -> Line {
        // A line of `limit` bytes may end in CR LF.
        let window = &rest[..rest.len().min(self.limit + 2)];
        let seen = seen.min(window.len());
        if let Some(lf) = memchr(b'\n', &window[seen..]) {
            let lf = seen + lf;
            let len = if lf > 0 && rest[lf - 1] == b'\r' { lf - 1 } else { lf };
            self.state = State::Line { seen: 0 };
            return match len {
                0 => Line::Empty { next: lf + 1 },
                _ => Line::Whole { len: len.min(self.limit), truncated: len > self.limit, next: lf + 1 },
            };
        }
        let undecided = rest.len() == self.limit + 1 && rest[self.limit] == b'\r';
        if rest.len() <= self.limit || undecided {
            self.state = State::Line { seen: rest.len() };
            return Line::Unfinished;
        }
        self.state = State::LineRest;
        Line::Whole { len: self.limit, truncated: true, next: self.limit }
    }

    fn frame(&mut self, start: usize, end: usize, truncated: bool, next: usize) -> Step {
        self.garbage_since_frame = 0;
        Step::Frame { start, end, truncated, next }
    }

    fn garbage(&mut self, len: usize) {
        self.garbage_bytes += len as u64;
        self.garbage_since_frame += len as u64;
    }

    fn all_garbage(&mut self, bytes: &[u8], from: usize) -> Step {
        self.garbage(bytes.len() - from);
        Step::More { carry: bytes.len() }
    }
}

/// What stands at the start of a line.
enum Line {
    Unfinished,
    Empty { next: usize },
    Whole { len: usize, truncated: bool, next: usize },
}

/// What stands where a count must.
enum Count {
    /// Too few bytes to tell.
    Unfinished,
    /// A frame of `len` bytes follows `digits` digits and a space.
    Of {
        len: usize,
        digits: usize,
    },
    Error,
}

/// A count of one to seven digits and the space behind it, of eight bytes, the first the lowest; and how many digits.
#[inline]
fn usual_count(word: u64) -> Option<(usize, usize)> {
    const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    const OVER_NINE: u64 = u64::from_ne_bytes([0x80 - 10; 8]);
    const _: () = assert!(COUNT_DIGITS == 7);
    let values = word ^ ZEROS;
    let others = (((values & !HIGHS) + OVER_NINE) | values) & HIGHS;
    let digits = others.trailing_zeros() as usize / 8;
    if !(1..=7).contains(&digits) || word & 0xff == u64::from(b'0') || word >> (8 * digits) & 0xff != 0x20 {
        return None;
    }
    // The digits go to the high end, with zeros before them; then neighbours are joined, three times.
    let values = values << (64 - 8 * digits);
    let pairs = values.wrapping_mul(1 + (10 << 8)) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(1 + (100 << 16)) >> 16 & 0x0000_ffff_0000_ffff;
    Some(((fours.wrapping_mul(1 + (10_000 << 32)) >> 32) as usize, digits))
}

//= https://www.rfc-editor.org/rfc/rfc6587#section-3.4.1
fn count(bytes: &[u8]) -> Count {
    let digits = bytes.iter().take(COUNT_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if bytes.first() == Some(&b'0') || digits > COUNT_DIGITS {
        return Count::Error;
    }
    match bytes.get(digits) {
        None => Count::Unfinished,
        Some(b' ') if digits > 0 => {
            let len = bytes[..digits].iter().fold(0, |len, digit| len * 10 + (digit - b'0') as usize);
            Count::Of { len, digits }
        }
        Some(_) => Count::Error,
    }
}

/// Whether `bytes` start as an octet-counted syslog message does: 1 to 7 digits, the first not 0, a space, and `<`, or
/// `1 ` and a date. `None` if more bytes are needed to tell.
pub fn is_frame_start(bytes: &[u8]) -> Option<bool> {
    let digits = match count(bytes) {
        Count::Unfinished => return None,
        Count::Error => return Some(false),
        Count::Of { digits, .. } => digits,
    };
    let message = &bytes[digits + 1..];
    match message.first() {
        None => None,
        Some(b'<') => Some(true),
        Some(_) => {
            const SHAPE: &[u8] = b"1 0000-00-00";
            let fits = message.iter().zip(SHAPE).all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                _ => byte == shape,
            });
            match fits {
                true if message.len() < SHAPE.len() => None,
                fits => Some(fits),
            }
        }
    }
}

/// Bytes before the first frame start, or before the first place that may become one; whether it is one.
fn next_frame_start(bytes: &[u8]) -> (usize, bool) {
    let mut at = 0;
    while at < bytes.len() {
        match is_frame_start(&bytes[at..]) {
            None => return (at, false),
            Some(true) => return (at, true),
            Some(false) => at += 1,
        }
    }
    (at, false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Frames = Vec<(Vec<u8>, bool)>;

    /// Frames and garbage of a stream that arrives in `pieces`.
    fn framed(mut framer: Framer, pieces: &[&[u8]], end: End) -> (Frames, u64) {
        let bound = framer.limit.max(12) + 8;
        let mut frames = Vec::new();
        let mut buffer = Vec::new();
        for piece in pieces {
            let waits = !framer.can_go_on(&buffer, piece);
            buffer.extend_from_slice(piece);
            assert!(!waits || framer.clone().step(&buffer, 0) == Step::More { carry: 0 });
            let mut at = 0;
            loop {
                match framer.step(&buffer, at) {
                    Step::Frame { start, end, truncated, next } => {
                        assert!(at <= start && start < end && end <= next && next <= buffer.len());
                        assert_eq!(framer.garbage_since_frame, 0);
                        frames.push((buffer[start..end].to_vec(), truncated));
                        at = next;
                    }
                    Step::More { carry } => {
                        assert!(at <= carry);
                        assert!(buffer.len() - carry <= bound, "{} bytes carried", buffer.len() - carry);
                        buffer.drain(..carry);
                        break;
                    }
                }
            }
        }
        if let Some((start, end, truncated)) = framer.finish(&buffer, end) {
            frames.push((buffer[start..end].to_vec(), truncated));
        }
        (frames, framer.garbage_bytes)
    }

    /// The same by searching the whole stream, for the plainest reading of the rules.
    fn oracle(framing: Framing, body: bool, limit: usize, stream: &[u8], end: End) -> (Frames, u64) {
        let starts_frame = |bytes: &[u8]| {
            let digits = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
            let after = &bytes[digits..];
            let date = |text: &[u8]| {
                text.len() >= 10
                    && (0..10)
                        .all(|i| if i == 4 || i == 7 { text[i] == b'-' } else { text[i].is_ascii_digit() })
            };
            (1..=7).contains(&digits)
                && bytes[0] != b'0'
                && (after.starts_with(b" <") || after.starts_with(b" 1 ") && date(&after[3..]))
        };
        let octet = match framing {
            Framing::Auto => starts_frame(stream),
            Framing::Octet => true,
            Framing::Newline => false,
        };
        let mut frames = Vec::new();
        let mut keep =
            |frame: &[u8]| frames.push((frame[..frame.len().min(limit)].to_vec(), frame.len() > limit));
        if !octet {
            let mut lines: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
            let last = lines.pop().unwrap();
            for line in lines {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if !line.is_empty() {
                    keep(line);
                }
            }
            // What is certain to be over the limit was delivered before the cut.
            let over = last.len() > limit && !(last.len() == limit + 1 && last.ends_with(b"\r"));
            if !last.is_empty() && (end == End::Clean || over) {
                keep(last);
                return (frames, 0);
            }
            return (frames, last.len() as u64);
        }
        let mut garbage = 0;
        let mut at = 0;
        loop {
            while at < stream.len() && (stream[at] == b'\n' || stream[at] == b'\r') {
                at += 1;
            }
            let rest = &stream[at..];
            let Some(space) = rest.iter().position(|byte| !byte.is_ascii_digit()).filter(|_| rest[0] != b'0')
            else {
                let error = rest.first() == Some(&b'0') || rest.len() > 7;
                let lost = if error && !body { resume(rest, starts_frame) } else { rest.len() };
                garbage += lost as u64;
                at += lost;
                match at == stream.len() {
                    true => return (frames, garbage),
                    false => continue,
                }
            };
            if space == 0 || space > 7 || rest[space] != b' ' {
                let lost = if body { rest.len() } else { resume(rest, starts_frame) };
                garbage += lost as u64;
                at += lost;
                continue;
            }
            let len: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
            let there = &rest[space + 1..];
            if there.len() < len.min(limit) {
                return (frames, garbage + rest.len() as u64);
            }
            frames.push((there[..len.min(limit)].to_vec(), len > limit));
            at += space + 1 + len.min(there.len());
        }
    }

    /// Bytes lost from a framing error on.
    fn resume(rest: &[u8], starts_frame: impl Fn(&[u8]) -> bool) -> usize {
        let Some(lf) = rest.iter().position(|byte| *byte == b'\n') else { return rest.len() };
        (lf + 1..rest.len()).find(|at| starts_frame(&rest[*at..])).unwrap_or(rest.len())
    }

    fn check(framer: Framer, stream: &str, frames: &[&str], garbage: u64) {
        let (got, lost) = framed(framer.clone(), &[stream.as_bytes()], End::Clean);
        let got: Vec<String> = got
            .into_iter()
            .map(|(frame, truncated)| {
                String::from_utf8(frame).unwrap() + if truncated { "(truncated)" } else { "" }
            })
            .collect();
        assert_eq!(
            (got.iter().map(String::as_str).collect::<Vec<_>>(), lost),
            (frames.to_vec(), garbage),
            "{stream:?}"
        );
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(framed(framer, &bytes, End::Clean).1, garbage, "{stream:?} byte by byte");
    }

    #[test]
    fn a_count_in_one_word_is_what_its_digits_say() {
        for digits in (1..10_000_000).step_by(997).chain([1, 9, 10, 99, 9_999_999]) {
            for behind in [" <1>1 2026", "  <1>1 20", "x<1>1 202", "/<1>1 202", ":<1>1 202", "0 <1>1 20"] {
                let text = format!("{digits}{behind}");
                let word = u64::from_le_bytes(*text.as_bytes().first_chunk().unwrap());
                let expected = match count(text.as_bytes()) {
                    Count::Of { len, digits } => Some((len, digits)),
                    _ => None,
                };
                assert_eq!(usual_count(word), expected, "{text}");
            }
        }
        for odd in ["01 <1>1 2", " 12 <1>1 ", "12345678 <1>", "\u{b0}\u{b1} <1>1"] {
            assert_eq!(
                usual_count(u64::from_le_bytes(*odd.as_bytes().first_chunk().unwrap())),
                None,
                "{odd}"
            );
        }
    }

    #[test]
    fn octet_counting() {
        let octet = || Framer::new(Framing::Octet, 10);
        check(octet(), "", &[], 0);
        check(octet(), "2 ab3 cde", &["ab", "cde"], 0);
        check(octet(), "5 a\nb\nc3 <1>", &["a\nb\nc", "<1>"], 0);
        // Between frames only.
        check(octet(), "\r\n2 ab\n\r\n\n3 cde\n", &["ab", "cde"], 0);
        // Over the limit.
        check(octet(), "10 abcdefghij2 ab", &["abcdefghij", "ab"], 0);
        check(octet(), "12 abcdefghijkl2 ab", &["abcdefghij(truncated)", "ab"], 0);
        check(octet(), "9999999 abcdefghijkl", &["abcdefghij(truncated)"], 0);
        // Unfinished at the end.
        check(octet(), "2 ab3 c", &["ab"], 3);
        check(octet(), "2 ab12", &["ab"], 2);
        check(octet(), "2 ab9999999 c", &["ab"], 9);
        // Framing errors.
        check(octet(), "0 \n2 <12 ab", &["<1", "ab"], 3);
        check(octet(), "02 ab\n2 <12 ab", &["<1", "ab"], 6);
        check(octet(), "12345678 ab\n2 <12 ab", &["<1", "ab"], 12);
        check(octet(), "2ab\n2 <1", &["<1"], 4);
        check(octet(), "<1> 2 <1\n 2 ab x2 <1", &["<1"], 16);
        check(octet(), " 2 <1", &[], 5);
        check(octet(), "x\n\r\n2 <1\n2 ab", &["<1", "ab"], 4);
        check(octet(), "x\n20 1 2021-01-24T09:51:24Z", &["1 2021-01-(truncated)"], 4);
        check(octet(), "x\n12 1 2021-01-2x12 1 2021-01-24", &["1 2021-01-(truncated)"], 17);
    }

    #[test]
    fn a_handed_over_garbage_is_counted_whole() {
        let octet = || Framer::new(Framing::Octet, 65536);
        check(octet(), "0065 <190>1 2019-07-20T17:50:10.879238Z shuttle token shuttle - - 100\n", &[], 70);
        check(octet(), "999999999 <190>1 x", &[], 18);
    }

    #[test]
    fn newline_framing() {
        let newline = || Framer::new(Framing::Newline, 4);
        check(newline(), "", &[], 0);
        check(newline(), "a\nbc\r\n\n\r\nd", &["a", "bc", "d"], 0);
        check(newline(), "abcd\nabcd\r\nabcde\nx", &["abcd", "abcd", "abcd(truncated)", "x"], 0);
        check(newline(), "abcd\re\nabcd\r\r\nx\r", &["abcd(truncated)", "abcd(truncated)", "x\r"], 0);
        check(newline(), "abcdefghijkl", &["abcd(truncated)"], 0);
        check(newline(), "a\r\rb\n", &["a\r\rb"], 0);
    }

    #[test]
    fn auto_decides_once() {
        let auto = || Framer::new(Framing::Auto, 100);
        check(auto(), "2 <12 ab", &["<1", "ab"], 0);
        check(auto(), "12 1 2021-01-242 ab", &["1 2021-01-24", "ab"], 0);
        check(auto(), "1 2021-01-24T09:51:24Z a\n2 <1", &["1 2021-01-24T09:51:24Z a", "2 <1"], 0);
        check(auto(), "<1>a\n2 <1", &["<1>a", "2 <1"], 0);
        check(auto(), "\n2 <1", &["2 <1"], 0);
        for line in ["02 <1", "12345678 <1", "2  <1", "2", "2 ", "12 1 2021-01", "2\t<1", "12 1 2021-01-x4"] {
            check(auto(), line, &[line], 0);
        }
    }

    #[test]
    fn the_rest_of_a_body_is_garbage_after_an_error() {
        check(Framer::body(Framing::Auto, 100), "2 <102 ab\n2 <12 ab", &["<1"], 14);
        check(Framer::body(Framing::Octet, 100), "2 <1\n2 ab\nx", &["<1", "ab"], 1);
        check(Framer::body(Framing::Newline, 100), "x\ny", &["x", "y"], 0);
    }

    #[test]
    fn a_cut_makes_garbage_of_what_is_unfinished() {
        let cut = |framing, stream: &'static str| {
            let (frames, garbage) = framed(Framer::new(framing, 4), &[stream.as_bytes()], End::Cut);
            (frames.len(), garbage)
        };
        assert_eq!(cut(Framing::Newline, "a\nbc"), (1, 2));
        assert_eq!(cut(Framing::Newline, "a\nbcdefgh"), (2, 0));
        assert_eq!(cut(Framing::Octet, "1 a2 b"), (1, 3));
        assert_eq!(cut(Framing::Auto, "12 "), (0, 3));
    }

    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(|message| {
                let message = [b"<1>".as_slice(), &message].concat();
                [format!("{} ", message.len()).as_bytes(), &message].concat()
            }),
            2 => "[0-9]{1,9} ".prop_map(String::into_bytes),
            1 => "1 2021-01-24".prop_map(String::into_bytes),
            1 => "[0-9<>\n\r 1-]{1,12}".prop_map(String::into_bytes),
            1 => "[a-c]{1,50}\r?\n".prop_map(String::into_bytes),
            1 => "[\r\n]{1,3}".prop_map(String::into_bytes),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn any_split_gives_the_same(
            stream in streams(),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
            byte_by_byte in any::<bool>(),
            framing in prop::sample::select(vec![Framing::Auto, Framing::Octet, Framing::Newline]),
            body in any::<bool>(),
            limit in 1usize..40,
            end in prop::sample::select(vec![End::Clean, End::Cut]),
        ) {
            let mut cuts: Vec<usize> = match byte_by_byte {
                true => (0..=stream.len()).collect(),
                false => cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect(),
            };
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect();
            let framer = if body { Framer::body(framing, limit) } else { Framer::new(framing, limit) };
            prop_assert_eq!(framed(framer, &pieces, end), oracle(framing, body, limit, &stream, end));
        }
    }
}
