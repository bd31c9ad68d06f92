//! weir's `simd` module by itself, so that Miri and sanitizers need not build all else that weir is made of.

#[path = "../../src/simd/mod.rs"]
pub mod simd;
