//! Many bytes at once: the only module with `unsafe` in it, behind safe interfaces.
//!
//! What is fast is written once, generic over `Vector`, and compiled twice: for the processor's vectors and for plain
//! 64-bit words. `dispatch` picks at run time; `Level::Portable` turns the vectors off. Everything on the way from
//! `Task::run` to a method of `Vector` is `#[inline(always)]`, so that it is compiled with the features of the entry.
//!
//! Both ways give the same answers: the tests run each method on the same bytes, and `tests/properties.rs` runs whole
//! shards both ways.

pub mod digits;
pub mod pen;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use portable::Portable;

/// Which instructions are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Plain 64-bit words, on any processor.
    Portable,
    /// AVX2 and the bit instructions that came with it.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2Found),
}

/// Proof that the processor has what `Level::Avx2` uses: only `Level::best` makes one.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2Found(());

impl Default for Level {
    fn default() -> Level {
        Level::best()
    }
}

impl Level {
    /// The best that this processor has.
    pub fn best() -> Level {
        #[cfg(target_arch = "x86_64")]
        if x86::is_there() {
            return Level::Avx2(Avx2Found(()));
        }
        Level::Portable
    }

    /// As it is shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => "avx2",
        }
    }
}

/// What 64 bytes are: bit `i` of a mask stands for byte `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    /// A blank, 0x20.
    pub space: u64,
    /// `"`
    pub quote: u64,
}

/// Operations on many bytes.
pub trait Vector: Copy {
    /// Whether something odd was among the bytes that were looked at.
    type Seen: Copy;

    /// Nothing was looked at yet.
    fn nothing(self) -> Self::Seen;

    /// The classes of 64 bytes; whether one of them is odd goes into `seen`.
    fn classes(self, block: &[u8; 64], seen: &mut Self::Seen) -> Classes;

    /// Whether something odd was seen.
    fn any(self, seen: Self::Seen) -> bool;

    /// The bytes that are odd, which need a second look: below 0x20, a backslash, 0x7f, or not ASCII.
    fn odd(self, block: &[u8; 64]) -> u64;

    /// The places where the one block has `first` and the other has `second`.
    fn pairs(self, one: &[u8; 64], first: u8, other: &[u8; 64], second: u8) -> u64;

    /// The bytes that are capital letters of ASCII.
    fn capitals(self, block: &[u8; 64]) -> u64;

    /// How many bytes at the start are the same in both.
    fn common(self, one: &[u8; 32], other: &[u8; 32]) -> usize;

    /// Of 32 bytes, those that JSON text cannot hold as they are: below 0x20, `"`, a backslash, or not ASCII.
    fn escapes(self, block: &[u8; 32]) -> u32;

    /// Of 32 bytes, those that are not ASCII.
    fn not_ascii(self, block: &[u8; 32]) -> u32;

    /// Of 32 bytes, those that are `byte`, which is ASCII.
    fn equal(self, block: &[u8; 32], byte: u8) -> u32;

    /// Runs a part of the work in a function of its own, which is compiled with the same features.
    fn apart<T: Task>(self, task: T) -> T::Output;
}

/// Work that is compiled for each kind of vector; `run` must be `#[inline(always)]`.
pub trait Task {
    type Output;
    fn run<V: Vector>(self, vector: V) -> Self::Output;
}

