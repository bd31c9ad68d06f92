//! A receiver that reads and throws away: the floor under every benchmark, the cost of the kernel alone.
//!
//! One blocking thread a connection, no framing, nothing understood; over HTTP heads are read as far as the length of
//! the body demands, and each POST is answered 200. It stops by itself at the end of its time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::units::cpu_us;

/// Bytes a read: larger ones measured no cheaper on loopback.
const READ_BYTES: usize = 64 * 1024;

/// How often a waiting thread looks whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// The longest request head.
const HEAD_LEN_MAX: usize = 16 * 1024;

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub connections: u64,
    pub bytes: u64,
    /// HTTP: requests that were answered.
    pub requests: u64,
    /// CPU time of the process meanwhile.
    pub cpu_us: u64,
}

/// A bound receiver.
pub struct Discard {
    listener: TcpListener,
    http: bool,
}

impl Discard {
    /// Binds to `address`; port 0 lets the kernel choose.
    pub fn bind(address: &str, http: bool) -> io::Result<Discard> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Discard { listener, http })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Reads until `stop` is set, `for_time` is over, or, with `once`, the last of at least one connection has ended.
    pub fn run(&self, stop: &AtomicBool, for_time: Option<Duration>, once: bool) -> io::Result<Summary> {
        let (bytes, requests, open) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let ended = AtomicBool::new(false);
        let (began, cpu_before) = (Instant::now(), cpu_us());
        let mut connections = 0u64;
        thread::scope(|scope| {
            loop {
                let timeless = for_time.is_none_or(|limit| began.elapsed() < limit);
                let idle = connections > 0 && open.load(Ordering::Acquire) == 0;
                if stop.load(Ordering::Relaxed) || !timeless || (once && idle) {
                    ended.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                match self.listener.accept() {
                    Ok((socket, _)) => {
                        connections += 1;
                        open.fetch_add(1, Ordering::AcqRel);
                        let (bytes, requests, open, ended, http) =
                            (&bytes, &requests, &open, &ended, self.http);
                        scope.spawn(move || {
                            // A broken connection ends like any other: what it brought is counted.
                            let _ = serve(socket, http, ended, bytes, requests);
                            open.fetch_sub(1, Ordering::AcqRel);
                        });
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        thread::sleep(Duration::from_millis(5))
                    }
                    Err(e) => {
                        ended.store(true, Ordering::Relaxed);
                        return Err(e);
                    }
                }
            }
        })?;
        Ok(Summary {
            connections,
            bytes: bytes.into_inner(),
            requests: requests.into_inner(),
            cpu_us: cpu_us() - cpu_before,
        })
    }
}

fn serve(
    mut socket: TcpStream,
    http: bool,
    ended: &AtomicBool,
    bytes: &AtomicU64,
    requests: &AtomicU64,
) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(LOOK))?;
    let mut buffer = vec![0u8; READ_BYTES];
    let mut head = Vec::new();
    let mut body_left = 0usize;
    while !ended.load(Ordering::Relaxed) {
        let count = match socket.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(e) if waited(&e) => continue,
            Err(e) => return Err(e),
        };
        bytes.fetch_add(count as u64, Ordering::Relaxed);
        let mut rest = &buffer[..count];
        while http && !rest.is_empty() {
            if body_left == 0 {
                let Some((length, used)) = read_head(&mut head, rest)? else { break };
                rest = &rest[used..];
                body_left = length;
            }
            let taken = body_left.min(rest.len());
            rest = &rest[taken..];
            body_left -= taken;
            if body_left == 0 {
                head.clear();
                requests.fetch_add(1, Ordering::Relaxed);
                socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            }
        }
    }
    Ok(())
}

/// Adds to the head; once it is whole, the length of the body and how many of `more` belonged to the head.
fn read_head(head: &mut Vec<u8>, more: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let before = head.len();
    head.extend_from_slice(more);
    let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") else {
        let broken = head.len() > HEAD_LEN_MAX;
        return if broken { Err(io::ErrorKind::InvalidData.into()) } else { Ok(None) };
    };
    let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
    let length =
        text.lines().find_map(|l| l.strip_prefix("content-length:")).and_then(|v| v.trim().parse().ok());
    Ok(Some((length.unwrap_or(0), end + 4 - before)))
}

fn waited(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_may_come_in_pieces() {
        let mut head = Vec::new();
        assert!(read_head(&mut head, b"POST / HTTP/1.1\r\nContent-Le").unwrap().is_none());
        assert_eq!(read_head(&mut head, b"ngth: 5\r\n\r\nhello").unwrap(), Some((5, 11)));
    }
}
