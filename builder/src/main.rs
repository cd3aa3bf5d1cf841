//! The `flavor` command. Everything is in the library; see `exit.rs` for what an outcome does to the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    flavor::exit::main(std::env::args_os().collect())
}
