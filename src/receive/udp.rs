//! Datagrams: one is one message.
//!
//! Many are taken by one call (recvmmsg, and GRO where the kernel has it) into scratch, and copied once into the batch,
//! those in a row from one peer as one run. Without a free slot nothing is read: the kernel drops, and counts.

use std::collections::{HashMap, HashSet};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use quinn_udp::{RecvMeta, UdpSocketState};
use rustix::fs::fstat;
use tokio::io::Interest;
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::warn;

use super::port::{Port, Rules};
use super::receiver::Receiver;
use super::stop::Stop;
use crate::batch::{Batch, Identity, Origin};
use crate::limits;

/// Buffers of one call. Each takes what GRO joins, or one datagram.
const BUFFERS: usize = 16;
const BUFFER_BYTES: usize = 64 * 1024;
/// How often the kernel's counter is read.
const DROPS_EVERY: Duration = Duration::from_secs(1);
/// After an error that the next call would meet as well.
const PAUSE: Duration = Duration::from_millis(100);
/// Peers whose origin is kept.
const PEERS: usize = 1024;

/// Receives until `stop`, and then what the socket still holds.
pub async fn receive(port: Arc<Port>, socket: UdpSocket, receiver: Rc<Receiver>, stop: Rc<Stop>) {
    let drops = Drops::of(&socket);
    let opened = UdpSocketState::new((&socket).into())
        .and_then(|state| tokio::net::UdpSocket::from_std(socket).map(|socket| (state, socket)));
    let (state, socket) = match opened {
        Ok(opened) => opened,
        Err(error) => return warn!(listener = port.rules().listener.name, %error, "cannot receive datagrams"),
    };
    let socket =
        Socket { socket, state, scratch: vec![0; BUFFERS * BUFFER_BYTES], metas: Default::default() };
    let peers = Peers { rules: port.rules(), known: HashMap::new(), asked: HashSet::new() };
    Datagrams { port, receiver, stop, socket, peers, drops }.run().await;
}

/// A socket, and what its last read brought.
struct Socket {
    socket: tokio::net::UdpSocket,
    state: UdpSocketState,
    scratch: Vec<u8>,
    metas: [RecvMeta; BUFFERS],
}

impl Socket {
    /// Fills buffers; how many of them.
    fn read(&mut self) -> io::Result<usize> {
        let mut chunks = self.scratch.chunks_exact_mut(BUFFER_BYTES);
        let mut buffers: [IoSliceMut<'_>; BUFFERS] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().expect("a chunk for each buffer")));
        self.state.recv((&self.socket).into(), &mut buffers, &mut self.metas)
    }

    /// The same, telling the driver when nothing is left.
    fn try_read(&mut self) -> io::Result<usize> {
        match self.read() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.socket.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()))
            }
            read => read,
        }
    }

    /// The datagrams of a buffer, of which GRO makes many; empty ones are left out.
    fn datagrams(&self, buffer: usize) -> impl Iterator<Item = &[u8]> {
        let meta = &self.metas[buffer];
        self.scratch[buffer * BUFFER_BYTES..][..meta.len].chunks(meta.stride.max(1))
    }

    fn peer(&self, buffer: usize) -> IpAddr {
        self.metas[buffer].addr.ip().to_canonical()
    }
}

struct Datagrams {
    port: Arc<Port>,
    receiver: Rc<Receiver>,
    stop: Rc<Stop>,
    socket: Socket,
    peers: Peers,
    drops: Drops,
}

