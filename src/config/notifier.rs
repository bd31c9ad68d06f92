//! The notifiers of a pipeline, and which private addresses each may reach.
//!
//! Deliberately absent: opening or asking anything; `notify` does that from these values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::sink::Cluster;
use super::url::Url;
use super::value::{Secret, Text};

/// Whom alerts are told to.
#[derive(Clone, Debug, PartialEq)]
pub struct Notifier {
    /// One to 64 of `[A-Za-z0-9._-]`.
    pub name: String,
    pub kind: NotifierKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum NotifierKind {
    Alertmanager(Alertmanager),
    Webhook(Webhook),
    Smtp(Box<Mail>),
    Slack(Slack),
    Kafka(Box<KafkaTopic>),
    File(LinesFile),
}

impl NotifierKind {
    /// Returns the kind as the file spells it.
    pub fn as_str(&self) -> &'static str {
        match self {
            NotifierKind::Alertmanager(_) => "alertmanager",
            NotifierKind::Webhook(_) => "webhook",
            NotifierKind::Smtp(_) => "smtp",
            NotifierKind::Slack(_) => "slack",
            NotifierKind::Kafka(_) => "kafka",
            NotifierKind::File(_) => "file",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Alertmanager {
    /// Each gets every alert; at least one, none twice.
    pub urls: Vec<Url>,
    /// How often a firing alert is sent again.
    pub resend: Duration,
    pub allowed: Allowed,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    pub url: Url,
    /// Signs the body, if there is one; never empty.
    pub secret: Option<Secret>,
    pub allowed: Allowed,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Slack {
    pub url: Url,
    pub allowed: Allowed,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    pub url: Url,
    /// A mailbox, with or without a name.
    pub from: Text,
    /// Mailboxes; at least one.
    pub to: Vec<Text>,
    /// Only where the connection is encrypted.
    pub sign_in: Option<SignIn>,
    pub allowed: Allowed,
}

/// User and password of a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    pub username: Text,
    pub password: Secret,
}

#[derive(Clone, Debug, PartialEq)]
pub struct KafkaTopic {
    pub cluster: Cluster,
    pub topic: Text,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LinesFile {
    /// Relative to the working directory.
    pub path: Text,
}

/// The private addresses that a notifier may reach. Public ones it may reach anyhow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    pub networks: Vec<IpNet>,
    /// Host names in lower case, whatever they resolve to.
    pub hosts: Vec<String>,
}

impl Allowed {
    /// Whether `address`, to which `host` resolved, may be connected to.
    pub fn permits(&self, host: &str, address: IpAddr) -> bool {
        let address = plain(address);
        is_public(address)
            || self.networks.iter().any(|network| network.contains(&address))
            || self.hosts.iter().any(|allowed| allowed == host)
    }
}

/// The IPv4 address that an IPv6 one stands for, or itself.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
        v4 => v4,
    }
}

/// Whether an address is anybody's on the Internet: not this machine, this link, this network, nor a group.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, shared address space (RFC 6598), protocol assignments, benchmarks, and all from 240 on.
        (0, ..) | (100, 64..128, _) | (192, 0, 0) | (198, 18..20, _) | (240.., ..) => true,
        _ => address.is_documentation() || address.is_multicast(),
    };
    !(special || address.is_loopback() || address.is_private() || address.is_link_local())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // An IPv4 address by NAT64 (RFC 6052) or 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => v4(high, low),
        // Teredo, benchmarks and documentation lie within what is given to the public.
        [0x2001, 0 | 2 | 0xdb8, ..] => false,
        _ => s[0] & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_public() {
        for (text, public) in [
            ("8.8.8.8", true),
            ("100.63.0.1", true),
            ("172.32.0.1", true),
            ("192.0.1.1", true),
            ("2606:4700::1111", true),
            ("64:ff9b::808:808", true),
            ("2002:808:808::1", true),
            ("::ffff:8.8.8.8", true),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("10.0.0.1", false),
            ("100.64.0.1", false),
            ("100.127.255.255", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("192.0.0.8", false),
            ("192.168.1.1", false),
            ("198.19.0.1", false),
            ("203.0.113.9", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("::7f00:1", false),
            ("64:ff9b::a00:1", false),
            ("64:ff9b:1::1", false),
            ("2002:a00:1::1", false),
            ("2001:db8::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
        ] {
            let address = text.parse().unwrap();
            assert_eq!(Allowed::default().permits("h", address), public, "{text}");
        }
    }

    #[test]
    fn what_is_named_is_permitted() {
        let allowed =
            Allowed { networks: vec!["10.1.0.0/16".parse().unwrap()], hosts: vec!["alerts.internal".into()] };
        for (host, address, permitted) in [
            ("h", "10.1.2.3", true),
            ("h", "::ffff:10.1.2.3", true),
            ("h", "10.2.2.3", false),
            ("h", "127.0.0.1", false),
            ("alerts.internal", "127.0.0.1", true),
            ("other.internal", "192.168.0.1", false),
        ] {
            assert_eq!(allowed.permits(host, address.parse().unwrap()), permitted, "{host} {address}");
        }
    }
}
