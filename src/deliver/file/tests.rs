use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::config::{Template, Text};
use crate::event::KindId;
use crate::outcome::Word;

/// 2026-11-24T14:30:00Z.
const NOON_US: i64 = 1_795_530_600_000_000;
const KINDS: &[&str] = &["other", "app"];

fn config(root: &Path, path: &str) -> config::FileSink {
    config::FileSink {
        root: Text::plain(root.to_str().unwrap()),
        path: Template::path(&Text::plain(path)).unwrap(),
        rotate: Rotate { bytes: None, every: None },
        compress: Compress::None,
    }
}

fn sink(config: &config::FileSink) -> FileSink {
    FileSink::new(config, KINDS).unwrap()
}

/// A parcel of rows, each a drain, a time in seconds after noon, and a text.
fn parcel(number: Number, rows: &[(&str, i64, &str)]) -> Arc<Parcel> {
    let mut parcel = Parcel { number, events: rows.len() as u32, ..Parcel::default() };
    for (drain, seconds, text) in rows {
        let at = parcel.words.len() as u32;
        parcel.words.extend_from_slice(drain.as_bytes());
        parcel.bytes.extend_from_slice(text.as_bytes());
        parcel.bytes.push(b'\n');
        parcel.rows.push(Row {
            end: parcel.bytes.len() as u32,
            id: Word::default(),
            drain: Word { at, len: drain.len() as u32 },
            computer: Word::default(),
            listener: Word::default(),
            kind: KindId(0),
            received_us: NOON_US + seconds * 1_000_000,
        });
    }
    Arc::new(parcel)
}

/// Offers a parcel to a sink whose files another one has just closed: a process that some other test has forked at that
/// very moment holds their locks until it becomes another program.
fn offer(sink: &mut FileSink, parcel: &Arc<Parcel>) {
    let begun = Instant::now();
    while let Err(error) = sink.write(parcel) {
        assert!(begun.elapsed() < Duration::from_secs(5), "{error:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn mark(sink: &mut FileSink) -> Number {
    sink.flush(&mut Vec::new()).unwrap()
}

/// Every file below a folder, by path, sorted.
fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn texts(root: &Path) -> Vec<(String, String)> {
    files(root).into_iter().map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap())).collect()
}

fn pairs<const N: usize>(list: [(&str, &str); N]) -> Vec<(String, String)> {
    list.map(|(name, text)| (name.to_string(), text.to_string())).to_vec()
}

fn inflate(name: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    if name.contains(".gz") {
        flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    } else if name.contains(".zst") {
        zstd::stream::read::Decoder::new(bytes).unwrap().read_to_string(&mut text).unwrap();
    } else {
        text.push_str(std::str::from_utf8(bytes).unwrap());
    }
    text
}

#[test]
fn rows_go_where_their_path_says_in_order_and_once() {
    let root = tempfile::tempdir().unwrap();
    let mut sink = sink(&config(root.path(), "{drain}/{date}.ndjson"));
    let first = parcel(1, &[("a", 0, "1"), ("b", 0, "2"), ("a", 0, "3"), ("a", 86_400, "4")]);
    sink.write(&first).unwrap();
    sink.write(&first).unwrap();
    sink.skip(4);
    sink.write(&parcel(5, &[("b", 0, "5"), ("b", 0, "6")])).unwrap();
    sink.write(&parcel(6, &[("../c", 0, "7")])).unwrap();
    assert_eq!(mark(&mut sink), 6);
    let want = pairs([
        (".._c/2026-11-24.ndjson", "7\n"),
        ("a/2026-11-24.ndjson", "1\n3\n"),
        ("a/2026-11-25.ndjson", "4\n"),
        ("b/2026-11-24.ndjson", "2\n5\n6\n"),
    ]);
    assert_eq!(texts(root.path()), want);
}

#[test]
fn rows_of_several_plain_files_are_written_without_waiting_in_a_queue() {
    let root = tempfile::tempdir().unwrap();
    let mut sink = sink(&config(root.path(), "{drain}"));
    let rows = [("a", 0, "1"), ("a", 0, "2"), ("b", 0, "3"), ("a", 0, "4"), ("c", 0, "5"), ("b", 0, "6")];
    sink.take(&parcel(1, &rows)).unwrap();
    assert_eq!(sink.queued_bytes, 0);
    assert_eq!(texts(root.path()), pairs([("a", "1\n2\n4\n"), ("b", "3\n6\n"), ("c", "5\n")]));
}

