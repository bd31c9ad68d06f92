//! State as bytes, to be put on disk and read again: numbers in little endian, lists and texts behind their length.

use std::collections::{BTreeMap, VecDeque};

use crate::plan::rules::convert::Number;

/// Something that can be written and read again.
pub trait Kept: Sized {
    fn put(&self, out: &mut Vec<u8>);
    /// Reads it from the front of `input`; `None` if it is not there.
    fn take(input: &mut &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Kept for $number {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn take(input: &mut &[u8]) -> Option<$number> {
                let (bytes, rest) = input.split_first_chunk()?;
                *input = rest;
                Some(<$number>::from_le_bytes(*bytes))
            }
        }
    )*};
}

numbers!(u8, u32, u64, i64, i128);

/// Writes and reads the named fields of a struct, in this order.
macro_rules! kept {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::ledger::kept::Kept for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::ledger::kept::Kept::put(&self.$field, out);)*
            }

            fn take(input: &mut &[u8]) -> Option<$name> {
                Some($name { $($field: $crate::ledger::kept::Kept::take(input)?),* })
            }
        }
    };
}

pub(crate) use kept;

impl Kept for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }

    fn take(input: &mut &[u8]) -> Option<bool> {
        Some(u8::take(input)? != 0)
    }
}

impl Kept for Number {
    fn put(&self, out: &mut Vec<u8>) {
        self.billionths().put(out);
    }

    fn take(input: &mut &[u8]) -> Option<Number> {
        Some(Number::of_billionths(i128::take(input)?))
    }
}

impl Kept for Box<[u8]> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        out.extend_from_slice(self);
    }

    fn take(input: &mut &[u8]) -> Option<Box<[u8]>> {
        let len = u32::take(input)? as usize;
        let (bytes, rest) = input.split_at_checked(len)?;
        *input = rest;
        Some(bytes.into())
    }
}

impl Kept for Box<str> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(input: &mut &[u8]) -> Option<Box<str>> {
        let bytes: Box<[u8]> = Kept::take(input)?;
        core::str::from_utf8(&bytes).ok().map(Into::into)
    }
}

impl<T: Kept> Kept for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Option<Option<T>> {
        Some(if bool::take(input)? { Some(T::take(input)?) } else { None })
    }
}

impl<T: Kept> Kept for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }

    fn take(input: &mut &[u8]) -> Option<Box<T>> {
        T::take(input).map(Box::new)
    }
}

impl<T: Kept> Kept for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(self.iter(), out);
    }

    fn take(input: &mut &[u8]) -> Option<Vec<T>> {
        // What the count claims is believed as far as there are bytes.
        let count = u32::take(input)?;
        (0..count).map(|_| T::take(input)).collect()
    }
}

impl<T: Kept> Kept for VecDeque<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(self.iter(), out);
    }

    fn take(input: &mut &[u8]) -> Option<VecDeque<T>> {
        Vec::take(input).map(Into::into)
    }
}

impl<K: Kept + Ord, V: Kept> Kept for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Option<BTreeMap<K, V>> {
        let count = u32::take(input)?;
        (0..count).map(|_| Kept::take(input)).collect()
    }
}

/// Writes a list as `Vec` reads it.
pub fn put_all<'t, T: Kept + 't>(items: impl ExactSizeIterator<Item = &'t T>, out: &mut Vec<u8>) {
    (items.len() as u32).put(out);
    items.for_each(|item| item.put(out));
}

impl<A: Kept, B: Kept> Kept for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(input: &mut &[u8]) -> Option<(A, B)> {
        Some((A::take(input)?, B::take(input)?))
    }
}

impl<A: Kept, B: Kept, C: Kept> Kept for (A, B, C) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
        self.2.put(out);
    }

    fn take(input: &mut &[u8]) -> Option<(A, B, C)> {
        Some((A::take(input)?, B::take(input)?, C::take(input)?))
    }
}

/// What a file of state holds, and in which version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Alerts and reports.
    Ledger,
    Dashlets,
}

impl Of {
    fn magic(self) -> &'static [u8] {
        match self {
            Of::Ledger => b"weir ledger 2\n",
            Of::Dashlets => b"weir dashlets 1\n",
        }
    }
}

/// A state behind a head with its checksum; `put` appends it.
pub fn sealed(of: Of, put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = of.magic().to_vec();
    let checksum_at = out.len();
    0u64.put(&mut out);
    let body_at = out.len();
    put(&mut out);
    let checksum = xxhash_rust::xxh3::xxh3_64(&out[body_at..]);
    out[checksum_at..body_at].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// The state behind its head, if the head is ours and the state is whole.
pub fn opened(of: Of, file: &[u8]) -> Option<&[u8]> {
    let mut rest = file.strip_prefix(of.magic())?;
    let checksum = u64::take(&mut rest)?;
    (xxhash_rust::xxh3::xxh3_64(rest) == checksum).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_taken_and_nothing_that_is_cut() {
        let value: Vec<(Box<str>, Option<i128>, (u64, bool))> =
            vec![("a".into(), Some(-5), (1, true)), ("".into(), None, (2, false))];
        let mut body = Vec::new();
        value.put(&mut body);
        let file = sealed(Of::Ledger, |out| value.put(out));
        assert_eq!(opened(Of::Dashlets, &file), None);
        assert_eq!(Kept::take(&mut opened(Of::Ledger, &file).unwrap()), Some(value.clone()));
        for len in 0..file.len() {
            assert_eq!(opened(Of::Ledger, &file[..len]), None, "{len}");
        }
        for len in 0..body.len() {
            assert_eq!(<Vec<(Box<str>, Option<i128>, (u64, bool))>>::take(&mut &body[..len]), None, "{len}");
        }
    }
}
