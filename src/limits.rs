//! Every maximum of the program, one per line, with its reason.
//!
//! What a user may change has its default here and its range in `config/schema/keys.rs`.

/// A batch: large enough that one lock, one queue and one write a batch cost nothing an event, small enough to stay in L2.
pub const BATCH_BYTES: usize = 128 * 1024;
/// Bytes behind a batch's own that may be read with them: as many as are looked at of one frame.
pub const SLACK_BYTES: usize = 1152;
/// The same behind the made text of an event that is written.
pub const MADE_SLACK_BYTES: usize = 64;
/// Frames a batch: bounds its index when frames are tiny.
pub const BATCH_FRAMES: usize = 4096;
/// The least free space a receiver reads into; below it the batch is sent on and a fresh one taken.
pub const READ_MIN_BYTES: usize = 4 * 1024;
/// Batches in flight: 256 hold 32 MiB, about a quarter of a second at 500,000 events/s.
pub const SLOTS: usize = 256;
/// Encoded bytes in flight above which no slot is given.
pub const PARCEL_BYTES: usize = 128 << 20;
/// An emptied parcel that is kept to be filled again; a batch of usual events makes a third of it.
pub const SPARE_PARCEL_BYTES: usize = 1 << 20;
/// How long a batch may wait for more while over half the slots are taken.
pub const BATCH_AGE_MS: u64 = 20;
/// How long after another a batch leaves at the earliest while it holds little: each wakes a shard, the ledger and every
/// sink, which costs more than a few events do. Half as long saves half as much; twice as long starves a fast sender.
pub const BATCH_LINGER_MS: u64 = 1;
/// A batch of so many bytes does not linger: what each costs is then a small part of what its events cost.
pub const BATCH_LINGER_BYTES: usize = 32 * 1024;
/// Logplex cuts lines at 10,000 bytes and frames at 10,240; other senders write longer ones.
pub const FRAME_BYTES: usize = 64 * 1024;
/// The longest octet count read: 7 digits, so a frame over `frame_bytes` is skipped exactly up to 9,999,999 bytes.
pub const COUNT_DIGITS: usize = 7;
/// Garbage without a frame after which a connection is closed.
pub const GARBAGE_BYTES: u64 = 64 * 1024;
/// Unfinished frames over all connections; beyond it the largest is closed.
pub const CARRY_BYTES: usize = 64 << 20;
/// Unfinished request bodies over all connections; beyond it the largest is closed.
pub const BODIES_BYTES: usize = 64 << 20;
/// One request body: Logplex sends 102,400 bytes, log-shuttle and others more.
pub const BODY_BYTES: usize = 4 << 20;
/// Connections of one listener over all receivers.
pub const CONNECTIONS: usize = 1024;
/// Memory that a connection needs besides its carry, for the printed sum.
pub const CONNECTION_BYTES: usize = 24 * 1024;
/// Carry capacity that a connection keeps between frames; a larger one is given back once its frame is whole.
pub const CARRY_KEEP_BYTES: usize = 8 * 1024;
/// From the first byte of a frame to its last: a sender that drips holds memory no longer than a silent one.
pub const FRAME_S: u64 = 300;
/// Reads of one connection before the others have their turn.
pub const READS_IN_A_ROW: u32 = 4;
/// Connections that wait to be accepted, a receiver; over the connection limit they are still served.
pub const BACKLOG: usize = 256;
/// Host names of senders remembered, where a listener resolves them.
pub const NAMES: usize = 4096;
/// Asked of the kernel for a UDP socket, which grants what `net.core.rmem_max` allows.
pub const UDP_BUFFER_BYTES: usize = 8 << 20;
/// Logplex closes idle syslog connections after 240 s itself.
pub const IDLE_S: u64 = 300;
/// From the first byte to the end of a TLS handshake or PROXY header.
pub const HANDSHAKE_S: u64 = 5;
/// From a request's head to the end of its body; Logplex gives up after 5 s.
pub const REQUEST_S: u64 = 10;
/// How long a request waits for a slot and its receipt before 503; Logplex waits 5 s in all.
pub const RECEIPT_MS: u64 = 3000;
/// How long a syslog listener waits for a slot before it counts and discards: Logplex drops silently when its socket is busy.
pub const SHED_AFTER_MS: u64 = 1000;
/// Frame-Ids remembered over all receivers.
pub const DEDUPE_ENTRIES: usize = 1_000_000;
/// How long a Frame-Id is remembered: three tries of 5 s with back-off end well before.
pub const DEDUPE_S: i64 = 120;
/// Bytes of a Frame-Id that is believed; Logplex sends 32 hex digits. A longer one is no Frame-Id.
pub const FRAME_ID_BYTES: usize = 64;
/// Slots that one body takes as long as its frames are not tiny; a body of more frames fills its batches by bytes alone.
pub const POST_SLOTS: usize = 64;
/// Labels of one request's query string.
pub const LABELS: usize = 8;
/// Bytes of one label's name or value.
pub const LABEL_BYTES: usize = 64;
/// Fields kept of one event.
pub const FIELDS: usize = 256;
/// Names of structured data among which equal ones are found; beyond that all are written as sent.
pub const SD_NAMES: usize = 64;
/// Depth of a JSON body, outer braces counted.
pub const JSON_DEPTH: usize = 32;
/// Joined names of a JSON body: a long name over many short ones would be written out once for each.
pub const JSON_NAMES_BYTES: usize = 1 << 20;
/// Within so many bytes a wrapped drain line has its inner header, up to the token.
pub const WRAPPED_BYTES: usize = 512;
/// Categories and masks told apart in the metrics; a pack has at most 1,000 categories that one would look at.
pub const NAMED_SERIES: usize = 2_000;
/// Series of `weir_drain_events_total`; further drains count under `other`.
pub const DRAIN_SERIES: usize = 1000;
/// Sums of dashlets that a shard keeps between two hand-overs: some 10 MB; further keys count as `other`.
pub const SUMS: usize = 1 << 17;
/// Keys of metrics that a shard tells apart between two hand-overs: some 10 MB; further ones count as `other`.
pub const SAMPLE_ROWS: usize = 1 << 15;
/// Minutes that dashlets tell apart: six hours.
pub const DASHLET_MINUTES: i64 = 360;
/// Days that dashlets keep: a quarter of a year.
pub const DASHLET_DAYS: i64 = 93;
/// Sums that one dashlet keeps, of all its minutes: some 60 MB; beyond them its oldest minutes go.
pub const DASHLET_SUMS: usize = 500_000;
/// Bytes of an .mmdb file: one of all cities has 120 MiB.
pub const GEO_BYTES: u64 = 512 << 20;
/// Points of one answer about a dashlet.
pub const DASHLET_STEPS: i64 = 11_000;
/// How often statistics that nobody seals are handed to the ledger.
pub const TALLY_MS: i64 = 100;
/// How long a `drop` sink may hold over half the slots before it is detached.
pub const DETACH_AFTER_MS: i64 = 2000;
/// The same while no slot is left: well before `SHED_AFTER_MS`, so that no listener sheds for a sink that may miss events.
pub const DETACH_DRY_MS: i64 = 200;
/// From SIGTERM until what is left counts as dropped.
pub const SHUTDOWN_S: u64 = 20;
/// How long a half-closed syslog connection is read to its end.
pub const LINGER_MS: u64 = 2000;
/// How long what was numbered before a reload has to reach a sink that the reload removed.
pub const REMOVED_S: u64 = 5;
/// Quarantined bytes kept on disk; beyond it frames are counted only.
pub const QUARANTINE_BYTES: u64 = 1 << 30;
/// Files that one file sink holds open; the least recently used is finished first.
pub const OPEN_FILES: usize = 256;
/// Bytes of one value in a file's or topic's name: twice a drain token's 38 and room for host names.
pub const NAME_VALUE_BYTES: usize = 100;
/// Bytes of one segment of a file's name: a file system takes 255, a rotation adds a number and two endings.
pub const NAME_BYTES: usize = 220;
/// Encoded bytes that make a compressed block whole: larger ones compress hardly better.
pub const BLOCK_BYTES: usize = 256 * 1024;
/// Unfinished blocks of one sink over all its files; beyond it all are ended.
pub const BLOCKS_BYTES: usize = 8 << 20;
/// How long an unfinished block may wait, since no event in it is safe: a sender that waits for its answer waits for this.
pub const BLOCK_MS: u64 = 200;
/// Dead letters kept on disk by one sink; beyond it they are counted only.
pub const DEAD_LETTERS_BYTES: u64 = 256 << 20;
/// Signals that hold more are not used again: a batch seldom tells the ledger so much.
pub const SPARE_SIGNALS_BYTES: usize = 256 << 10;
/// Rows of reports that wait for their place in time; beyond it the earliest go on as they are, perhaps out of order.
pub const ROWS_WAITING_BYTES: usize = 128 << 20;
/// Windows of one report whose corrections are numbered apart; further late rows are counted only.
pub const CORRECTED_WINDOWS: usize = 1000;
/// Joins that are open at a time; beyond it messages stand alone.
pub const JOINS_OPEN: usize = 10_000;
/// Bytes of one joined message: as long as any frame may be.
pub const JOINED_BYTES: usize = 1 << 20;
/// Bytes of a message that an alert shows.
pub const SHOWN_BYTES: usize = 1024;
/// Events that an alert shows, the last ones.
pub const SHOWN_EVENTS: usize = 10;
/// Records that wait for one notifier; beyond it the oldest is dropped, since a page an hour late helps less than the next.
pub const NOTIFY_QUEUE: usize = 1000;
/// Alerts firing at one Alertmanager at a time.
pub const NOTIFY_FIRING: usize = 10_000;
/// Bytes of records that one notifier holds; a record with its ten messages is 2 KiB, at worst 70.
pub const NOTIFY_BYTES: usize = 32 << 20;
/// Ids that a notifier remembers to have told: a replay of many days pages nobody.
pub const NOTIFY_IDS: usize = 100_000;
/// Alerts in one request to an Alertmanager.
pub const NOTIFY_BATCH: usize = 64;
/// The wait after a first failure; it doubles with each further one.
pub const NOTIFY_RETRY_MS: u64 = 1000;
/// The longest wait between tries.
pub const NOTIFY_RETRY_MAX_S: u64 = 300;
/// A record that could not be told for so long is history and wakes nobody any more.
pub const NOTIFY_AGE_S: u64 = 86_400;
/// An episode of which only the notice came is over so long after its window: what sealed it was suppressed or lost.
pub const NOTIFY_NOTICE_S: u64 = 3600;
/// The longest an alert is re-sent without a word from the ledger: its pack may be gone.
pub const NOTIFY_FIRING_S: u64 = 7 * 86_400;
/// Until a target is connected, its name resolved and its certificate checked.
pub const NOTIFY_CONNECT_S: u64 = 5;
/// From the first look at its name to the end of a target's answer.
pub const NOTIFY_REQUEST_S: u64 = 15;
/// Bytes of a target's answer that are read.
pub const NOTIFY_ANSWER_BYTES: usize = 64 * 1024;
