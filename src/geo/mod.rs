//! From an address to its country: a table of ranges, the one that is compiled in or one of the site's own.
//!
//! A table is made once and only read then; a lookup allocates nothing. An IPv6 address is looked up by its first 64 bits.
//! Addresses that belong to nobody in public, private and documentation ones among them, have no country in any table.

mod file;
mod mmdb;
mod ranges;
mod starts;

use core::fmt;
use core::net::IpAddr;
use std::sync::{Arc, OnceLock};

use starts::Starts;

pub use file::{read, write};
pub use mmdb::of_mmdb;
pub use ranges::Ranges;

/// Country Lite by DB-IP as `examples/countries.rs` compiled it; `NOTICE` beside it says more.
const BUILT_IN: &[u8] = include_bytes!("countries.bin");

/// Bits of an IPv4 address that choose a bucket.
const V4_BUCKET: u32 = 16;
/// The same of the 61 bits that 2000::/3 leaves of the first 64; all public addresses lie in it.
const V6_BUCKET: u32 = 17;
const V4_LOW: u32 = 32 - V4_BUCKET;
const V6_LOW: u32 = 61 - V6_BUCKET;

/// A country: the two letters of ISO 3166-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// No country is known.
    pub const UNKNOWN: Country = Country(*b"ZZ");

    /// The country of two letters, in either case.
    pub fn of(code: &[u8]) -> Option<Country> {
        let code: [u8; 2] = code.try_into().ok()?;
        code.iter()
            .all(u8::is_ascii_alphabetic)
            .then(|| Country(code.map(|letter| letter.to_ascii_uppercase())))
    }

    /// Its two capital letters.
    pub fn letters(&self) -> &[u8; 2] {
        &self.0
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.0.map(char::from);
        write!(f, "{a}{b}")
    }
}

/// What has to be said where results of a table are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribution {
    pub text: Box<str>,
    /// Where it leads; empty: nowhere.
    pub link: Box<str>,
}

impl fmt::Display for Attribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.link.is_empty() {
            true => write!(f, "{}", self.text),
            false => write!(f, "{} ({})", self.text, self.link),
        }
    }
}

/// Whose data a table holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// What its maker calls it.
    pub name: Box<str>,
    /// The day it was made, `2026-06-01`; empty: not known.
    pub date: Box<str>,
    pub attribution: Option<Attribution>,
}

/// A table from addresses to countries.
#[derive(Debug, PartialEq, Eq)]
pub struct Countries {
    pub source: Source,
    /// By number; zero is unknown, and so is what the table has no number for.
    codes: Box<[Country; 256]>,
    v4: Starts<u16>,
    v6: Starts<u64>,
}

impl Countries {
    /// The country of an address; [`Country::UNKNOWN`] if the table has none.
    #[inline]
    pub fn of(&self, address: IpAddr) -> Country {
        let number = match address {
            IpAddr::V4(address) => {
                let bits = u32::from(address);
                self.v4.at((bits >> V4_LOW) as usize, bits as u16)
            }
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(address) => return self.of(IpAddr::V4(address)),
                None => {
                    let bits = (u128::from(address) >> 64) as u64;
                    if bits >> 61 != 1 {
                        return Country::UNKNOWN;
                    }
                    self.v6.at((bits << 3 >> (3 + V6_LOW)) as usize, bits & ((1 << V6_LOW) - 1))
                }
            },
        };
        self.codes[usize::from(number)]
    }

    /// How many ranges it tells apart, of IPv4 and of IPv6.
    pub fn ranges(&self) -> (usize, usize) {
        (self.v4.len(), self.v6.len())
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        self.v4.bytes() + self.v6.bytes() + size_of::<[Country; 256]>()
    }
}

/// The table that is compiled in; unpacked when it is first asked for.
pub fn built_in() -> Arc<Countries> {
    static TABLE: OnceLock<Arc<Countries>> = OnceLock::new();
    let table = || Arc::new(read(BUILT_IN).expect("a test reads the table that is compiled in"));
    TABLE.get_or_init(table).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(address: &str) -> String {
        built_in().of(address.parse().unwrap()).to_string()
    }

    #[test]
    fn the_table_that_is_compiled_in_knows_addresses() {
        let table = read(BUILT_IN).unwrap();
        let (v4, v6) = table.ranges();
        assert!(v4 > 300_000 && v6 > 300_000 && table.bytes() < 6 << 20, "{v4} {v6} {}", table.bytes());
        assert!(BUILT_IN.len() < 1_500_000, "{}", BUILT_IN.len());
        let attribution = table.source.attribution.unwrap();
        assert_eq!(attribution.to_string(), "IP Geolocation by DB-IP (https://db-ip.com)");
        for (address, expected) in [
            ("8.8.8.8", "US"),
            ("193.0.6.139", "NL"),
            ("202.12.29.205", "AU"),
            ("2001:67c:2e8:22::c100:68b", "NL"),
            ("2001:200::8888", "JP"),
            ("::ffff:8.8.8.8", "US"),
        ] {
            assert_eq!(country(address), expected, "{address}");
        }
    }

    #[test]
    fn the_table_that_is_compiled_in_says_what_its_source_says() {
        let table = built_in();
        let mut seen = 0;
        for line in include_str!("sample.csv").lines() {
            let [first, last, code] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
            for address in [first, last, between(first, last)] {
                assert_eq!(table.of(address).to_string(), code, "{address} of {line}");
                seen += 1;
            }
        }
        assert_eq!(seen, 3 * 498);
    }

    fn between(first: IpAddr, last: IpAddr) -> IpAddr {
        match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                IpAddr::V4((u32::from(a) + (u32::from(b) - u32::from(a)) / 2).into())
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                IpAddr::V6((u128::from(a) + (u128::from(b) - u128::from(a)) / 2).into())
            }
            _ => panic!("{first} and {last} are of two kinds"),
        }
    }

    #[test]
    fn what_is_not_public_has_no_country() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.7",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.9",
            "203.0.113.255",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff:fff::1",
            "4000::1",
            "::ffff:10.0.0.1",
            "1fff:ffff::1",
        ] {
            assert_eq!(country(address), "ZZ", "{address}");
        }
        // What lies beside them has one.
        for address in ["9.255.255.255", "11.0.0.0", "172.32.0.0", "203.0.112.255", "203.0.114.0"] {
            assert_ne!(country(address), "ZZ", "{address}");
        }
    }
}
