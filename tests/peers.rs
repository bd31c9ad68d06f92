//! Senders that nobody here wrote: rsyslog, curl, logger, openssl, haproxy. Each test closes the books.
//!
//! They run on loopback with configurations and folders of their own, and end with their test. One that is not
//! installed is named among the skipped.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use support::frames::{DRAIN, FILES, drained, listener, messages, pipeline, posted};
use support::tools::{Running, certificate, find, output, rsa_certificate};
use support::weir::{Weir, events, figure};

const TLS: &str = ", tls: {cert: weir.pem, key: weir.key}";

/// A weir with a certificate that `weir.pem` in its folder vouches for: made by openssl with an RSA key, or without it
/// with an ECDSA one.
fn with_certificate(listeners: &[String], rsa: Option<&Path>) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    match rsa {
        Some(openssl) => rsa_certificate(openssl, dir.path(), "weir"),
        None => certificate(dir.path(), "weir", &rcgen::PKCS_ECDSA_P256_SHA256),
    }
    Weir::start_in(dir, &pipeline(listeners, &[FILES]))
}

/// Starts rsyslog with `lines` before its one input, a file that the test writes first.
fn rsyslog(program: &Path, dir: &Path, count: u64, lines: &str) -> Running {
    let spool = dir.join("rsyslog");
    std::fs::create_dir_all(&spool).unwrap();
    let input: String =
        (0..count).map(|n| format!("line {n} of a file, with \"quotes\" and ümlauts\n")).collect();
    std::fs::write(dir.join("input.log"), input).unwrap();
    let config = format!(
        "global(workDirectory=\"{spool}\" maxMessageSize=\"64k\" {lines}
module(load=\"imfile\" mode=\"polling\" pollingInterval=\"1\")
input(type=\"imfile\" file=\"{dir}/input.log\" tag=\"shop:\" facility=\"local3\" severity=\"warning\")
",
        spool = spool.display(),
        dir = dir.display()
    );
    let file = dir.join("rsyslog.conf");
    std::fs::write(&file, config).unwrap();
    let log = std::fs::File::create(dir.join("rsyslog.out")).unwrap();
    let mut command = Command::new(program);
    command.arg("-n").arg("-f").arg(&file).arg("-i").arg(dir.join("rsyslog.pid"));
    Running::start(command.stdout(log.try_clone().unwrap()).stderr(log))
}

/// An action of rsyslog that sends to a listener of weir.
fn forward(weir: &Weir, listener: &str, more: &str) -> String {
    let port = weir.address(listener).port();
    format!(
        "action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" template=\"RSYSLOG_SyslogProtocol23Format\" {more})\n"
    )
}

#[test]
fn rsyslog_over_tcp_in_both_framings_over_tls_and_udp() {
    let Some(program) = find("peers::rsyslog", "rsyslogd") else { return };
    let Some(openssl) = find("peers::rsyslog", "openssl") else { return };
    const COUNT: u64 = 300;
    let listeners = [
        listener("octet", "tcp", ""),
        listener("newline", "tcp", ""),
        listener("tls", "tcp", TLS),
        listener("udp", "udp", ""),
    ];
    let mut weir = with_certificate(&listeners, Some(&openssl));
    let ca = weir.path("weir.pem");
    let lines = [
        format!("defaultNetstreamDriverCAFile=\"{}\")\n", ca.display()),
        forward(&weir, "octet", "protocol=\"tcp\" TCP_Framing=\"octet-counted\""),
        forward(&weir, "newline", "protocol=\"tcp\" TCP_Framing=\"traditional\""),
        forward(
            &weir,
            "tls",
            "protocol=\"tcp\" TCP_Framing=\"octet-counted\" StreamDriver=\"gtls\" StreamDriverMode=\"1\" StreamDriverAuthMode=\"anon\"",
        ),
        forward(&weir, "udp", "protocol=\"udp\""),
    ];
    let running = rsyslog(&program, weir.dir(), COUNT, &lines.concat());
    let names = ["octet", "newline", "tls", "udp"];
    weir.books_when("all lines over all four", |books| {
        let received = |name: &&str| figure(books, &format!("/listeners/{name}/received"));
        // rsyslog also says that it starts.
        names.iter().all(|name| received(name) >= COUNT)
    });
    drop(running);
    let ended = weir.stop();
    ended.clean();
    let all = events(&ended.dir.path().join("out"));
    for name in names {
        let shop = |event: &&Value| event["listener"] == name && event["source"] == "shop";
        let got: Vec<&Value> = all.iter().filter(shop).collect();
        assert_eq!(got.len() as u64, COUNT, "{name}");
        for (n, event) in got.iter().enumerate() {
            let text = format!("line {n} of a file, with \"quotes\" and ümlauts");
            assert_eq!(event["message"].as_str().unwrap().trim_start(), text, "{name}");
            assert_eq!(
                (&event["facility"], &event["severity"]),
                (&"local3".into(), &"warning".into()),
                "{event}"
            );
            assert!(event["hostname"].is_string() && event.get("flags").is_none(), "{event}");
        }
    }
}

#[test]
fn curl_over_https_with_both_versions_of_http() {
    let Some(curl) = find("peers::curl", "curl") else { return };
    let weir = with_certificate(&[listener("drain", "http", TLS)], None);
    let url = format!("https://127.0.0.1:{}/logs?app=shop", weir.address("drain").port());
    let ca = weir.path("weir.pem");
    for (version, named) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let mut command = Command::new(&curl);
        command.args([version, "--silent", "--show-error", "--max-time", "10", "--cacert"]).arg(&ca);
        command.args(["-H", "Content-Type: application/logplex-1", "-H", "Logplex-Msg-Count: 2"]);
        command.arg("-H").arg(format!("Logplex-Drain-Token: {DRAIN}"));
        command.args(["--data-binary", "@-", "--write-out", "%{http_code} %{http_version}", &url]);
        let body = posted(&format!("one over {named}")) + &posted(&format!("two over {named}"));
        let (well, said) = output(&mut command, body.as_bytes());
        assert!(well && said.starts_with('2') && said.ends_with(&format!(" {named}")), "{said}");
    }
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/listeners/drain/apart/count_mismatch"), 0);
    let expected = ["one over 1.1", "two over 1.1", "one over 2", "two over 2"];
    assert_eq!(messages(ended.dir.path()), expected);
    for event in events(&ended.dir.path().join("out")) {
        assert_eq!((&event["drain"], &event["labels"]["app"]), (&DRAIN.into(), &"shop".into()));
    }
}

#[test]
fn logger_over_udp_and_tcp() {
    let Some(logger) = find("peers::logger", "logger") else { return };
    let listeners = [listener("udp", "udp", ""), listener("tcp", "tcp", "")];
    let mut weir = Weir::start(&pipeline(&listeners, &[FILES]));
    let table = [
        ("udp", vec!["--udp", "--rfc5424"], "five over udp"),
        ("udp", vec!["--udp", "--rfc3164"], "three over udp"),
        ("tcp", vec!["--tcp", "--rfc5424", "--octet-count"], "five counted over tcp"),
        ("tcp", vec!["--tcp", "--rfc5424"], "five over tcp"),
        ("tcp", vec!["--tcp", "--rfc3164"], "three over tcp"),
    ];
    let count = table.len() as u64;
    for (name, arguments, text) in table {
        let port = weir.address(name).port().to_string();
        let mut command = Command::new(&logger);
        command.args(["--server", "127.0.0.1", "--port", &port, "--tag", "shop", "--priority", "local0.err"]);
        let (well, said) = output(command.args(arguments).arg(text), b"");
        assert!(well, "{said}");
    }
    weir.wait_for_figure("/sinks/events/delivered", count);
    let ended = weir.stop();
    ended.clean();
    let all = events(&ended.dir.path().join("out"));
    let mut texts: Vec<&str> = all.iter().map(|event| event["message"].as_str().unwrap()).collect();
    texts.sort_unstable();
    let expected =
        ["five counted over tcp", "five over tcp", "five over udp", "three over tcp", "three over udp"];
    assert_eq!(texts, expected);
    for event in &all {
        assert_eq!((&event["source"], &event["facility"]), (&"shop".into(), &"local0".into()), "{event}");
        assert_eq!(event["severity"], "error", "{event}");
        assert!(event.get("flags").is_none(), "{event}");
    }
}

#[test]
fn openssl_with_the_suites_that_logplex_has() {
    let Some(openssl) = find("peers::openssl", "openssl") else { return };
    let table =
        [("ECDHE-RSA-AES128-GCM-SHA256", Some(openssl.as_path())), ("ECDHE-ECDSA-AES128-GCM-SHA256", None)];
    for (suite, rsa) in table {
        let mut weir = with_certificate(&[listener("tls", "tcp", TLS)], rsa);
        let address = weir.address("tls").to_string();
        let mut command = Command::new(&openssl);
        command.args(["s_client", "-connect", &address, "-tls1_2", "-cipher", suite, "-no_ign_eof"]);
        command
            .args(["-verify_return_error", "-verify_ip", "127.0.0.1", "-CAfile"])
            .arg(weir.path("weir.pem"));
        let mut client =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdin = client.stdin.take().unwrap();
        stdin.write_all((drained("one") + &drained("two")).as_bytes()).unwrap();
        weir.wait_for_figure("/listeners/tls/received", 2);
        drop(stdin);
        let said = client.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout);
        assert!(said.contains(suite) && said.contains("TLSv1.2"), "{said}");
        let ended = weir.stop();
        assert_eq!(figure(ended.clean(), "/listeners/tls/apart/garbage_bytes"), 0);
        assert_eq!(messages(ended.dir.path()), ["one", "two"]);
    }
}

