//! A small HTTP/1.1 client, plain text over one connection, that shows exactly what was answered.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::weir::PATIENCE;

/// What Logplex says its bodies are.
pub const LOGPLEX: (&str, &str) = ("Content-Type", "application/logplex-1");

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    pub body: String,
}

/// One connection.
pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(stream)
    }

    /// Posts and waits for the answer.
    #[track_caller]
    pub fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.0.write_all(&request(path, headers, body)).unwrap();
        self.answer().unwrap()
    }

    /// Reads one answer; an end of the connection before it is an error.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        let mut piece = [0; 16 * 1024];
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_ascii_lowercase();
                let len = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                if body.len() >= len.map_or(0, |len| len.trim().parse().expect("a length")) {
                    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
                    return Ok(Answer { status: status.expect("a status"), body: body.into(), head });
                }
            }
            match self.0.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => bytes.extend_from_slice(&piece[..n]),
            }
        }
    }
}

/// The bytes of a POST.
pub fn request(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: weir\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> Answer {
    let mut client = Client::connect(address);
    write!(client.0, "GET {path} HTTP/1.1\r\nHost: weir\r\n\r\n").unwrap();
    client.answer().unwrap()
}
