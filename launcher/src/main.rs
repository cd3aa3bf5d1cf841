//! The stub: the program at the front of every package. It reads no file for itself, and takes no argument unless
//! `FLAVOR_LAUNCHER_CLI` asks for that; what is done, and in which order, is in `psp_launcher::start`.

#![no_main]

use psp_format::diagnose::LAUNCHER_MARK;
use psp_launcher::sys::{Arena, Process};
use psp_launcher::{report, start};

#[global_allocator]
static MEMORY: Arena = Arena;

psp_launcher::entry!(main_of_stub);
psp_launcher::c_heap!();

/// Starts the package; comes back with an exit code when that fails.
fn main_of_stub(process: &Process) -> u8 {
    // The linker must not drop the mark: a stripped package is recognised by it.
    core::hint::black_box(LAUNCHER_MARK);
    match start::running(process) {
        // Only who asked a package about itself gets here; a start does not come back.
        Ok(code) => code,
        Err(error) => {
            report::failure(&error, error.help(), &process.vars);
            error.exit_code()
        }
    }
}
