//! Living with flavorpack 0.5.4: its packages here, ours there.
//!
//! Its tools and launchers are those of the wheel on PyPI, in a virtual environment that `.ci/run` makes. The tests fail
//! without it; they never pass by.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accepts;
mod compat;
mod edit;
mod hostile;
mod matrix;
mod oddities;
mod run;
mod tool;
