//! The second reader (`tests/reader`), asked about files.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What the second reader says of every file of a directory.
pub fn second_reader(directory: &Path) -> Vec<Value> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("reader/pspf_reader.py");
    // -B: no __pycache__ in the source tree.
    let python = if cfg!(windows) { "python" } else { "python3" };
    let output = Command::new(python)
        .arg("-B")
        .arg(script)
        .arg(directory)
        .output();
    let output = output.expect("Python 3 is needed for the second reader");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("its output is JSON")
        .lines()
        .map(|line| serde_json::from_str(line).expect("one answer a line"))
        .collect()
}
