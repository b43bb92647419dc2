//! What each target does with its input, without libFuzzer.

pub mod targets;
