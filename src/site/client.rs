//! A client of the admin address: one request a connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value as Json;

/// What every path begins with.
const ROOT: &str = "/api/v1/packs";
/// On loopback a server that is there answers at once.
const CONNECT: Duration = Duration::from_secs(2);
/// An import compiles a pack and runs its tests before it is answered.
const ANSWER: Duration = Duration::from_secs(600);
/// Bytes of an answer: a pack with all its items twice.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

pub(super) struct Client {
    pub address: SocketAddr,
}

impl Client {
    /// A client of the weir at this address; nothing if nobody listens there.
    pub fn find(address: SocketAddr) -> Result<Option<Client>, String> {
        if address.port() == 0 || TcpStream::connect_timeout(&address, CONNECT).is_err() {
            return Ok(None);
        }
        Ok(Some(Client { address }))
    }

    /// Asks, and reads the answer as JSON.
    pub fn json(&self, method: &str, path: &str, body: &[u8]) -> Result<Json, String> {
        let answer = self.ask(method, path, body)?;
        serde_json::from_str(&answer).map_err(|_| self.stranger())
    }

    /// Asks for what stands at `path` below the packs; what is refused is an error as the server says it.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<String, String> {
        let answer = self.exchange(method, path, body);
        let bytes =
            answer.map_err(|error| format!("the weir at {} does not answer: {error}\n", self.address))?;
        let text = String::from_utf8(bytes).map_err(|_| self.stranger())?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| self.stranger())?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        match status {
            Some(200) => Ok(body.into()),
            Some(status) if head.to_ascii_lowercase().contains("x-weir:") => {
                let end = if body.ends_with('\n') { "" } else { "\n" };
                Err(if body.is_empty() {
                    format!("refused with status {status}\n")
                } else {
                    format!("{body}{end}")
                })
            }
            _ => Err(self.stranger()),
        }
    }

    fn exchange(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address, CONNECT)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        let head = format!(
            "{method} {ROOT}{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        // A server that refuses may do so before it has read all.
        let sent = stream.write_all(body);
        let mut answer = Vec::new();
        match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
            Ok(_) if !answer.is_empty() => Ok(answer),
            Err(error) if answer.is_empty() => Err(error),
            Err(_) => Ok(answer),
            Ok(_) => sent.and(Err(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn stranger(&self) -> String {
        format!(
            "what answers at {} is no weir that knows packs\nhint: `--admin` names another address, `--state` a folder\n",
            self.address
        )
    }
}

/// A path of segments.
pub(super) fn path(segments: &[&str]) -> String {
    segments.iter().map(|segment| format!("/{}", escaped(segment))).collect()
}

/// A text as it may stand in a path or a query.
pub(super) fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'~' => (byte as char).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
