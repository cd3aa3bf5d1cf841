//! A package in a directory of its own, what is done with it, and what comes of that.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use psp_testkit::host::{listing, refusal};
use psp_testkit::project::{flavor, text};
use serde_json::Value;

/// What `flavor verify` said of a vector that it refused: the layer, and why.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) layer: String,
    pub(crate) detail: String,
}

/// A directory for one package, which may leave a mark, with a cache for it.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new(file: &[u8]) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        place.put(file);
        place
    }

    /// Puts another package in the place of this one.
    pub(crate) fn put(&self, file: &[u8]) {
        // A new file: the old one may still be mapped by who is just being executed.
        let _ = fs::remove_file(self.package());
        fs::write(self.package(), file).unwrap();
        fs::set_permissions(self.package(), PermissionsExt::from_mode(0o755)).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn package(&self) -> PathBuf {
        self.path().join("app.psp")
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.path().join("cache")
    }

    /// Whether the command of the package was executed; forgets it.
    pub(crate) fn was_executed(&self) -> bool {
        fs::remove_file(self.path().join("mark")).is_ok()
    }

    /// Runs a command with nothing in its environment but this place.
    pub(crate) fn output(&self, mut command: Command) -> Output {
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path())
            .env("FLAVOR_CACHE", self.cache())
            .current_dir(self.path())
            .stdin(Stdio::null());
        // Another thread may have inherited the file while it was written; it lets go when it executes.
        for _ in 0..1000 {
            match command.output() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                result => return result.unwrap(),
            }
        }
        panic!("{}: busy", self.package().display());
    }

    pub(crate) fn start(&self) -> Output {
        self.output(Command::new(self.package()))
    }

    pub(crate) fn flavor(&self, words: &[&str]) -> Output {
        let mut command = flavor();
        command.args(words);
        self.output(command)
    }

    /// What the cache holds, but for its locks: they are empty, and stay.
    pub(crate) fn cached(&self) -> Vec<(PathBuf, u32, Vec<u8>)> {
        let mut found = match self.cache().exists() {
            true => listing(&self.cache()),
            false => Vec::new(),
        };
        found.retain(|(path, ..)| !path.starts_with("locks"));
        found
    }

    /// The entries of the cache: names in the directories where there are any.
    pub(crate) fn entries(&self) -> BTreeSet<PathBuf> {
        let of = |directory: &str| {
            let names = fs::read_dir(self.cache().join(directory));
            names
                .into_iter()
                .flatten()
                .map(|entry| entry.unwrap().path())
        };
        ["slots", "envs", "ready", "runs", "staging"]
            .into_iter()
            .flat_map(of)
            .collect()
    }
}

/// Whether a text can be shown on a terminal as it is.
pub(crate) fn is_plain(output: &[u8]) -> bool {
    let hostile = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    !text(output).chars().any(hostile)
}

/// The first check that failed, by the name of its layer.
pub(crate) fn failed_check(output: &Output) -> Option<Said> {
    let verdict: Value = serde_json::from_slice(&output.stdout).ok()?;
    let checks = verdict["checks"].as_array()?;
    let failed = checks.iter().find(|check| check["status"] == "failed")?;
    let name = failed["name"].as_str()?;
    let layer = match name.split(' ').next()? {
        "slots" => "slot",
        first => first,
    };
    Some(Said {
        layer: layer.to_owned(),
        detail: failed["detail"].as_str()?.to_owned(),
    })
}

/// Starts a good package and shows that its command was executed.
pub(crate) fn assert_starts(place: &Place) {
    let output = place.start();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stdout), "started\n");
    assert!(place.was_executed());
}

/// The file is refused by `flavor verify` at this layer, by `extract-all`, and by `flavor run`, and nothing is left.
pub(crate) fn assert_refused(place: &Place, layer: &str) -> String {
    let output = place.flavor(&["verify", "--json", "app.psp"]);
    let said = failed_check(&output).unwrap_or_else(|| panic!("{output:?}"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(said.layer, layer, "{}", said.detail);
    let output = place.flavor(&["extract-all", "app.psp", "out"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!place.path().join("out").exists());
    refusal(&place.flavor(&["run", "app.psp"]));
    assert!(!place.was_executed());
    said.detail
}

/// What a command prints, and the most memory that it used, in KiB.
pub(crate) fn measured(place: &Place, words: &[&str]) -> (Output, u64) {
    const SCRIPT: &str = "import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
open('peak', 'w').write(str(peak))
sys.exit(code)";
    let mut command = Command::new("python3");
    command
        .args(["-c", SCRIPT])
        .arg(flavor().get_program())
        .args(words);
    let output = place.output(command);
    let peak = fs::read_to_string(place.path().join("peak")).unwrap();
    fs::remove_file(place.path().join("peak")).unwrap();
    (output, peak.parse().unwrap())
}
