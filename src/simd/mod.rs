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
    /// What needs a second look: below 0x20, a backslash, 0x7f, or not ASCII.
    pub odd: u64,
}

/// Operations on many bytes.
pub trait Vector: Copy {
    /// The classes of 64 bytes.
    fn classes(self, block: &[u8; 64]) -> Classes;

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

    /// What `Vector` promises, byte by byte.
    fn expected(block: &[u8; 64]) -> (Classes, u32) {
        let mask = |is: &dyn Fn(u8) -> bool| (0..64).fold(0, |mask, i| mask | (is(block[i]) as u64) << i);
        let classes = Classes {
            space: mask(&|byte| byte == b' '),
            quote: mask(&|byte| byte == b'"'),
            odd: mask(&|byte| byte < b' ' || byte == b'\\' || byte >= 0x7f),
        };
        let escapes = mask(&|byte| byte < b' ' || byte == b'"' || byte == b'\\' || byte >= 0x80);
        (classes, escapes as u32)
    }

    struct Both<'a>(&'a [u8; 64]);

    impl Task for Both<'_> {
        type Output = (Classes, u32);

        #[inline(always)]
        fn run<V: Vector>(self, vector: V) -> (Classes, u32) {
            let half: &[u8; 32] = self.0.first_chunk().expect("64 bytes are more than 32");
            (vector.classes(self.0), vector.escapes(half))
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
                for around in [b'a', 0x00, 0x1f, b'!', 0x7f, 0x80, 0xff] {
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