#[test]
fn the_root_is_created_and_one_that_cannot_be_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    sink(&config(&dir.path().join("a/b"), "x"));
    assert!(dir.path().join("a/b").is_dir());
    let sink = config::Sink {
        filter: config::Filter::default(),
        name: "events".into(),
        format: crate::plan::Format::Ndjson,
        when_full: config::WhenFull::Block,
        kind: SinkKind::File(config(&dir.path().join("file/b"), "x")),
    };
    let error = super::super::open(&sink, KINDS).err().unwrap().to_string();
    assert!(error.starts_with("sink `events`: `/"), "{error}");
    assert!(error.contains("file/b`: ") && error.contains("\nhint: "), "{error}");
}

#[test]
fn links_and_special_files_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    fs::create_dir_all(root.join("real")).unwrap();
    fs::create_dir(&outside).unwrap();
    symlink(&outside, root.join("linked")).unwrap();
    symlink(outside.join("target"), root.join("real/leaf")).unwrap();
    assert!(Command::new("mkfifo").arg(root.join("real/fifo")).status().unwrap().success());
    fs::write(root.join("plain"), "").unwrap();
    for (path, complaint) in [
        ("linked/x", "a folder of the path is a file or a symbolic link"),
        ("real/leaf", "a symbolic link below the root is not followed"),
        ("real/fifo", "is no regular file"),
        ("plain/x", "a folder of the path is a file or a symbolic link"),
    ] {
        let mut sink = sink(&config(&root, path));
        let Err(SinkError::Lost(error)) = sink.write(&parcel(1, &[("a", 0, "1")])) else {
            panic!("{path} was written")
        };
        assert!(error.to_string().ends_with(&format!("root/{path}`: {complaint}")), "{error}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn what_stands_in_the_way_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("b")).unwrap();
    let mut sink = sink(&config(dir.path(), "{drain}"));
    let both = parcel(1, &[("a", 0, "1"), ("b", 0, "2"), ("a", 0, "3")]);
    let next = parcel(2, &[("b", 0, "4")]);
    for _ in 0..3 {
        assert!(matches!(sink.write(&both), Err(SinkError::Lost(_))));
        assert!(matches!(sink.flush(&mut Vec::new()), Err(SinkError::Lost(_))));
    }
    assert!(matches!(sink.write(&next), Err(SinkError::Lost(_))), "nothing is taken on top");
    fs::remove_dir(dir.path().join("b")).unwrap();
    sink.write(&both).unwrap();
    assert_eq!(mark(&mut sink), 1);
    sink.write(&next).unwrap();
    assert_eq!(mark(&mut sink), 2);
    assert_eq!(texts(dir.path()), pairs([("a", "1\n3\n"), ("b", "2\n4\n")]));
}

#[test]
fn a_file_is_turned_by_size_and_by_time_at_row_boundaries() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "x/{listener}.ndjson");
    config.rotate = Rotate { bytes: Some(10), every: Some(Duration::from_secs(3600)) };
    let mut sink = sink(&config);
    sink.write(&parcel(1, &[("", 0, "aaa"), ("", 0, "bbb"), ("", 0, "ccc"), ("", 0, "longer than a file")]))
        .unwrap();
    sink.write(&parcel(2, &[("", 1, "d")])).unwrap();
    sink.write(&parcel(3, &[("", 3600, "e"), ("", 3600, "f")])).unwrap();
    let want = pairs([
        ("x/none.1.ndjson", "aaa\nbbb\n"),
        ("x/none.2.ndjson", "ccc\n"),
        ("x/none.3.ndjson", "longer than a file\n"),
        ("x/none.4.ndjson", "d\n"),
        ("x/none.ndjson", "e\nf\n"),
    ]);
    assert_eq!(texts(dir.path()), want);
    fs::remove_file(dir.path().join("x/none.1.ndjson")).unwrap();
    fs::write(dir.path().join("x/none.7.ndjson"), "somebody's").unwrap();
    sink.write(&parcel(4, &[("", 7200, "g")])).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("x/none.8.ndjson")).unwrap(), "e\nf\n");
    assert_eq!(fs::read_to_string(dir.path().join("x/none.7.ndjson")).unwrap(), "somebody's");
}

