//! One connection to the receiver, plain or TLS, whose waits all end.
//!
//! Writes are cut into waits of 200 ms, so that a stop is seen while the receiver is busy; what was in work then
//! gets a few seconds more. The end is polite: half-close, then read until the other side has closed, since closing
//! with unread bytes (a TLS server's session tickets) would reset the connection and lose what is in flight.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{Options, Run, timed_out};

/// One wait of a write, after which a stop is looked for.
const WRITE_WAIT: Duration = Duration::from_millis(200);

/// How long a write may still last once a stop was asked for.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long one write waits for a receiver that does not read: longer than any outage that a test makes.
const STALL_MAX: Duration = Duration::from_secs(120);

/// Logplex's connect timeout.
const CONNECT_WAIT: Duration = Duration::from_secs(3);

/// How long the receiver has to read what is left after the half-close.
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// A connection.
pub struct Link {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Link {
    /// Connects and, for TLS, shakes hands.
    pub fn connect(run: &Run) -> io::Result<Link> {
        let target = &run.options.target;
        let tcp = TcpStream::connect_timeout(&target.address, CONNECT_WAIT)?;
        tcp.set_nodelay(true)?;
        tcp.set_write_timeout(Some(WRITE_WAIT))?;
        let Some(config) = &run.tls else { return Ok(Link { tcp, tls: None }) };
        let name = ServerName::try_from(target.host.clone()).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        tcp.set_read_timeout(Some(CONNECT_WAIT))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut &tcp)?;
        }
        Ok(Link { tcp, tls: Some(Box::new(tls)) })
    }

    /// Whether bytes that did not count as done may have left all the same.
    pub fn writes_records(&self) -> bool {
        self.tls.is_some()
    }

    /// Writes all of `bytes`, by `deadline` if there is one; `done` counts those that the kernel has taken (for TLS:
    /// whole records).
    pub fn write(
        &mut self,
        bytes: &[u8],
        run: &Run,
        deadline: Option<Instant>,
        done: &mut usize,
    ) -> io::Result<()> {
        let mut patience = Patience { run, began: Instant::now(), deadline, stopping: None };
        let Some(tls) = &mut self.tls else {
            while *done < bytes.len() {
                match (&self.tcp).write(&bytes[*done..]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => *done += n,
                    Err(e) => patience.bear(e)?,
                }
            }
            return Ok(());
        };
        while *done < bytes.len() {
            let taken = tls.writer().write(&bytes[*done..])?;
            while tls.wants_write() {
                if let Err(e) = tls.write_tls(&mut &self.tcp) {
                    patience.bear(e)?;
                }
            }
            *done += taken;
        }
        Ok(())
    }

    /// Reads what is there, waiting until `deadline` at most; 0 at the end of the stream.
    pub fn read(&mut self, into: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            if let Some(tls) = &mut self.tls {
                match tls.reader().read(into) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    other => return other,
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.tcp.set_read_timeout(Some(left))?;
            let Some(tls) = &mut self.tls else { return (&self.tcp).read(into) };
            if tls.read_tls(&mut &self.tcp)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Whether the other side has closed; does not wait.
    pub fn closed(&mut self) -> bool {
        if self.tcp.set_nonblocking(true).is_err() {
            return true;
        }
        let mut scratch = [0u8; 512];
        let ended = loop {
            let got = match &mut self.tls {
                None => (&self.tcp).read(&mut scratch),
                Some(tls) => tls.read_tls(&mut &self.tcp).inspect(|_| {
                    // A broken record shows at the next write; here only the end matters.
                    let _ = tls.process_new_packets();
                }),
            };
            match got {
                Ok(0) => break true,
                Ok(_) => {}
                Err(e) => break !timed_out(&e) && e.kind() != io::ErrorKind::Interrupted,
            }
        };
        let restored = self.tcp.set_nonblocking(false).is_ok();
        ended || !restored
    }

    /// Half-closes and waits until the other side has read all and closed; false if it did not in time.
    pub fn close(mut self) -> bool {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            while tls.wants_write() {
                if tls.write_tls(&mut &self.tcp).is_err() {
                    return false;
                }
            }
        }
        if self.tcp.shutdown(Shutdown::Write).is_err() || self.tcp.set_read_timeout(Some(CLOSE_WAIT)).is_err()
        {
            return false;
        }
        let deadline = Instant::now() + CLOSE_WAIT;
        let mut scratch = [0u8; 4096];
        while Instant::now() < deadline {
            match (&self.tcp).read(&mut scratch) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        false
    }
}

/// How long a write that the receiver holds up goes on.
struct Patience<'a> {
    run: &'a Run<'a>,
    began: Instant,
    deadline: Option<Instant>,
    /// When the stop was first seen.
    stopping: Option<Instant>,
}

impl Patience<'_> {
    /// Takes the error of one wait; returns it, or another, if there is to be no other wait.
    fn bear(&mut self, error: io::Error) -> io::Result<()> {
        if error.kind() == io::ErrorKind::Interrupted {
            return Ok(());
        }
        if !timed_out(&error) {
            return Err(error);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the receiver did not read the request in time",
            ));
        }
        if self.began.elapsed() >= STALL_MAX {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the receiver does not read"));
        }
        if self.run.stopped() && self.stopping.get_or_insert_with(Instant::now).elapsed() >= STOP_GRACE {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the receiver did not read on after the stop",
            ));
        }
        Ok(())
    }
}

/// The TLS client that the options ask for.
pub fn tls_config(options: &Options) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("cannot set up TLS: {e}"))?;
    if options.insecure {
        let verifier = Arc::new(Unverified(provider));
        return Ok(Arc::new(
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth(),
        ));
    }
    let Some(path) = &options.ca else {
        return Err("tls and https need `--ca FILE` to trust, or `--insecure`".to_string());
    };
    let mut roots = RootCertStore::empty();
    let broken =
        |e: &dyn std::fmt::Display| format!("cannot read authorities from `{}`: {e}", path.display());
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| broken(&e))? {
        roots.add(certificate.map_err(|e| broken(&e))?).map_err(|e| broken(&e))?;
    }
    if roots.is_empty() {
        return Err(broken(&"no certificate in it"));
    }
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// Accepts every certificate: the load tool talks to test receivers on loopback, as a drain with `#insecure` does.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
