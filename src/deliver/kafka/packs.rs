//! Which rows of a parcel go into one message.
//!
//! Invariants: every row is in exactly one message; rows of one message are alike in all that a message has once, and
//! rise; of two alike rows the earlier is never in a later message. So a key's events keep their order wherever alike
//! means of one key and topic.

use core::hash::Hash;

use foldhash::{HashMap, HashMapExt};

use crate::outcome::{Parcel, Row};

/// The rows of a parcel, message by message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Packs {
    /// Rows in the order in which they are sent.
    pub order: Vec<u32>,
    /// Where in `order` each message ends, rising.
    pub ends: Vec<u32>,
}

/// What a message takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub rows: u32,
    /// Of its rows, line feeds included; a longer row is a message of its own.
    pub bytes: usize,
}

/// A message that is being put together.
struct Pack {
    /// Its first row.
    first: u32,
    rows: u32,
    bytes: usize,
}

impl Packs {
    /// Packs rows of which `alike` holds, as they follow one another.
    pub fn of_runs(parcel: &Parcel, limits: Limits, alike: impl Fn(&Row, &Row) -> bool) -> Packs {
        Packs::new(parcel, limits, alike, |_, _| None)
    }

    /// Packs alike rows wherever they stand in the parcel; such have equal `home`s.
    pub fn of_homes<'a, H: Hash + Eq>(
        parcel: &'a Parcel,
        limits: Limits,
        alike: impl Fn(&Row, &Row) -> bool,
        home: impl Fn(&'a Row) -> H,
    ) -> Packs {
        let mut last: HashMap<H, u32> = HashMap::new();
        // A new message takes the place of the one before it, which is full or of another topic.
        Packs::new(parcel, limits, alike, |row, new| match new {
            Some(pack) => last.insert(home(row), pack),
            None => last.get(&home(row)).copied(),
        })
    }

    /// `last` tells the last message of rows like that one, or is told that there is a new one.
    fn new<'a>(
        parcel: &'a Parcel,
        limits: Limits,
        alike: impl Fn(&Row, &Row) -> bool,
        mut last: impl FnMut(&'a Row, Option<u32>) -> Option<u32>,
    ) -> Packs {
        let mut packs: Vec<Pack> = Vec::new();
        let mut pack_of: Vec<u32> = Vec::with_capacity(parcel.rows.len());
        for (index, row) in parcel.rows.iter().enumerate() {
            let bytes = parcel.row_bytes(index).len();
            let is_like = |at: &u32| alike(&parcel.rows[packs[*at as usize].first as usize], row);
            let before = pack_of.last().copied().filter(is_like);
            let open = before.or_else(|| last(row, None).filter(is_like)).filter(|at| {
                let pack = &packs[*at as usize];
                pack.rows < limits.rows && pack.bytes + bytes <= limits.bytes
            });
            let at = match open {
                Some(at) => {
                    let pack = &mut packs[at as usize];
                    pack.rows += 1;
                    pack.bytes += bytes;
                    at
                }
                None => {
                    packs.push(Pack { first: index as u32, rows: 1, bytes });
                    let at = packs.len() as u32 - 1;
                    last(row, Some(at));
                    at
                }
            };
            pack_of.push(at);
        }
        laid_out(&packs, &pack_of)
    }
}

fn laid_out(packs: &[Pack], pack_of: &[u32]) -> Packs {
    let mut next = Vec::with_capacity(packs.len());
    let mut ends = Vec::with_capacity(packs.len());
    let mut end = 0;
    for pack in packs {
        next.push(end);
        end += pack.rows;
        ends.push(end);
    }
    let mut order = vec![0; pack_of.len()];
    for (row, pack) in pack_of.iter().enumerate() {
        let place = &mut next[*pack as usize];
        order[*place as usize] = row as u32;
        *place += 1;
    }
    Packs { order, ends }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::KindId;
    use crate::outcome::Word;

    /// Rows of four bytes, each of the drain that its letter names.
    fn parcel(drains: &str) -> Parcel {
        let row = |at: usize| Row {
            end: (at as u32 + 1) * 4,
            id: Word::default(),
            drain: Word { at: at as u32, len: 1 },
            computer: Word::default(),
            listener: Word::default(),
            kind: KindId(0),
            received_us: 0,
        };
        let rows = (0..drains.len()).map(row).collect();
        Parcel { words: drains.into(), rows, bytes: b"abc\n".repeat(drains.len()), ..Parcel::default() }
    }

    fn messages(packs: &Packs) -> Vec<Vec<u32>> {
        let starts = [0].into_iter().chain(packs.ends.iter().copied());
        let ranges = starts.zip(&packs.ends);
        ranges.map(|(from, to)| packs.order[from as usize..*to as usize].to_vec()).collect()
    }

    #[test]
    fn alike_rows_share_a_message_within_its_limits() {
        let wide = Limits { rows: 64, bytes: 1000 };
        let cases: [(&str, Limits, &[&[u32]], &[&[u32]]); 5] = [
            ("", wide, &[], &[]),
            ("aab", wide, &[&[0, 1], &[2]], &[&[0, 1], &[2]]),
            ("abab", wide, &[&[0], &[1], &[2], &[3]], &[&[0, 2], &[1, 3]]),
            (
                "aabaaa",
                Limits { rows: 3, bytes: 1000 },
                &[&[0, 1], &[2], &[3, 4, 5]],
                &[&[0, 1, 3], &[2], &[4, 5]],
            ),
            (
                "ababa",
                Limits { rows: 64, bytes: 8 },
                &[&[0], &[1], &[2], &[3], &[4]],
                &[&[0, 2], &[1, 3], &[4]],
            ),
        ];
        for (drains, limits, runs, homes) in cases {
            let parcel = parcel(drains);
            let alike = |a: &Row, b: &Row| parcel.word(a.drain) == parcel.word(b.drain);
            assert_eq!(messages(&Packs::of_runs(&parcel, limits, alike)), runs, "runs of {drains}");
            let packs = Packs::of_homes(&parcel, limits, alike, |row| parcel.word(row.drain));
            assert_eq!(messages(&packs), homes, "homes of {drains}");
        }
    }

    #[test]
    fn a_home_of_unlike_rows_keeps_its_order() {
        let parcel = parcel("abcabc");
        let alike = |a: &Row, b: &Row| parcel.word(a.drain) == parcel.word(b.drain);
        let packs = Packs::of_homes(&parcel, Limits { rows: 64, bytes: 1000 }, alike, |_| ());
        assert_eq!(packs.order, [0, 1, 2, 3, 4, 5]);
    }
}
