//! Opens sockets: one a receiver and listener, all on the same port by SO_REUSEPORT.
//!
//! The port of a TCP listener is kept by a further socket that is bound and never listens, so that the listening ones
//! can be closed while there are too many connections.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ListenerKind;
use crate::limits;

/// Fails if another process has the port, which SO_REUSEPORT would share with it silently.
pub fn probe(kind: ListenerKind, addr: SocketAddr) -> io::Result<()> {
    if addr.port() == 0 {
        return Ok(());
    }
    let socket = new(kind, addr)?;
    if kind != ListenerKind::Udp {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&addr.into())?;
    match kind {
        ListenerKind::Udp => Ok(()),
        ListenerKind::Tcp | ListenerKind::Http => socket.listen(1),
    }
}

/// A socket that is bound, shares its port, and does not listen.
pub fn bind(kind: ListenerKind, addr: SocketAddr) -> io::Result<Socket> {
    let socket = new(kind, addr)?;
    if kind != ListenerKind::Udp {
        socket.set_reuse_address(true)?;
    }
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// The address that a socket is bound to.
pub fn address(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet address"))
}

/// A listening socket that shares its port.
pub fn listen(addr: SocketAddr, connections: usize) -> io::Result<TcpListener> {
    let socket = bind(ListenerKind::Tcp, addr)?;
    socket.listen(connections.min(limits::BACKLOG) as i32)?;
    Ok(socket.into())
}

/// A datagram socket that shares its port, with as large a buffer as the kernel grants.
pub fn datagrams(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = bind(ListenerKind::Udp, addr)?;
    socket.set_recv_buffer_size(limits::UDP_BUFFER_BYTES)?;
    Ok(socket.into())
}

fn new(kind: ListenerKind, addr: SocketAddr) -> io::Result<Socket> {
    let (kind, protocol) = match kind {
        ListenerKind::Udp => (Type::DGRAM, Protocol::UDP),
        ListenerKind::Tcp | ListenerKind::Http => (Type::STREAM, Protocol::TCP),
    };
    Socket::new(Domain::for_address(addr), kind, Some(protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_finds_a_port_taken_even_by_one_that_would_share_it() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        for kind in [ListenerKind::Tcp, ListenerKind::Udp] {
            let first = bind(kind, any).unwrap();
            let addr = address(&first).unwrap();
            if kind == ListenerKind::Tcp {
                first.listen(1).unwrap();
            }
            assert_eq!(probe(kind, addr).unwrap_err().kind(), io::ErrorKind::AddrInUse);
            assert!(bind(kind, addr).is_ok());
        }
    }

    #[test]
    fn a_bound_socket_keeps_the_port_but_refuses_connects() {
        let keeper = bind(ListenerKind::Tcp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = address(&keeper).unwrap();
        let listening = listen(addr, 10).unwrap();
        assert!(std::net::TcpStream::connect(addr).is_ok());
        drop(listening);
        assert_eq!(std::net::TcpStream::connect(addr).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(listen(addr, 10).is_ok());
    }
}
