//! A running service: rows become files when their window is over, and `/api/v1/reports` shows them; what a stop leaves
//! is on disk.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{csv, files, folder};

const PACK: &str = r#"weir: pack/v1
pack: {id: p, version: 1.0.0, title: P, license: Apache-2.0}
reports:
  - {id: all, title: All, window: 2s, formats: [csv, ndjson], columns: [{field: message, title: Text}]}
  - {id: day, title: Day, window: 1d, schedule: "0 6 * * *", formats: [csv], columns: [{field: message, title: Text}]}
"#;

/// Ends the process if a test fails before it is stopped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(admin: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_string(), body.to_string())
}

#[test]
fn a_running_service_publishes_what_is_over() {
    let dir = folder("live");
    let out = dir.join("out");
    std::fs::write(dir.join("pack.yaml"), PACK).unwrap();
    let (shown, state, pack) = (out.display(), dir.join("state"), dir.join("pack.yaml"));
    let pipeline = format!(
        "weir: pipeline/v1\nthreads: 1\nobserve: 127.0.0.1:0\nadmin: 127.0.0.1:0\npacks: [{}]\n\
         state: {{dir: {}}}\noverlay: {}/overlay.yaml\nledger: {{lateness: 1s}}\nreports: {{dir: {shown}}}\n\
         listeners: [{{name: in, kind: tcp, bind: \"127.0.0.1:0\"}}]\n",
        pack.display(),
        state.display(),
        state.display()
    );
    std::fs::write(dir.join("weir.yaml"), pipeline).unwrap();
    let ready = dir.join("ready.json");
    let mut weir = Command::new(env!("CARGO_BIN_EXE_weir"));
    weir.arg("run").arg(dir.join("weir.yaml")).arg("--ready-file").arg(&ready).stderr(Stdio::null());
    let mut weir = Running(weir.spawn().unwrap());
    let started = Instant::now();
    while !ready.exists() {
        assert!(started.elapsed() < Duration::from_secs(20), "it does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ready: serde_json::Value = serde_json::from_slice(&std::fs::read(&ready).unwrap()).unwrap();
    let admin = ready["admin"].as_str().unwrap();
    let mut stream = TcpStream::connect(ready["listeners"]["in"].as_str().unwrap()).unwrap();
    let now = jiff::Timestamp::now();
    stream
        .write_all(format!("<14>1 {now} h app p - - =one\n<14>1 {now} h app p - - two\n").as_bytes())
        .unwrap();
    drop(stream);
    let answer = loop {
        let (head, body) = get(admin, "/api/v1/reports/p.report.all");
        if head.starts_with("HTTP/1.1 200") {
            break serde_json::from_str::<serde_json::Value>(&body).unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(40), "nothing is published: {body}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(answer["rows"], serde_json::json!([{"Text": "=one"}, {"Text": "two"}]));
    assert_eq!((answer["total"].as_u64(), answer["cut"].as_u64()), (Some(2), Some(0)));
    let (_, list) = get(admin, "/api/v1/reports");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["id"], "p.report.all");
    assert_eq!(list[0]["windows"][0]["files"].as_array().unwrap().len(), 2);
    let (head, _) = get(admin, "/api/v1/reports/p.report.all?offset=x");
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    let (head, body) = get(admin, "/api/v1/reports/nothing");
    assert!(head.starts_with("HTTP/1.1 404") && body.contains("p.report.all"), "{head} {body}");
    let stopped = Command::new("kill").arg("-TERM").arg(weir.0.id().to_string()).status().unwrap();
    assert!(stopped.success() && weir.0.wait().unwrap().success());
    let written = files(&out);
    assert!(written.keys().all(|name| name.starts_with("all/")), "{:?}", written.keys());
    let (_, rows) = written.iter().find(|(name, _)| name.ends_with(".csv")).unwrap();
    assert_eq!(csv(rows), [["Text"], ["'=one"], ["two"]]);
    // The day is not over: its rows wait for the next start.
    let left: Vec<_> = std::fs::read_dir(out.join(".spool/day")).unwrap().map(Result::unwrap).collect();
    assert!(left.len() == 1 && left[0].metadata().unwrap().len() > 0);
}
