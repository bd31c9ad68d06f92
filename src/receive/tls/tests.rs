//! TLS, the PROXY protocol and datagrams over real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CipherSuite, ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::config::{self, ListenerKind, Text, Tls, TlsMode};
use crate::limits;
use crate::receive::tests::{Bench, FRAME, frame, listener, read_to_end, wait_until};

/// An authority, with files of a server's certificate.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Authority { folder: tempfile::tempdir().unwrap(), issuer };
        authority.issue("server");
        std::fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join(file)
    }

    /// Writes NAME.pem and NAME.key.
    fn issue(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn text(&self, file: &str) -> Text {
        Text::plain(self.path(file).to_str().unwrap())
    }

    fn listener(&self, kind: ListenerKind, mode: TlsMode) -> config::Listener {
        let tls = Tls { cert: self.text("server.pem"), key: self.text("server.key"), client_ca: None, mode };
        config::Listener { tls: Some(tls), ..listener(kind) }
    }

    fn client(&self, tls12: bool, certificate: Option<&str>, alpn: &[&str]) -> ClientConfig {
        let mut provider = rustls::crypto::ring::default_provider();
        let versions: &[&rustls::SupportedProtocolVersion] = match tls12 {
            true => {
                provider
                    .cipher_suites
                    .retain(|suite| suite.suite() == CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);
                &[&rustls::version::TLS12]
            }
            false => &[&rustls::version::TLS13],
        };
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let file = |end: &str| self.path(&format!("{name}.{end}"));
                let chain = vec![CertificateDer::from_pem_file(file("pem")).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(file("key")).unwrap())
                    .unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }
}

fn dial(bench: &Bench, config: ClientConfig) -> StreamOwned<ClientConnection, TcpStream> {
    let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(client, bench.connect())
}

