//! An HTTPS drain: keep-alive POSTs, one in flight, tried as often as Logplex does and in its order.
//!
//! A retry repeats frame id and body and goes before everything newer, over a new connection. A refused connect
//! costs no try. Redirects are not followed: to Logplex a 3xx is a failed try.

use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::link::Link;
use super::pace::Pace;
use super::{Fate, Run, Tries};
use crate::record::Connection;
use crate::stamp::Stamp;

/// What has waited so long is posted although it fills no POST.
const FLUSH_AFTER: Duration = Duration::from_millis(250);

/// Logplex's buffer: no POST has more messages.
const MESSAGES_MAX: u64 = 1024;

/// Pauses between connects that fail.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Pause of a sender that does not give up, which would otherwise spin on quick refusals.
const FOREVER_PAUSE: Duration = Duration::from_millis(100);

/// How long connecting is tried in all for one POST, unless tries are endless.
const CONNECT_TRIES: Duration = Duration::from_secs(60);

/// An unused connection is looked at before it is used again after so long.
const IDLE_LOOK: Duration = Duration::from_millis(500);

/// The longest answer head that is read.
const HEAD_LEN_MAX: usize = 16 * 1024;

/// One POST to be.
struct Post {
    from: u64,
    messages: u64,
    body: Vec<u8>,
}

struct Poster<'a> {
    run: &'a Run<'a>,
    number: u32,
    link: Option<Link>,
    used: Instant,
    posts: u64,
}

/// Sends the share of connection `number`.
pub fn send(run: &Run, number: u32) -> Fate {
    let link = Link::connect(run).ok();
    run.start.wait();
    let options = run.options;
    let pace = Pace::new(number, options.connections, options.rate, options.for_time, run.share(number));
    let mut poster = Poster { run, number, link, used: Instant::now(), posts: 0 };
    let mut fate = Fate::default();
    let mut at = Connection { number, ..Connection::default() };
    let mut stamp = Stamp::default();
    let mut post = Post { from: 0, messages: 0, body: Vec::with_capacity(options.post_bytes + 64 * 1024) };
    let mut flushed = Instant::now();
    loop {
        let now = Instant::now();
        let last = run.stopped() || pace.over(at.sent + post.messages, now);
        let due = if last { at.sent + post.messages } else { pace.due(now) };
        let full = fill(run, number, &mut post, due, &mut stamp);
        if post.messages > 0 && (full || last || now - flushed >= FLUSH_AFTER) {
            deliver(&mut poster, &post, &mut at, &mut fate);
            post.from += post.messages;
            post.messages = 0;
            post.body.clear();
            flushed = Instant::now();
        } else if last {
            break;
        } else {
            let missing = options.post_bytes.saturating_sub(post.body.len()) as u64 / 256 + 1;
            thread::sleep(pace.wait_for(missing, Duration::from_millis(50)));
        }
    }
    fate.connections.push(at);
    fate
}

/// Adds messages until `due`, the end of the drain's block, or the size of a POST; true if it is full.
fn fill(run: &Run, number: u32, post: &mut Post, due: u64, stamp: &mut Stamp) -> bool {
    let room = run.generator.load().left_of_block(post.from).min(MESSAGES_MAX);
    while post.messages < room {
        if post.from + post.messages >= due {
            return false;
        }
        let before = post.body.len();
        run.generator.frame(number, post.from + post.messages, stamp, &mut post.body);
        if post.body.len() > run.options.post_bytes && post.messages > 0 {
            post.body.truncate(before);
            return true;
        }
        post.messages += 1;
    }
    true
}

fn deliver(poster: &mut Poster, post: &Post, at: &mut Connection, fate: &mut Fate) {
    let outcome = poster.post(post);
    let to = post.from + post.messages;
    (at.sent, at.offered) = (to, to);
    let progress = poster.run.progress;
    progress.bytes.fetch_add(post.body.len() as u64, Ordering::Relaxed);
    progress.events.fetch_add(post.messages, Ordering::Relaxed);
    match outcome {
        Ok(()) => progress.posts_acknowledged.fetch_add(1, Ordering::Relaxed),
        Err(why) => {
            at.give_up(post.from, to);
            fate.troubles.push(format!(
                "connection {}: POST of events {} to {} given up: {why}",
                at.number,
                post.from,
                to - 1
            ));
            progress.posts_given_up.fetch_add(1, Ordering::Relaxed)
        }
    };
}

