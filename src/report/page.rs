//! A report as one page that prints: figures, bars and rows, without scripts or anything from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use jiff::Timestamp;

use crate::plan::report::Report;

/// Rows that a page shows; the other forms have all.
const ROWS: u64 = 2000;
/// Bars of one chart.
const BARS: usize = 12;
/// Values that a column may have to be drawn.
const VALUES: usize = 8;
/// Bytes of one cell that a page shows.
const CELL_BYTES: usize = 400;

const STYLE: &str = "\
*{box-sizing:border-box}body{font:14px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;color:#1c2733;\
margin:0 auto;padding:2rem;max-width:84rem}h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .6rem}\
.when{color:#5b6b7b;margin:.2rem 0 1.4rem}.cards{display:flex;flex-wrap:wrap;gap:.8rem}.card{border:1px solid #dde4ea;\
border-radius:8px;padding:.7rem 1.1rem;min-width:8rem}.card b{display:block;font-size:1.5rem}.card span{color:#5b6b7b}\
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(24rem,1fr));gap:.4rem 2rem}svg{width:100%;height:auto}\
table{border-collapse:collapse;width:100%;font-size:12.5px}th{text-align:left;border-bottom:2px solid #b9c6d2;\
padding:.35rem .5rem;background:#f4f7f9}td{border-bottom:1px solid #e6ebf0;padding:.3rem .5rem;vertical-align:top;\
overflow-wrap:anywhere}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.note{background:#fff6e0;\
border:1px solid #f0d9a0;border-radius:6px;padding:.5rem .8rem}footer{color:#5b6b7b;margin-top:2rem;font-size:12px}\
@media print{body{padding:0;max-width:none;font-size:11px}table{font-size:9px}thead{display:table-header-group}\
tr,.card,figure{break-inside:avoid}@page{size:A4 landscape;margin:12mm}}figure{margin:0}figcaption{font-weight:600}";

/// What a page is about. Times are microseconds since 1970.
pub struct Page<'a> {
    pub report: &'a Report,
    pub from_us: i64,
    pub to_us: i64,
    /// Number of the correction, if it is one.
    pub correction: Option<u32>,
    pub rows: u64,
    /// Rows that found no room.
    pub cut: u64,
    /// Rows of each of the report's tables.
    pub tables: &'a [Vec<Vec<Box<str>>>],
}

/// How often each column has which value, as long as there are few.
#[derive(Default)]
pub struct Values(Vec<Option<BTreeMap<Vec<u8>, u64>>>);

impl Values {
    /// Counts the cells of a row.
    pub fn add<'c>(&mut self, cells: impl Iterator<Item = &'c [u8]>) {
        for (place, cell) in cells.enumerate() {
            if self.0.len() <= place {
                self.0.push(Some(BTreeMap::new()));
            }
            let Some(column) = &mut self.0[place] else { continue };
            if !cell.is_empty() {
                match column.get_mut(cell) {
                    Some(n) => *n += 1,
                    None => {
                        column.insert(cell.to_vec(), 1);
                    }
                }
            }
            if column.len() > VALUES || cell.len() > 64 {
                self.0[place] = None;
            }
        }
    }
}

