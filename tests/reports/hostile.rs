//! Rows that want to be something else, and more of them than there is room for.

use super::{csv, folder, replay};

const PACK: &str = r#"weir: pack/v1
pack: {id: p, version: 1.0.0, title: P, license: Apache-2.0}
reports:
  - {id: all, title: All, window: 1h, formats: [csv, ndjson, html], columns: [{field: time, title: Time}, {field: message, title: "=Text"}], summary: [{agg: count, by: [process], title: Lines}]}
"#;

fn pack(dir: &std::path::Path) -> String {
    let path = dir.join("pack.yaml");
    std::fs::write(&path, PACK).unwrap();
    path.to_string_lossy().into_owned()
}

fn counted(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| format!("{} {line}", line.len()).into_bytes()).collect()
}

#[test]
fn cells_stay_cells() {
    let dir = folder("cells");
    let pack = pack(&dir);
    let texts = [
        "=HYPERLINK(\"http://x\")",
        "@SUM(A1)",
        "a \"quoted\", text",
        "two\nlines\r\nof it",
        "<script>alert(1)</script><img src=x>",
        "\u{1b}[31mred\u{1b}[0m",
        "-1+1",
        "\u{202e}rtl",
    ];
    let line = |(n, text): (usize, &&str)| format!("<14>1 2021-02-15T10:00:0{n}Z h app p - - {text}");
    let lines: Vec<String> = texts.iter().enumerate().map(line).collect();
    let files = replay(&dir, &counted(&lines), &["--pack", &pack]);
    let rows = csv(&files["all/2021-02-15T10-00-00+0000.csv"]);
    assert_eq!(rows[0], ["Time", "'=Text"]);
    for (row, text) in rows[1..].iter().zip(texts) {
        let guard = if text.starts_with(['=', '@', '-']) { "'" } else { "" };
        assert_eq!(row[1], format!("{guard}{text}"));
    }
    assert_eq!(rows.len(), texts.len() + 1);
    let ndjson = String::from_utf8(files["all/2021-02-15T10-00-00+0000.ndjson"].clone()).unwrap();
    for (line, text) in ndjson.lines().zip(texts) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["=Text"], *text);
    }
    let html = String::from_utf8(files["all/2021-02-15T10-00-00+0000.html"].clone()).unwrap();
    assert!(html.contains("&lt;script&gt;alert(1)") && !html.contains("<script") && !html.contains("<img"));
}

#[test]
fn more_rows_than_there_is_room_for_are_cut_and_counted() {
    let dir = folder("cut");
    let pack = pack(&dir);
    let pipeline = dir.join("weir.yaml");
    let root = dir.join("unused");
    std::fs::write(
        &pipeline,
        format!("weir: pipeline/v1\nreports: {{dir: {}, spool_bytes: 1MiB}}\n", root.display()),
    )
    .unwrap();
    let text = "x".repeat(1000);
    let line = |n: usize| {
        format!("<14>1 2021-02-15T10:{:02}:{:02}Z h app p - - {n} {text}", n / 600 % 60, n / 10 % 60)
    };
    let lines: Vec<String> = (0..10_000).map(line).collect();
    let pipeline = pipeline.to_string_lossy().into_owned();
    let files = replay(&dir, &counted(&lines), &["--pack", &pack, "--pipeline", &pipeline]);
    let rows = csv(&files["all/2021-02-15T10-00-00+0000.csv"]).len() as u64 - 1;
    assert!((900..1100).contains(&rows), "{rows}");
    let index = std::fs::read(dir.join("out/.index/all/2021-02-15T10-00-00+0000.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    assert_eq!((index["rows"].as_u64(), index["cut"].as_u64()), (Some(rows), Some(10_000 - rows)));
    // What is added up is not cut.
    let summary = csv(&files["all/2021-02-15T10-00-00+0000.summary.csv"]);
    assert_eq!(summary, [["process", "Lines"], ["p", "10000"]]);
    let html = String::from_utf8(files["all/2021-02-15T10-00-00+0000.html"].clone()).unwrap();
    assert!(html.contains("further rows found no room"));
}
