//! The numbered hostile cases that are about the file itself: 1 to 27, 70 to 99 and 101 to 108 of the project's list.
//!
//! Each case runs its vectors against every reader ([`readers`]), and adds what no vector can hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archive;
#[path = "../common/mod.rs"]
mod common;
mod integrity;
mod keys;
mod metadata;
mod mutations;
mod place;
mod readers;
mod replaced;
mod streams;
mod structure;
