//! The guide's three reports, row for row.

use std::path::Path;
use std::process::Command;

use super::{csv, folder, replay};

const REPORTS: [&str; 3] = ["resource_utilization", "router_logs", "command_executed"];

#[test]
fn the_guides_reports_row_for_row() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/eventtracker_reports.json");
    let cases: serde_json::Value = serde_json::from_slice(&std::fs::read(cases).unwrap()).unwrap();
    let dir = folder("guide");
    let mut drains = String::from("weir: pipeline/v1\ndrains:\n");
    for (token, computer) in cases["computer"].as_object().unwrap() {
        drains.push_str(&format!("  {token}: {{computer: {}}}\n", computer.as_str().unwrap()));
    }
    let pipeline = dir.join("weir.yaml");
    std::fs::write(&pipeline, drains).unwrap();
    let mut input = String::new();
    for report in REPORTS {
        for record in cases[report]["in"].as_array().unwrap() {
            input.push_str(&record.to_string());
            input.push('\n');
        }
    }
    let zone = cases["zone"].as_str().unwrap();
    let pipeline = pipeline.to_string_lossy().into_owned();
    let args = ["--framing", "records", "--pipeline", &pipeline, "--zone", zone];
    let files = replay(&dir, input.as_bytes(), &args);
    for report in REPORTS {
        let name = format!("{report}/2021-02-15T00-00-00+0530");
        let texts = |value: &serde_json::Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|cell| cell.as_str().unwrap().to_string()).collect()
        };
        let mut wanted = vec![texts(&cases[report]["columns"])];
        wanted.extend(cases[report]["rows"].as_array().unwrap().iter().map(texts));
        assert_eq!(csv(&files[&format!("{name}.csv")]), wanted, "{report}");
        let ndjson = String::from_utf8(files[&format!("{name}.ndjson")].clone()).unwrap();
        for (line, row) in ndjson.lines().zip(&wanted[1..]) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            for (head, cell) in wanted[0].iter().zip(row) {
                assert_eq!(line[head], **cell, "{report} {head}");
            }
        }
        assert_eq!(ndjson.lines().count(), wanted.len() - 1);
        let html = String::from_utf8(files[&format!("{name}.html")].clone()).unwrap();
        assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    }
    // The same again over the same files: the same bytes.
    assert_eq!(replay(&dir, input.as_bytes(), &args), files);
}

#[test]
fn one_report_over_archived_files() {
    let dir = folder("archived");
    let line = |day: u32, n: u32| {
        format!(
            "<158>1 2021-02-{day}T10:00:0{n}Z d.1 heroku router - - at=info method=GET path=\"/{n}\" host=h request_id=r \
             fwd=\"66.249.66.94\" dyno=web.1 connect=1ms service=4ms status=200 bytes=407 protocol=https\n"
        )
    };
    let text: String = (15..18).flat_map(|day| (0..3).map(move |n| line(day, n))).collect();
    std::fs::write(dir.join("archived.log"), text).unwrap();
    let weir = |args: &[&str]| {
        let run =
            Command::new(env!("CARGO_BIN_EXE_weir")).arg("report").args(args).current_dir(&dir).output();
        let run = run.unwrap();
        let error = String::from_utf8_lossy(&run.stderr).into_owned();
        (run.status.success(), String::from_utf8_lossy(&run.stdout).into_owned(), error)
    };
    let span =
        ["--from", "2021-02-16T00:00:00Z", "--to", "2021-02-17T00:00:00Z", "--dir", "out", "archived.log"];
    let (good, _, error) = weir(&[&["run", "router_logs"][..], &span].concat());
    assert!(good, "{error}");
    let files = super::files(&dir.join("out"));
    let names: Vec<&str> = files.keys().map(|name| name.split('.').next().unwrap()).collect();
    assert!(
        !names.is_empty() && names.iter().all(|name| *name == "router_logs/2021-02-16T00-00-00+0000"),
        "{names:?}"
    );
    assert_eq!(csv(&files["router_logs/2021-02-16T00-00-00+0000.csv"]).len(), 4);
    let (good, list, _) = weir(&["list", "--dir", "out"]);
    assert!(
        good && list.starts_with("heroku.report.router_logs  2021-02-16T00-00-00+0000  3 rows"),
        "{list}"
    );
    let (good, _, error) = weir(&["run", "router_log", "archived.log"]);
    assert!(!good && error.contains("heroku.report.router_logs"), "{error}");
}
