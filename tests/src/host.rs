//! Hosts unlike the one that the tests run on: with mounts, users and answers of the kernel of their own.
//!
//! A [`Host`] is a mount namespace. What is mounted in it is seen by nobody else and goes away with it, loop devices
//! included. Every place that a package would choose by itself is empty in it, so that no test meets what another one, or
//! the person who runs the tests, has left there. `/srv` is the tests' own.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::project::{need, text};

/// A user without an entry in `/etc/passwd`.
pub const SOMEBODY: u32 = 65_533;
/// The user `nobody`, whose home does not exist; also what the kernel calls users without a number in a namespace.
pub const NOBODY: u32 = 65_534;

/// What every host begins with: empty directories that belong to whom they usually do.
const MOUNTS: &str = "
    mount -t tmpfs -o mode=0755 none /srv
    mount -t tmpfs -o mode=0755 none /home
    mount -t tmpfs -o mode=0700 none /root
    mount -t tmpfs -o mode=0755 none /var/lib
";
/// These hide the temporary directory of the tests, so they come after what is copied from there.
const TEMPORARY: &str = "
    mount -t tmpfs -o mode=1777 none /var/tmp
    mount -t tmpfs -o mode=1777 none /tmp
";

/// Fails with how to run the tests, where they lack the rights for it.
pub fn need_root() {
    need("nsenter", "apt-get install util-linux");
    need("setpriv", "apt-get install util-linux");
    need("mount", "apt-get install mount");
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let is_root = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"));
    assert!(
        is_root,
        "this test mounts file systems and changes users: run it as root, as .ci/run does (in a container: with --privileged)"
    );
}

/// A mount namespace with a copy of a package in it, at `/srv/app.psp`.
pub struct Host {
    holder: Child,
}

/// The package in a [`Host`].
pub const PACKAGE: &str = "/srv/app.psp";

/// `sh -euc SCRIPT sh` with mounts of its own.
pub fn unshare(script: &str) -> Command {
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--mount", "--propagation", "private", "--"]);
    command.args(["/bin/sh", "-euc", script, "sh"]);
    command
}

impl Host {
    /// A host with this package. `prepare` is a shell script that runs in it as root.
    pub fn new(package: &Path, prepare: &str) -> Host {
        need_root();
        let script = format!(
            "{MOUNTS}\ncp \"$1\" {PACKAGE}; chmod 755 {PACKAGE}\n{TEMPORARY}\n{prepare}\necho ready; read -r end || :"
        );
        let mut holder = unshare(&script)
            .arg(package)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("unshare: {e}"));
        let out = holder.stdout.take().map(BufReader::new);
        let ready = out.and_then(|out| {
            out.lines()
                .map_while(Result::ok)
                .find(|line| line == "ready")
        });
        let host = Host { holder };
        assert!(
            ready.is_some(),
            "no mount namespace, or not what is mounted in it: run the tests as root, as .ci/run does (in a container: with --privileged): {prepare}"
        );
        host
    }

    /// A program in this host with an empty environment. Its words are not looked up in `PATH`.
    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("/usr/bin/nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()))
            .arg("--")
            .args(words)
            .env_clear()
            .stdin(Stdio::null());
        command
    }

    /// The package, started by this user with an empty environment.
    pub fn start(&self, uid: u32) -> Command {
        self.command(by(uid, [PACKAGE]))
    }

    /// Runs a shell script as root and gives what it prints.
    pub fn sh(&self, script: &str) -> String {
        let mut command = self.command(["/bin/sh", "-euc", script]);
        let output = command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap_or_else(|e| panic!("{e}"));
        assert!(
            output.status.success(),
            "{script}: {}",
            text(&output.stderr)
        );
        text(&output.stdout).into_owned()
    }

    /// A path of this host, as this process can open it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.holder.id()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Its shell waits for the end of its input.
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// The words that run a program as another user.
pub fn by<S: AsRef<OsStr>>(uid: u32, words: impl IntoIterator<Item = S>) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::new();
    if uid != 0 {
        out.push("/usr/bin/setpriv".into());
        out.push(format!("--reuid={uid}").into());
        out.push(format!("--regid={uid}").into());
        out.extend(["--clear-groups", "--"].map(Into::into));
    }
    out.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
    out
}

/// Checks that a start was refused as every start is: exit code 125, nothing on standard output, one `error:` line, below
/// it at most indented ones, and one `help:` line. Gives the message.
pub fn refusal(output: &Output) -> String {
    refusal_of(output).unwrap_or_else(|wrong| panic!("{wrong}: {output:?}"))
}

/// The same, with what is wrong instead of a panic.
pub fn refusal_of(output: &Output) -> Result<String, &'static str> {
    let message = text(&output.stderr).into_owned();
    if output.status.code() != Some(125) {
        return Err("not exit code 125");
    }
    if !output.stdout.is_empty() {
        return Err("something is on standard output");
    }
    let shape: String = message
        .lines()
        .map(|line| match line {
            line if line.starts_with("error: ") => 'e',
            line if line.starts_with("help: ") => 'h',
            line if line.starts_with("  ") => '.',
            _ => '?',
        })
        .collect();
    match shape.replace('.', "") == "eh" && shape.ends_with('h') {
        true => Ok(message),
        false => Err("not one line of fact and one of help"),
    }
}

/// A file or directory with everything below it: for comparing what was unpacked with what was packed. Sorted lines of
/// name, kind, and content or target. Modes as the store gives them: what others may write, and what the owner may, is
/// left out.
pub fn listing(root: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    use std::os::unix::ffi::OsStringExt as _;
    use std::os::unix::fs::MetadataExt as _;
    let (mut out, mut queue) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(directory) = queue.pop() {
        let entries =
            fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
        for entry in entries {
            let path = entry.unwrap_or_else(|e| panic!("{e}")).path();
            let stat = fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{e}"));
            let content = if stat.is_symlink() {
                let target = fs::read_link(&path).unwrap_or_else(|e| panic!("{e}"));
                target.into_os_string().into_vec()
            } else if stat.is_dir() {
                queue.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
            };
            let name = path.strip_prefix(root).unwrap_or(&path).to_owned();
            out.push((name, stat.mode() & 0o170_555, content));
        }
    }
    out.sort();
    out
}
