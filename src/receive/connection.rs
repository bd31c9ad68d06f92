//! One accepted connection: on whose behalf it is, what it speaks, and on to the protocol.
//!
//! In order: PROXY header, TLS or plain by the first byte, protocol. Silence before the first byte counts against
//! `idle`; from the first byte on the header, and the TLS handshake, have `handshake` each.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use super::http;
use super::port::Port;
use super::proxy::{self, Header};
use super::receiver::Receiver;
use super::stop::Stop;
use super::stream::{self, Place};
use crate::batch::Origin;
use crate::config::{ListenerKind, TlsMode};

/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// More than the longest PROXY header that is believed.
const PEEK_BYTES: usize = 4096;

/// Why a connection does not get as far as its protocol.
enum Refusal {
    /// It said nothing within `idle`, or left, or the listener ended.
    Silent,
    /// A PROXY header, or another, from an address that is not trusted.
    Untrusted,
    /// What came is no PROXY header.
    Header,
    /// A header or handshake not ended in time.
    Slow,
    /// Plain where TLS is required.
    Plain,
    Handshake(io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Silent => f.write_str("nothing came"),
            Refusal::Untrusted => f.write_str("the PROXY protocol is spoken with `trusted_proxies` only"),
            Refusal::Header => f.write_str("no PROXY header"),
            Refusal::Slow => f.write_str("header or handshake took longer than `handshake`"),
            Refusal::Plain => f.write_str("plain text where TLS is required"),
            Refusal::Handshake(error) => write!(f, "TLS: {error}"),
        }
    }
}

/// What a connection speaks.
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Serves a connection to its end.
pub async fn serve(tcp: TcpStream, peer: IpAddr, port: Arc<Port>, receiver: Rc<Receiver>, stop: Rc<Stop>) {
    let rules = port.rules();
    let place = Place { port, rules, open: receiver.open.clone(), stop };
    let books = place.port.books.clone();
    // Answers are small and each is waited for; where it cannot be set they are only later.
    let _ = tcp.set_nodelay(true);
    match begin(tcp, peer, &place).await {
        Ok((transport, peer)) => {
            let origin = origin(peer, &place, &receiver).await;
            let closed = match transport {
                Transport::Plain(stream) => speak(stream, origin, place, receiver).await,
                Transport::Tls(stream) => speak(*stream, origin, place, receiver).await,
            };
            books.connections_closed.add(u64::from(closed));
        }
        Err(refusal) => {
            books.connections_closed.add(1);
            let listener = &place.rules.listener.name;
            match refusal {
                Refusal::Silent => debug!(listener, %peer, reason = %refusal, "closed a connection"),
                _ => warn!(listener, %peer, reason = %refusal, "closed a connection"),
            }
        }
    }
}

/// Serves the protocol of the listener; says whether we closed the connection.
async fn speak<S>(stream: S, origin: Arc<Origin>, place: Place, receiver: Rc<Receiver>) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    if place.rules.listener.kind == ListenerKind::Http {
        return http::serve(stream, origin, place, receiver).await;
    }
    let peer = origin.peer;
    let ending = stream::read(stream, origin, &place, &receiver.shared.carries).await;
    if ending.is_ours() {
        debug!(listener = place.rules.listener.name, ?peer, reason = ?ending, "closed a connection");
    }
    ending.is_ours()
}

async fn origin(peer: IpAddr, place: &Place, receiver: &Receiver) -> Arc<Origin> {
    let peer_name = match place.rules.listener.resolve_names {
        true => receiver.shared.names.find(peer).await,
        false => None,
    };
    Arc::new(Origin::of_peer(place.port.id, peer, peer_name))
}

/// Reads what comes before the protocol.
async fn begin(mut tcp: TcpStream, mut peer: IpAddr, place: &Place) -> Result<(Transport, IpAddr), Refusal> {
    let listener = &place.rules.listener;
    if listener.proxy_protocol {
        if !peer.is_loopback() && !place.rules.trusted.iter().any(|net| net.contains(&peer)) {
            return Err(Refusal::Untrusted);
        }
        first_byte(&tcp, place).await?;
        let header = timeout(listener.limits.handshake, proxy_header(&mut tcp)).await;
        peer = header.map_err(|_| Refusal::Slow)??.unwrap_or(peer);
    }
    let (Some(certificates), Some(tls)) = (&place.rules.tls, &listener.tls) else {
        return Ok((Transport::Plain(tcp), peer));
    };
    match (first_byte(&tcp, place).await?, tls.mode) {
        (TLS_HANDSHAKE, _) => {
            let accepted = timeout(listener.limits.handshake, certificates.acceptor().accept(tcp)).await;
            let stream = accepted.map_err(|_| Refusal::Slow)?.map_err(Refusal::Handshake)?;
            Ok((Transport::Tls(Box::new(stream)), peer))
        }
        (_, TlsMode::Sniff) => Ok((Transport::Plain(tcp), peer)),
        (_, TlsMode::Require) => Err(Refusal::Plain),
    }
}

/// Waits for the first byte and leaves it where it is.
async fn first_byte(tcp: &TcpStream, place: &Place) -> Result<u8, Refusal> {
    let mut byte = [0];
    tokio::select! {
        peeked = timeout(place.rules.listener.limits.idle, tcp.peek(&mut byte)) => match peeked {
            Ok(Ok(1)) => Ok(byte[0]),
            _ => Err(Refusal::Silent),
        },
        () = place.stop.lingered() => Err(Refusal::Silent),
    }
}

/// Takes the PROXY header, and not a byte more.
async fn proxy_header(tcp: &mut TcpStream) -> Result<Option<IpAddr>, Refusal> {
    let mut bytes = Vec::new();
    let mut ahead = [0; PEEK_BYTES];
    loop {
        let peeked = tcp.peek(&mut ahead).await.map_err(|_| Refusal::Header)?;
        if peeked == 0 {
            return Err(Refusal::Header);
        }
        let known = bytes.len();
        bytes.extend_from_slice(&ahead[..peeked]);
        let (take, source) = match proxy::header(&bytes) {
            Header::Malformed => return Err(Refusal::Header),
            Header::Partial => (peeked, None),
            Header::Whole { len, source } => (len - known, Some(source)),
        };
        // These bytes are there already: the read does not wait.
        tcp.read_exact(&mut ahead[..take]).await.map_err(|_| Refusal::Header)?;
        if let Some(source) = source {
            return Ok(source);
        }
    }
}
