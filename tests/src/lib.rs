//! Test kit of the PSPF/2025 strict profile: a package writer that can misbehave, and the vectors it makes.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`keys`] | signers from fixed seeds, and keys and signatures that must be refused |
//! | [`taming`] | the signatures that tell Ed25519 verifiers apart |
//! | [`writer`] | `Plan` -> `Parts` -> bytes: packages, valid unless a hook says otherwise |
//! | [`vector`] | the file format of `tests/vectors/*.vec` |
//! | [`project`] | real packages, built and started by the real programs |
//! | [`python`] | Python projects that build without a network |
//! | [`reader`] | the second reader, asked about files |
//! | [`host`] | hosts with mounts and users of their own, for starting packages in |
//! | [`app`] | the applications of `tests/apps`, packed by their recipes |
//! | [`root`] | a root directory for one package |
//! | [`catalog`] | every vector: one function call, one failure |
//! | [`cases`] | the list of hostile cases, read from the tests that try them |
//!
//! No vector uses `psp-format` or `psp-launcher`: the writer and the verifier are two readings of SPEC.md, and a
//! mistake in one of them shows as a disagreement.

// This crate is only ever linked into tests; a failed assumption must stop them where it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod app;
pub mod cases;
pub mod catalog;
pub mod host;
pub mod keys;
pub mod project;
pub mod python;
pub mod reader;
pub mod root;
pub mod taming;
pub mod vector;
pub mod writer;
