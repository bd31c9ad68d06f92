//! What the tests of the real binary share.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod frames;
pub mod http;
pub mod tools;
pub mod weir;