/// The certificate that the server shows now.
fn shown(stream: &StreamOwned<ClientConnection, TcpStream>) -> Vec<u8> {
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

fn on_file(path: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(path).unwrap().to_vec()
}

/// Closes with FIN: a socket that is closed with a session ticket unread is reset, and what it sent may be lost.
fn hang_up(mut socket: TcpStream) {
    socket.shutdown(Shutdown::Write).unwrap();
    std::io::copy(&mut socket, &mut std::io::sink()).unwrap();
}

#[test]
fn tls_and_plain_on_one_port() {
    let authority = Authority::new();
    let bench = Bench::new(authority.listener(ListenerKind::Tcp, TlsMode::Sniff));
    for tls12 in [true, false] {
        let mut stream = dial(&bench, authority.client(tls12, None, &[]));
        stream.write_all(frame().repeat(1000).as_bytes()).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        hang_up(stream.sock);
    }
    // A client that closes without saying so in TLS, in the middle of nothing: its last line counts all the same.
    let mut stream = dial(&bench, authority.client(false, None, &[]));
    stream.write_all(FRAME.trim_end().as_bytes()).unwrap();
    hang_up(stream.sock);
    bench.connect().write_all(frame().as_bytes()).unwrap();
    wait_until("all frames", || bench.books.received.get() == 2002);
    let books = bench.end();
    assert_eq!((books.admitted.get(), books.garbage_bytes.get()), (2002, 0));
}

#[test]
fn drain_half_closes_tls() {
    let authority = Authority::new();
    let bench = Bench::new(authority.listener(ListenerKind::Tcp, TlsMode::Require));
    let mut stream = dial(&bench, authority.client(false, None, &[]));
    stream.write_all(frame().as_bytes()).unwrap();
    wait_until("the first frame", || bench.books.received.get() == 1);
    bench.receivers.drain();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    stream.write_all(frame().as_bytes()).unwrap();
    drop(stream);
    let began = Instant::now();
    assert_eq!(bench.end().received.get(), 2);
    assert!(began.elapsed() < Duration::from_millis(limits::LINGER_MS));
}

#[test]
fn required_tls_refuses_plain_and_garbage_harms_nobody() {
    let authority = Authority::new();
    let mut strict = authority.listener(ListenerKind::Tcp, TlsMode::Require);
    strict.limits.handshake = Duration::from_millis(300);
    let bench = Bench::new(strict);
    let garbage: [&[u8]; 4] = [
        FRAME.as_bytes(),
        b"\x16\x03\x01\xff\xff garbage that is no handshake at all",
        b"\x16\x16\x16\x16\x16\x16\x16\x16\x16",
        // Half a record, and then nothing.
        b"\x16\x03\x01\x02\x00\x01",
    ];
    for bytes in garbage {
        let mut stream = bench.connect();
        stream.write_all(bytes).unwrap();
        read_to_end(&mut stream);
    }
    wait_until("four closed", || bench.books.connections_closed.get() == 4);
    let mut stream = dial(&bench, authority.client(false, None, &[]));
    stream.write_all(frame().as_bytes()).unwrap();
    drop(stream);
    wait_until("the frame", || bench.books.received.get() == 1);
    bench.end();
}

#[test]
fn certificates_are_reloaded_without_dropping_a_connection() {
    let authority = Authority::new();
    let listener = authority.listener(ListenerKind::Tcp, TlsMode::Sniff);
    let mut bench = Bench::new(listener.clone());
    let mut old = dial(&bench, authority.client(false, None, &[]));
    old.write_all(frame().as_bytes()).unwrap();
    wait_until("the first frame", || bench.books.received.get() == 1);
    let before = shown(&old);

    authority.issue("server");
    bench.reload(listener.clone());
    let mut new = dial(&bench, authority.client(false, None, &[]));
    new.write_all(frame().as_bytes()).unwrap();
    old.write_all(frame().as_bytes()).unwrap();
    wait_until("three frames", || bench.books.received.get() == 3);
    assert_ne!(before, shown(&new));
    assert_eq!(shown(&new), on_file(&authority.path("server.pem")));

    // A broken file is refused, and all stays as it was.
    std::fs::write(authority.path("server.key"), "no key").unwrap();
    let listeners = [(crate::batch::ListenerId(0), listener)];
    let error = bench.receivers.reload(&listeners, &[], 0).unwrap_err().to_string();
    assert!(error.starts_with("listener `test`: cannot use `"), "{error}");
    let mut newest = dial(&bench, authority.client(false, None, &[]));
    newest.write_all(frame().as_bytes()).unwrap();
    wait_until("four frames", || bench.books.received.get() == 4);
    drop((old, new, newest));
    bench.end();
}

#[test]
fn client_certificates_are_asked_for() {
    let authority = Authority::new();
    authority.issue("client");
    let mut listener = authority.listener(ListenerKind::Tcp, TlsMode::Require);
    listener.tls.as_mut().unwrap().client_ca = Some(authority.text("ca.pem"));
    let bench = Bench::new(listener);
    let mut stranger = dial(&bench, authority.client(false, None, &[]));
    // In TLS 1.3 the client hears of the refusal only when it reads.
    let _ = stranger.write_all(frame().as_bytes());
    assert!(stranger.read(&mut [0; 1]).is_err());
    let mut known = dial(&bench, authority.client(false, Some("client"), &[]));
    known.write_all(frame().as_bytes()).unwrap();
    drop(known);
    wait_until("the frame", || bench.books.received.get() == 1);
    assert_eq!(bench.end().received.get(), 1);
}

#[test]
fn https_is_offered_beside_http() {
    let authority = Authority::new();
    let bench = Bench::new(authority.listener(ListenerKind::Http, TlsMode::Sniff));
    let body = frame();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: weir\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = dial(&bench, authority.client(true, None, &["http/1.1"]));
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut plain = bench.connect();
    plain.write_all(request.as_bytes()).unwrap();
    assert!(read_to_end(&mut plain).starts_with(b"HTTP/1.1 200"));

    let mut modern = dial(&bench, authority.client(false, None, &["h2", "http/1.1"]));
    modern.flush().unwrap();
    while modern.conn.is_handshaking() {
        modern.conn.complete_io(&mut modern.sock).unwrap();
    }
    assert_eq!(modern.conn.alpn_protocol(), Some(&b"h2"[..]));
    drop(modern);
    assert_eq!(bench.end().received.get(), 2);
}

#[test]
fn proxy_headers_come_first() {
    let authority = Authority::new();
    let mut behind = authority.listener(ListenerKind::Tcp, TlsMode::Sniff);
    behind.proxy_protocol = true;
    behind.limits.handshake = Duration::from_millis(300);
    let bench = Bench::new(behind);
    let line = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n";

    let mut plain = bench.connect();
    plain.set_nodelay(true).unwrap();
    line.iter().for_each(|byte| plain.write_all(&[*byte]).unwrap());
    plain.write_all(frame().as_bytes()).unwrap();
    drop(plain);

    let mut tcp = bench.connect();
    tcp.write_all(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00").unwrap();
    let config = Arc::new(authority.client(false, None, &[]));
    let client = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut tls = StreamOwned::new(client, tcp);
    tls.write_all(frame().as_bytes()).unwrap();
    drop(tls);
    wait_until("two frames", || bench.books.received.get() == 2);

    for bad in [frame().as_bytes(), b"PROXY TCP4 nonsense\r\n", b"PROXY TCP4 192.0"] {
        let mut stream = bench.connect();
        stream.write_all(bad).unwrap();
        assert_eq!(read_to_end(&mut stream), b"");
    }
    let books = bench.end();
    assert_eq!((books.received.get(), books.connections_closed.get(), books.garbage_bytes.get()), (2, 3, 0));
}

#[test]
fn datagrams_are_messages() {
    let mut short = listener(ListenerKind::Udp);
    short.limits.frame_bytes = 2000;
    let bench = Bench::new(short);
    let peers = ["127.0.0.1:0", "127.0.0.2:0"].map(|addr| UdpSocket::bind(addr).unwrap());
    for round in 0..50 {
        for peer in &peers {
            peer.send_to(FRAME.as_bytes(), bench.addr).unwrap();
            peer.send_to(b"", bench.addr).unwrap();
            if round == 0 {
                peer.send_to(&[b'x'; 5000], bench.addr).unwrap();
            }
        }
    }
    wait_until("all datagrams", || bench.books.received.get() == 102);
    peers[0].send_to(FRAME.as_bytes(), bench.addr).unwrap();
    let books = bench.end();
    assert_eq!((books.received.get(), books.admitted.get(), books.kernel_drops.get()), (103, 103, 0));
    assert_eq!(books.bytes.get(), 101 * FRAME.len() as u64 + 2 * 5000);
}

#[test]
fn without_a_slot_the_kernel_drops_and_counts() {
    let bench = Bench::with_slots(listener(ListenerKind::Udp), 4);
    let slots = bench.take_slots();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sent = 40_000;
    for _ in 0..sent {
        socket.send_to(&[b'x'; 1000], bench.addr).unwrap();
    }
    wait_until("kernel drops", || bench.books.kernel_drops.get() > 0);
    assert_eq!(bench.books.received.get(), 0);
    drop(slots);
    let all = || bench.books.received.get() + bench.books.kernel_drops.get() == sent;
    wait_until("the rest", all);
    bench.end();
}
