//! Alerts of the real binary told to real receivers: an Alertmanager, a mail server, a webhook. Kafka and what
//! behaves badly are in the library's own tests.
//!
//! Loopback only, ports that the kernel picks, every wait with an end.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::frames::{DRAIN, octet};
use support::tools::{Running, find};
use support::weir::{PATIENCE, Weir, get, run};
use tempfile::TempDir;

/// Two alerts: one of each event, one of many, both over soon.
const PACK: &str = r#"weir: pack/v1
pack: {id: trial, version: 1.0.0, title: Trial, license: Apache-2.0}
alerts:
  - id: boom
    title: Something went boom
    severity: critical
    threat: 90
    mode: on
    detect: {text: {"message|contains": boom}}
    when: each
    keep_firing_for: 1s
    summary: "boom on {drain}"
    runbook: "Look at it."
"#;

fn pipeline(notifiers: &str) -> String {
    format!(
        "packs: [pack.yaml]\nledger: {{lateness: 1s}}\nnotifiers:\n{notifiers}\nlisteners:\n\
         - {{name: tcp, kind: tcp, bind: \"127.0.0.1:0\"}}\nsinks:\n- {{name: none, kind: blackhole}}\n"
    )
}

fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("pack.yaml"), PACK).unwrap();
    dir
}

/// A line of now with `text`, of `drain`.
fn line(drain: &str, text: &str) -> String {
    let now = jiff::Timestamp::now();
    octet(&format!("<190>1 {now:.6} {drain} app web.1 - - {text}\n"))
}

/// The token of one of ten drains.
fn drain(n: u32) -> String {
    format!("d.5a8fd083-0972-4e18-b912-94dc2d099da{n}")
}

fn send(weir: &Weir, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(weir.address("tcp")).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

/// A server that answers every POST with 200 and hands on its body, with when it came.
fn server() -> (SocketAddr, Receiver<(Instant, String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let (mut text, mut piece) = (String::new(), [0; 4096]);
            let (head, body) = loop {
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let head = head.to_ascii_lowercase();
                    let len = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                    if body.len() >= len.unwrap().parse().unwrap() {
                        break (head, body.to_string());
                    }
                }
                match stream.read(&mut piece) {
                    Ok(n) if n > 0 => text.push_str(std::str::from_utf8(&piece[..n]).unwrap()),
                    _ => break (String::new(), String::new()),
                }
            };
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if !head.is_empty() && tell.send((Instant::now(), head, body)).is_err() {
                return;
            }
        }
    });
    (address, told)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Asks until there is something.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_notice_is_out_at_once_and_its_end_follows() {
    let (address, told) = server();
    let hook = format!(
        "- {{name: hook, kind: webhook, url: \"http://{address}/in\", secret: s3cret, allow_private: [\"127.0.0.1\"]}}"
    );
    let mut weir = Weir::start_in(folder(), &pipeline(&hook));
    // The best of three: the machine may be busy with other work.
    let mut best = Duration::MAX;
    for n in 0..3 {
        let began = Instant::now();
        let sender = send(&weir, &line(&drain(n), "boom"));
        let notice = loop {
            let (at, head, body) = told.recv_timeout(PATIENCE).unwrap();
            assert!(head.contains("\r\nx-weir-signature: sha256="), "{head}");
            assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
            let record = json(&body);
            if record["state"] == "notice" {
                best = best.min(at - began);
                break record;
            }
        };
        assert_eq!(notice["alert"], "trial.alert.boom");
        assert_eq!(notice["key"]["drain"], drain(n));
        drop(sender);
    }
    println!("a notice came {} ms after its event was sent", best.as_millis());
    assert!(best < Duration::from_millis(250), "{best:?}");
    weir.wait_for("three ends", |weir| {
        weir.metrics().contains("weir_notify_sent_total{notifier=\"hook\"} 6").then_some(())
    });
    let rest: Vec<Value> = told.try_iter().map(|(_, _, body)| json(&body)).collect();
    assert!(rest.iter().all(|record| record["state"] == "resolved"), "{rest:#?}");
    assert!(weir.metrics().contains("weir_notify_skipped_total{notifier=\"hook\"} 3"), "{}", weir.metrics());
    assert!(!weir.stderr().contains("s3cret"));
    weir.stop().clean();
}

