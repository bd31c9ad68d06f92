//! Framing: where one message ends and the next begins.

/// What a listener, a file or a body is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Decides once, by the first bytes.
    Auto,
    Octet,
    Newline,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN, end of file, body or record: ends the last line.
    Clean,
    /// A reset, or our own cut: what is unfinished is garbage.
    Cut,
}

/// What the next bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A frame at `start..end`; the next step begins at `next`.
    Frame { start: usize, end: usize, truncated: bool, next: usize },
    /// No further frame in these bytes: those from `carry` on must come again, before what follows them.
    More { carry: usize },
}

/// The framing state of one connection, file or body.
#[derive(Clone, Debug)]
pub struct Framer {
    limit: usize,
    /// Bytes that were no part of a frame, over the stream's whole life.
    pub garbage_bytes: u64,
    /// Of them, those since the last frame.
    pub garbage_since_frame: u64,
}

impl Framer {
    /// A stream at its start; frames over `limit` bytes are truncated.
    pub fn new(_framing: Framing, limit: usize) -> Framer {
        Framer { limit, garbage_bytes: 0, garbage_since_frame: 0 }
    }

    /// The next step in `bytes[from..]`, which follow directly on all bytes consumed so far.
    pub fn step(&mut self, bytes: &[u8], from: usize) -> Step {
        let _ = (bytes, self.limit);
        Step::More { carry: from }
    }

    /// The last frame, if `rest`, the carry of the last step, holds one; all else in it is garbage.
    pub fn finish(&mut self, rest: &[u8], end: End) -> Option<(usize, usize, bool)> {
        let _ = (rest, end);
        None
    }
}
