//! From ranges of addresses, as sources list them, to a table.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::starts::Starts;
use super::{Countries, Country, Source, V4_BUCKET, V4_LOW, V6_BUCKET, V6_LOW};

/// Networks of IPv4 that belong to nobody in public, by address and length; RFC 6890 and RFC 5771.
const SPECIAL_V4: [(Ipv4Addr, u32); 14] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The same of IPv6 within 2000::/3: Teredo, benchmarks, ORCHID and documentation.
const SPECIAL_V6: [(Ipv6Addr, u32); 6] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28),
    (Ipv6Addr::new(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 28),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// The first 64 bits at which 2000::/3 begins and ends.
const PUBLIC_V6: (u64, u64) = (1 << 61, (1 << 62) - 1);

/// First, last and the number of the country.
type Range = (u64, u64, u8);

/// Ranges of addresses, to be made a table of.
pub struct Ranges {
    codes: Vec<Country>,
    v4: Vec<Range>,
    /// By the first 64 bits, less those of 2000::/3.
    v6: Vec<Range>,
}

impl Default for Ranges {
    fn default() -> Ranges {
        Ranges { codes: vec![Country::UNKNOWN], v4: Vec::new(), v6: Vec::new() }
    }
}

impl Ranges {
    /// Adds the addresses from `first` to `last`. Of IPv6 the first 64 bits count: where several countries share them, they
    /// are that of the first address.
    ///
    /// # Errors
    /// If it is no range, or there are more countries than have a number.
    pub fn add(&mut self, first: IpAddr, last: IpAddr, country: Country) -> Result<(), String> {
        let number = match self.codes.iter().position(|known| *known == country) {
            Some(number) => number,
            None => {
                self.codes.push(country);
                self.codes.len() - 1
            }
        };
        let number = u8::try_from(number).map_err(|_| "there are more than 255 countries".to_string())?;
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                self.v4.push((u32::from(first).into(), u32::from(last).into(), number));
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                let (first, last) = (u128::from(first), u128::from(last));
                let whole = first.checked_add(u128::from(u64::MAX)).map(|first| (first >> 64) as u64);
                let Some(first) = whole.map(|first| first.max(PUBLIC_V6.0)) else { return Ok(()) };
                let last = ((last >> 64) as u64).min(PUBLIC_V6.1);
                if first <= last {
                    self.v6.push((first - PUBLIC_V6.0, last - PUBLIC_V6.0, number));
                }
            }
            _ => return Err(format!("{first} to {last} is no range")),
        }
        Ok(())
    }

    /// The table of them; what is not public is left out.
    ///
    /// # Errors
    /// If two ranges overlap.
    pub fn table(self, source: Source) -> Result<Countries, String> {
        let mut codes = Box::new([Country::UNKNOWN; 256]);
        codes[..self.codes.len()].copy_from_slice(&self.codes);
        let special_v4 = SPECIAL_V4.map(|(address, len)| {
            let first = u64::from(u32::from(address));
            (first, first + (1 << (32 - len)) - 1)
        });
        let special_v6 = SPECIAL_V6.map(|(address, len)| {
            let first = (u128::from(address) >> 64) as u64 - PUBLIC_V6.0;
            (first, first + (1 << (64 - len)) - 1)
        });
        let v4 = starts(self.v4, &special_v4, u32::MAX.into())?;
        let v6 = starts(self.v6, &special_v6, PUBLIC_V6.1 - PUBLIC_V6.0)?;
        Ok(Countries {
            source,
            codes,
            v4: Starts::new(&v4, V4_BUCKET, V4_LOW).expect("starts grow from zero to the last address"),
            v6: Starts::new(&v6, V6_BUCKET, V6_LOW).expect("starts grow from zero to the last address"),
        })
    }
}