impl Datagrams {
    async fn run(&mut self) {
        let stop = self.stop.clone();
        let mut look = interval(DROPS_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reads: u32 = 0;
        while !stop.has_begun() {
            tokio::select! {
                ready = self.socket.socket.readable() => match ready {
                    Ok(()) => {
                        self.read_once().await;
                        reads = reads.wrapping_add(1);
                        if reads.is_multiple_of(limits::READS_IN_A_ROW) {
                            yield_now().await;
                        }
                    }
                    Err(error) => self.complain(&error).await,
                },
                _ = look.tick() => self.count_drops(),
                () = stop.begun() => {}
            }
        }
        // What the socket holds, whatever the driver knows of it; under a flood it never empties.
        let in_time = || stop.deadline().is_none_or(|deadline| Instant::now() < deadline);
        while in_time()
            && self.room().await
            && let Ok(buffers) = self.socket.read()
        {
            self.take(buffers).await;
            reads = reads.wrapping_add(1);
            if reads.is_multiple_of(limits::READS_IN_A_ROW) {
                yield_now().await;
            }
        }
        self.count_drops();
    }

    async fn read_once(&mut self) {
        // A slot first: what has been read must go somewhere.
        if !self.room().await {
            return;
        }
        match self.socket.try_read() {
            Ok(buffers) => self.take(buffers).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.complain(&error).await,
        }
    }

    /// Waits until there is room; false if the end comes first.
    async fn room(&mut self) -> bool {
        while self.receiver.open.with_room(limits::READ_MIN_BYTES, 1, |_| ()).is_none() {
            tokio::select! {
                () = self.receiver.open.arrived() => {}
                () = self.stop.lingered() => return false,
                () = sleep(DROPS_EVERY) => self.count_drops(),
            }
        }
        true
    }

    /// Puts what was read into batches.
    async fn take(&mut self, buffers: usize) {
        self.peers.follow(self.port.rules());
        let mut buffer = 0;
        while buffer < buffers {
            let peer = self.socket.peer(buffer);
            let origin = self.peers.origin(peer, &self.port, &self.receiver);
            let same = (buffer..buffers).take_while(|at| self.socket.peer(*at) == peer).count();
            let datagrams: Vec<&[u8]> =
                (buffer..buffer + same).flat_map(|buffer| self.socket.datagrams(buffer)).collect();
            self.put(&datagrams, &origin).await;
            buffer += same;
        }
    }

    /// Puts the datagrams of one peer into batches, as one run where they fit into one.
    async fn put(&self, mut datagrams: &[&[u8]], origin: &Arc<Origin>) {
        let books = &self.port.books;
        let limit = self.peers.rules.frame_bytes;
        while let Some(first) = datagrams.first() {
            let put = self.receiver.open.with_room(first.len().min(limit), 1, |batch| {
                let put = datagrams.iter().take_while(|datagram| put_one(batch, datagram, limit)).count();
                batch.close_run(origin, Identity::Batch);
                put
            });
            let count = match put {
                Some(count) => {
                    self.receiver.open.note_datagrams();
                    count
                }
                None if self.stop.deadline().is_some_and(|deadline| deadline <= Instant::now()) => {
                    books.shed_no_slot.add(datagrams.len() as u64);
                    datagrams.len()
                }
                None => {
                    tokio::select! {
                        () = self.receiver.open.arrived() => {}
                        () = self.stop.lingered() => {}
                    }
                    0
                }
            };
            let (done, rest) = datagrams.split_at(count);
            books.received.add(count as u64);
            books.bytes.add(done.iter().map(|datagram| datagram.len() as u64).sum());
            datagrams = rest;
        }
    }

    async fn complain(&self, error: &io::Error) {
        warn!(listener = self.peers.rules.listener.name, %error, "cannot receive datagrams");
        sleep(PAUSE).await;
    }

    fn count_drops(&mut self) {
        self.port.books.kernel_drops.add(self.drops.since_last());
    }
}

/// Adds a datagram to the batch, if it fits.
fn put_one(batch: &mut Batch, datagram: &[u8], limit: usize) -> bool {
    let kept = &datagram[..datagram.len().min(limit)];
    let fits = batch.room() >= kept.len() && batch.frames.len() < limits::BATCH_FRAMES;
    if fits {
        let at = batch.append(kept);
        batch.push_frame(at, kept.len(), kept.len() < datagram.len());
    }
    fits
}

/// Who sends.
struct Peers {
    rules: Arc<Rules>,
    known: HashMap<IpAddr, Arc<Origin>>,
    /// Whose names are being looked up.
    asked: HashSet<IpAddr>,
}

impl Peers {
    /// Goes by the rules of now.
    fn follow(&mut self, rules: Arc<Rules>) {
        if !Arc::ptr_eq(&self.rules, &rules) {
            self.rules = rules;
            self.known.clear();
        }
    }

    fn origin(&mut self, peer: IpAddr, port: &Port, receiver: &Receiver) -> Arc<Origin> {
        if let Some(origin) = self.known.get(&peer) {
            return origin.clone();
        }
        let names = &receiver.shared.names;
        let asks = self.rules.listener.resolve_names;
        let name = if asks { names.known(peer) } else { Some(None) };
        let origin = Arc::new(Origin::of_peer(port.id, peer, name.clone().flatten()));
        if self.known.len() >= PEERS || self.asked.len() >= PEERS {
            self.known.clear();
            self.asked.clear();
        }
        if name.is_some() {
            self.asked.remove(&peer);
            self.known.insert(peer, origin.clone());
        } else if self.asked.insert(peer) {
            // Meanwhile messages go on without a name.
            let shared = receiver.shared.clone();
            tokio::task::spawn_local(async move { drop(shared.names.find(peer).await) });
        }
        origin
    }
}

/// The kernel's counter of datagrams that found no room in the socket.
struct Drops {
    inode: Option<u64>,
    known: u64,
}

impl Drops {
    fn of(socket: &UdpSocket) -> Drops {
        Drops { inode: fstat(socket).ok().map(|stat| stat.st_ino), known: 0 }
    }

    /// Drops since the last call.
    fn since_last(&mut self) -> u64 {
        let Some(inode) = self.inode else { return 0 };
        let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"];
        let texts = tables.iter().filter_map(|table| std::fs::read_to_string(table).ok());
        let total = texts.filter_map(|text| drops_of(&text, inode)).next().unwrap_or(self.known);
        let new = total.saturating_sub(self.known);
        self.known = total;
        new
    }
}

/// The last column of the socket's line.
fn drops_of(table: &str, inode: u64) -> Option<u64> {
    const INODE: usize = 9;
    const DROPS: usize = 12;
    let inode = inode.to_string();
    let mut lines = table.lines().map(|line| line.split_ascii_whitespace());
    let mut line = lines.find(|line| line.clone().nth(INODE) == Some(&inode))?;
    line.nth(DROPS)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_found_by_inode() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            \x20 204: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 51342 2 ffff8881 0\n\
            \x20 213: 0100007F:1F91 00000000:0000 07 00000000:00034500 00:00000000 00000000     0        0 51343 2 ffff8882 7\n";
        assert_eq!(drops_of(table, 51342), Some(0));
        assert_eq!(drops_of(table, 51343), Some(7));
        assert_eq!(drops_of(table, 5134), None);
        assert_eq!(drops_of("", 1), None);
    }

    #[test]
    fn this_kernel_lists_our_sockets() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let inode = Drops::of(&socket).inode.unwrap();
        let table = std::fs::read_to_string("/proc/self/net/udp").unwrap();
        assert_eq!(drops_of(&table, inode), Some(0));
    }
}