/// Writes a page; `rows` gives each row's cells to what it is called with.
pub fn write(
    page: &Page<'_>,
    values: &Values,
    out: &mut impl Write,
    rows: impl FnOnce(&mut dyn FnMut(&[&[u8]]) -> io::Result<bool>) -> io::Result<()>,
) -> io::Result<()> {
    let report = page.report;
    let title = escaped(&report.title);
    let mut head = String::new();
    let shown = |us: i64| {
        let at = Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH);
        at.to_zoned(report.zone.clone()).strftime("%Y-%m-%d %H:%M %:z").to_string()
    };
    let correction =
        page.correction.map_or(String::new(), |n| format!(" · correction {n}: rows that came late"));
    let _ = write!(
        head,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\"><title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n\
         <p class=\"when\">{} to {}{correction}</p>\n<div class=\"cards\">",
        shown(page.from_us),
        shown(page.to_us)
    );
    let mut card = |n: &str, what: &str| {
        let _ = write!(head, "<div class=\"card\"><b>{}</b><span>{}</span></div>", escaped(n), escaped(what));
    };
    if !report.heads.is_empty() {
        card(&grouped(&page.rows.to_string()), if page.rows == 1 { "row" } else { "rows" });
    }
    // Figures without keys are what a window comes to as a whole.
    for (table, rows) in report.tables.iter().zip(page.tables).filter(|(table, _)| table.by.is_empty()) {
        for (figure, value) in table.figures.iter().zip(rows.first().into_iter().flatten()) {
            card(&grouped(value), &figure.head);
        }
    }
    head.push_str("</div>\n");
    if page.cut > 0 {
        let _ = writeln!(
            head,
            "<p class=\"note\">{} further rows found no room and were cut.</p>",
            grouped(&page.cut.to_string())
        );
    }
    let mut charts = String::new();
    for (table, rows) in report.tables.iter().zip(page.tables).filter(|(table, _)| !table.by.is_empty()) {
        let keys = table.by.len();
        let bars = rows.iter().filter_map(|row| {
            let key: Vec<&str> =
                row[..keys].iter().map(|key| if key.is_empty() { "-" } else { &**key }).collect();
            Some((key.join(" · "), row[keys].parse::<f64>().ok()?))
        });
        chart(&table.figures[0].head, bars.collect(), &mut charts);
    }
    for (head, column) in report.heads.iter().zip(&values.0) {
        if let Some(column) = column.as_ref().filter(|column| column.len() > 1) {
            let bars =
                column.iter().map(|(value, n)| (String::from_utf8_lossy(value).into_owned(), *n as f64));
            chart(&format!("Rows by {head}"), bars.collect(), &mut charts);
        }
    }
    if !charts.is_empty() {
        let _ = writeln!(head, "<div class=\"charts\">{charts}</div>");
    }
    for (table, rows) in report.tables.iter().zip(page.tables).filter(|(table, _)| !table.by.is_empty()) {
        let names: Vec<&str> = table.by.iter().map(|(name, _)| &**name).collect();
        let _ = write!(head, "<h2>By {}</h2>\n<table><thead><tr>", escaped(&names.join(", ")));
        for (place, name) in table.heads().enumerate() {
            let class = if place >= table.by.len() { " class=\"n\"" } else { "" };
            let _ = write!(head, "<th{class}>{}</th>", escaped(name));
        }
        head.push_str("</tr></thead><tbody>\n");
        for row in rows.iter().take(ROWS as usize) {
            head.push_str("<tr>");
            for (place, cell) in row.iter().enumerate() {
                let _ = match place >= table.by.len() {
                    true => write!(head, "<td class=\"n\">{}</td>", grouped(cell)),
                    false => write!(head, "<td>{}</td>", escaped(cell)),
                };
            }
            head.push_str("</tr>\n");
        }
        head.push_str("</tbody></table>\n");
    }
    out.write_all(head.as_bytes())?;
    if !report.heads.is_empty() {
        let mut line = String::from("<h2>Rows</h2>\n<table><thead><tr>");
        for head in &report.heads {
            let _ = write!(line, "<th>{}</th>", escaped(head));
        }
        line.push_str("</tr></thead><tbody>\n");
        out.write_all(line.as_bytes())?;
        let mut n = 0;
        rows(&mut |cells| {
            n += 1;
            if n > ROWS {
                return Ok(false);
            }
            line.clear();
            line.push_str("<tr>");
            for cell in cells {
                let text = String::from_utf8_lossy(&cell[..cell.len().min(CELL_BYTES)]);
                let more = if cell.len() > CELL_BYTES { "…" } else { "" };
                let _ = write!(line, "<td>{}{more}</td>", escaped(&text));
            }
            line.push_str("</tr>\n");
            out.write_all(line.as_bytes())?;
            Ok(true)
        })?;
        out.write_all(b"</tbody></table>\n")?;
        if page.rows > ROWS {
            let (first, all) = (grouped(&ROWS.to_string()), grouped(&page.rows.to_string()));
            writeln!(
                out,
                "<p class=\"note\">The first {first} of {all} rows; the other forms have all.</p>"
            )?;
        }
    }
    let id = escaped(&report.id);
    let credit = report.attribution.as_ref().map_or(String::new(), |one| {
        let text = escaped(&one.text);
        match one.link.is_empty() {
            true => format!(" · {text}"),
            false => format!(" · <a href=\"{}\">{text}</a>", escaped(&one.link)),
        }
    });
    writeln!(out, "<footer>{id} · weir {}{credit}</footer>\n</body></html>", env!("CARGO_PKG_VERSION"))
}

