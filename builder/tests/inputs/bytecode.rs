//! Compiled Python files, judged by the interpreter that they are for.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, UNIX_EPOCH};

use flavor::inputs::{self, DEFAULT_TIME, Entry, Filter, Kind, Times};
use tempfile::TempDir;

use super::{bytes, entries, read};

fn python(directory: &Path, arguments: &[&str]) -> Output {
    let output = Command::new("python3")
        .args(arguments)
        .env_remove("PYTHONDONTWRITEBYTECODE")
        .env_remove("PYTHONPYCACHEPREFIX")
        .env_remove("SOURCE_DATE_EPOCH")
        .current_dir(directory)
        .output()
        .expect("python3");
    assert!(output.status.success(), "{output:?}");
    output
}

/// `src` with a module and its package, compiled by the python3 of this machine.
fn compiled() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("src");
    fs::create_dir_all(src.join("p")).unwrap();
    for (path, text) in [
        ("m.py", "value = 1\n"),
        ("p/__init__.py", ""),
        ("p/n.py", "x = 'ä'\n"),
    ] {
        fs::write(src.join(path), text).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        File::open(src.join(path))
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
    python(
        &src,
        &[
            "-m",
            "compileall",
            "-q",
            "--invalidation-mode",
            "timestamp",
            ".",
        ],
    );
    python(
        &src,
        &[
            "-O",
            "-m",
            "compileall",
            "-q",
            "--invalidation-mode",
            "timestamp",
            ".",
        ],
    );
    dir
}

/// Puts entries on disk, as a launcher would.
fn extract(entries: &[Entry], to: &Path) {
    for entry in entries {
        let path = to.join(std::str::from_utf8(&entry.path).unwrap());
        match entry.kind {
            Kind::Directory => fs::create_dir_all(path).unwrap(),
            _ => {
                fs::write(&path, bytes(entry)).unwrap();
                let time = UNIX_EPOCH + Duration::from_secs(entry.mtime);
                File::open(path).unwrap().set_modified(time).unwrap();
            }
        }
    }
}

fn pycs(entries: &[Entry]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let is_pyc = |entry: &&Entry| entry.path.ends_with(b".pyc");
    entries
        .iter()
        .filter(is_pyc)
        .map(|entry| (entry.path.clone(), bytes(entry)))
        .collect()
}

#[test]
fn the_interpreter_takes_them_and_agrees_with_the_hash() {
    let dir = compiled();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let entries = entries(read(&dir.path().join("src")).unwrap());
    assert_eq!(pycs(&entries).len(), 6);
    extract(&entries, &out);

    // With "always" the interpreter compares the hash; with the default it does not even look.
    for optimised in ["-O", "-v"] {
        let run = python(
            &out,
            &[
                optimised,
                "-v",
                "--check-hash-based-pycs",
                "always",
                "-c",
                "import m, p.n",
            ],
        );
        let log = String::from_utf8_lossy(&run.stderr).into_owned();
        for module in ["m", "__init__", "n"] {
            let taken = log.lines().any(|line| {
                line.contains(&format!("__pycache__/{module}.cpython-")) && line.contains("matches")
            });
            assert!(taken, "{module} {optimised}: {log}");
        }
    }
    fs::write(out.join("m.py"), "value = 2\n").unwrap();
    let run = python(&out, &["-c", "import m; print(m.value)"]);
    assert_eq!(run.stdout, b"1\n");
}

#[test]
fn the_source_hash_is_that_of_the_interpreter() {
    let dir = compiled();
    let src = dir.path().join("src");
    let script =
        "import importlib.util as u; print(u.source_hash(open('m.py', 'rb').read()).hex())";
    let expected = String::from_utf8(python(&src, &["-c", script]).stdout).unwrap();
    let entries = entries(read(&src).unwrap());
    let (_, header) = pycs(&entries).remove(0);
    assert_eq!(header[4..8], [1, 0, 0, 0]);
    let hash: String = header[8..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hash, expected.trim());
}

#[test]
fn archives_give_the_same_bytes() {
    let dir = compiled();
    let src = dir.path().join("src");
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program)
            .args(arguments)
            .current_dir(&src)
            .status()
            .unwrap();
        assert!(status.success());
    };
    run("tar", &["-czf", "../a.tar.gz", "."]);
    run("zip", &["-qr", "../a.zip", "."]);
    let from_directory = pycs(&entries(read(&src).unwrap()));
    for archive in ["a.tar.gz", "a.zip"] {
        let input = read(&dir.path().join(archive)).unwrap();
        assert_eq!(pycs(&entries(input)), from_directory, "{archive}");
    }
}

#[test]
fn they_are_left_alone_when_times_are_kept_or_they_were_stale() {
    let dir = compiled();
    let src = dir.path().join("src");
    let on_disk = |path: &[u8]| fs::read(src.join(std::str::from_utf8(path).unwrap())).unwrap();

    let filter = Filter::new(&["**"], &[]).unwrap();
    let kept = entries(inputs::read(&src, &filter, Times::Keep).unwrap());
    for (path, bytes) in pycs(&kept) {
        assert_eq!(bytes, on_disk(&path));
    }
    let source = kept.iter().find(|entry| entry.path == b"m.py").unwrap();
    assert_eq!(source.mtime, 1_700_000_000);

    let time = UNIX_EPOCH + Duration::from_secs(1_700_000_007);
    File::open(src.join("m.py"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    let normalised = entries(read(&src).unwrap());
    assert!(normalised.iter().all(|entry| entry.mtime == DEFAULT_TIME));
    for (path, bytes) in pycs(&normalised) {
        let stale = path.starts_with(b"__pycache__/m.");
        assert_eq!(bytes == on_disk(&path), stale, "{}", path.escape_ascii());
    }
}

#[test]
fn a_source_that_vanishes_is_an_error_with_its_name() {
    let dir = compiled();
    let src = dir.path().join("src");
    let entries = entries(read(&src).unwrap());
    fs::remove_file(src.join("m.py")).unwrap();
    let Kind::File { content, .. } = &entries
        .iter()
        .find(|entry| entry.path.ends_with(b".pyc"))
        .unwrap()
        .kind
    else {
        panic!("no file")
    };
    let error =
        std::io::Read::read_to_end(&mut content.open().unwrap(), &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} vanished while it was packed",
            src.join("m.py").display()
        )
    );
    assert!(inputs::InputError::from_io(error).is_ok());
}
