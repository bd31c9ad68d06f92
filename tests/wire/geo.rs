//! Countries of clients: from the table that is compiled in, and from a file of the site's own that changes.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::frames::{DRAIN, FILES, listener, octet, pipeline};
use crate::support::mmdb;
use crate::support::weir::{Weir, events, get, run};

/// Sends a request of a client and waits until weir has written it, as the `n`th.
fn request(weir: &mut Weir, fwd: &str, n: u64) {
    let mut sender = TcpStream::connect(weir.address("syslog")).unwrap();
    let line = format!(
        "<158>1 {} {DRAIN} heroku router - - at=info method=GET path=\"/\" host=a.example.com \
         request_id=b8f6e0f5-0f3c-4c1a-9d0a-1c1f1a2b3c4d fwd=\"{fwd}\" dyno=web.1 connect=0ms service=2ms status=200 \
         bytes=1 protocol=https\n",
        jiff::Timestamp::now()
    );
    sender.write_all(octet(&line).as_bytes()).unwrap();
    weir.wait_for_figure("/sinks/events/delivered", n);
}

/// What the dashlet shows: countries and counts, and the attribution.
fn shown(weir: &mut Weir, n: u64) -> (Vec<(String, u64)>, Value) {
    let answer = weir.wait_for("all requests in the dashlet", |weir| {
        let (status, text) = get(weir.admin(), "/api/v1/dashlets/geo?step=86400");
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        let rows = answer["rows"].as_array().unwrap();
        (rows.iter().map(|row| row["value"].as_u64().unwrap()).sum::<u64>() == n).then_some(answer)
    });
    let rows = answer["rows"].as_array().unwrap().iter();
    let row = |row: &Value| {
        (row["key"]["client_country"].as_str().unwrap().to_string(), row["value"].as_u64().unwrap())
    };
    (rows.map(row).collect(), answer["attribution"].clone())
}

#[test]
fn a_dashlet_counts_countries_and_names_their_source() {
    let mut weir = Weir::start(&pipeline(&[listener("syslog", "tcp", "")], &[FILES]));
    for (fwd, n) in
        [("193.0.6.139", 1), ("2001:67c:2e8:22::c100:68b", 2), ("8.8.8.8, 10.0.0.1", 3), ("192.0.2.1", 4)]
    {
        request(&mut weir, fwd, n);
    }
    let (rows, attribution) = shown(&mut weir, 4);
    assert_eq!(rows, [("NL".to_string(), 2), ("ZZ".to_string(), 2)]);
    assert_eq!(attribution, "IP Geolocation by DB-IP (https://db-ip.com)");
    let (_, other) = get(weir.admin(), "/api/v1/dashlets/severity?step=86400");
    assert!(!other.contains("attribution"), "{other}");
    // Events have no such field.
    let written = events(&weir.path("out"));
    assert_eq!(written[0]["fields"]["client_ip"], "193.0.6.139");
    assert_eq!(written[0]["fields"].get("client_country"), None);
    weir.stop().clean();
}

#[test]
fn a_file_of_the_sites_own_is_read_again_when_it_changes() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("own.mmdb");
    std::fs::write(&file, mmdb::file("GeoLite2-Country", &[("193.0.6.0", 24, "QM")])).unwrap();
    let text = |more: &str| {
        format!("geo: {{file: own.mmdb{more}}}\n{}", pipeline(&[listener("syslog", "tcp", "")], &[FILES]))
    };
    let mut weir = Weir::start_in(dir, &text(""));
    request(&mut weir, "193.0.6.139", 1);
    let (rows, attribution) = shown(&mut weir, 1);
    assert_eq!(rows, [("QM".to_string(), 1)]);
    let maxmind = "This product includes GeoLite Data created by MaxMind (https://www.maxmind.com)";
    assert_eq!(attribution, maxmind);

    // What cannot be read changes nothing.
    std::fs::write(&file, b"no table").unwrap();
    weir.wait_for_log("the countries of `own.mmdb` cannot be read");
    request(&mut weir, "193.0.6.139", 2);
    assert_eq!(shown(&mut weir, 2), (vec![("QM".to_string(), 2)], json!(maxmind)));

    std::fs::write(&file, mmdb::file("Own", &[("193.0.6.0", 24, "QN"), ("2001:67c::", 32, "QO")])).unwrap();
    weir.wait_for_log("the pipeline was reloaded");
    request(&mut weir, "193.0.6.139", 3);
    let both = vec![("QM".to_string(), 2), ("QN".to_string(), 1)];
    assert_eq!(shown(&mut weir, 3), (both.clone(), Value::Null));

    weir.rewrite(&text(", attribution: by us"));
    weir.wait_for("the attribution", |weir| (shown(weir, 3) == (both.clone(), json!("by us"))).then_some(()));
    weir.stop().clean();
}

#[test]
fn a_file_that_is_no_table_is_told_before_anything_runs() {
    let dir = TempDir::new().unwrap();
    let (file, pipeline) = (dir.path().join("own.mmdb"), dir.path().join("p.yaml"));
    let text = format!("weir: pipeline/v1\ngeo: {{file: {}}}\n", file.display());
    std::fs::write(&pipeline, text).unwrap();
    let check = || {
        let out = run(&["check", pipeline.to_str().unwrap()], b"");
        (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (good, said) = check();
    assert!(!good && said.contains("p.yaml:2:13: cannot read the file"), "{said}");
    std::fs::write(&file, mmdb::file("ASN", &[])).unwrap();
    let (good, said) = check();
    assert!(
        !good && said.contains("own.mmdb` cannot be read: it tells no countries: its type is `ASN`"),
        "{said}"
    );
    std::fs::write(&file, mmdb::file("X", &[("8.0.0.0", 8, "US")])).unwrap();
    let (good, said) = check();
    assert!(good, "{said}");
}
