//! flavor.
fn main() {}
