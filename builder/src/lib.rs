//! Builder.

pub mod inputs;