/// Runs a task with the instructions of `level`.
pub fn dispatch<T: Task>(level: Level, task: T) -> T::Output {
    match level {
        Level::Portable => task.run(Portable),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2(found) => x86::run(found, task),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the methods of `Vector` say of a block and its two halves.
    type Answers = (Classes, u64, bool, u32, u64, u64, usize);

    /// What `Vector` promises, byte by byte.
    fn expected(block: &[u8; 64]) -> Answers {
        let mask = |is: &dyn Fn(u8) -> bool| (0..64).fold(0, |mask, i| mask | (is(block[i]) as u64) << i);
        let classes = Classes { space: mask(&|byte| byte == b' '), quote: mask(&|byte| byte == b'"') };
        let odd = mask(&|byte| byte < b' ' || byte == b'\\' || byte >= 0x7f);
        let escapes = mask(&|byte| byte < b' ' || byte == b'"' || byte == b'\\' || byte >= 0x80);
        let pairs = (0..64).fold(0, |all, i| all | ((block[i] == b'l' && block[63 - i] == 0xb5) as u64) << i);
        let common = (0..32).take_while(|&i| block[i] == block[32 + i]).count();
        let capitals = mask(&|byte| byte.is_ascii_uppercase());
        (classes, odd, odd != 0, escapes as u32, pairs, capitals, common)
    }

    struct Both<'a>(&'a [u8; 64]);

    impl Task for Both<'_> {
        type Output = Answers;

        #[inline(always)]
        fn run<V: Vector>(self, vector: V) -> Answers {
            let [low, high] = self.0.as_chunks::<32>().0 else { unreachable!("64 bytes are twice 32") };
            let mut turned = *self.0;
            turned.reverse();
            let pairs = vector.pairs(self.0, b'l', &turned, 0xb5);
            let common = vector.common(low, high);
            let mut seen = vector.nothing();
            vector.classes(&[b'a'; 64], &mut seen);
            let classes = vector.classes(self.0, &mut seen);
            let (odd, capitals) = (vector.odd(self.0), vector.capitals(self.0));
            (classes, odd, vector.any(seen), vector.escapes(low), pairs, capitals, common)
        }
    }

    fn check(block: &[u8; 64]) {
        assert_eq!(dispatch(Level::Portable, Both(block)), expected(block), "portable: {block:?}");
        assert_eq!(
            dispatch(Level::best(), Both(block)),
            expected(block),
            "{}: {block:?}",
            Level::best().name()
        );
    }

    #[test]
    fn every_byte_in_every_place() {
        for byte in 0..=255 {
            for place in 0..64 {
                for around in [b'a', 0x00, 0x1f, b'!', b'l', 0x7f, 0x80, 0xb5, 0xff] {
                    let mut block = [around; 64];
                    block[place] = byte;
                    check(&block);
                }
            }
        }
    }

    /// `not_ascii`, and `equal` for a comma.
    struct Short<'a>(&'a [u8; 32]);

    impl Task for Short<'_> {
        type Output = (u32, u32);

        #[inline(always)]
        fn run<V: Vector>(self, vector: V) -> (u32, u32) {
            (vector.not_ascii(self.0), vector.equal(self.0, b','))
        }
    }

    /// The same in a function of its own.
    struct Apart<'a>(&'a [u8; 32]);

    impl Task for Apart<'_> {
        type Output = (u32, u32);

        #[inline(always)]
        fn run<V: Vector>(self, vector: V) -> (u32, u32) {
            vector.apart(Short(self.0))
        }
    }

    #[test]
    fn every_byte_in_every_place_of_32() {
        for byte in 0..=255 {
            for place in 0..32 {
                for around in [b',', b'a', 0xac] {
                    let mut block = [around; 32];
                    block[place] = byte;
                    let mask =
                        |is: &dyn Fn(u8) -> bool| (0..32).fold(0, |all, i| all | (is(block[i]) as u32) << i);
                    let expected = (mask(&|byte| byte >= 0x80), mask(&|byte| byte == b','));
                    for level in [Level::Portable, Level::best()] {
                        assert_eq!(dispatch(level, Short(&block)), expected, "{level:?}: {block:?}");
                        assert_eq!(dispatch(level, Apart(&block)), expected, "{level:?}, apart: {block:?}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes(block: [u8; 32], more: [u8; 32]) {
            let mut all = [0; 64];
            all[..32].copy_from_slice(&block);
            all[32..].copy_from_slice(&more);
            check(&all);
        }
    }
}
