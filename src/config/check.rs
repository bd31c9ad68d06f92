//! What one key cannot know: names that repeat, ports that clash, who may be reached from where.
//!
//! It works on places rather than on the pipeline, so that every complaint points into the file.

use std::net::{IpAddr, SocketAddr};

use super::ListenerKind;
use super::node::At;
use super::read::{Fields, Reader};
use super::template::Template;
use super::value::Text;

/// A value with its place and the text that may be shown for it.
pub(super) struct Place<T> {
    pub at: At,
    pub value: T,
    pub shown: String,
}

/// What was read well enough to be compared.
#[derive(Default)]
pub(super) struct Places {
    /// `observe` and `admin`.
    pub services: Vec<Place<(&'static str, SocketAddr)>>,
    pub listener_names: Vec<Place<String>>,
    /// Enabled listeners, shown by name.
    pub ports: Vec<Place<(ListenerKind, SocketAddr)>>,
    /// Whether any listener is enabled, or cannot be told to be.
    pub enabled: bool,
    pub sink_names: Vec<Place<String>>,
    pub notifier_names: Vec<Place<String>>,
    /// Root and path of each file sink.
    pub files: Vec<Place<(Text, Template)>>,
}

/// Notes every problem that spans several keys.
pub(super) fn all(r: &mut Reader<'_>, pipeline: &Fields<'_>, places: &Places) {
    // Without the key it is a pipeline for `replay`, which needs none; `run` refuses it.
    if r.whole() && !places.enabled && pipeline.node("listeners").is_some() {
        let at = pipeline.key_at("listeners");
        r.note(
            at,
            "no listener is enabled, so nothing could arrive",
            "`weir config` prints a pipeline with three",
        );
    }
    repeated(r, "listener", &places.listener_names);
    repeated(r, "sink", &places.sink_names);
    repeated(r, "notifier", &places.notifier_names);
    ports(r, places);
    for place in &places.services {
        if place.value.0 == "admin" && !place.value.1.ip().is_loopback() {
            let message = format!("`admin` is not a loopback address: `{}`", place.shown);
            r.note(
                place.at,
                message,
                "it has no users yet; use `127.0.0.1:9601`, and `observe` for the cluster",
            );
        }
    }
    for (index, file) in places.files.iter().enumerate() {
        if let Some(first) = places.files[..index].iter().find(|first| first.value == file.value) {
            let message = "two sinks write the same file";
            r.note(
                file.at,
                message,
                format!("the other is in line {}; give one another `path`", first.at.line),
            );
        }
    }
}

fn repeated(r: &mut Reader<'_>, what: &str, names: &[Place<String>]) {
    for (index, name) in names.iter().enumerate() {
        if let Some(first) = names[..index].iter().find(|first| first.value == name.value) {
            let message = format!("two {what}s are called `{}`", name.shown);
            r.note(name.at, message, format!("the first is in line {}", first.at.line));
        }
    }
}

fn ports(r: &mut Reader<'_>, places: &Places) {
    struct Port {
        at: At,
        udp: bool,
        address: SocketAddr,
        owner: String,
    }
    let services = places.services.iter().map(|place| Port {
        at: place.at,
        udp: false,
        address: place.value.1,
        owner: format!("`{}`", place.value.0),
    });
    let listeners = places.ports.iter().map(|place| Port {
        at: place.at,
        udp: place.value.0 == ListenerKind::Udp,
        address: place.value.1,
        owner: format!("listener `{}`", place.shown),
    });
    let ports: Vec<Port> = services.chain(listeners).collect();
    for (index, port) in ports.iter().enumerate() {
        let clash = |other: &&Port| other.udp == port.udp && clash(other.address, port.address);
        if let Some(first) = ports[..index].iter().find(clash) {
            let message = format!("port {} is taken by {}", port.address.port(), first.owner);
            r.note(port.at, message, "give one of them another port");
        }
    }
}

/// Returns whether two sockets of one protocol cannot both be bound.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let family = |ip: IpAddr| ip.is_ipv4();
    let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && family(a.ip()) == family(b.ip()) && overlap
}
