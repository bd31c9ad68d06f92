//! Files of countries in the form of MaxMind's, small and made by hand.

use core::net::IpAddr;

fn text(text: &str, out: &mut Vec<u8>) {
    out.push(0x40 | text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

fn number(ty: u8, value: u64, out: &mut Vec<u8>) {
    let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    match ty {
        5 | 6 => out.push(ty << 5 | bytes.len() as u8),
        extended => out.extend([bytes.len() as u8, extended - 7]),
    }
    out.extend(bytes);
}

/// A MaxMind DB file of a type, by address, length and code of networks: networks of IPv6, those of IPv4 in ::/96.
pub fn file(kind: &str, networks: &[(&str, u8, &str)]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut nodes: Vec<[Option<Result<usize, usize>>; 2]> = vec![[None; 2]];
    for (address, len, code) in networks {
        let offset = data.len();
        data.push(0xe1);
        text("country", &mut data);
        data.push(0xe1);
        text("iso_code", &mut data);
        text(code, &mut data);
        let (bits, len) = match address.parse::<IpAddr>().unwrap() {
            IpAddr::V4(address) => (u128::from(u32::from(address)), len + 96),
            IpAddr::V6(address) => (u128::from(address), *len),
        };
        let mut node = 0;
        for place in 0..len {
            let side = (bits >> (127 - place) & 1) as usize;
            if place + 1 == len {
                nodes[node][side] = Some(Err(offset));
                continue;
            }
            node = match nodes[node][side] {
                Some(Ok(next)) => next,
                _ => {
                    nodes.push([None; 2]);
                    let next = nodes.len() - 1;
                    nodes[node][side] = Some(Ok(next));
                    next
                }
            };
        }
    }
    let mut out = Vec::new();
    for record in nodes.iter().flatten() {
        let value = match record {
            None => nodes.len(),
            Some(Ok(node)) => *node,
            Some(Err(offset)) => nodes.len() + 16 + offset,
        };
        out.extend_from_slice(&(value as u32).to_be_bytes()[1..]);
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    out.push(0xe0 | 9);
    for (name, ty, value) in [
        ("binary_format_major_version", 5, 2),
        ("binary_format_minor_version", 5, 0),
        ("build_epoch", 9, 1_767_312_000),
        ("ip_version", 5, 6),
        ("node_count", 6, nodes.len() as u64),
        ("record_size", 5, 24),
    ] {
        text(name, &mut out);
        number(ty, value, &mut out);
    }
    text("database_type", &mut out);
    text(kind, &mut out);
    text("description", &mut out);
    out.push(0xe0);
    text("languages", &mut out);
    out.extend([0, 4]);
    out
}
