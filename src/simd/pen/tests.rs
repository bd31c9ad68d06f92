use std::fmt::Write;

use proptest::prelude::*;

use super::super::{Level, Portable, Task, dispatch};
use super::*;

/// One call of a pen.
#[derive(Clone, Debug)]
enum Call {
    Put([u8; 19]),
    Byte(u8),
    Piece,
    Number(u64),
    PieceNumber(u64),
    Stamp(Vec<u8>),
    Copy(Vec<u8>),
    /// These with how many bytes stand behind the text.
    Text(Vec<u8>, usize),
    PieceText(Vec<u8>, usize),
    InnerText(Vec<u8>, usize),
    Unbroken(Vec<u8>, usize),
    List(Vec<u8>, usize),
    Formatted(String),
    Replace(usize, u8),
    Apart(u64, u64),
}

const PIECE: Piece = Piece::of(&[",\"", "a name of twenty-six by", "\":\""]);

/// What JSON text holds for some bytes, character by character.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = String::new();
    for char in String::from_utf8_lossy(text).chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' => write!(out, "\\u{:04x}", char as u32).unwrap(),
            _ => out.push(char),
        }
    }
    out.into_bytes()
}

fn expected(calls: &[Call], out: &mut Vec<u8>) {
    let name = b",\"a name of twenty-six by\":\"";
    for call in calls {
        match call {
            Call::Put(bytes) => out.extend_from_slice(bytes),
            Call::Byte(byte) => out.push(*byte),
            Call::Piece => out.extend_from_slice(name),
            Call::Number(n) => out.extend_from_slice(n.to_string().as_bytes()),
            Call::PieceNumber(n) => out.extend([&name[..], n.to_string().as_bytes()].concat()),
            Call::Stamp(text) | Call::Copy(text) => out.extend_from_slice(text),
            Call::Text(text, _) => out.extend([&b"<\""[..], &escaped(text), b"\""].concat()),
            Call::PieceText(text, _) => out.extend([&name[..], &escaped(text), b"\""].concat()),
            Call::InnerText(text, _) => out.extend(escaped(text)),
            Call::Unbroken(text, _) => {
                out.extend(text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
            }
            Call::List(text, _) => {
                let items = text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                let items: Vec<_> = items.map(|item| [b"\"", &escaped(item)[..], b"\""].concat()).collect();
                out.extend([b"[", &items.join(&b","[..])[..], b"]"].concat());
            }
            Call::Formatted(text) => out.extend_from_slice(text.as_bytes()),
            Call::Replace(at, byte) => {
                let at = at % out.len();
                out[at] = *byte;
            }
            Call::Apart(a, b) => out.extend_from_slice(format!("{a}-{b}").as_bytes()),
        }
    }
}

struct Writing<'a>(&'a [Call], &'a mut Vec<u8>);

impl Task for Writing<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, vector: V) {
        let mut pen = Pen::new(vector, self.1);
        for call in self.0 {
            // In front of each text stands what is none of it, and behind it too.
            let whole = |text: &[u8], behind: &usize| [b"\"before", text, &vec![b'\\'; *behind]].concat();
            let part = |text: &Vec<u8>| 7..7 + text.len();
            match call {
                Call::Put(bytes) => pen.put(bytes),
                Call::Byte(byte) => pen.byte(*byte),
                Call::Piece => pen.piece(&PIECE),
                Call::Number(n) => pen.number(*n),
                Call::PieceNumber(n) => pen.piece_number(&PIECE, *n),
                Call::Stamp(text) => {
                    let mut stamp = Stamp::default();
                    stamp.set(b"another text, longer than a block has bytes");
                    stamp.set(text);
                    pen.stamp(&stamp);
                }
                Call::Copy(text) => pen.copy(text),
                Call::Text(text, behind) => pen.text(b"<\"", &whole(text, behind), part(text)),
                Call::PieceText(text, behind) => pen.piece_text(&PIECE, &whole(text, behind), part(text)),
                Call::InnerText(text, behind) => pen.inner_text(&whole(text, behind), part(text)),
                Call::Unbroken(text, behind) => pen.unbroken(&whole(text, behind), part(text)),
                Call::List(text, behind) => pen.list(&whole(text, behind), part(text)),
                Call::Formatted(text) => write!(pen, "{text}").unwrap(),
                Call::Replace(at, byte) => pen.replace(at % pen.len(), *byte),
                Call::Apart(a, b) => pen.apart(|pen| {
                    pen.number(*a);
                    pen.byte(b'-');
                    pen.number(*b);
                }),
            }
        }
        pen.finish();
    }
}

