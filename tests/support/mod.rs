//! What the tests of the real binary share.

// Each test crate uses its own part of this.
#![allow(dead_code)]

pub mod frames;
pub mod http;
pub mod process;
pub mod tools;