#[test]
fn what_could_not_be_told_is_told_after_a_restart() {
    let port = free_port();
    let hook = format!(
        "- {{name: hook, kind: webhook, url: \"http://127.0.0.1:{port}/\", allow_private: [\"127.0.0.1\"]}}"
    );
    let mut weir = Weir::start_in(folder(), &pipeline(&hook));
    send(&weir, &line(DRAIN, "boom"));
    weir.wait_for_log("an alert is not told yet");
    // Not asked to end: what waits is on the disk already, or is within a second.
    wait_for("the queue on the disk", || {
        fs::read_to_string(weir.path("weir-state/notify/hook.json"))
            .ok()?
            .contains("trial.alert.boom")
            .then_some(())
    });
    weir.signal(rustix::process::Signal::KILL);
    let ended = weir.wait();

    let (address, told) = server();
    let hook = hook.replace(&port.to_string(), &address.port().to_string());
    let weir = Weir::start_in(ended.dir, &pipeline(&hook));
    let (_, _, body) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(json(&body)["state"], "notice");
    weir.stop().clean();
}

/// An Alertmanager of Debian's package that tells `receiver`.
fn alertmanager(program: &Path, dir: &Path, receiver: SocketAddr) -> (Running, SocketAddr) {
    let config = format!(
        "route: {{receiver: hook, group_by: [alertname, pack], group_wait: 500ms, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers: [{{name: hook, webhook_configs: [{{url: \"http://{receiver}/am\", send_resolved: true}}]}}]\n"
    );
    fs::write(dir.join("am.yml"), config).unwrap();
    let port = free_port();
    let mut command = Command::new(program);
    command.current_dir(dir).args(["--config.file=am.yml", "--storage.path=am", "--cluster.listen-address="]);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let log = fs::File::create(dir.join(format!("am.{port}.log"))).unwrap();
    let running = Running::start(command.stdout(Stdio::null()).stderr(log));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    wait_for("the Alertmanager", || TcpStream::connect(address).ok().map(drop));
    wait_for("the Alertmanager to be ready", || (get(address, "/-/ready").0 == 200).then_some(()));
    (running, address)
}

#[test]
fn an_alertmanager_receives_groups_and_resolves() {
    let Some(program) = find("an_alertmanager_receives_groups_and_resolves", "prometheus-alertmanager")
    else {
        return;
    };
    let (receiver, told) = server();
    let dirs = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let (_one, first) = alertmanager(&program, dirs[0].path(), receiver);
    // The second tells nobody that is heard here, but is asked what it knows.
    let (_two, second) = alertmanager(&program, dirs[1].path(), server().0);
    let nobody = free_port();
    let am = format!(
        "- {{name: am, kind: alertmanager, urls: [\"http://{first}\", \"http://127.0.0.1:{nobody}\", \"http://{second}\"], \
         resend: 1s, allow_private: [\"127.0.0.1\"]}}"
    );
    let mut weir = Weir::start_in(folder(), &pipeline(&am));
    send(&weir, &(line(&drain(1), "boom") + &line(&drain(2), "boom")));

    let group = wait_for("a group of two that fire", || {
        let (_, _, body) = told.recv_timeout(PATIENCE).unwrap();
        let group = json(&body);
        let fires =
            group["status"] == "firing" && group["alerts"].as_array().is_some_and(|all| all.len() == 2);
        fires.then_some(group)
    });
    assert_eq!(group["groupLabels"], serde_json::json!({"alertname": "boom", "pack": "trial"}));
    let alert = &group["alerts"][0];
    let labels = alert["labels"].as_object().unwrap();
    assert_eq!((labels["severity"].as_str(), labels.len()), (Some("critical"), 4), "{labels:?}");
    assert!(labels["drain"].as_str().unwrap().starts_with("d."));
    assert_eq!(alert["annotations"]["runbook"], "Look at it.");
    let known = |address| json(&get(address, "/api/v2/alerts?active=true").1).as_array().unwrap().len();

    let resolved = wait_for("the group to be resolved", || {
        let (_, _, body) = told.recv_timeout(PATIENCE).unwrap();
        Some(json(&body)).filter(|group| group["status"] == "resolved")
    });
    assert_eq!(resolved["alerts"].as_array().unwrap().len(), 2);
    // Both that are there were told of the begin and of the end, the third is still tried.
    weir.wait_for("eight told", |weir| {
        weir.metrics().contains("weir_notify_sent_total{notifier=\"am\"} 8").then_some(())
    });
    wait_for("nothing to fire", || (known(first) == 0 && known(second) == 0).then_some(()));
    let metrics = weir.metrics();
    let failures = metrics.lines().find(|line| line.starts_with("weir_notify_failures_total")).unwrap();
    assert!(!failures.ends_with(" 0"), "{failures}");
    weir.stop().clean();
}

