//! The PROXY protocol, versions 1 and 2: whose connection it is, said by a proxy before anything else.
//!
//! Pure: told the bytes that are there, it says how many of them belong to the header, and what the header means. It is
//! asked only for proxies that are trusted.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

//= https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt#section-2.2
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, and length.
const V2_HEAD: usize = 16;
/// The longest line of version 1, its CR LF included.
const V1_MAX: usize = 107;
/// Addresses and extensions of version 2 beyond which a header is not believed.
const V2_MAX: usize = V2_HEAD + 2048;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Header {
    /// Of a header, the end of which has not come.
    Partial,
    /// A header of `len` bytes; `source` is absent where the connection is the proxy's own or not of the internet.
    Whole {
        len: usize,
        source: Option<IpAddr>,
    },
    Malformed,
}

/// Reads the header that `bytes` begin with.
pub fn header(bytes: &[u8]) -> Header {
    let signature = bytes.len().min(SIGNATURE.len());
    if bytes[..signature] == SIGNATURE[..signature] {
        return version_2(bytes);
    }
    version_1(bytes)
}

fn version_1(bytes: &[u8]) -> Header {
    const START: &[u8] = b"PROXY ";
    let start = bytes.len().min(START.len());
    if bytes[..start] != START[..start] {
        return Header::Malformed;
    }
    let line = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = line.windows(2).position(|two| two == b"\r\n") else {
        return if bytes.len() < V1_MAX { Header::Partial } else { Header::Malformed };
    };
    let Ok(text) = std::str::from_utf8(&line[START.len()..end]) else { return Header::Malformed };
    let len = end + 2;
    let mut words = text.split(' ');
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Header::Whole { len, source: None };
    }
    let source = words.next().and_then(|word| word.parse::<IpAddr>().ok());
    let rest_fits = words.next().is_some_and(|word| word.parse::<IpAddr>().is_ok())
        && words.next().is_some_and(|word| word.parse::<u16>().is_ok())
        && words.next().is_some_and(|word| word.parse::<u16>().is_ok())
        && words.next().is_none();
    match (family, source) {
        (Some("TCP4"), Some(source @ IpAddr::V4(_))) | (Some("TCP6"), Some(source @ IpAddr::V6(_)))
            if rest_fits =>
        {
            Header::Whole { len, source: Some(source.to_canonical()) }
        }
        _ => Header::Malformed,
    }
}

fn version_2(bytes: &[u8]) -> Header {
    let Some(head) = bytes.first_chunk::<V2_HEAD>() else { return Header::Partial };
    let (command, family) = (head[12], head[13]);
    let len = V2_HEAD + usize::from(u16::from_be_bytes([head[14], head[15]]));
    if command & 0xf0 != 0x20 || command & 0x0f > 1 || len > V2_MAX {
        return Header::Malformed;
    }
    if bytes.len() < len {
        return Header::Partial;
    }
    let addresses = &bytes[V2_HEAD..len];
    let is_local = command & 0x0f == 0;
    let source = match (is_local, family >> 4) {
        (false, 1) => {
            addresses.first_chunk::<12>().map(|a| IpAddr::V4(Ipv4Addr::new(a[0], a[1], a[2], a[3])))
        }
        (false, 2) => addresses.first_chunk::<36>().map(|a| {
            let source = a.first_chunk::<16>().expect("16 of 36");
            IpAddr::V6(Ipv6Addr::from(*source)).to_canonical()
        }),
        // The proxy's own connection, or one that is not of the internet.
        _ => return Header::Whole { len, source: None },
    };
    match source {
        Some(source) => Header::Whole { len, source: Some(source) },
        None => Header::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(&[command, family]);
        bytes.extend_from_slice(&(addresses.len() as u16).to_be_bytes());
        bytes.extend_from_slice(addresses);
        bytes
    }

    #[test]
    fn headers() {
        let four: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 1, 1, 2, 2];
        let mut six = [0; 36];
        six[..2].copy_from_slice(&[0x20, 0x01]);
        six[15] = 9;
        let table: [(Vec<u8>, Option<Option<&str>>); 17] = [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n".to_vec(), Some(Some("192.0.2.7"))),
            (b"PROXY TCP6 2001::9 ::1 56324 443\r\n".to_vec(), Some(Some("2001::9"))),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n".to_vec(), Some(Some("192.0.2.7"))),
            (b"PROXY UNKNOWN\r\n".to_vec(), Some(None)),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), Some(None)),
            (b"PROXY TCP4 2001::9 ::1 56324 443\r\n".to_vec(), None),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n".to_vec(), None),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 70000\r\n".to_vec(), None),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n".to_vec(), None),
            (b"PROXY SCTP 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(), None),
            (b"<190>1 2024-01-01T00:00:00Z host app web.1 - hi".to_vec(), None),
            (v2(0x21, 0x11, four), Some(Some("192.0.2.7"))),
            (v2(0x21, 0x21, &six), Some(Some("2001::9"))),
            (v2(0x20, 0x00, &[]), Some(None)),
            (v2(0x21, 0x31, &[0; 216]), Some(None)),
            (v2(0x21, 0x11, &four[..8]), None),
            (v2(0x31, 0x11, four), None),
        ];
        for (bytes, expected) in table {
            let got = header(&[&bytes[..], b"<190>1 rest"].concat());
            let expected = match expected {
                Some(source) => {
                    Header::Whole { len: bytes.len(), source: source.map(|source| source.parse().unwrap()) }
                }
                None => Header::Malformed,
            };
            assert_eq!(got, expected, "{:?}", String::from_utf8_lossy(&bytes));
            if let Header::Whole { len, .. } = got {
                for part in 0..len {
                    assert_eq!(header(&bytes[..part]), Header::Partial, "{part} bytes");
                }
            }
        }
    }

    #[test]
    fn a_line_without_end_is_malformed_at_its_greatest_length() {
        let mut line = b"PROXY TCP4 ".to_vec();
        line.resize(V1_MAX - 1, b'1');
        assert_eq!(header(&line), Header::Partial);
        line.push(b'1');
        assert_eq!(header(&line), Header::Malformed);
        assert_eq!(header(&v2(0x21, 0x11, &[0; 4096])), Header::Malformed);
    }
}
