//! A syslog drain over UDP: one message a datagram, no count, no order, no acknowledgement.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::pace::Pace;
use super::{Fate, Run};
use crate::record::Connection;
use crate::stamp::Stamp;

/// Datagrams between two looks at the clock.
const BURST: u64 = 32;

/// Sends the share of connection `number` from a socket of its own.
pub fn send(run: &Run, number: u32) -> Fate {
    let socket = socket(run.options.target.address);
    run.start.wait();
    let options = run.options;
    let pace = Pace::new(number, options.connections, options.rate, options.for_time, run.share(number));
    let mut fate = Fate::default();
    let mut at = Connection { number, ..Connection::default() };
    match socket {
        Ok(socket) => {
            let refused = stream(run, &pace, &socket, &mut at);
            if refused > 0 {
                fate.troubles.push(format!("connection {number}: {refused} datagrams were refused"));
            }
        }
        Err(e) => fate.troubles.push(format!("connection {number}: no socket: {e}")),
    }
    fate.connections.push(at);
    fate
}

fn socket(target: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: IpAddr = match target.ip() {
        ip if ip.is_loopback() => ip,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    Ok(socket)
}

/// Sends datagrams; returns how many sends failed (nobody listens, or the message is too long). A failed one counts
/// as sent: it is lost, as UDP allows.
fn stream(run: &Run, pace: &Pace, socket: &UdpSocket, at: &mut Connection) -> u64 {
    let mut stamp = Stamp::default();
    let mut message = Vec::with_capacity(64 * 1024);
    let mut refused = 0;
    loop {
        let now = Instant::now();
        if run.stopped() || pace.over(at.sent, now) {
            return refused;
        }
        let due = pace.due(now).min(at.sent + BURST);
        if due <= at.sent {
            thread::sleep(pace.wait_for(1, Duration::from_millis(100)));
            continue;
        }
        let (before, mut bytes) = (at.sent, 0);
        while at.sent < due {
            message.clear();
            run.generator.message(at.number, at.sent, &mut stamp, &mut message);
            refused += u64::from(socket.send(&message).is_err());
            bytes += message.len() as u64;
            at.sent += 1;
        }
        at.offered = at.sent;
        run.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        run.progress.events.fetch_add(at.sent - before, Ordering::Relaxed);
    }
}
