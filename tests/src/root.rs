//! A root directory that has nothing but a package: what it needs of its host shows there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::host::{need_root, unshare};
use crate::project::{copy_program, need, text};

/// A root directory for a package: empty but for the package, `/proc`, `/dev`, `/tmp`, and the C library where it is wanted.
pub struct Root {
    directory: tempfile::TempDir,
}

impl Root {
    /// One with this package, and with the C library if it is asked for.
    pub fn new(package: &Path, with_libc: bool) -> Root {
        need_root();
        need("chroot", "apt-get install coreutils");
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["proc", "tmp", "dev"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        copy_program(package, &root.join("app.psp")).unwrap();
        if with_libc {
            for file in libc() {
                let to = root.join(file.strip_prefix("/").unwrap());
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(&file, to).unwrap();
            }
        }
        Root { directory }
    }

    /// The package, with an empty environment but for `HOME`.
    pub fn start(&self, args: &[&str]) -> Command {
        let script = "mount -t proc proc \"$1/proc\"; mount --rbind /dev \"$1/dev\"; shift; exec /usr/sbin/chroot \"$@\"";
        let mut command = unshare(script);
        command
            .args([
                self.directory.path(),
                self.directory.path(),
                Path::new("/app.psp"),
            ])
            .args(args)
            .env_clear()
            // Where sqlite3 looks for its settings, and the package for a cache.
            .env("HOME", "/tmp");
        command
    }
}

/// The parts of the host's C library that programs here ask for, where they ask for them.
fn libc() -> Vec<PathBuf> {
    let listed = Command::new("/sbin/ldconfig").arg("-p").output().unwrap();
    let listed = text(&listed.stdout).into_owned();
    let mut out = Vec::new();
    for name in [
        "libc.so.6",
        "libm.so.6",
        "libdl.so.2",
        "libpthread.so.0",
        "librt.so.1",
    ] {
        let line = listed
            .lines()
            .find(|line| line.trim().starts_with(&format!("{name} (libc6,x86-64")));
        let path = line.and_then(|line| line.split(" => ").nth(1));
        out.push(path.unwrap_or_else(|| panic!("no {name}")).into());
    }
    out.push("/lib64/ld-linux-x86-64.so.2".into());
    out
}
