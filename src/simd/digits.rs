//! Numbers as decimal digits, several at a time.

/// The three digits of each number below 1,000, zeros in front; the fourth byte is zero.
pub static THREE: [[u8; 4]; 1000] = THREE_DIGITS;

const THREE_DIGITS: [[u8; 4]; 1000] = {
    let mut all = [[0; 4]; 1000];
    let mut n = 0;
    while n < all.len() {
        all[n] = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8, 0];
        n += 1;
    }
    all
};

/// The digits of each number below 1,000, without zeros in front; the fourth byte is how many they are.
pub static SMALL: [[u8; 4]; 1000] = {
    let mut all = [[0; 4]; 1000];
    let mut n = 0;
    while n < all.len() {
        let [a, b, c, _] = THREE_DIGITS[n];
        all[n] = match n {
            0..10 => [c, 0, 0, 1],
            10..100 => [b, c, 0, 2],
            _ => [a, b, c, 3],
        };
        n += 1;
    }
    all
};

/// One more than eight digits write.
const EIGHT: u64 = 100_000_000;
const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);

/// The eight digits of a number below 100,000,000, zeros in front.
///
/// Halves, then quarters, then single digits lie side by side in one word, so that each step takes all apart at once;
/// to divide is to multiply and shift, which is exact for parts this small.
#[inline(always)]
fn eight(n: u32) -> [u8; 8] {
    (parts(n) | ZEROS).to_le_bytes()
}

/// A number in decimal.
pub struct Decimal {
    /// What lies behind the first `len` means nothing.
    pub digits: [u8; 24],
    pub len: usize,
}

/// The digits of any number.
#[inline(never)]
pub fn decimal(n: u64) -> Decimal {
    let mut digits = [0; 24];
    let len = match (n / EIGHT, (n % EIGHT) as u32) {
        (0, low) => put_short(low, &mut digits),
        (high, low) => {
            let len = match (high / EIGHT, (high % EIGHT) as u32) {
                (0, middle) => put_short(middle, &mut digits),
                (high, middle) => {
                    let len = put_short(high as u32, &mut digits);
                    digits[len..len + 8].copy_from_slice(&eight(middle));
                    len + 8
                }
            };
            digits[len..len + 8].copy_from_slice(&eight(low));
            len + 8
        }
    };
    Decimal { digits, len }
}

/// Puts the digits of a number below 100,000,000 without zeros in front; returns how many they are.
#[inline(always)]
fn put_short(n: u32, digits: &mut [u8; 24]) -> usize {
    let parts = parts(n);
    // The last digit counts even if it is zero.
    let zeros = (parts | 1 << 63).trailing_zeros() as usize / 8;
    digits[..8].copy_from_slice(&((parts | ZEROS) >> (8 * zeros)).to_le_bytes());
    8 - zeros
}

/// The eight digits as numbers, the first in the lowest byte.
#[inline(always)]
fn parts(n: u32) -> u64 {
    debug_assert!(n < 100_000_000);
    let halves = u64::from(n / 10_000) | u64::from(n % 10_000) << 32;
    let hundreds = ((halves * 5243) >> 19) & 0x0000_007f_0000_007f;
    let quarters = hundreds | (halves - hundreds * 100) << 16;
    let tens = ((quarters * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (quarters - tens * 10) << 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(n: u32) {
        assert_eq!(str::from_utf8(&eight(n)).unwrap(), format!("{n:08}"));
        check_decimal(n as u64);
    }

    fn check_decimal(n: u64) {
        let Decimal { digits, len } = decimal(n);
        assert_eq!(str::from_utf8(&digits[..len]).unwrap(), n.to_string());
    }

    #[test]
    fn every_number_of_digits() {
        for power in (0..20).map(|digits| 10_u64.pow(digits)) {
            for n in [power - 1, power, power + 1, power / 100 * 97] {
                check_decimal(n);
            }
        }
        check_decimal(u64::MAX);
    }

    #[test]
    fn tables() {
        for n in 0..1000 {
            assert_eq!(str::from_utf8(&THREE[n]).unwrap(), format!("{n:03}\0"));
            let len = SMALL[n][3] as usize;
            assert_eq!(str::from_utf8(&SMALL[n][..len]).unwrap(), n.to_string());
        }
    }

    #[test]
    fn both_halves_in_all_their_values() {
        for half in 0..10_000 {
            check(half);
            check(half * 10_000 + half);
            check(half * 10_000 + 9_999 - half);
        }
    }

    proptest! {
        #[test]
        fn any_number(n in 0..100_000_000_u32) {
            check(n);
        }

        #[test]
        fn any_large_number(n: u64) {
            check_decimal(n);
        }
    }
}