#[test]
fn after_a_restart_a_file_goes_on_and_a_torn_row_is_cut_off() {
    for (left, kept) in [("", ""), ("a\n", "a\n"), ("a\nb\ntorn", "a\nb\n"), ("torn", "")] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x"), left).unwrap();
        let mut sink = sink(&config(dir.path(), "x"));
        sink.write(&parcel(1, &[("", 0, "new")])).unwrap();
        assert_eq!(texts(dir.path()), pairs([("x", &format!("{kept}new\n"))]), "{left:?}");
        assert_eq!(sink.figures.torn_bytes as usize, left.len() - kept.len());
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), format!("whole\n{}", "y".repeat(200_000))).unwrap();
    sink(&config(dir.path(), "x")).write(&parcel(1, &[("", 0, "new")])).unwrap();
    assert_eq!(texts(dir.path()), pairs([("x", "whole\nnew\n")]));
}

#[test]
fn a_file_of_a_former_period_is_set_aside_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "{kind}.log");
    config.rotate.every = Some(Duration::from_secs(86_400));
    fs::write(dir.path().join("other.log"), "old\n").unwrap();
    let days_ago = SystemTime::now() - Duration::from_secs(3 * 86_400);
    fs::File::open(dir.path().join("other.log")).unwrap().set_modified(days_ago).unwrap();
    let seconds = (now_us() - NOON_US) / 1_000_000;
    sink(&config).write(&parcel(1, &[("", seconds, "new")])).unwrap();
    assert_eq!(texts(dir.path()), pairs([("other.1.log", "old\n"), ("other.log", "new\n")]));
}

#[test]
fn compressed_files_are_readable_up_to_the_mark_and_named_when_finished() {
    for (compress, ending) in [(Compress::Gzip, ".gz"), (Compress::Zstd, ".zst")] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), "x.ndjson");
        config.compress = compress;
        let mut sink = sink(&config);
        sink.write(&parcel(1, &[("", 0, "one"), ("", 0, "two")])).unwrap();
        sink.write(&parcel(2, &[("", 0, "three")])).unwrap();
        assert_eq!(mark(&mut sink), 0, "nothing is safe before its block has ended");
        let begun = Instant::now();
        while mark(&mut sink) < 2 {
            assert!(begun.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(5));
        }
        let part = format!("x.ndjson{ending}.part");
        let found = files(dir.path());
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].0.as_str(), inflate(&part, &found[0].1).as_str()),
            (&*part, "one\ntwo\nthree\n")
        );

        // A crash in the middle of a block: what was safe stays, the rest is cut off.
        drop(sink);
        let mut torn = found[0].1.clone();
        let mut block = Vec::new();
        block::compress(compress, b"never acknowledged\n", &mut block).unwrap();
        torn.extend_from_slice(&block[..block.len() - 3]);
        fs::write(dir.path().join(&part), torn).unwrap();
        let mut sink = FileSink::new(&config, KINDS).unwrap();
        offer(&mut sink, &parcel(3, &[("", 0, "four")]));
        sink.close();
        assert_eq!(mark(&mut sink), 3);
        sink.write(&parcel(4, &[("", 0, "five")])).unwrap();
        sink.close();
        let found: Vec<_> =
            files(dir.path()).into_iter().map(|(name, b)| (inflate(&name, &b), name)).collect();
        let want = [
            ("five\n".to_string(), format!("x.1.ndjson{ending}")),
            ("one\ntwo\nthree\nfour\n".to_string(), format!("x.ndjson{ending}")),
        ];
        assert_eq!(found, want);
    }
}

#[test]
fn a_file_is_written_by_one_sink_at_a_time_and_opened_anew_on_demand() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = sink(&config(dir.path(), "x"));
    let mut second = sink(&config(dir.path(), "x"));
    first.write(&parcel(1, &[("", 0, "one")])).unwrap();
    let row = parcel(1, &[("", 0, "two")]);
    let Err(SinkError::Lost(error)) = second.write(&row) else { panic!("two sinks write one file") };
    assert!(error.to_string().ends_with("is being written by another sink or process"), "{error}");
    fs::rename(dir.path().join("x"), dir.path().join("moved")).unwrap();
    first.write(&parcel(2, &[("", 0, "still the old one")])).unwrap();
    first.reopen();
    offer(&mut second, &row);
    drop(second);
    offer(&mut first, &parcel(3, &[("", 0, "three")]));
    let want = pairs([("moved", "one\nstill the old one\n"), ("x", "two\nthree\n")]);
    assert_eq!(texts(dir.path()), want);
}

