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
    #[inline(always)]
    fn classes(self, block: &[u8; 64]) -> Classes {
        // SAFETY: the instructions are there, see `Avx2`; 64 bytes are read, and a block has them.
        unsafe {
            let low = _mm256_loadu_si256(block.as_ptr().cast());
            let high = _mm256_loadu_si256(block.as_ptr().add(32).cast());
            Classes {
                space: both(equal(low, b' '), equal(high, b' ')),
                quote: both(equal(low, b'"'), equal(high, b'"')),
                odd: both(odd(low), odd(high)),
            }
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

#[inline]
#[target_feature(enable = "avx2")]
fn odd(bytes: __m256i) -> __m256i {
    let ascii = _mm256_or_si256(equal(bytes, b'\\'), equal(bytes, 0x7f));
    _mm256_or_si256(ascii, below(bytes, b' '))
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