/// A mail server that writes each mail into a folder: Debian's or PyPI's aiosmtpd.
const MAIL_SERVER: &str = r#"
import asyncio, ssl, sys, os
from aiosmtpd.smtp import SMTP, AuthResult
class Handler:
    n = 0
    async def handle_DATA(self, server, session, envelope):
        Handler.n += 1
        head = f"from {envelope.mail_from}\nto {' '.join(envelope.rcpt_tos)}\ntls {session.ssl is not None}\nas {session.auth_data}\n\n"
        with open(f"mail.{Handler.n}.part", "wb") as f:
            f.write(head.encode() + envelope.content)
        os.rename(f"mail.{Handler.n}.part", f"mail.{Handler.n}")
        return "250 taken"
def sign_in(server, session, envelope, mechanism, data):
    good = data.login == b"weir" and data.password == b"s3cret"
    return AuthResult(success=good, handled=False, auth_data=data.login.decode())
tls = None
if len(sys.argv) > 1:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[1], sys.argv[2])
def make():
    if tls is None:
        return SMTP(Handler(), hostname="localhost")
    return SMTP(Handler(), hostname="localhost", tls_context=tls, require_starttls=True, authenticator=sign_in, auth_required=True)
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", 0)
    with open("port.part", "w") as f:
        f.write(str(server.sockets[0].getsockname()[1]))
    os.rename("port.part", "port")
    await asyncio.sleep(300)
asyncio.run(main())
"#;

/// A Python that has the mail server's module.
fn python(test: &str) -> Option<PathBuf> {
    let has = |python: &&str| {
        let mut command = Command::new(python);
        command.args(["-c", "import aiosmtpd"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let found = ["/usr/bin/python3", "python3"].iter().find(|python| has(python)).map(PathBuf::from);
    if found.is_none() {
        support::skipped(&format!("{test}: python3-aiosmtpd is not installed"));
    }
    found
}

fn mail_server(python: &Path, dir: &Path, arguments: &[&str]) -> (Running, u16) {
    fs::write(dir.join("server.py"), MAIL_SERVER).unwrap();
    let log = fs::File::create(dir.join("server.log")).unwrap();
    let mut command = Command::new(python);
    let running = Running::start(command.current_dir(dir).arg("server.py").args(arguments).stderr(log));
    let port = wait_for("the mail server", || fs::read_to_string(dir.join("port")).ok()?.parse().ok());
    (running, port)
}

#[test]
fn a_mail_server_receives_mails() {
    let Some(python) = python("a_mail_server_receives_mails") else { return };
    let dir = TempDir::new().unwrap();
    let (_server, port) = mail_server(&python, dir.path(), &[]);
    let mail = format!(
        "- {{name: mail, kind: smtp, url: \"smtp://127.0.0.1:{port}\", from: \"weir <weir@example.com>\", \
         to: [a@example.com, b@example.com], allow_private: [\"127.0.0.1\"]}}"
    );
    let weir = Weir::start_in(folder(), &pipeline(&mail));
    send(&weir, &line(DRAIN, "boom \u{e9}\u{1b}[31m"));
    let first = wait_for("a mail", || fs::read_to_string(dir.path().join("mail.1")).ok());
    assert!(first.starts_with("from weir@example.com\nto a@example.com b@example.com\n"), "{first}");
    assert!(first.contains(&format!("Subject: [critical] boom on {DRAIN}\r\n")), "{first}");
    assert!(first.contains("Look at it."), "{first}");
    let second = wait_for("a mail of its end", || fs::read_to_string(dir.path().join("mail.2")).ok());
    assert!(second.contains("Subject: [resolved] Something went boom\r\n"), "{second}");
    weir.stop().clean();
}

#[test]
fn a_mail_goes_encrypted_and_signed_in() {
    let Some(python) = python("a_mail_goes_encrypted_and_signed_in") else { return };
    let dir = TempDir::new().unwrap();
    support::tools::certificate(dir.path(), "mail", &rcgen::PKCS_ECDSA_P256_SHA256);
    let (_server, port) = mail_server(&python, dir.path(), &["mail.pem", "mail.key"]);
    let text = |password: &str| {
        pipeline(&format!(
            "- {{name: mail, kind: smtp, url: \"smtp://localhost:{port}?tls=required\", from: weir@example.com, \
             to: [a@example.com], username: weir, password: {password}, allow_private: [localhost]}}"
        ))
    };
    let test = |password: &str, roots: &Path| {
        let file = dir.path().join("weir.yaml");
        fs::write(&file, format!("weir: pipeline/v1\n{}", text(password))).unwrap();
        fs::write(dir.path().join("pack.yaml"), PACK).unwrap();
        let mut command = Command::new(support::weir::binary());
        command.current_dir(dir.path()).args(["notify", "test", "--pipeline", "weir.yaml"]);
        let output = command.env("SSL_CERT_FILE", roots).output().unwrap();
        let all = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&all).into_owned())
    };
    let (code, said) = test("s3cret", &dir.path().join("mail.pem"));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("mail (smtp smtp://localhost:"), "{said}");
    let mail = fs::read_to_string(dir.path().join("mail.1")).unwrap();
    assert!(mail.contains("\ntls True\nas weir\n"), "{mail}");
    assert!(mail.contains("Subject: [info] this is a test, nothing happened\r\n"), "{mail}");

    let (code, said) = test("wr0ng-one", &dir.path().join("mail.pem"));
    assert!(code == Some(1) && said.contains("not told: sign-in") && !said.contains("wr0ng-one"), "{said}");
    // A certificate that nobody vouches for.
    let empty = dir.path().join("none.pem");
    fs::write(&empty, "").unwrap();
    let (code, said) = test("s3cret", &empty);
    assert!(code == Some(1) && said.contains("not told"), "{said}");
}

