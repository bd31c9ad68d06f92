//! The file of a table: what a program carries, or writes once and reads often.
//!
//! Eight bytes of name and version, a hash, then zstd over: texts of the source, codes of countries, and for IPv4 and for
//! IPv6 the number of starts, the steps between them, seven bits a byte, and the country of each.

use xxhash_rust::xxh3::xxh3_64;

use super::starts::Starts;
use super::{Attribution, Countries, Country, Source, V4_BUCKET, V4_LOW, V6_BUCKET, V6_LOW};

const MAGIC: &[u8; 8] = b"weirgeo1";
/// Bytes of a file when unpacked: ten times what the compiled-in one has.
const UNPACKED_MAX: usize = 32 << 20;

/// Writes a table as a file.
pub fn write(table: &Countries) -> Vec<u8> {
    let mut out = Vec::new();
    let attribution = table.source.attribution.clone().unwrap_or_default();
    for text in [&table.source.name, &table.source.date, &attribution.text, &attribution.link] {
        step(text.len() as u64, &mut out);
        out.extend_from_slice(text.as_bytes());
    }
    let named = table.codes.iter().rposition(|code| *code != Country::UNKNOWN).unwrap_or(0);
    out.push(named as u8);
    table.codes[1..=named].iter().for_each(|code| out.extend_from_slice(code.letters()));
    write_starts(&table.v4.each(V4_LOW).collect::<Vec<_>>(), &mut out);
    write_starts(&table.v6.each(V6_LOW).collect::<Vec<_>>(), &mut out);
    let packed = zstd::bulk::compress(&out, 22).expect("memory takes what is written");
    [MAGIC, &xxh3_64(&packed).to_le_bytes(), &packed[..]].concat()
}

fn write_starts(starts: &[(u64, u8)], out: &mut Vec<u8>) {
    step(starts.len() as u64, out);
    let mut before = 0;
    for (start, _) in starts {
        step(start - before, out);
        before = *start;
    }
    out.extend(starts.iter().map(|(_, number)| *number));
}

/// Appends a number, seven bits a byte, the lowest first.
fn step(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a file that [`write`] made.
///
/// # Errors
/// What is wrong with it.
pub fn read(file: &[u8]) -> Result<Countries, &'static str> {
    let rest = file.strip_prefix(MAGIC).ok_or("it is no table of countries of this version")?;
    let (hash, packed) = rest.split_first_chunk::<8>().ok_or("it is cut off")?;
    if xxh3_64(packed).to_le_bytes() != *hash {
        return Err("it is damaged: its hash is another");
    }
    let unpacked = zstd::bulk::decompress(packed, UNPACKED_MAX).map_err(|_| "it cannot be unpacked")?;
    let mut reader = Reader(&unpacked);
    reader.table().filter(|_| reader.0.is_empty()).ok_or("what it holds is no table")
}

struct Reader<'f>(&'f [u8]);

impl<'f> Reader<'f> {
    fn table(&mut self) -> Option<Countries> {
        let [name, date, text, link] = [self.text()?, self.text()?, self.text()?, self.text()?];
        let attribution = (!text.is_empty()).then(|| Attribution { text: text.into(), link: link.into() });
        let source = Source { name: name.into(), date: date.into(), attribution };
        let named = self.take(1)?[0];
        let mut codes = Box::new([Country::UNKNOWN; 256]);
        for place in 1..=usize::from(named) {
            codes[place] = Country::of(self.take(2)?)?;
        }
        let v4 = Starts::new(&self.starts(named)?, V4_BUCKET, V4_LOW)?;
        let v6 = Starts::new(&self.starts(named)?, V6_BUCKET, V6_LOW)?;
        Some(Countries { source, codes, v4, v6 })
    }

    fn take(&mut self, len: usize) -> Option<&'f [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'f str> {
        let len = usize::try_from(self.step()?).ok()?;
        core::str::from_utf8(self.take(len)?).ok()
    }

    fn step(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for place in 0..10 {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn starts(&mut self, named: u8) -> Option<Vec<(u64, u8)>> {
        let len = usize::try_from(self.step()?).ok()?;
        // Each has a byte at least.
        if len > self.0.len() {
            return None;
        }
        let mut starts = Vec::with_capacity(len);
        let mut start = 0u64;
        for _ in 0..len {
            start = start.checked_add(self.step()?)?;
            starts.push((start, 0));
        }
        for (start, number) in starts.iter_mut().zip(self.take(len)?) {
            start.1 = Some(*number).filter(|number| *number <= named)?;
        }
        Some(starts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Ranges;

    fn small() -> Countries {
        let mut ranges = Ranges::default();
        for (first, last, code) in
            [("1.0.0.0", "1.0.0.9", "AU"), ("1.0.1.0", "9.0.0.0", "CN"), ("2a00::", "2a01::", "FR")]
        {
            let code = Country::of(code.as_bytes()).unwrap();
            ranges.add(first.parse().unwrap(), last.parse().unwrap(), code).unwrap();
        }
        let attribution = Some(Attribution { text: "by X".into(), link: "https://x".into() });
        ranges.table(Source { name: "X".into(), date: "2026-01-02".into(), attribution }).unwrap()
    }

    #[test]
    fn a_table_survives_its_file() {
        let table = small();
        assert_eq!(read(&write(&table)).unwrap(), table);
    }

    #[test]
    fn a_file_that_is_damaged_is_refused() {
        let whole = write(&small());
        for len in 0..whole.len() {
            assert!(read(&whole[..len]).is_err(), "{len}");
        }
        for place in 0..whole.len() {
            let mut file = whole.clone();
            file[place] ^= 1;
            assert!(read(&file).is_err(), "{place}");
        }
    }

    #[test]
    fn a_file_that_says_nonsense_is_refused_or_read_without_a_panic() {
        // With a hash that is right, so that the contents are looked at.
        let unpacked = zstd::bulk::decompress(&write(&small())[16..], UNPACKED_MAX).unwrap();
        let with = |unpacked: &[u8]| {
            let packed = zstd::bulk::compress(unpacked, 1).unwrap();
            [MAGIC, &xxh3_64(&packed).to_le_bytes(), &packed[..]].concat()
        };
        assert_eq!(read(&with(&unpacked)).unwrap(), small());
        for len in 0..unpacked.len() {
            assert!(read(&with(&unpacked[..len])).is_err(), "{len}");
        }
        assert!(read(&with(&[&unpacked[..], b"x"].concat())).is_err());
        let mut refused = 0;
        for place in 0..unpacked.len() {
            for change in [1u8, 0x7f, 0x80, 0xff] {
                let mut file = unpacked.clone();
                file[place] ^= change;
                match read(&with(&file)) {
                    Ok(table) => {
                        for address in ["1.0.0.4", "255.0.0.0", "2a00::1", "3fff::"] {
                            table.of(address.parse().unwrap());
                        }
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > unpacked.len(), "{refused}");
    }
}