#[test]
fn more_paths_than_open_files_lose_nothing() {
    for compress in [Compress::None, Compress::Gzip] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), "{drain}");
        config.compress = compress;
        let mut sink = sink(&config);
        let paths = limits::OPEN_FILES + 40;
        for number in 1..=2 {
            let names: Vec<String> = (0..paths).map(|n| format!("d{n:03}")).collect();
            let rows: Vec<_> = names.iter().map(|name| (name.as_str(), 0, name.as_str())).collect();
            sink.write(&parcel(number, &rows)).unwrap();
            sink.settle(true).unwrap();
            assert!(sink.open <= limits::OPEN_FILES);
        }
        sink.close();
        let mut lines = 0;
        for (name, bytes) in files(dir.path()) {
            let drain = &name[..4];
            let text = inflate(&name, &bytes);
            assert!(text.lines().all(|line| line == drain), "{name}: {text}");
            lines += text.lines().count();
        }
        assert_eq!(lines, 2 * paths, "{compress:?}");
    }
}

/// Mounts a file system of so many bytes; `None` where that is not permitted, which is said aloud.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, bytes: usize) -> Option<SmallDisk> {
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk(folder.to_path_buf())),
            _ => {
                eprintln!("SKIPPED: disk full: mounting a small tmpfs is not permitted here");
                crate::deliver::tests::note_skipped(
                    "disk full: mounting a small tmpfs is not permitted here",
                );
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_tears_no_row_and_repeats_none() {
    for compress in [Compress::None, Compress::Gzip, Compress::Zstd] {
        let dir = tempfile::tempdir().unwrap();
        let Some(_disk) = SmallDisk::mount(dir.path(), 256 * 1024) else { return };
        let ballast = dir.path().join("ballast");
        fs::write(&ballast, vec![0; 200 * 1024]).unwrap();
        let mut config = config(dir.path(), "{drain}.ndjson");
        config.compress = compress;
        let mut sink = FileSink::new(&config, KINDS).unwrap();
        // Text that does not compress away: the disk has to fill.
        let mut seed = 7u64;
        let mut noise = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33).to_string()
        };
        let (mut want, mut lost) = ([String::new(), String::new()], 0);
        for number in 1..=20 {
            let lines: Vec<String> = (0..90)
                .map(|row| format!("{number}-{row}-{}", (0..9).map(|_| noise()).collect::<String>()))
                .collect();
            let drain = |row: usize| row / 7 % 2;
            let rows: Vec<_> = lines
                .iter()
                .enumerate()
                .map(|(row, line)| (["a", "b"][drain(row)], 0, line.as_str()))
                .collect();
            for (row, line) in lines.iter().enumerate() {
                want[drain(row)].push_str(&format!("{line}\n"));
            }
            let parcel = parcel(number, &rows);
            let full = |sink: &mut FileSink| {
                let Err(SinkError::Lost(error)) = sink.write(&parcel) else { return false };
                assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
                for (name, bytes) in files(dir.path()).iter().filter(|(name, _)| name != "ballast") {
                    assert!(
                        compress != Compress::None || bytes.last().is_none_or(|b| *b == b'\n'),
                        "{name} is torn"
                    );
                    inflate(name, bytes);
                }
                true
            };
            let mut attempts = 0;
            while full(&mut sink) || sink.settle(true).is_err() {
                lost += 1;
                attempts += 1;
                if attempts == 3 {
                    let left = fs::metadata(&ballast).unwrap().len().saturating_sub(5_000);
                    fs::File::options().write(true).open(&ballast).unwrap().set_len(left).unwrap();
                    attempts = 0;
                }
                assert!(lost < 1000, "{compress:?}");
            }
            assert_eq!(mark(&mut sink), number);
        }
        sink.close();
        assert!(lost > 0, "{compress:?}: the disk never filled");
        for (drain, want) in ["a", "b"].iter().zip(&want) {
            let found = files(dir.path());
            let (name, bytes) =
                found.iter().find(|(name, _)| name.starts_with(&format!("{drain}."))).unwrap();
            assert!(inflate(name, bytes) == *want, "{compress:?} {drain}");
        }
    }
}

