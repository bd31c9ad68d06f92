//! From a MaxMind DB file (`.mmdb`) to a table: what it says of each network is read once, at the start.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::HashMap;

use maxminddb::{PathElement, Reader, WithinOptions};

use super::{Attribution, Countries, Country, Ranges, Source};

/// Networks of one file: a table of cities has six million.
const NETWORKS_MAX: usize = 20_000_000;

/// Where files of various makers have the code of a country; the first that is there counts.
const PATHS: [&[PathElement<'static>]; 3] = [
    &[PathElement::Key("country"), PathElement::Key("iso_code")],
    &[PathElement::Key("country_code")],
    &[PathElement::Key("registered_country"), PathElement::Key("iso_code")],
];

/// What has to be said of files whose type begins so.
const KNOWN: [(&str, &str, &str); 2] = [
    ("DBIP", "IP Geolocation by DB-IP", "https://db-ip.com"),
    ("GeoLite2", "This product includes GeoLite Data created by MaxMind", "https://www.maxmind.com"),
];

/// The table of a file's bytes.
///
/// # Errors
/// What is wrong with it, or that it knows no country.
pub fn of_mmdb(file: &[u8]) -> Result<Countries, String> {
    let reader = Reader::from_source(file).map_err(|error| error.to_string())?;
    let mut ranges = Ranges::default();
    // Many networks share what is said of them.
    let mut known: HashMap<usize, Option<Country>> = HashMap::new();
    let (mut seen, mut any) = (0, false);
    for found in reader.networks(WithinOptions::default()).map_err(|error| error.to_string())? {
        let found = found.map_err(|error| error.to_string())?;
        seen += 1;
        if seen > NETWORKS_MAX {
            return Err(format!("it has more than {NETWORKS_MAX} networks"));
        }
        let Some(offset) = found.offset() else { continue };
        let country = match known.get(&offset) {
            Some(country) => *country,
            None => {
                // What is no map on the way to a path says nothing.
                let code = PATHS.iter().find_map(|path| found.decode_path::<&str>(path).ok().flatten());
                let country = code.and_then(|code| Country::of(code.as_bytes()));
                known.insert(offset, country);
                country
            }
        };
        let Some(country) = country else { continue };
        let network = found.network().map_err(|error| error.to_string())?;
        let (first, last) = ends(network.network(), network.prefix());
        ranges.add(first, last, country)?;
        any = true;
    }
    let metadata = reader.metadata();
    if !any {
        return Err(format!("it tells no countries: its type is `{}`", metadata.database_type));
    }
    ranges.table(Source {
        name: metadata.database_type.as_str().into(),
        date: day(metadata.build_epoch),
        attribution: KNOWN
            .iter()
            .find(|(start, ..)| metadata.database_type.starts_with(start))
            .map(|(_, text, link)| Attribution { text: (*text).into(), link: (*link).into() }),
    })
}

/// The first and the last address of a network.
fn ends(address: IpAddr, len: u8) -> (IpAddr, IpAddr) {
    let last = match address {
        IpAddr::V4(first) => {
            let rest = u32::MAX.checked_shr(len.into()).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(first) | rest))
        }
        IpAddr::V6(first) => {
            let rest = u128::MAX.checked_shr(len.into()).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(first) | rest))
        }
    };
    (address, last)
}

/// The day of seconds since 1970; empty if there is none.
fn day(seconds: u64) -> Box<str> {
    let at = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    at.map_or(String::new(), |at| at.strftime("%Y-%m-%d").to_string()).into()
}

#[cfg(test)]
#[path = "../../tests/support/mmdb.rs"]
mod written;

#[cfg(test)]
mod tests {
    use super::written::file;
    use super::*;

    #[test]
    fn a_file_is_a_table() {
        let file = file(
            "DBIP-Test",
            &[("8.8.8.0", 24, "US"), ("9.0.0.0", 8, "de"), ("2a00:100::", 24, "FR"), ("2b00::", 16, "F")],
        );
        let table = of_mmdb(&file).unwrap();
        for (address, expected) in [
            ("8.8.7.255", "ZZ"),
            ("8.8.8.0", "US"),
            ("8.8.8.255", "US"),
            ("9.255.255.255", "DE"),
            ("10.0.0.0", "ZZ"),
            ("2a00:1ff:ffff::", "FR"),
            ("2a00:200::", "ZZ"),
            ("2b00::1", "ZZ"),
        ] {
            assert_eq!(table.of(address.parse().unwrap()).to_string(), expected, "{address}");
        }
        assert_eq!((&*table.source.name, &*table.source.date), ("DBIP-Test", "2026-01-02"));
        let attribution = table.source.attribution.unwrap();
        assert_eq!(attribution.to_string(), "IP Geolocation by DB-IP (https://db-ip.com)");
        assert_eq!(table.codes[4], Country::UNKNOWN);
    }

    #[test]
    fn what_is_no_file_of_countries_is_refused() {
        let said = |file: &[u8]| of_mmdb(file).unwrap_err();
        assert!(said(b"").contains("metadata"), "{}", said(b""));
        let other = file("Other", &[("2b00::", 16, "F")]);
        assert_eq!(said(&other), "it tells no countries: its type is `Other`");
        // Anything may be wrong in it, but it is no panic.
        let whole = file("X", &[("8.8.8.0", 24, "US"), ("2a00::", 16, "FR")]);
        for len in 0..whole.len() {
            let _ = of_mmdb(&whole[..len]);
        }
        for place in 0..whole.len() {
            for change in [1, 0x40, 0xff] {
                let mut file = whole.clone();
                file[place] ^= change;
                let _ = of_mmdb(&file);
            }
        }
    }
}