#[test]
fn openssl_without_the_client_certificate_that_is_asked_for() {
    let Some(openssl) = find("peers::openssl_client_certificates", "openssl") else { return };
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "weir", &rcgen::PKCS_ECDSA_P256_SHA256);
    certificate(dir.path(), "client", &rcgen::PKCS_ECDSA_P256_SHA256);
    let known = ", tls: {cert: weir.pem, key: weir.key, client_ca: client.pem, mode: require}";
    let weir = Weir::start_in(dir, &pipeline(&[listener("tls", "tcp", known)], &[FILES]));
    let address = weir.address("tls").to_string();
    let mut command = Command::new(&openssl);
    command.args(["s_client", "-connect", &address, "-quiet", "-no_ign_eof"]);
    output(&mut command, drained("of a stranger").as_bytes());
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/listeners/tls/received"), 0);
}

/// A port that was free a moment ago, for a server that cannot be told to choose.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn haproxy_tells_whose_connection_it_is() {
    let Some(haproxy) = find("peers::haproxy", "haproxy") else { return };
    let proxied = ", proxy_protocol: v1v2";
    let listeners = [
        listener("one", "tcp", proxied),
        listener("two", "tcp", proxied),
        listener("drain", "http", proxied),
    ];
    let text = format!("trusted_proxies: [127.0.0.1]\n{}", pipeline(&listeners, &[FILES]));
    let mut weir = Weir::start(&text);
    let table = [("one", "send-proxy"), ("two", "send-proxy-v2"), ("drain", "send-proxy-v2")];
    let ports: Vec<u16> = table.iter().map(|_| free_port()).collect();
    let mut config = String::from(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n",
    );
    for ((name, how), port) in table.iter().zip(&ports) {
        config +=
            &format!("listen {name}\n  bind 127.0.0.1:{port}\n  server weir {} {how}\n", weir.address(name));
    }
    let file = weir.path("haproxy.cfg");
    std::fs::write(&file, config).unwrap();
    let log = std::fs::File::create(weir.path("haproxy.log")).unwrap();
    let mut command = Command::new(haproxy);
    let _running =
        Running::start(command.arg("-db").arg("-f").arg(&file).stdout(log.try_clone().unwrap()).stderr(log));
    // Another address of loopback than haproxy's own, so that the two can be told apart.
    let connect = |port: u16| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.2:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        let to = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        socket.connect(&to.into()).ok()?;
        Some(TcpStream::from(socket))
    };
    for port in &ports[..2] {
        let mut stream = weir.wait_for("haproxy", |_| connect(*port));
        stream.write_all(drained("through haproxy").as_bytes()).unwrap();
    }
    let mut client = support::http::Client(connect(ports[2]).unwrap());
    let answer = client.post("/", &[support::http::LOGPLEX], posted("through haproxy").as_bytes());
    assert_eq!(answer.status / 100, 2, "{answer:?}");
    weir.wait_for_figure("/sinks/events/delivered", 3);
    let ended = weir.stop();
    ended.clean();
    for event in events(&ended.dir.path().join("out")) {
        assert_eq!(event["peer"], "127.0.0.2", "{event}");
    }
}

#[test]
fn a_connection_that_does_not_begin_with_a_proxys_header_brings_nothing() {
    let proxied = listener("proxied", "tcp", ", proxy_protocol: v1v2, limits: {handshake: 500ms}");
    let weir = Weir::start(&pipeline(&[proxied], &[FILES]));
    for head in ["", "PROXY nonsense\r\n", "PROXY TCP4 203.0.113.9 127.0.0.1 4711\r\n", "PROXY TCP4 "] {
        let mut stream = TcpStream::connect(weir.address("proxied")).unwrap();
        let _ = stream.write_all((head.to_string() + &drained("of a stranger")).as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/listeners/proxied/received"), 0);
}
