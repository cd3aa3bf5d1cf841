//! Builder.

pub mod inputs;
pub mod manifest;
pub mod stubs;
