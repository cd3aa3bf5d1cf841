//! PSPF/2025 packages, strict profile: layout, verification and encoding.
//!
//! This crate is pure: byte slices and numbers in, values out. It opens no file, reads no clock and draws no random
//! numbers, and no input makes it panic. The normative text is `SPEC.md` beside this crate; "M23" and the like in the
//! comments are its requirements.
//!
//! The way through a package is one-directional:
//!
//! 1. [`locate`] says which bytes to read and checks their bounds;
//! 2. [`verify`] turns those bytes into a [`VerifiedPackage`], the only type that extraction and execution accept;
//! 3. [`frames`] and [`tar`] read the content of slots whose digest has been checked.
//!
//! [`encode`] is the only producer of format bytes, and verification uses it: what a reader expects is what a writer
//! would have written.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions
    )
)]
#![cfg_attr(test, allow(clippy::panic))]

pub mod base64;
pub mod diagnose;
pub mod digest;
pub mod dump;
pub mod encode;
pub mod error;
pub mod frames;
pub mod instant;
mod json;
#[cfg(feature = "keys")]
pub mod keys;
pub mod layout;
pub mod limits;
pub mod locate;
pub mod member;
pub mod metadata;
pub mod ops;
pub mod path;
pub mod range;
pub mod signature;
pub mod signed_by;
pub mod succession;
pub mod tar;
pub mod text;
pub mod verify;

pub use error::{Error, Layer};
pub use verify::VerifiedPackage;
