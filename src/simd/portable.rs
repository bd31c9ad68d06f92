//! Plain 64-bit words, eight bytes in each: for any processor, and as the twin that the vectors are compared with.

use super::{Classes, Task, Vector};

/// No vectors.
#[derive(Clone, Copy)]
pub struct Portable;

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = ONES << 7;

/// The high bit of each byte that is `value`, which is ASCII, in bytes that are ASCII or have their high bit in `word`.
fn equal(word: u64, value: u8) -> u64 {
    let other = word ^ (ONES * value as u64);
    // Exact for each byte: the sum of seven bits never carries into the next byte.
    !(((other & !HIGHS) + !HIGHS) | other) & HIGHS
}

/// The high bit of each byte that is below 0x20.
fn control(word: u64) -> u64 {
    !(((word & !HIGHS) + ONES * 0x60) | word) & HIGHS
}

/// The high bits as eight bits, the first byte's the lowest.
fn gather(highs: u64) -> u64 {
    (highs >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

impl Vector for Portable {
    #[inline(always)]
    fn classes(self, block: &[u8; 64]) -> Classes {
        let mut classes = Classes::default();
        for (index, chunk) in block.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*chunk);
            let odd = control(word) | equal(word, b'\\') | equal(word, 0x7f) | word & HIGHS;
            classes.space |= gather(equal(word, b' ')) << (8 * index);
            classes.quote |= gather(equal(word, b'"')) << (8 * index);
            classes.odd |= gather(odd) << (8 * index);
        }
        classes
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
