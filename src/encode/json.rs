//! The event as one line of JSON, CONTRACT.md section 5.

use super::Written;

/// Appends the event and one LF.
pub fn write(event: &Written, out: &mut Vec<u8>) {
    let _ = (event, out);
}
