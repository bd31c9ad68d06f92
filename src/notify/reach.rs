//! Connections to targets: resolved, checked, connected, encrypted, each within a time.
//!
//! Invariants: nothing is sent to an address that is not permitted, whatever its name resolved to a moment ago; at most
//! `limits::NOTIFY_ANSWER_BYTES` of an answer are read; no message holds a path or a password.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::{Allowed, Scheme, Url};
use crate::limits;

/// Why a record was not told.
#[derive(Debug)]
pub struct Failure {
    /// For a person to read.
    pub why: String,
    /// To be tried again, after so long if the target says so; else it will never be taken.
    pub again: bool,
    pub after: Option<Duration>,
}

impl Failure {
    /// What may go better next time.
    pub fn again(why: impl Into<String>) -> Failure {
        Failure { why: why.into(), again: true, after: None }
    }

    /// What will never be taken.
    pub fn refused(why: impl Into<String>) -> Failure {
        Failure { why: why.into(), again: false, after: None }
    }
}

/// A host that may be connected to.
pub struct Reach {
    pub url: Url,
    allowed: Allowed,
    tls: Option<TlsConnector>,
}

impl Reach {
    /// Reads the system's roots if the target is encrypted from the first byte.
    pub fn new(url: &Url, allowed: &Allowed) -> Reach {
        let tls = matches!(url.scheme, Scheme::Https | Scheme::Smtps).then(connector);
        Reach { url: url.clone(), allowed: allowed.clone(), tls }
    }

    /// Connects, within `limits::NOTIFY_CONNECT_S`.
    pub async fn connect(&self) -> Result<Stream, Failure> {
        let limit = Duration::from_secs(limits::NOTIFY_CONNECT_S);
        match tokio::time::timeout(limit, self.connect_at_last()).await {
            Ok(connected) => connected,
            Err(_) => Err(Failure::again(format!("no connection within {} s", limit.as_secs()))),
        }
    }

    async fn connect_at_last(&self) -> Result<Stream, Failure> {
        let Url { host, port, .. } = &self.url;
        let found = tokio::net::lookup_host((host.as_str(), *port)).await;
        let found: Vec<SocketAddr> =
            found.map_err(|error| Failure::again(format!("its name does not resolve: {error}")))?.collect();
        let mut why = format!("`{}` resolves to no address", self.url.shown());
        for address in found {
            match self.connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => why = error,
            }
        }
        Err(Failure::again(why))
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<Stream, String> {
        self.check(address)?;
        let stream = TcpStream::connect(address).await.map_err(|error| format!("cannot connect: {error}"))?;
        let peer = stream.peer_addr().map_err(|error| format!("cannot connect: {error}"))?;
        self.check(peer)?;
        // Without it every small request waits; one that cannot have it works all the same.
        let _ = stream.set_nodelay(true);
        let inner = match &self.tls {
            None => Inner::Plain(stream),
            Some(tls) => {
                let name = ServerName::try_from(self.url.host.clone()).map_err(|error| error.to_string())?;
                let stream = tls.connect(name, stream).await.map_err(|error| format!("no TLS: {error}"))?;
                Inner::Tls(Box::new(stream))
            }
        };
        Ok(Stream { inner, peer, left: limits::NOTIFY_ANSWER_BYTES })
    }

    fn check(&self, address: SocketAddr) -> Result<(), String> {
        match self.allowed.permits(&self.url.host, address.ip()) {
            true => Ok(()),
            false => Err(format!(
                "it leads to {}, which is not public; `allow_private` names what may be reached all the same",
                address.ip()
            )),
        }
    }
}

fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!("the system has no root certificates, so no HTTPS target can be believed");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config).into()
}

/// A connection that is read up to a limit.
#[derive(Debug)]
pub struct Stream {
    inner: Inner,
    peer: SocketAddr,
    /// Bytes that may still be read.
    left: usize,
}

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the answer is too long")));
        }
        let mut part = buffer.take(self.left);
        let polled = match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_read(context, &mut part),
            Inner::Tls(stream) => Pin::new(stream).poll_read(context, &mut part),
        };
        let read = part.filled().to_vec();
        self.left -= read.len();
        buffer.put_slice(&read);
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Inner::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_flush(context),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
