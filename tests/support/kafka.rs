//! A real Apache Kafka broker on loopback ports that the kernel picks, and kcat as a reader that nobody here wrote.
//!
//! Invariants: the broker ends with its `Broker`, paused or not; its data is in a folder of its own.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rustix::process::{Pid, Signal, kill_process};

use super::{has, skipped};

const JARS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/kafka");
const POM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/kafka-pom.xml");
/// How long a broker may take until it accepts: a loaded machine needs several times the usual 5 s.
const START_WAIT: Duration = Duration::from_secs(120);

/// A broker that is its own controller.
pub struct Broker {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

/// A message as kcat shows it.
#[derive(Debug)]
pub struct Message {
    pub partition: i32,
    pub offset: i64,
    /// Empty where there is none.
    pub key: String,
    pub payload: String,
}

impl Broker {
    /// Starts a broker with topics of four partitions, created when they are first used. `None` where Java, the jars or
    /// kcat cannot be had, which is said aloud in the name of `test`.
    pub fn start(test: &str) -> Option<Broker> {
        if let Err(missing) = find_all() {
            skipped(&format!("{test}: kafka: {missing}"));
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder for the broker");
        let (port, controller) = free_ports();
        fs::write(folder.path().join("server.properties"), properties(folder.path(), port, controller))
            .expect("the broker's settings can be written");
        let format = ["format", "--standalone", "-t", "dGVzdC1jbHVzdGVyLWlkMQ", "-c"];
        let mut java = java(folder.path(), "format.log", "kafka.tools.StorageTool");
        let status = java.args(format).arg(folder.path().join("server.properties")).status();
        assert!(status.expect("java runs").success(), "{}", log(folder.path(), "format.log"));
        let child = run(folder.path());
        let mut broker = Broker { child, port, folder };
        broker.wait();
        Some(broker)
    }

    /// `HOST:PORT` for clients.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops its process where it stands; connections stay open.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends its process without a word.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts a stopped broker on its old port, with its old data.
    pub fn start_again(&mut self) {
        self.child = run(self.folder.path());
        self.wait();
    }

    /// Creates a topic; `settings` are its own, as `max.message.bytes`.
    pub fn create_topic(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut config = ClientConfig::new();
        let admin: AdminClient<_> =
            config.set("bootstrap.servers", self.address()).create().expect("a client");
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let new = settings.iter().fold(new, |new, (key, value)| new.set(key, value));
        let options = AdminOptions::new().operation_timeout(Some(START_WAIT));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let created = runtime.block_on(admin.create_topics([&new], &options)).expect("the broker answers");
        assert_eq!(created, [Ok(topic.to_string())]);
    }

    /// Reads all of a topic by kcat, each partition in its order.
    pub fn read(&self, topic: &str) -> Vec<Message> {
        let output = Command::new("kcat")
            .args(["-b", &self.address(), "-C", "-t", topic, "-o", "beginning", "-e", "-q"])
            .args(["-f", "%p\\t%o\\t%k\\t%S\\t%s\\n"])
            .stdin(Stdio::null())
            .output()
            .expect("kcat runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut rest = std::str::from_utf8(&output.stdout).expect("messages are text");
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let mut parts = rest.splitn(5, '\t');
            let mut part = || parts.next().expect("five parts a message");
            let (partition, offset, key, size, text) = (part(), part(), part(), part(), part());
            let size: usize = size.parse().expect("a size");
            messages.push(Message {
                partition: partition.parse().expect("a partition"),
                offset: offset.parse().expect("an offset"),
                key: key.to_string(),
                payload: text[..size].to_string(),
            });
            rest = &text[size + 1..];
        }
        messages.sort_by_key(|message| (message.partition, message.offset));
        messages
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the broker is ours");
    }

    fn wait(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait().expect("the broker is ours").is_some();
            let late = begun.elapsed() > START_WAIT;
            assert!(!ended && !late, "the broker does not start:\n{}", log(self.folder.path(), "broker.log"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sees to it that all programs are there; fetches the broker's jars where only they are missing.
fn find_all() -> Result<(), String> {
    static FETCHING: Mutex<()> = Mutex::new(());
    let _only_one = FETCHING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for program in ["java", "kcat"] {
        if !has(program) {
            return Err(format!("`{program}` is missing"));
        }
    }
    if has_jars(Path::new(JARS)) {
        return Ok(());
    }
    if !has("mvn") {
        return Err("its jars are missing, and `mvn` to fetch them".into());
    }
    let part = format!("{JARS}.part");
    let _ = fs::remove_dir_all(&part);
    let fetched = Command::new("mvn")
        .args(["-B", "-q", "-f", POM, "dependency:copy-dependencies", &format!("-DoutputDirectory={part}")])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("mvn: {error}"))?;
    if !fetched.status.success() || !has_jars(Path::new(&part)) {
        return Err("mvn could not fetch its jars".into());
    }
    let _ = fs::remove_dir_all(JARS);
    fs::rename(&part, JARS).map_err(|error| format!("its jars: {error}"))
}

fn has_jars(folder: &Path) -> bool {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().starts_with("kafka_2.13-")).count() > 0
}

/// Two ports that were free a moment ago.
fn free_ports() -> (u16, u16) {
    let bind = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (a, b) = (bind(), bind());
    let port = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
    (port(&a), port(&b))
}

fn properties(folder: &Path, port: u16, controller: u16) -> String {
    let data = folder.join("data");
    [
        "process.roles=broker,controller".to_string(),
        "node.id=1".to_string(),
        format!("listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"),
        format!("advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"),
        "controller.listener.names=CONTROLLER".to_string(),
        format!("controller.quorum.bootstrap.servers=127.0.0.1:{controller}"),
        format!("log.dirs={}", data.display()),
        "num.partitions=4".to_string(),
        "auto.create.topics.enable=true".to_string(),
        "offsets.topic.replication.factor=1".to_string(),
        "transaction.state.log.replication.factor=1".to_string(),
        "transaction.state.log.min.isr=1".to_string(),
        "group.initial.rebalance.delay.ms=0".to_string(),
    ]
    .join("\n")
}

fn run(folder: &Path) -> Child {
    let mut java = java(folder, "broker.log", "kafka.Kafka");
    java.arg(folder.join("server.properties")).spawn().expect("java runs")
}

fn java(folder: &Path, log: &str, class: &str) -> Command {
    let log = File::options().append(true).create(true).open(folder.join(log)).expect("a log can be written");
    let mut java = Command::new("java");
    java.args(["-Xmx512m", "-Xss1m", "-XX:+UseSerialGC", "-cp", &format!("{JARS}/*"), class]);
    java.current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log);
    java
}

fn log(folder: &Path, name: &str) -> String {
    let path: PathBuf = folder.join(name);
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
