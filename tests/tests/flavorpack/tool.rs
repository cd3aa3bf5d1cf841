//! The tools of flavorpack, and packages that they make.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use psp_testkit::project::{flavor, text};

/// The text from which every package's key is derived; both tools do that alike.
pub(crate) const SEED: &str = "tests of flavorpack";

/// The virtual environment: `FLAVORPACK`, or `target/flavorpack`.
fn home() -> &'static Path {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let home = match std::env::var_os("FLAVORPACK") {
            Some(home) => home.into(),
            None => workspace.join("target/flavorpack"),
        };
        assert!(
            home.join("bin/flavor").exists(),
            "flavorpack is needed for this test: python3 -m venv target/flavorpack && \
             target/flavorpack/bin/pip install flavorpack==0.5.4"
        );
        home
    })
}

/// A launcher of flavorpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Launcher {
    Rust,
    Go,
}

/// A program of its wheel.
fn helper(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let lib = fs::read_dir(home().join("lib")).unwrap();
        let mut lib = lib.map(|entry| entry.unwrap().path());
        let python = lib.find(|path| path.join("site-packages/flavor").exists());
        python.unwrap().join("site-packages/flavor/helpers/bin")
    });
    directory.join(format!("flavor-{name}-0.5.4-linux_amd64"))
}

pub(crate) fn launcher(which: Launcher) -> PathBuf {
    helper(match which {
        Launcher::Rust => "rs-launcher",
        Launcher::Go => "go-launcher",
    })
}

/// A directory with an application, and everything that packages of it leave behind.
pub(crate) struct Bench(tempfile::TempDir);

impl Bench {
    /// The application: `bin/run.sh` and `data.txt` in archives and as a tree, and `conf.txt`.
    pub(crate) fn new() -> Bench {
        let bench = Bench(tempfile::tempdir().unwrap());
        let script = "#!/bin/sh\necho \"hello $*\"\ncat \"${0%/bin/run.sh}/data.txt\"\n";
        bench.file("app/bin/run.sh", 0o755, script.as_bytes());
        bench.file("app/data.txt", 0o644, b"data\n");
        bench.file("conf.txt", 0o644, b"conf\n");
        for (name, flags) in [("app.tar", "-cf"), ("app.tar.gz", "-czf")] {
            let tar = Command::new("tar")
                .args(["--format=ustar", "--owner=0", "--group=0", "-C"])
                .arg(bench.path("app"))
                .arg(flags)
                .arg(bench.path(name))
                .args(["bin", "data.txt"])
                .status();
            assert!(tar.unwrap().success());
        }
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, mode: u32, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A program with nothing but a home and a cache of its own.
    fn clean(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("FLAVOR_LOG_LEVEL", "error")
            .env("FLAVOR_CACHE_DIR", self.path("their-cache"))
            .current_dir(self.0.path());
        command
    }

    /// Its `flavor`.
    pub(crate) fn theirs(&self, args: &[&str]) -> Output {
        self.clean(home().join("bin/flavor"))
            .args(args)
            .output()
            .unwrap()
    }

    /// Our `flavor`.
    pub(crate) fn ours(&self, args: &[&str]) -> Output {
        let mut command = flavor();
        command
            .env("FLAVOR_CACHE", self.path("our cache"))
            .env("FLAVOR_CONFIG_DIR", self.path("no config"))
            .current_dir(self.0.path())
            .args(args);
        command.output().unwrap()
    }

    /// Starts a package by its own launcher.
    pub(crate) fn start(&self, package: &str, args: &[&str]) -> Output {
        self.clean(self.path(package)).args(args).output().unwrap()
    }

    /// Its Rust or Go builder with a manifest.
    pub(crate) fn build(&self, builder: Launcher, manifest: &str, with: Launcher, output: &str) {
        self.file("manifest.json", 0o644, manifest.as_bytes());
        let program = helper(match builder {
            Launcher::Rust => "rs-builder",
            Launcher::Go => "go-builder",
        });
        let built = self
            .clean(program)
            .args(["--manifest", "manifest.json", "--key-seed", SEED])
            .args(["--output", output])
            .arg("--launcher-bin")
            .arg(launcher(with))
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", text(&built.stderr));
    }

    /// Its Python API. `slots` are pairs of operations and sources.
    pub(crate) fn build_python(&self, slots: &[(&str, &str)], with: Launcher, output: &str) {
        self.file("pack.py", 0o644, include_bytes!("pack.py"));
        let slots = slots
            .iter()
            .map(|(operations, source)| format!("{operations}={source}"));
        let built = self
            .clean(home().join("bin/python"))
            .args(["pack.py", SEED, output])
            .arg(launcher(with))
            .args(slots)
            .output()
            .unwrap();
        assert!(self.path(output).exists(), "{}", text(&built.stderr));
    }

    /// Our `flavor pack`, with a project whose command is that of [`MANIFEST`].
    pub(crate) fn pack(&self, with: Option<Launcher>, more: &[&str], output: &str) -> Output {
        self.file("flavor.toml", 0o644, PROJECT.as_bytes());
        let mut args = vec!["pack", "--key-seed", SEED, "--output", output];
        let launcher = with.map(launcher);
        if let Some(launcher) = &launcher {
            args.extend(["--launcher-bin", launcher.to_str().unwrap()]);
        }
        args.extend(more);
        self.ours(&args)
    }
}

/// A manifest for its builders.
pub(crate) const MANIFEST: &str = r#"{
  "package": {"name": "demo", "version": "1.0.0"},
  "slots": [
    {"id": "app", "source": "app.tar.gz", "target": "app", "operations": "tgz", "purpose": "payload", "lifecycle": "runtime"},
    {"id": "conf", "source": "conf.txt", "target": "etc/conf.txt", "operations": "none", "purpose": "config", "lifecycle": "runtime", "permissions": "0640"}
  ],
  "execution": {"command": "/bin/sh {workenv}/bin/run.sh 'a b'"}
}"#;

/// The same for ours.
pub(crate) const PROJECT: &str = r#"
[package]
name = "demo"
version = "1.0.0"
[[slot]]
id = "app"
source = "app"
[[slot]]
id = "conf"
source = "conf.txt"
target = "etc/conf.txt"
permissions = "0640"
[command]
exec = "/bin/sh"
args = ["{workenv}/app/bin/run.sh", "a b"]
"#;
