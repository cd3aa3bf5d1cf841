//! Builder.

pub mod inputs;
pub mod manifest;