/// Where ranges start, gaps among them: values up to `last` that nothing covers, and those of `special`, have number zero.
fn starts(mut ranges: Vec<Range>, special: &[(u64, u64)], last: u64) -> Result<Vec<(u64, u8)>, String> {
    ranges.sort_unstable();
    if ranges.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
        return Err("two ranges overlap".into());
    }
    let mut out: Vec<(u64, u8)> = vec![(0, 0)];
    let mut put = |from: u64, to: u64, number: u8| {
        if out.last().is_some_and(|(start, _)| *start == from) {
            out.pop();
        }
        if out.last().is_none_or(|(_, before)| *before != number) {
            out.push((from, number));
        }
        if to < last {
            out.push((to + 1, 0));
        }
    };
    for (mut from, to, number) in ranges {
        for (first, end) in special {
            if *first > to || *end < from {
                continue;
            }
            if from < *first {
                put(from, first - 1, number);
            }
            from = end + 1;
        }
        if from <= to {
            put(from, to, number);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(ranges: &[(&str, &str, &str)]) -> Result<Countries, String> {
        let mut all = Ranges::default();
        for (first, last, code) in ranges {
            all.add(first.parse().unwrap(), last.parse().unwrap(), Country::of(code.as_bytes()).unwrap())?;
        }
        all.table(Source::default())
    }

    #[test]
    fn ranges_have_edges_and_gaps() {
        let table = table(&[
            ("9.0.0.0", "12.255.255.255", "DE"),
            ("13.0.0.0", "13.0.0.0", "de"),
            ("13.0.0.2", "13.255.255.255", "FR"),
            ("1.0.0.0", "1.0.0.255", "AU"),
            ("223.255.255.0", "255.255.255.255", "JP"),
            ("2001:db7:ffff::", "2001:db9::ffff", "IT"),
            // Begins within 64 bits: they are those of what comes before.
            ("2400:0:0:1::8", "2400:0:0:2:ffff:ffff:ffff:ffff", "KR"),
            ("ffff::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "US"),
            ("3fff:ffff:ffff:ffff::", "4000::", "CH"),
        ])
        .unwrap();
        for (address, expected) in [
            ("0.255.255.255", "ZZ"),
            ("1.0.0.0", "AU"),
            ("1.0.0.255", "AU"),
            ("1.0.1.0", "ZZ"),
            ("9.255.255.255", "DE"),
            ("10.0.0.0", "ZZ"),
            ("10.255.255.255", "ZZ"),
            ("11.0.0.0", "DE"),
            ("13.0.0.0", "DE"),
            ("13.0.0.1", "ZZ"),
            ("13.0.0.2", "FR"),
            ("223.255.255.255", "JP"),
            ("224.0.0.0", "ZZ"),
            ("255.255.255.255", "ZZ"),
            ("2001:db7:ffff:ffff::", "IT"),
            ("2001:db8::", "ZZ"),
            ("2001:db8:ffff::", "ZZ"),
            ("2001:db9::", "IT"),
            ("2001:db9:0:1::", "ZZ"),
            ("2400:0:0:1::9", "ZZ"),
            ("2400:0:0:2::", "KR"),
            ("2400:0:0:3::", "ZZ"),
            ("3fff:ffff:ffff:fffe::", "ZZ"),
            ("3fff:ffff:ffff:ffff::1", "CH"),
            ("4000::", "ZZ"),
        ] {
            assert_eq!(table.of(address.parse().unwrap()).to_string(), expected, "{address}");
        }
        // 9 to 13.0.0.0 is one range but for the private one in it.
        assert_eq!(table.ranges().0, 11);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        assert!(table(&[("2.0.0.1", "2.0.0.0", "DE")]).is_err());
        assert!(table(&[("2.0.0.1", "::", "DE")]).is_err());
        assert!(table(&[("2.0.0.0", "2.0.0.9", "DE"), ("2.0.0.9", "2.0.1.0", "FR")]).is_err());
        assert_eq!(Country::of(b"D1"), None);
        assert_eq!(Country::of(b"DEU"), None);
    }
}