/// Answers one HTTPS request with 200, with the certificate of `NAME.pem`; what it read, or why there was no connection.
fn https(dir: &Path, name: &str) -> (u16, std::thread::JoinHandle<Result<String, String>>) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_file(dir.join(format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join(format!("{name}.key"))).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = std::sync::Arc::new(config.with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(config).unwrap(), stream);
        let (mut text, mut piece) = (Vec::new(), [0; 4096]);
        while !text.ends_with(b"}") {
            match stream.read(&mut piece) {
                Ok(n) if n > 0 => text.extend_from_slice(&piece[..n]),
                ended => return Err(format!("{ended:?}")),
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        stream.conn.send_close_notify();
        let _ = stream.flush();
        Ok(String::from_utf8(text).unwrap())
    });
    (port, thread)
}

#[test]
fn an_https_target_is_told_if_somebody_known_vouches_for_it() {
    let dir = folder();
    support::tools::certificate(dir.path(), "own", &rcgen::PKCS_ECDSA_P256_SHA256);
    support::tools::certificate(dir.path(), "other", &rcgen::PKCS_ECDSA_P256_SHA256);
    let told = |host: &str, roots: &str| {
        let (port, server) = https(dir.path(), "own");
        let hook = format!(
            "- {{name: hook, kind: webhook, url: \"https://{host}:{port}/in\", secret: s3cret, allow_private: [\"{host}\"]}}"
        );
        fs::write(dir.path().join("weir.yaml"), format!("weir: pipeline/v1\n{}", pipeline(&hook))).unwrap();
        let mut command = Command::new(support::weir::binary());
        command.current_dir(dir.path()).args(["notify", "test", "--pipeline", "weir.yaml"]);
        let output = command.env("SSL_CERT_FILE", dir.path().join(roots)).output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            server.join().unwrap(),
        )
    };
    for host in ["localhost", "127.0.0.1"] {
        let (well, said, request) = told(host, "own.pem");
        let request = request.unwrap();
        assert!(well && said.contains("told, answered 200"), "{said}");
        assert!(
            request.starts_with("POST /in HTTP/1.1\r\n") && request.contains("weir.alert.test"),
            "{request}"
        );
    }
    let (well, said, request) = told("localhost", "other.pem");
    assert!(!well && said.contains("not told") && request.is_err(), "{said} {request:?}");
}

#[test]
fn a_test_says_readably_what_came_of_it() {
    let (address, told) = server();
    let dir = folder();
    let path = dir.path().join("weir.yaml");
    let nobody = free_port();
    let notifiers = format!(
        "- {{name: hook, kind: webhook, url: \"http://{address}/s3cret\", allow_private: [\"127.0.0.1\"]}}\n\
         - {{name: gone, kind: slack, url: \"http://127.0.0.1:{nobody}/s3cret\", allow_private: [\"127.0.0.0/8\"]}}\n\
         - {{name: far, kind: slack, url: \"http://localhost:{nobody}/s3cret\", allow_private: [localhost]}}\n"
    );
    fs::write(&path, format!("weir: pipeline/v1\n{}", pipeline(&notifiers))).unwrap();
    let path = path.to_str().unwrap();
    let output = run(&["notify", "test", "hook", "--pipeline", path], b"");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.starts_with(&format!("hook (webhook http://{address}): told, answered 200 after ")),
        "{said}"
    );
    assert_eq!(json(&told.recv_timeout(PATIENCE).unwrap().2)["alert"], "weir.alert.test");

    let output = run(&["notify", "test", "--pipeline", path], b"");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 3), "{said}");
    assert!(
        said.contains("gone (slack http://127.0.0.1:") && said.contains("not told: cannot connect"),
        "{said}"
    );
    assert!(!said.contains("s3cret"), "{said}");

    let output = run(&["notify", "test", "nobody", "--pipeline", path], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("no notifier `nobody`; there are hook, gone, far")
    );
}
