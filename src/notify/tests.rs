//! Notifiers against targets that are slow, hang, redirect, say too much or may not be reached. Loopback only.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::*;
use crate::config::{self, Allowed, NotifierKind, Secret, Slack, Text, Webhook};
use crate::ledger::record::tests::record;
use crate::ledger::record::{About, Mode, State};

const PATIENCE: Duration = Duration::from_secs(30);

/// A server that hands on each request whole and answers as it is told.
struct Server {
    address: SocketAddr,
    requests: Receiver<String>,
}

impl Server {
    /// `answer` writes what it likes; the connection ends when it returns.
    fn start(answer: impl Fn(&mut TcpStream) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Server::on(listener, answer)
    }

    fn on(listener: TcpListener, answer: impl Fn(&mut TcpStream) + Send + 'static) -> Server {
        let address = listener.local_addr().unwrap();
        let (tell, requests): (Sender<String>, _) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&mut stream) else { continue };
                if tell.send(request).is_err() {
                    return;
                }
                answer(&mut stream);
            }
        });
        Server { address, requests }
    }

    fn request(&self) -> String {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }

    fn nobody_asks(&self) {
        assert!(self.requests.recv_timeout(Duration::from_millis(300)).is_err());
    }
}

fn read(stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let len =
                head.to_ascii_lowercase().split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
            if body.len() >= len {
                return Some(text);
            }
        }
        match stream.read(&mut piece).ok()? {
            0 => return None,
            n => text.push_str(std::str::from_utf8(&piece[..n]).unwrap()),
        }
    }
}

