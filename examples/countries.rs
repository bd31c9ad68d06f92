//! Compiles ranges of addresses into the table that is carried by the program:
//!
//! ```text
//! cargo run --release --example countries -- 2026-06-01 dbip-country-ipv4.csv dbip-country-ipv6.csv src/geo/countries.bin
//! ```
//!
//! A line of the CSV files is `FIRST,LAST,CODE`, as DB-IP's Country Lite has them; both files may be one. The date is that
//! of the data. `src/geo/NOTICE` says where they come from and under which terms.

use std::error::Error;
use std::net::IpAddr;

use weir::geo::{Attribution, Country, Ranges, Source, read, write};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [date, files @ .., out] = &arguments[..] else {
        return Err("usage: countries DATE CSV... OUT".into());
    };
    let mut ranges = Ranges::default();
    let mut lines: Vec<(IpAddr, IpAddr, Country)> = Vec::new();
    for file in files {
        for (number, line) in std::fs::read_to_string(file)?.lines().enumerate() {
            let wrong = |why: &str| format!("{file}:{}: {why}: {line}", number + 1);
            let columns: Vec<&str> = line.split(',').map(|column| column.trim_matches('"')).collect();
            let [first, last, code] = columns[..] else { return Err(wrong("not three columns").into()) };
            let country = Country::of(code.as_bytes()).ok_or_else(|| wrong("no country"))?;
            let (first, last) = (first.parse()?, last.parse()?);
            lines.push((first, last, country));
            ranges.add(first, last, country).map_err(|why| wrong(&why))?;
        }
    }
    let attribution =
        Attribution { text: "IP Geolocation by DB-IP".into(), link: "https://db-ip.com".into() };
    let source = Source {
        name: "DB-IP Country Lite".into(),
        date: date.as_str().into(),
        attribution: Some(attribution),
    };
    let table = ranges.table(source)?;
    let bytes = write(&table);
    assert!(read(&bytes)? == table, "the file says what the table says");
    std::fs::write(out, &bytes)?;
    // Special addresses, and ranges of IPv6 that begin within 64 bits.
    let others = lines
        .iter()
        .filter(|(first, last, country)| [first, last].iter().any(|at| table.of(**at) != *country));
    println!("{} ranges were read; of {} the table tells an end otherwise", lines.len(), others.count());
    let (v4, v6) = table.ranges();
    println!(
        "{out}: {} bytes, {v4} ranges of IPv4 and {v6} of IPv6, {} bytes in memory",
        bytes.len(),
        table.bytes()
    );
    Ok(())
}