fn check(calls: &[Call]) {
    let mut all = b"there".to_vec();
    expected(calls, &mut all);
    for level in [Level::Portable, Level::best()] {
        let mut out = b"there".to_vec();
        dispatch(level, Writing(calls, &mut out));
        assert!(out == all, "{level:?}: {calls:?}: {}", String::from_utf8_lossy(&out));
    }
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let len = 0..if cfg!(miri) { 70_usize } else { 200 };
    prop_oneof![
        4 => proptest::collection::vec(prop_oneof![20 => b'#'..=b'Z', 1 => any::<u8>()], len.clone()),
        1 => proptest::collection::vec(b'a'..=b'z', len.clone()),
        1 => proptest::collection::vec(any::<u8>(), len.clone()),
        1 => "[\"\\\\\n\r\t\u{0}\u{8}\u{1f}\u{7f}\u{e9}\u{fffd}\u{1f600}a-z]{0,90}".prop_map(String::into_bytes),
    ]
}

fn any_call() -> impl Strategy<Value = Call> {
    let text = || (any_text(), prop_oneof![0..150_usize, Just(0), Just(31), Just(32), Just(63), Just(64)]);
    prop_oneof![
        any::<[u8; 19]>().prop_map(Call::Put),
        any::<u8>().prop_map(Call::Byte),
        Just(Call::Piece),
        prop_oneof![0..2000_u64, 0..200_000_000_u64, any::<u64>()].prop_map(Call::Number),
        any::<u64>().prop_map(Call::PieceNumber),
        any_text().prop_map(Call::Stamp),
        any_text().prop_map(Call::Copy),
        text().prop_map(|(text, behind)| Call::Text(text, behind)),
        text().prop_map(|(text, behind)| Call::PieceText(text, behind)),
        text().prop_map(|(text, behind)| Call::InnerText(text, behind)),
        text().prop_map(|(text, behind)| Call::Unbroken(text, behind)),
        text().prop_map(|(text, behind)| Call::List(text, behind)),
        ("[0-9., ]{0,50}", 0..70_usize).prop_map(|(text, behind)| Call::List(text.into_bytes(), behind)),
        ".{0,50}".prop_map(Call::Formatted),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Call::Replace(at, byte)),
        any::<(u64, u64)>().prop_map(|(a, b)| Call::Apart(a, b)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 20 } else { 2000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn it_writes_what_a_vec_would_hold(calls in proptest::collection::vec(any_call(), 0..20)) {
        check(&calls);
    }
}

/// Each byte that has a meaning, in every place of texts around one and two blocks, with and without bytes behind.
#[test]
fn every_length_and_place() {
    for len in if cfg!(miri) { 31..34 } else { 0..100 } {
        for behind in [0, 31, 32, 63, 64] {
            check(&[Call::Text(vec![b'a'; len], behind)]);
            check(&[Call::Text(vec![b'"'; len], behind)]);
            check(&[Call::Text(vec![0xff; len], behind)]);
        }
        for at in 0..len {
            for byte in [b"\"", b"\n", b"\x00", b"\xff"] {
                let mut text = vec![b'a'; len];
                text[at] = byte[0];
                check(&[Call::Text(text.clone(), 64), Call::Unbroken(text.clone(), 64), Call::Text(text, 3)]);
            }
            let mut text = vec![b'a'; len];
            text.splice(at.., "\u{e9}\"\u{20ac}".bytes());
            check(&[Call::Text(text.clone(), 64), Call::Text(text, 3)]);
        }
    }
}

/// A `Vec` that has just so much memory grows whatever is written next.
#[test]
fn it_grows_at_every_call() {
    let texts = |text: &[u8]| {
        [
            Call::Put([b'p'; 19]),
            Call::Byte(b'b'),
            Call::Piece,
            Call::Number(u64::MAX),
            Call::PieceNumber(u64::MAX),
            Call::Stamp(text.to_vec()),
            Call::Copy(text.to_vec()),
            Call::Text(text.to_vec(), 64),
            Call::PieceText(text.to_vec(), 64),
            Call::InnerText(text.to_vec(), 64),
            Call::Unbroken(text.to_vec(), 64),
            Call::List(text.to_vec(), 64),
            Call::Apart(1, 2),
        ]
    };
    for text in [&b"short"[..], &[b'l'; 700], &[0; 700], &[0xff; 700]] {
        for call in texts(text) {
            let mut all = vec![b'x'; 10];
            let calls = vec![call; if cfg!(miri) { 3 } else { 100 }];
            expected(&calls, &mut all);
            for level in [Level::Portable, Level::best()] {
                let mut out = vec![b'x'; 10];
                out.shrink_to_fit();
                dispatch(level, Writing(&calls, &mut out));
                assert!(out == all, "{level:?} {:?}", calls[0]);
            }
        }
    }
}

#[test]
#[should_panic(expected = "a part lies within the whole")]
fn a_part_outside_of_the_whole_is_refused() {
    Pen::new(Portable, &mut Vec::new()).text(b"\"", b"abc", 2..4);
}

#[test]
#[should_panic(expected = "only what was written is replaced")]
fn what_was_not_written_is_not_replaced() {
    Pen::new(Portable, &mut Vec::new()).replace(0, b'x');
}
