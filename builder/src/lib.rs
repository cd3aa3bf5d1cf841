//! Builder.

pub mod inputs;
pub mod manifest;
pub mod pack;
pub mod stubs;
