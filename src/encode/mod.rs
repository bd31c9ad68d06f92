//! The event in the forms in which it is written.

pub mod eventtracker;
pub mod json;

use crate::batch::{Batch, Run};
use crate::event::{Event, Field, Texts};
use crate::plan::{Drain, Plan};

/// An event with all that its written form says.
pub struct Written<'a> {
    pub plan: &'a Plan,
    pub run: &'a Run,
    pub event: &'a Event,
    pub texts: Texts<'a>,
    pub fields: &'a [Field],
    /// What the pipeline says of its drain.
    pub drain: Option<&'a Drain>,
    /// Its `id`.
    pub id: &'a [u8],
}

impl Written<'_> {
    /// The configured name of the sender, or replay's stand-in.
    pub fn computer(&self) -> Option<&str> {
        self.drain.and_then(|drain| drain.computer.as_deref()).or(self.plan.default_computer.as_deref())
    }
}

/// The id of the frame at `index` of the batch, which lies in `run`.
pub fn id(plan: &Plan, batch: &Batch, run: &Run, index: u32, out: &mut Vec<u8>) {
    let _ = (plan, batch, run, index, out);
}
