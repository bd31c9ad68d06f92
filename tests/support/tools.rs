//! Programs that nobody here wrote, and what they need.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where a program is, also where only root usually looks; if it is nowhere, `test` is named among the skipped.
pub fn find(test: &str, program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    let found = folders.map(|folder| Path::new(folder).join(program)).find(|path| path.is_file());
    if found.is_none() {
        super::skipped(&format!("{test}: {program} is not installed"));
    }
    found
}

/// A process that ends with its test.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Running {
        Running(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program to its end, `input` on its standard input, and gives what it wrote; after 20 s it is killed.
#[track_caller]
pub fn output(command: &mut Command, input: &[u8]) -> (bool, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    let mut stdin = child.0.stdin.take().unwrap();
    let input = input.to_vec();
    // What does not read all its input is done with it.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let (mut out, mut err) = (child.0.stdout.take().unwrap(), child.0.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        out.read_to_end(&mut text).unwrap();
        text
    });
    let complaints = std::thread::spawn(move || {
        let mut text = Vec::new();
        err.read_to_end(&mut text).unwrap();
        text
    });
    let end = Instant::now() + super::weir::PATIENCE;
    let status = loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < end, "{command:?} does not end");
        std::thread::sleep(Duration::from_millis(5));
    };
    writer.join().unwrap();
    let all = [reader.join().unwrap(), complaints.join().unwrap()].concat();
    (status.success(), String::from_utf8_lossy(&all).into_owned())
}

/// A self-signed certificate for loopback in `dir`: `NAME.pem` and `NAME.key`.
pub fn certificate(dir: &Path, name: &str, algorithm: &'static rcgen::SignatureAlgorithm) {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let hosts = vec!["localhost".to_string(), "127.0.0.1".to_string()];
    let certificate = rcgen::CertificateParams::new(hosts).unwrap().self_signed(&key).unwrap();
    fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
    fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

/// The same with an RSA key, which rcgen cannot make.
pub fn rsa_certificate(openssl: &Path, dir: &Path, name: &str) {
    let mut command = Command::new(openssl);
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    command.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    command.arg("-out").arg(dir.join(format!("{name}.pem")));
    command.arg("-keyout").arg(dir.join(format!("{name}.key")));
    let (well, said) = output(&mut command, b"");
    assert!(well, "{said}");
}
