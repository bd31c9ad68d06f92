//! AVX2.

use core::arch::x86_64::*;

use super::{Avx2Found, Classes, Task, Vector};

/// Whether the processor has all that is used here.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

/// Runs a task that is compiled for these instructions.
pub(super) fn run<T: Task>(_: Avx2Found, task: T) -> T::Output {
    // SAFETY: an `Avx2Found` exists only where `is_there` said so.
    unsafe { enabled(task) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn enabled<T: Task>(task: T) -> T::Output {
    task.run(Avx2(()))
}

#[inline(never)]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn apart<T: Task>(task: T) -> T::Output {
    task.run(Avx2(()))
}

/// Made by `enabled` alone, so that its methods run only where the instructions are there.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Vector for Avx2 {
    type Seen = __m256i;

    #[inline(always)]
    fn nothing(self) -> __m256i {
        // SAFETY: the instructions are there, see `Avx2`.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    fn classes(self, block: &[u8; 64], seen: &mut __m256i) -> Classes {
        // SAFETY: the instructions are there, see `Avx2`; 64 bytes are read, and a block has them.
        unsafe {
            let low = _mm256_loadu_si256(block.as_ptr().cast());
            let high = _mm256_loadu_si256(block.as_ptr().add(32).cast());
            *seen = _mm256_or_si256(*seen, _mm256_or_si256(odd(low), odd(high)));
            Classes {
                space: both(equal(low, b' '), equal(high, b' ')),
                quote: both(equal(low, b'"'), equal(high, b'"')),
            }
        }
    }

    #[inline(always)]
    fn any(self, seen: __m256i) -> bool {
        // SAFETY: the instructions are there, see `Avx2`.
        unsafe { _mm256_testz_si256(seen, seen) == 0 }
    }

    #[inline(always)]
    fn odd(self, block: &[u8; 64]) -> u64 {
        // SAFETY: the instructions are there, see `Avx2`; 64 bytes are read, and a block has them.
        unsafe {
            let half = |at: usize| {
                let odd = odd(_mm256_loadu_si256(block.as_ptr().add(at).cast()));
                // Any bit may be set in a byte that is odd.
                _mm256_xor_si256(_mm256_cmpeq_epi8(odd, _mm256_setzero_si256()), _mm256_set1_epi8(-1))
            };
            both(half(0), half(32))
        }
    }

    #[inline(always)]
    fn pairs(self, one: &[u8; 64], first: u8, other: &[u8; 64], second: u8) -> u64 {
        // SAFETY: the instructions are there, see `Avx2`; 64 bytes of each are read, and a block has them.
        unsafe {
            let half = |at: usize| {
                let one = equal(_mm256_loadu_si256(one.as_ptr().add(at).cast()), first);
                let other = equal(_mm256_loadu_si256(other.as_ptr().add(at).cast()), second);
                _mm256_and_si256(one, other)
            };
            both(half(0), half(32))
        }
    }

    #[inline(always)]
    fn capitals(self, block: &[u8; 64]) -> u64 {
        // SAFETY: the instructions are there, see `Avx2`; 64 bytes are read, and a block has them.
        unsafe {
            let half = |at: usize| {
                let bytes = _mm256_loadu_si256(block.as_ptr().add(at).cast());
                // From `A` on: as signed numbers the bytes that are not ASCII are below all.
                _mm256_andnot_si256(below(bytes, b'A'), below(bytes, b'Z' + 1))
            };
            both(half(0), half(32))
        }
    }

    #[inline(always)]
    fn common(self, one: &[u8; 32], other: &[u8; 32]) -> usize {
        // SAFETY: the instructions are there, see `Avx2`; 32 bytes of each are read, and a block has them.
        unsafe {
            let one = _mm256_loadu_si256(one.as_ptr().cast());
            let other = _mm256_loadu_si256(other.as_ptr().cast());
            mask(_mm256_cmpeq_epi8(one, other)).trailing_ones() as usize
        }
    }

    #[inline(always)]
    fn escapes(self, block: &[u8; 32]) -> u32 {
        // SAFETY: the instructions are there, see `Avx2`; 32 bytes are read, and a block has them.
        unsafe {
            let bytes = _mm256_loadu_si256(block.as_ptr().cast());
            // With this bit turned, `"` stands right behind the controls, and a blank where `"` stood: so that one look finds
            // what is up to 0x20, and as signed numbers what is not ASCII. The look is at the sign of the difference.
            let turned = _mm256_xor_si256(bytes, _mm256_set1_epi8(2));
            let low = _mm256_subs_epi8(turned, _mm256_set1_epi8(0x21));
            mask(_mm256_or_si256(low, equal(bytes, b'\\')))
        }
    }

    #[inline(always)]
    fn not_ascii(self, block: &[u8; 32]) -> u32 {
        // SAFETY: the instructions are there, see `Avx2`; 32 bytes are read, and a block has them.
        unsafe { mask(_mm256_loadu_si256(block.as_ptr().cast())) }
    }

    #[inline(always)]
    fn equal(self, block: &[u8; 32], byte: u8) -> u32 {
        // SAFETY: the instructions are there, see `Avx2`; 32 bytes are read, and a block has them.
        unsafe { mask(equal(_mm256_loadu_si256(block.as_ptr().cast()), byte)) }
    }

    #[inline(always)]
    fn apart<T: Task>(self, task: T) -> T::Output {
        // SAFETY: the instructions are there, see `Avx2`.
        unsafe { apart(task) }
    }
}

/// The bytes that are `value`.
#[inline]
#[target_feature(enable = "avx2")]
fn equal(bytes: __m256i, value: u8) -> __m256i {
    _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(value as i8))
}

/// The bytes below `value`, which is ASCII, or not ASCII: as signed numbers the latter are below all.
#[inline]
#[target_feature(enable = "avx2")]
fn below(bytes: __m256i, value: u8) -> __m256i {
    _mm256_cmpgt_epi8(_mm256_set1_epi8(value as i8), bytes)
}

/// Not zero in the bytes that are odd.
#[inline]
#[target_feature(enable = "avx2")]
fn odd(bytes: __m256i) -> __m256i {
    // From a blank to `~` there are 0x5f: what is left above that is outside.
    let above = _mm256_subs_epu8(_mm256_sub_epi8(bytes, _mm256_set1_epi8(0x20)), _mm256_set1_epi8(0x5e));
    _mm256_or_si256(above, equal(bytes, b'\\'))
}

#[inline]
#[target_feature(enable = "avx2")]
fn mask(bytes: __m256i) -> u32 {
    _mm256_movemask_epi8(bytes) as u32
}

#[inline]
#[target_feature(enable = "avx2")]
fn both(low: __m256i, high: __m256i) -> u64 {
    u64::from(mask(low)) | u64::from(mask(high)) << 32
}