#[derive(Clone, Debug)]
struct Case {
    parcels: Vec<Vec<(usize, i64, String)>>,
    bytes: Option<u64>,
    every: Option<u64>,
    compress: Compress,
    path: &'static str,
    /// After this many parcels the sink is dropped without a word and another goes on from its mark.
    crash_after: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let row = (0..3usize, 0..4i64, "[a-z]{0,12}");
    let parcels = prop::collection::vec(prop::collection::vec(row, 0..12), 0..12);
    let compress = prop::sample::select(vec![Compress::None, Compress::Gzip, Compress::Zstd]);
    let path = prop::sample::select(vec![
        "{drain}/x.ndjson",
        "{drain}.{hour}.ndjson",
        "x.ndjson",
        "{kind}/{date}.a.ndjson",
    ]);
    let bytes = prop::option::of(1..200u64);
    let every = prop::option::of(1..4u64);
    (parcels, bytes, every, compress, path, 0..12usize).prop_map(
        |(parcels, bytes, every, compress, path, crash_after)| Case {
            parcels,
            bytes,
            every,
            compress,
            path,
            crash_after,
        },
    )
}

/// Sorts the files of one path as they were written: a plain live file last, a compressed one without number first.
fn age(name: &str, case: &Case) -> (String, u64) {
    // Left by the sink that was dropped, where no later row has the same path.
    let (name, part) = name.strip_suffix(".part").map_or((name, false), |name| (name, true));
    let stem = name.strip_suffix(block::ending(case.compress)).unwrap().strip_suffix(".ndjson").unwrap();
    let pieces = case.path.rsplit('/').next().unwrap().split('.').count() - 1;
    let file: Vec<&str> = stem.rsplit('/').next().unwrap().split('.').collect();
    let unnumbered = if part || case.compress == Compress::None { u64::MAX } else { 0 };
    match file.len() > pieces {
        true => (stem.rsplit_once('.').unwrap().0.to_string(), file[pieces].parse().unwrap()),
        false => (stem.to_string(), unnumbered),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any parcels, limits, path and compression: the files hold the rows, in order, none twice.
    #[test]
    fn files_hold_what_came(case in cases()) {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), case.path);
        config.rotate = Rotate { bytes: case.bytes, every: case.every.map(Duration::from_secs) };
        config.compress = case.compress;
        let mut sink = FileSink::new(&config, KINDS).unwrap();
        let mut seconds = 0;
        let mut want: HashMap<&str, String> = HashMap::new();
        let drains = ["", "d1", "d2"];
        for (index, rows) in case.parcels.iter().enumerate() {
            if index == case.crash_after {
                sink.settle(true).unwrap();
                sink = FileSink::new(&config, KINDS).unwrap();
                sink.skip(index as Number);
            }
            let mut timed = Vec::new();
            for (drain, later, text) in rows {
                seconds += later;
                timed.push((drains[*drain], seconds, text.as_str()));
                let by_drain = case.path.starts_with("{drain}");
                let key = if by_drain { drains[*drain] } else { "all" };
                want.entry(key).or_default().push_str(&format!("{text}\n"));
            }
            let parcel = parcel(index as Number + 1, &timed);
            offer(&mut sink, &parcel);
            sink.write(&parcel).unwrap();
            prop_assert!(mark(&mut sink) <= parcel.number);
        }
        sink.close();
        prop_assert_eq!(mark(&mut sink), case.parcels.len() as Number);
        let mut found = files(dir.path());
        found.sort_by_key(|(name, _)| age(name, &case));
        let mut got: HashMap<&str, String> = HashMap::new();
        for (name, bytes) in &found {
            let drain = drains.iter().rfind(|drain| {
                let shown = if drain.is_empty() { "none" } else { drain };
                case.path.starts_with("{drain}") && name.starts_with(shown)
            });
            got.entry(drain.unwrap_or(&"all")).or_default().push_str(&inflate(name, bytes));
        }
        got.retain(|_, text| !text.is_empty());
        want.retain(|_, text| !text.is_empty());
        prop_assert_eq!(got, want);
    }
}
