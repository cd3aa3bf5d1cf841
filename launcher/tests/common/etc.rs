//! Hosts with an `/etc` of their own, seen by one start only: a directory that is mounted there in a mount namespace.
#![allow(dead_code, clippy::panic)] // each test program uses a part

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use psp_format::layout::RawIndex;
use psp_format::metadata::Metadata;
use psp_format::signature::PrivateKey;
use psp_format::{base64, encode, signed_by, verify};

use crate::common::{Place, must, output, package_by, write_executable};

/// Who starts packages, if nothing else is said.
pub(crate) const USER: u32 = 65_533;
/// Somebody else.
pub(crate) const OTHER: u32 = 65_534;

/// A host.
pub(crate) struct Etc {
    pub(crate) place: Place,
}

impl Etc {
    /// A host with the users root, [`USER`] and [`OTHER`], and without `/etc/flavor`.
    pub(crate) fn new() -> Etc {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test mounts a directory and changes users: run it as root, as .ci/run does"
        );
        let place = Place::default();
        mode(&place.path("."), 0o755);
        must(fs::create_dir(place.path("etc")));
        let home = place.path("home");
        must(chown(&home, Some(USER), Some(USER)));
        let home = home.display();
        let passwd = format!(
            "root:x:0:0::/nonexistent:/bin/sh\nuser:x:{USER}:{USER}::{home}:/bin/sh\nother:x:{OTHER}:{OTHER}::/nonexistent:/bin/sh\n"
        );
        must(fs::write(place.path("etc/passwd"), passwd));
        Etc { place }
    }

    /// A path in `/etc/flavor`.
    pub(crate) fn system(&self, name: &str) -> PathBuf {
        self.place.path("etc/flavor").join(name)
    }

    /// A path in the user's configuration directory.
    pub(crate) fn user(&self, name: &str) -> PathBuf {
        self.place.path("home/.config/flavor").join(name)
    }

    /// Writes a file of the administrator.
    pub(crate) fn put_system(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.system(name);
        put(&path, text, 0);
        path
    }

    /// Writes a file of the user.
    pub(crate) fn put_user(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.user(name);
        put(&path, text, USER);
        path
    }

    /// Takes away everything that the administrator has said.
    pub(crate) fn clear_system(&self) {
        remove(&self.system(""));
    }

    /// Takes away everything that the user has said.
    pub(crate) fn clear_user(&self) {
        remove(&self.user(""));
    }

    /// A package that prints `started`, signed by this key.
    pub(crate) fn package(&self, signer: &str, change: impl FnOnce(&mut Metadata)) -> PathBuf {
        let app = b"#!/bin/sh\necho started\n";
        let signer = PrivateKey::from_text_seed(signer);
        let bytes = package_by(&signer, &[("bin/app", app)], change);
        self.write("p.psp", &bytes)
    }

    /// A package that prints `started`, signed by all of these keys: the first of them is the one that the index names.
    pub(crate) fn signed(&self, signers: &[&str], change: impl FnOnce(&mut Metadata)) -> PathBuf {
        let (first, others) = signers.split_first().unwrap_or((&"", &[]));
        let path = self.package(first, change);
        let package = must(fs::read(&path));
        let found = must(verify::locate_bytes(&package));
        let text = must(verify::verify(&found)).text().to_vec();
        let mut index = RawIndex::from_bytes(found.index).clone();
        for key in others.iter().map(|seed| PrivateKey::from_text_seed(seed)) {
            let signature = key.sign(&text);
            index = must(signed_by::add(&index, &key.public_key(), &signature));
        }
        let start = package.len().saturating_sub(8200);
        let trailer = encode::trailer(&index);
        self.write("p.psp", &[&package[..start], &trailer[..]].concat())
    }

    /// Writes a package.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.place.path(name);
        write_executable(&path, bytes);
        path
    }

    /// How this user starts a program on this host.
    pub(crate) fn command(&self, uid: u32, program: impl AsRef<OsStr>) -> Command {
        const SCRIPT: &str = "mount --bind \"$1\" /etc && shift && exec \"$@\"";
        let mut command = self.place.command("unshare");
        command
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                SCRIPT,
                "sh",
            ])
            .arg(self.place.path("etc"));
        if uid != 0 {
            let uid = uid.to_string();
            command.args([
                "setpriv",
                "--clear-groups",
                "--reuid",
                &uid,
                "--regid",
                &uid,
            ]);
        }
        command.arg("timeout").arg("10").arg(program);
        command
    }

    /// The user starts it.
    pub(crate) fn start(&self, program: &Path) -> Output {
        self.start_as(USER, program)
    }

    pub(crate) fn start_as(&self, uid: u32, program: &Path) -> Output {
        patient(&mut self.command(uid, program))
    }

    /// The user starts it, with one more variable.
    pub(crate) fn start_with(
        &self,
        program: &Path,
        name: &str,
        value: impl AsRef<OsStr>,
    ) -> Output {
        patient(self.command(USER, program).env(name, value))
    }
}

/// Waits for a program that another one executes. A thread that has just started one may hold the file that this one has
/// written, until that one begins.
pub(crate) fn patient(command: &mut Command) -> Output {
    for _ in 0..100 {
        let found = output(command);
        if !String::from_utf8_lossy(&found.stderr).contains("Text file busy") {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the file stays busy")
}

/// Writes a file, and the directories that it lies in, for this owner.
pub(crate) fn put(path: &Path, text: impl AsRef<[u8]>, owner: u32) {
    let missing: Vec<&Path> = path
        .ancestors()
        .skip(1)
        .take_while(|dir| !dir.exists())
        .collect();
    for dir in missing.iter().rev() {
        must(fs::create_dir(dir));
        mode(dir, 0o755);
        must(chown(dir, Some(owner), Some(owner)));
    }
    must(fs::write(path, text));
    mode(path, 0o644);
    must(chown(path, Some(owner), Some(owner)));
}

/// Sets the permissions of a file or directory.
pub(crate) fn mode(path: &Path, mode: u32) {
    must(fs::set_permissions(path, PermissionsExt::from_mode(mode)));
}

fn remove(path: &Path) {
    if path.exists() {
        must(fs::remove_dir_all(path));
    }
}

/// The fingerprint of the key with this seed.
pub(crate) fn fingerprint(seed: &str) -> String {
    let key = PrivateKey::from_text_seed(seed).public_key();
    key.fingerprint().to_string()
}

/// The public key with this seed as a PEM document.
pub(crate) fn pem(seed: &str) -> String {
    let key = PrivateKey::from_text_seed(seed).public_key();
    let spki = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
    let document = base64::encode(&[&spki[..], key.as_bytes()].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{document}\n-----END PUBLIC KEY-----\n")
}

/// Asserts that the application began, and that nothing else was said.
pub(crate) fn assert_started(output: &Output) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.stdout, b"started\n");
    assert!(output.status.success());
}