fn ok(stream: &mut TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

fn says(text: &'static str) -> impl Fn(&mut TcpStream) + Send + 'static {
    move |stream| drop(stream.write_all(text.as_bytes()))
}

fn allowed(networks: &[&str]) -> Allowed {
    Allowed { networks: networks.iter().map(|network| network.parse().unwrap()).collect(), hosts: Vec::new() }
}

fn url(address: SocketAddr) -> config::Url {
    config::Url::http(&Text::plain(format!("http://{address}/hook/s3cretpath"))).unwrap()
}

fn hook(name: &str, address: SocketAddr) -> Notifier {
    let hook =
        Webhook { url: url(address), secret: Some(Secret::new("key")), allowed: allowed(&["127.0.0.0/8"]) };
    Notifier { name: name.into(), kind: NotifierKind::Webhook(hook) }
}

fn told(id: u128, state: State) -> Record {
    Record { id: format!("{id:032x}").into(), ..record(Mode::On, state) }
}

fn wait_for(notifiers: &Notifiers, name: &str, what: impl Fn(&Figures) -> bool) -> Figures {
    let end = Instant::now() + PATIENCE;
    loop {
        let figures = notifiers.figures()[name];
        if what(&figures) {
            return figures;
        }
        assert!(Instant::now() < end, "{figures:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn start(notifiers: &[Notifier], state: &Path) -> Notifiers {
    Notifiers::start(notifiers, state).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[test]
fn a_record_is_posted_and_signed_and_known_ones_are_not() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start(ok));
    let notifiers = start(&[hook("hook", server.address)], dir.path());
    let notice = told(1, State::Notice);
    let began = Instant::now();
    notifiers.tell(&[record(Mode::Shadow, State::Notice), notice.clone()]);
    let request = server.request();
    assert!(began.elapsed() < Duration::from_secs(2));
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut json = Vec::new();
    notice.write(&mut json);
    assert_eq!(body.as_bytes(), json);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"key");
    let tag = ring::hmac::sign(&key, body.as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(head.starts_with("POST /hook/s3cretpath HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains(&format!("x-weir-signature: sha256={hex}")), "{head}");
    let sealed = Record { notice: Some(notice.id.clone()), ..told(2, State::Sealed) };
    notifiers.tell(&[sealed, told(2, State::Resolved)]);
    assert!(server.request().contains("\"state\":\"resolved\""));
    let figures = wait_for(&notifiers, "hook", |figures| figures.counts.sent == 2);
    assert_eq!((figures.counts.skipped, figures.failures, figures.waiting), (1, 0, 0));
    notifiers.stop(soon());
}

#[test]
fn those_named_are_told_else_all() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Server::start(ok), Server::start(ok));
    let notifiers = start(&[hook("a", a.address), hook("b", b.address)], dir.path());
    let naming = |id, names: &[&str]| {
        let base = told(id, State::Notice);
        let About { alert, title, severity, threat, mode, pack, runbook, .. } = &*base.about;
        let about = About {
            alert: alert.clone(),
            title: title.clone(),
            severity: *severity,
            threat: *threat,
            mode: *mode,
            pack: pack.clone(),
            runbook: runbook.clone(),
            notify: names.iter().map(|name| (*name).into()).collect(),
        };
        Record { about: Arc::new(about), ..base }
    };
    notifiers.tell(&[naming(1, &["b", "nobody"])]);
    assert!(b.request().contains("0001\""));
    a.nobody_asks();
    notifiers.tell(&[naming(2, &["nobody"])]);
    assert!(a.request().contains("0002\"") && b.request().contains("0002\""));
    notifiers.stop(soon());
}

#[test]
fn a_restart_keeps_what_waits_and_what_is_known() {
    let dir = tempfile::tempdir().unwrap();
    // Nobody listens there: the port is given back at once.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let notifiers = start(&[hook("hook", address)], dir.path());
    notifiers.tell(&[told(1, State::Notice), told(2, State::Notice)]);
    let figures = wait_for(&notifiers, "hook", |figures| figures.failures > 0);
    assert_eq!((figures.counts.sent, figures.waiting), (0, 2));
    notifiers.stop(soon());

    let server = Server::start(ok);
    let notifiers = start(&[hook("hook", server.address)], dir.path());
    assert!(server.request().contains("0001\"") && server.request().contains("0002\""));
    wait_for(&notifiers, "hook", |figures| figures.counts.sent == 2);
    notifiers.stop(soon());

    let notifiers = start(&[hook("hook", server.address)], dir.path());
    notifiers.tell(&[told(1, State::Notice), told(3, State::Notice)]);
    assert!(server.request().contains("0003\""));
    notifiers.stop(soon());
}

#[test]
fn targets_that_behave_badly_cost_little_and_are_tried_again() {
    let big = |stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 500 Oops\r\nContent-Length: 10485760\r\n\r\n/hook/s3cretpath ");
        let piece = [b'x'; 64 * 1024];
        for _ in 0..160 {
            if stream.write_all(&piece).is_err() {
                return;
            }
        }
    };
    let big_head = |stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        for n in 0..100_000 {
            if write!(stream, "X-{n}: {n:0100}\r\n").is_err() {
                return;
            }
        }
    };
    let elsewhere = Server::start(ok);
    let to =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n", elsewhere.address);
    let redirects = move |stream: &mut TcpStream| drop(stream.write_all(to.as_bytes()));
    for (server, why) in [
        (Server::start(big), "answered 500: /***/*** xxx"),
        (Server::start(big_head), "no answer"),
        (Server::start(redirects), "redirects are not followed"),
        (Server::start(says("HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy")), "answered 503: busy"),
        (Server::start(says("what?\r\n\r\n")), "no answer"),
        (Server::start(says("")), "no answer"),
    ] {
        let began = Instant::now();
        let (text, well) = trial::run(&[hook("hook", server.address)], None).unwrap();
        assert!(!well && text.contains(why), "{text}");
        assert!(!text.contains("s3cretpath"), "{text}");
        assert!(began.elapsed() < Duration::from_secs(10), "{text}");
    }
    elsewhere.nobody_asks();
}

#[test]
fn one_that_hangs_delays_no_other_and_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let hangs = Server::start(|_| std::thread::sleep(PATIENCE));
    let well = Server::start(ok);
    let notifiers = start(&[hook("hangs", hangs.address), hook("well", well.address)], dir.path());
    let began = Instant::now();
    notifiers.tell(&[told(1, State::Notice)]);
    hangs.request();
    well.request();
    for id in 2..=3000 {
        notifiers.tell(&[told(id, State::Notice)]);
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    wait_for(&notifiers, "well", |figures| figures.counts.sent + figures.counts.overflow == 3000);
    assert_eq!(wait_for(&notifiers, "hangs", |_| true).counts.overflow, 1999);
    let began = Instant::now();
    notifiers.stop(began + Duration::from_millis(200));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_is_refused_for_good_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(says("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"));
    let notifiers = start(&[hook("hook", server.address)], dir.path());
    notifiers.tell(&[told(1, State::Notice), told(2, State::Notice)]);
    server.request();
    server.request();
    let figures = wait_for(&notifiers, "hook", |figures| figures.counts.refused == 2);
    assert_eq!((figures.counts.sent, figures.waiting), (0, 0));
    let page: Vec<String> = notifiers.families().iter().map(|family| family.name().to_string()).collect();
    assert!(page.contains(&"weir_notify_dropped_total".to_string()), "{page:?}");
    notifiers.stop(soon());
}

#[test]
fn private_targets_are_reached_only_where_named() {
    let server = Server::start(ok);
    let named = |networks: &[&str], hosts: &[&str], host: &str| {
        let allowed =
            Allowed { hosts: hosts.iter().map(|host| host.to_string()).collect(), ..allowed(networks) };
        let text = Text::plain(format!("http://{host}:{}/", server.address.port()));
        let url = config::Url::http(&text).unwrap();
        Notifier { name: "chat".into(), kind: NotifierKind::Slack(Slack { url, allowed }) }
    };
    for notifier in [named(&[], &[], "localhost"), named(&["10.0.0.0/8"], &["other"], "127.0.0.1")] {
        let (text, well) = trial::run(&[notifier], None).unwrap();
        assert!(!well && text.contains("is not public"), "{text}");
    }
    server.nobody_asks();
    for notifier in
        [named(&["127.0.0.1/32", "::1/128"], &[], "localhost"), named(&[], &["localhost"], "localhost")]
    {
        let (text, well) = trial::run(&[notifier], None).unwrap();
        assert!(well, "{text}");
        assert!(server.request().contains("{\"text\":\"*[info] weir: test of a notifier*"));
    }
    let mail = config::Mail {
        url: config::Url::smtp(&Text::plain(format!("smtp://{}", server.address))).unwrap(),
        from: "weir@example.com".into(),
        to: vec!["oncall@example.com".into()],
        sign_in: None,
        allowed: Allowed::default(),
    };
    let mail = Notifier { name: "mail".into(), kind: NotifierKind::Smtp(Box::new(mail)) };
    let (text, well) = trial::run(&[mail], None).unwrap();
    assert!(!well && text.contains("is not public"), "{text}");
}

#[test]
fn a_change_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (a, b) = (Server::start(ok), Server::start(ok));
    let notifiers = start(&[hook("same", a.address), hook("moves", nowhere)], dir.path());
    notifiers.tell(&[told(1, State::Notice)]);
    a.request();
    wait_for(&notifiers, "moves", |figures| figures.failures > 0);
    notifiers.change(&[hook("moves", b.address), hook("same", a.address)]).unwrap();
    assert!(b.request().contains("0001\""));
    notifiers.tell(&[told(2, State::Notice)]);
    assert!(a.request().contains("0002\"") && b.request().contains("0002\""));
    let figures = wait_for(&notifiers, "moves", |figures| figures.counts.sent == 2);
    assert!(figures.failures > 0);
    notifiers.change(&[]).unwrap();
    notifiers.tell(&[told(3, State::Notice)]);
    a.nobody_asks();
    notifiers.stop(soon());
}

#[test]
fn a_file_gets_a_line_each() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out/alerts.ndjson");
    let file = config::LinesFile { path: path.to_str().unwrap().into() };
    let notifiers = start(&[Notifier { name: "file".into(), kind: NotifierKind::File(file) }], dir.path());
    notifiers.tell(&[told(1, State::Sealed), told(1, State::Resolved), told(1, State::Sealed)]);
    wait_for(&notifiers, "file", |figures| figures.counts.sent == 2);
    let text = std::fs::read_to_string(path).unwrap();
    let states: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        states.iter().map(|line| line["state"].as_str().unwrap()).collect::<Vec<_>>(),
        ["sealed", "resolved"]
    );
    notifiers.stop(soon());
}
