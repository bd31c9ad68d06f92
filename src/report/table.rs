//! Rows as CSV and as NDJSON.

use std::io::{self, Write};

/// Writes a line of CSV (RFC 4180): a cell is quoted where it has to be, and what a spreadsheet would run is told to be
/// text by one `'` before it.
pub fn csv<'c>(cells: impl IntoIterator<Item = &'c [u8]>, out: &mut impl Write) -> io::Result<()> {
    for (place, cell) in cells.into_iter().enumerate() {
        if place > 0 {
            out.write_all(b",")?;
        }
        let text = String::from_utf8_lossy(cell);
        let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        let quoted =
            text.contains([',', '"', '\r', '\n']) || text.starts_with([' ', '\t']) || text.ends_with(' ');
        match quoted {
            true => write!(out, "\"{guard}{}\"", text.replace('"', "\"\""))?,
            false => write!(out, "{guard}{text}")?,
        }
    }
    out.write_all(b"\r\n")
}

/// Writes a line of NDJSON: an object of heads and texts.
pub fn ndjson<'c>(
    heads: &[&str],
    cells: impl IntoIterator<Item = &'c [u8]>,
    out: &mut impl Write,
) -> io::Result<()> {
    out.write_all(b"{")?;
    for (place, (head, cell)) in heads.iter().zip(cells).enumerate() {
        if place > 0 {
            out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *out, head)?;
        out.write_all(b":")?;
        serde_json::to_writer(&mut *out, &String::from_utf8_lossy(cell))?;
    }
    out.write_all(b"}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(cells: &[&str]) -> String {
        let mut out = Vec::new();
        csv(cells.iter().map(|cell| cell.as_bytes()), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_quotes_and_defuses() {
        for (cells, written) in [
            (&["a", "", "b c"][..], "a,,b c\r\n"),
            (&["a,b", "say \"x\"", "two\nlines"], "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\"\r\n"),
            (&["=1+1", "+1", "-1", "@x", "\tx", "\rx"], "'=1+1,'+1,'-1,'@x,\"'\tx\",\"'\rx\"\r\n"),
            (&["=HYPERLINK(\"http://x\",\"y\")"], "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"\r\n"),
            (&["a=1", " =1", "'=1"], "a=1,\" =1\",'=1\r\n"),
        ] {
            assert_eq!(line(cells), written);
        }
        let mut out = Vec::new();
        csv([&b"\xff\xfe"[..]], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\u{fffd}\u{fffd}\r\n");
    }

    #[test]
    fn ndjson_keeps_the_bytes() {
        let mut out = Vec::new();
        ndjson(&["a", "b\""], [&b"=1+1"[..], b"x\n\"y\""], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{\"a\":\"=1+1\",\"b\\\"\":\"x\\n\\\"y\\\"\"}\n");
    }
}
