//! What happens when a package is started: locate, verify, plan, extract once, execute.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions
    )
)]
#![cfg_attr(test, allow(clippy::panic))]

pub mod contents;
pub mod extract;
pub mod store;