/// Appends a chart of bars, the largest first.
fn chart(title: &str, mut bars: Vec<(String, f64)>, out: &mut String) {
    bars.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let rest = bars.len().saturating_sub(BARS);
    bars.truncate(BARS);
    let largest = bars.first().map_or(0.0, |(_, value)| *value);
    if largest <= 0.0 {
        return;
    }
    let more = if rest > 0 { format!(" (the first {BARS} of {})", rest + BARS) } else { String::new() };
    let height = bars.len() * 24 + 4;
    let _ = write!(
        out,
        "<figure><figcaption>{}{more}</figcaption><svg viewBox=\"0 0 480 {height}\" role=\"img\" \
         font-family=\"inherit\" font-size=\"12\">",
        escaped(title)
    );
    for (place, (name, value)) in bars.iter().enumerate() {
        let (y, width) = (place * 24, (value / largest * 230.0).max(1.0));
        let name: String = match name.chars().count() > 22 {
            true => name.chars().take(21).chain(['…']).collect(),
            false => name.clone(),
        };
        let _ = write!(
            out,
            "<text x=\"150\" y=\"{}\" text-anchor=\"end\" fill=\"#1c2733\">{}</text><rect x=\"158\" y=\"{}\" \
             width=\"{width:.1}\" height=\"16\" rx=\"3\" fill=\"#4a7fb5\"/><text x=\"{:.1}\" y=\"{}\" \
             fill=\"#5b6b7b\">{}</text>",
            y + 16,
            escaped(&name),
            y + 4,
            164.0 + width,
            y + 16,
            grouped(&value.to_string())
        );
    }
    out.push_str("</svg></figure>");
}

/// A decimal number with its thousands apart.
fn grouped(number: &str) -> String {
    let (whole, fraction) = number.split_at(number.find('.').unwrap_or(number.len()));
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return escaped(number);
    }
    let mut out = String::new();
    for (place, digit) in whole.char_indices() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out + fraction
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_row_becomes_markup() {
        let evil = "<script>alert(1)</script>\"'&\u{7}";
        let report = Report {
            heads: vec![evil.into(), "b".into()],
            ..crate::plan::report::tests::report(86_400_000_000, "UTC")
        };
        let page = Page {
            report: &report,
            from_us: 0,
            to_us: 86_400_000_000,
            correction: None,
            rows: 2,
            cut: 1234,
            tables: &[],
        };
        let mut values = Values::default();
        let rows: [[&[u8]; 2]; 2] = [[evil.as_bytes(), b"1"], [b"x\xff", b"2"]];
        rows.iter().for_each(|row| values.add(row.iter().copied()));
        let mut out = Vec::new();
        write(&page, &values, &mut out, |see| {
            for row in &rows {
                see(row)?;
            }
            Ok(())
        })
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("<script") && text.contains("&lt;script&gt;"), "{text}");
        assert!(
            text.contains("1\u{202f}234 further rows") && text.contains("<svg") && text.contains("x\u{fffd}")
        );
        assert!(!text.contains("http://") && !text.contains("src="));
        assert!(!text.contains("href="));
    }

    #[test]
    fn whose_countries_are_shown_is_said() {
        let attribution = crate::geo::Attribution { text: "by <X>".into(), link: "https://x.example".into() };
        let report = Report {
            attribution: Some(attribution),
            ..crate::plan::report::tests::report(86_400_000_000, "UTC")
        };
        let (from_us, to_us) = (0, 86_400_000_000);
        let page = Page { report: &report, from_us, to_us, correction: None, rows: 0, cut: 0, tables: &[] };
        let mut out = Vec::new();
        write(&page, &Values::default(), &mut out, |_| Ok(())).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(" · <a href=\"https://x.example\">by &lt;X&gt;</a></footer>"), "{text}");
    }
}
