//! Quarantined frames on disk: records a line, as `replay --framing records` reads them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::config::{Pipeline, SinkKind};
use crate::limits;

/// Where files go when no sink says so.
const ROOT: &str = "weir-out";

/// Takes quarantined records and appends them to `quarantine/records.ndjson` under the first file sink's root, mode
/// 0600, `QUARANTINE_BYTES` at most.
pub fn writer(pipeline: &Pipeline) -> Box<dyn FnMut(&[u8]) + Send> {
    let root = pipeline.sinks.iter().find_map(|sink| match &sink.kind {
        SinkKind::File(file) => Some(file.root.as_path().to_path_buf()),
        _ => None,
    });
    let path = root.unwrap_or_else(|| ROOT.into()).join("quarantine/records.ndjson");
    let mut open: Option<(File, u64)> = None;
    Box::new(move |records| {
        if let Err(error) = append(&path, &mut open, records) {
            open = None;
            tracing::error!(path = %path.display(), %error, "quarantined frames could not be written");
        }
    })
}

fn append(path: &PathBuf, open: &mut Option<(File, u64)>, records: &[u8]) -> io::Result<()> {
    if open.is_none() {
        fs::create_dir_all(path.parent().expect("a file in a folder"))?;
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let len = file.metadata()?.len();
        *open = Some((file, len));
    }
    let (file, len) = open.as_mut().expect("just opened");
    if *len + records.len() as u64 > limits::QUARANTINE_BYTES {
        return Err(io::Error::other("the file is full"));
    }
    file.write_all(records)?;
    *len += records.len() as u64;
    Ok(())
}
