//! Builder.

pub mod stubs;
