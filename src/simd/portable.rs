//! Plain 64-bit words, eight bytes in each: for any processor, and as the twin that the vectors are compared with.

use super::{Classes, Task, Vector};

/// No vectors.
#[derive(Clone, Copy)]
pub struct Portable;

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = ONES << 7;

/// The high bit of each byte that is `value`.
fn equal(word: u64, value: u8) -> u64 {
    let other = word ^ (ONES * value as u64);
    // Exact for each byte: the sum of seven bits never carries into the next byte.
    !(((other & !HIGHS) + !HIGHS) | other) & HIGHS
}

/// The high bit of each byte that is below 0x20.
fn control(word: u64) -> u64 {
    !(((word & !HIGHS) + ONES * 0x60) | word) & HIGHS
}

/// The high bit of each byte that is odd.
fn odd(word: u64) -> u64 {
    control(word) | equal(word, b'\\') | equal(word, 0x7f) | word & HIGHS
}

/// The high bit of each byte that is a capital letter.
fn capital(word: u64) -> u64 {
    let low = word & !HIGHS;
    let (from_a, behind_z) = (low + ONES * (0x80 - b'A' as u64), low + ONES * (0x7f - b'Z' as u64));
    from_a & !behind_z & !word & HIGHS
}

/// The high bits as eight bits, the first byte's the lowest.
fn gather(highs: u64) -> u64 {
    (highs >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

impl Vector for Portable {
    type Seen = u64;

    #[inline(always)]
    fn nothing(self) -> u64 {
        0
    }

    #[inline(always)]
    fn classes(self, block: &[u8; 64], seen: &mut u64) -> Classes {
        let mut classes = Classes::default();
        for (index, chunk) in block.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*chunk);
            classes.space |= gather(equal(word, b' ')) << (8 * index);
            classes.quote |= gather(equal(word, b'"')) << (8 * index);
            *seen |= odd(word);
        }
        classes
    }

    #[inline(always)]
    fn any(self, seen: u64) -> bool {
        seen != 0
    }

    #[inline(always)]
    fn odd(self, block: &[u8; 64]) -> u64 {
        let chunks = block.as_chunks::<8>().0.iter().enumerate();
        chunks.fold(0, |all, (index, chunk)| all | gather(odd(u64::from_le_bytes(*chunk))) << (8 * index))
    }

    #[inline(always)]
    fn pairs(self, one: &[u8; 64], first: u8, other: &[u8; 64], second: u8) -> u64 {
        let both = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
        both.enumerate().fold(0, |pairs, (index, (one, other))| {
            let found = equal(u64::from_le_bytes(*one), first) & equal(u64::from_le_bytes(*other), second);
            pairs | gather(found) << (8 * index)
        })
    }

    #[inline(always)]
    fn capitals(self, block: &[u8; 64]) -> u64 {
        let chunks = block.as_chunks::<8>().0.iter().enumerate();
        chunks.fold(0, |all, (index, chunk)| all | gather(capital(u64::from_le_bytes(*chunk))) << (8 * index))
    }

    #[inline(always)]
    fn common(self, one: &[u8; 32], other: &[u8; 32]) -> usize {
        let both = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
        let mut common = 0;
        for (one, other) in both {
            let differs = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
            if differs != 0 {
                return common + differs.trailing_zeros() as usize / 8;
            }
            common += 8;
        }
        common
    }

    #[inline(always)]
    fn escapes(self, block: &[u8; 32]) -> u32 {
        let mut escapes = 0;
        for (index, chunk) in block.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*chunk);
            let found = control(word) | equal(word, b'"') | equal(word, b'\\') | word & HIGHS;
            escapes |= (gather(found) as u32) << (8 * index);
        }
        escapes
    }
    #[inline(always)]
    fn not_ascii(self, block: &[u8; 32]) -> u32 {
        let words = block.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk) & HIGHS);
        words.enumerate().fold(0, |mask, (index, highs)| mask | (gather(highs) as u32) << (8 * index))
    }

    #[inline(always)]
    fn equal(self, block: &[u8; 32], byte: u8) -> u32 {
        let words = block.as_chunks::<8>().0.iter().map(|chunk| equal(u64::from_le_bytes(*chunk), byte));
        words.enumerate().fold(0, |mask, (index, highs)| mask | (gather(highs) as u32) << (8 * index))
    }

    #[inline(never)]
    fn apart<T: Task>(self, task: T) -> T::Output {
        task.run(self)
    }
}