impl Poster<'_> {
    /// Tries one POST until it is acknowledged; the error says why it was given up.
    fn post(&mut self, post: &Post) -> Result<(), String> {
        let head = self.head(post);
        self.posts += 1;
        let mut tried = 0;
        loop {
            self.connect()?;
            let failure = match self.once(&head, &post.body) {
                Ok(200..=299) => return Ok(()),
                Ok(status @ 400..=499) if status != 429 => {
                    self.link = None;
                    return Err(format!("status {status}"));
                }
                Ok(status) => format!("status {status}"),
                Err(e) => e.to_string(),
            };
            self.link = None;
            tried += 1;
            let enough = matches!(self.run.options.tries, Tries::Times(most) if tried >= most);
            if enough || self.run.stopped() {
                return Err(format!("{failure}, try {tried}"));
            }
            self.run.progress.retries.fetch_add(1, Ordering::Relaxed);
            if self.run.options.tries == Tries::Forever {
                thread::sleep(FOREVER_PAUSE);
            }
        }
    }

    /// Makes sure that there is a connection that the other side has not closed.
    fn connect(&mut self) -> Result<(), String> {
        if self.used.elapsed() >= IDLE_LOOK && self.link.as_mut().is_some_and(Link::closed) {
            self.link = None;
        }
        let began = Instant::now();
        let mut pause = BACKOFF_MIN;
        while self.link.is_none() {
            match Link::connect(self.run) {
                Ok(link) => self.link = Some(link),
                Err(e) => {
                    let endless = self.run.options.tries == Tries::Forever;
                    if self.run.stopped() || (!endless && began.elapsed() >= CONNECT_TRIES) {
                        return Err(format!("cannot connect: {e}"));
                    }
                    thread::sleep(pause);
                    pause = (pause * 2).min(BACKOFF_MAX);
                }
            }
        }
        Ok(())
    }

    /// One try over the connection at hand: the status of the answer.
    fn once(&mut self, head: &str, body: &[u8]) -> io::Result<u16> {
        let deadline = Instant::now() + self.run.options.request_timeout;
        let link = self.link.as_mut().expect("connected before each try");
        let written = link
            .write(head.as_bytes(), self.run, Some(deadline), &mut 0)
            .and_then(|()| link.write(body, self.run, Some(deadline), &mut 0));
        // A receiver that refuses may answer and close before it has read all.
        let answer = match read_answer(link, deadline) {
            Ok(answer) => answer,
            Err(e) => return Err(written.err().unwrap_or(e)),
        };
        self.used = Instant::now();
        if !answer.keep {
            self.link = None;
        }
        Ok(answer.status)
    }

    fn head(&self, post: &Post) -> String {
        let options = self.run.options;
        let target = &options.target;
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {}:{}\r\nContent-Type: application/logplex-1\r\nContent-Length: {}\r\n\
             Logplex-Msg-Count: {}\r\nLogplex-Frame-Id: {:08X}{:08X}{:016X}\r\nLogplex-Drain-Token: {}\r\n\
             User-Agent: Logplex/v110\r\n",
            target.path,
            target.host,
            target.address.port(),
            post.body.len(),
            post.messages,
            self.run.generator.load().run(),
            self.number,
            self.posts,
            self.run.generator.drain(self.number, post.from),
        );
        if let Some((user, password)) = &options.login {
            let login = base64(format!("{user}:{password}").as_bytes());
            head.push_str(&format!("Authorization: Basic {login}\r\n"));
        }
        head.push_str("\r\n");
        head
    }
}

struct Answer {
    status: u16,
    /// Whether the connection may be used again.
    keep: bool,
}

/// Reads one answer and its body.
fn read_answer(link: &mut Link, deadline: Instant) -> io::Result<Answer> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("answer: {what}"));
    let mut got = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = got.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if got.len() > HEAD_LEN_MAX {
                return Err(broken("its head is too long"));
            }
            read_more(link, &mut got, deadline)?;
        };
        let head = String::from_utf8_lossy(&got[..end]).to_ascii_lowercase();
        got.drain(..end);
        let status = head.get(9..12).and_then(|s| s.parse().ok()).ok_or_else(|| broken("no status"))?;
        if !head.starts_with("http/1.") {
            return Err(broken("not HTTP/1"));
        }
        if (100..200).contains(&status) {
            continue;
        }
        let value = |name: &str| {
            head.lines().filter_map(|l| l.split_once(':')).find(|(n, _)| *n == name).map(|(_, v)| v.trim())
        };
        let mut keep = head.starts_with("http/1.1") && value("connection") != Some("close");
        if value("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
            while !(got.starts_with(b"0\r\n\r\n") || got.ends_with(b"\r\n0\r\n\r\n")) {
                read_more(link, &mut got, deadline)?;
            }
        } else if let Some(len) = value("content-length") {
            let len: usize = len.parse().map_err(|_| broken("its length is no number"))?;
            while got.len() < len {
                read_more(link, &mut got, deadline)?;
            }
        } else if status != 204 && status != 304 {
            keep = false;
        }
        return Ok(Answer { status, keep });
    }
}

fn read_more(link: &mut Link, got: &mut Vec<u8>, deadline: Instant) -> io::Result<()> {
    let mut scratch = [0u8; 4096];
    match link.read(&mut scratch, deadline) {
        Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the receiver closed without an answer")),
        Ok(n) => {
            got.extend_from_slice(&scratch[..n]);
            Ok(())
        }
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(e) if super::timed_out(&e) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
        Err(e) => Err(e),
    }
}

/// Base64 with padding, for Basic authentication.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, &b| word << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    //= https://www.rfc-editor.org/rfc/rfc4648#section-10
    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, want) in cases {
            assert_eq!(base64(plain.as_bytes()), want);
        }
    }
}
