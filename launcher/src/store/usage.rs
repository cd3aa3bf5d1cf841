//! Which processes use what in a store, as far as `/proc` tells.
//!
//! An environment or a shared slot is in use when a process has its program, directory, root, an open file or a mapped
//! file in it, when an argument of it names a file there, or when it was started with `FLAVOR_WORKENV` naming the
//! environment. Whoever shares a slot cannot be told from the slot; so what a process uses of a slot counts for the
//! environment that the process names, and where it names none for every environment with that slot.
//!
//! A start that has found its record and not yet replaced itself has the store's directory open. While there is one,
//! nobody knows what will be used.
//!
//! What is not seen: processes in other pid namespaces, and those of other users where the caller is not root.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, CWD, OFlags};

use super::Store;
use super::layout::{join, lock_of};
use super::remove::names;
use super::sweep::Found;
use crate::at;
use crate::env_vars::FLAVOR_WORKENV;

/// Largest file of a process that is looked at, in bytes. A longer one may name anything.
const MAX_FILE: usize = 32 << 20;

/// What processes use.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// Nobody can tell: there is no `/proc`, or a part of it was too long.
    pub(crate) unknown: bool,
    /// A start is under way that may use anything.
    pub(crate) starting: bool,
    marks: Vec<Mark>,
}

/// One thing that one process uses.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    pid: u32,
    kind: Kind,
    /// The name of the environment, or the key of the slot.
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Environment,
    Slot,
}

impl Usage {
    /// Looks at every process but this one.
    ///
    /// Twice: in the middle of `execve` a process shows neither what it was nor what it will be.
    pub(crate) fn look(store: &Store) -> Usage {
        let mut usage = Usage::default();
        for _ in 0..2 {
            if usage.look_once(store).is_none() {
                usage.unknown = true;
            }
        }
        usage
    }

    fn look_once(&mut self, store: &Store) -> Option<()> {
        let proc = at::open_directory(CWD, b"/proc").ok()?;
        // Not the number that the system calls tell: `/proc` may be that of an outer namespace.
        let own = number(at::read_link(proc.as_fd(), b"self").ok()?.to_bytes())?;
        let handle = store.root.as_raw_fd().to_string();
        let real = at::read_link(proc.as_fd(), join(&["self/fd/", &handle]).as_bytes()).ok()?;
        let roots = [real.to_bytes(), store.path.as_os_str().as_bytes()];
        for name in names(proc.as_fd()).ok()? {
            let Some(pid) = number(&name).filter(|pid| *pid != own) else {
                continue;
            };
            // Gone in the meantime, or somebody else's.
            if let Ok(process) = at::open_directory(proc.as_fd(), &name) {
                let mut looker = Looker {
                    usage: self,
                    store,
                    roots,
                    pid,
                };
                looker.look(process.as_fd());
            }
        }
        Some(())
    }

    /// The processes that use an environment, out of `all` that the store has. None where that is unknown.
    pub(crate) fn users(&self, of: &Found, all: &[Found]) -> Vec<u32> {
        let mut out = Vec::new();
        for mark in &self.marks {
            let is_user = match mark.kind {
                Kind::Environment => mark.name == of.name,
                Kind::Slot => of.links_to(&mark.name) && !self.is_explained(mark, of, all),
            };
            if is_user && !out.contains(&mark.pid) {
                out.push(mark.pid);
            }
        }
        out
    }

    /// Whether a process that uses a slot names another environment that has it.
    fn is_explained(&self, slot: &Mark, of: &Found, all: &[Found]) -> bool {
        self.marks.iter().any(|mark| {
            mark.pid == slot.pid
                && mark.kind == Kind::Environment
                && mark.name != of.name
                && all
                    .iter()
                    .any(|found| found.name == mark.name && found.links_to(&slot.name))
        })
    }

    /// Whether a process uses the slot or the environment of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.marks.iter().any(|mark| mark.name == name)
    }

    fn add(&mut self, pid: u32, kind: Kind, name: &str) {
        let name = name.to_owned();
        let mark = Mark { pid, kind, name };
        if !self.marks.contains(&mark) {
            self.marks.push(mark);
        }
    }
}

/// A look at one process.
struct Looker<'a> {
    usage: &'a mut Usage,
    store: &'a Store,
    /// The store's directory without links in its path, and as it was named.
    roots: [&'a [u8]; 2],
    pid: u32,
}

impl Looker<'_> {
    /// What cannot be read is passed over: it belongs to another user, or the process is gone.
    fn look(&mut self, process: BorrowedFd<'_>) {
        for name in [&b"exe"[..], b"cwd", b"root"] {
            if let Ok(path) = at::read_link(process, name) {
                self.path(path.to_bytes());
            }
        }
        if let Ok(open) = at::open_directory(process, b"fd") {
            for name in names(open.as_fd()).unwrap_or_default() {
                let Ok(path) = at::read_link(open.as_fd(), &name) else {
                    continue;
                };
                self.usage.starting |= self.roots.contains(&path.to_bytes());
                self.path(path.to_bytes());
            }
        }
        let newline = |byte: &u8| *byte == b'\n';
        for line in self.read(process, b"maps").split(newline) {
            let path = mapped(line);
            self.path(&path);
        }
        for argument in self.read(process, b"cmdline").split(|byte| *byte == 0) {
            self.path(argument);
        }
        let environment = self.read(process, b"environ");
        if let Some((root, name)) = workenv(&environment)
            && self.is_store(root)
        {
            self.usage.add(self.pid, Kind::Environment, name);
        }
    }

    fn path(&mut self, path: &[u8]) {
        for root in self.roots {
            if let Some((kind, name)) = place(path, root) {
                self.usage.add(self.pid, kind, name);
                return;
            }
        }
    }

    fn read(&mut self, process: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        if let Ok(file) = at::open(process, name, flags, 0) {
            content = at::read_all(&file, MAX_FILE).unwrap_or_default();
            self.usage.unknown |= content.len() == MAX_FILE;
        }
        content
    }

    /// Whether a path that a process was given leads to this store. One that leads nowhere may do so where the process
    /// lives: in another mount namespace, or below another root.
    fn is_store(&self, path: &[u8]) -> bool {
        self.roots.contains(&path)
            || match at::stat(CWD, path, AtFlags::empty()) {
                Ok(there) => rustix::fs::fstat(&self.store.root)
                    .is_ok_and(|here| (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)),
                Err(_) => true,
            }
    }
}

fn number(text: &[u8]) -> Option<u32> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// What of the store at `root` a path lies in.
fn place<'a>(path: &'a [u8], root: &[u8]) -> Option<(Kind, &'a str)> {
    let mut parts = path
        .strip_prefix(root)?
        .strip_prefix(b"/")?
        .split(|byte| *byte == b'/');
    let kind = match parts.next()? {
        b"slots" => Kind::Slot,
        // What is made for one start alone has the name of its environment in front.
        b"envs" | b"runs" => Kind::Environment,
        _ => return None,
    };
    Some((kind, lock_of(parts.next()?)?))
}

/// The path in a line of `/proc/PID/maps`, which stands behind the last of five fields that hold no `/`.
fn mapped(line: &[u8]) -> Vec<u8> {
    let start = line.iter().position(|byte| *byte == b'/');
    let mut rest = start
        .and_then(|start| line.get(start..))
        .unwrap_or_default();
    let mut path = Vec::new();
    // A line break in it is written as four characters, and nothing else is (proc_pid_maps(5)).
    while let Some((byte, after)) = rest.split_first() {
        match rest.strip_prefix(b"\\012") {
            Some(after) => {
                path.push(b'\n');
                rest = after;
            }
            None => {
                path.push(*byte);
                rest = after;
            }
        }
    }
    path
}

/// The store and the name of the environment that the first `FLAVOR_WORKENV` of an environment block names.
fn workenv(environment: &[u8]) -> Option<(&[u8], &str)> {
    let value = environment.split(|byte| *byte == 0).find_map(|variable| {
        variable
            .strip_prefix(FLAVOR_WORKENV.as_bytes())?
            .strip_prefix(b"=")
    })?;
    let at = value
        .windows(6)
        .rposition(|part| part == b"/envs/" || part == b"/runs/")?;
    let (store, below) = value.split_at_checked(at)?;
    let name = below.split(|byte| *byte == b'/').nth(2)?;
    Some((store, lock_of(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digit: char) -> String {
        std::iter::repeat_n(digit, 64).collect()
    }

    fn found(name: &str, slots: &[&str]) -> Found {
        let record = super::super::Record {
            slots: slots.iter().map(|&slot| slot.to_owned()).collect(),
            ..Default::default()
        };
        Found {
            name: name.to_owned(),
            record: Some(record),
            used: 0,
            uid: 0,
        }
    }

    #[test]
    fn places_in_a_store() {
        let (a, dev) = (key('a'), format!("{}-dev", key('b')));
        for (path, expected) in [
            (format!("/s/slots/{a}/rt/x"), Some((Kind::Slot, &a))),
            (format!("/s/slots/{a}"), Some((Kind::Slot, &a))),
            (format!("/s/envs/{dev}/x"), Some((Kind::Environment, &dev))),
            (format!("/s/envs/{a}.done"), Some((Kind::Environment, &a))),
            (format!("/s/runs/{a}.1/x"), Some((Kind::Environment, &a))),
            (format!("/s/ready/{a}"), None),
            (format!("/s/slots/{a} (deleted)"), None),
            (format!("/s/slots/{}", &a[1..]), None),
            (format!("/slots/{a}/rt"), None),
            (format!("/s2/slots/{a}/rt"), None),
            (format!("/x/s/slots/{a}/rt"), None),
            ("/s".to_owned(), None),
            ("/s/slots".to_owned(), None),
            ("/s/slots/".to_owned(), None),
            (String::new(), None),
        ] {
            let expected = expected.map(|(kind, name)| (kind, name.as_str()));
            assert_eq!(place(path.as_bytes(), b"/s"), expected, "{path}");
        }
    }

    #[test]
    fn paths_of_mappings() {
        for (line, path) in [
            (
                "7f00-7f01 r-xp 00000000 08:01 123                        /s/slots/a b",
                "/s/slots/a b",
            ),
            ("7f00-7f01 r-xp 0 08:01 1 /s\\012/\\x", "/s\n/\\x"),
            ("7f00-7f01 rw-p 00000000 00:00 0 ", ""),
            ("7f00-7f01 rw-p 00000000 00:00 0    [heap]", ""),
            ("", ""),
        ] {
            assert_eq!(mapped(line.as_bytes()), path.as_bytes(), "{line}");
        }
    }

    #[test]
    fn work_environments_of_processes() {
        let a = key('a');
        for (block, expected) in [
            (format!("A=1\0FLAVOR_WORKENV=/s/envs/{a}\0"), Some("/s")),
            (format!("FLAVOR_WORKENV=/s/envs/{a}/"), Some("/s")),
            (
                format!("FLAVOR_WORKENV=/envs/s/runs/{a}.7/env\0"),
                Some("/envs/s"),
            ),
            (format!("XFLAVOR_WORKENV=/s/envs/{a}\0"), None),
            (format!("FLAVOR_WORKENV_=/s/envs/{a}\0"), None),
            (format!("FLAVOR_WORKENV=/s/slots/{a}\0"), None),
            ("FLAVOR_WORKENV=/s/envs/other\0".to_owned(), None),
            ("FLAVOR_WORKENV=\0".to_owned(), None),
            // The first one counts, as for `getenv`.
            (
                format!("FLAVOR_WORKENV=x\0FLAVOR_WORKENV=/s/envs/{a}\0"),
                None,
            ),
            (String::new(), None),
        ] {
            let expected = expected.map(|root| (root.as_bytes(), a.as_str()));
            assert_eq!(workenv(block.as_bytes()), expected, "{block:?}");
        }
    }

    #[test]
    fn what_is_shared_counts_for_whoever_is_named() {
        let (k, one, two) = (key('c'), key('1'), key('2'));
        let all = [found(&one, &[&k]), found(&two, &[&k, &key('d')])];
        let mut usage = Usage::default();
        usage.add(7, Kind::Slot, &k);
        usage.add(7, Kind::Slot, &k);
        let users = |usage: &Usage| all.each_ref().map(|found| usage.users(found, &all));
        assert_eq!(users(&usage), [[7], [7]], "no name: either");
        usage.add(7, Kind::Environment, &two);
        assert_eq!(users(&usage), [vec![], vec![7]]);
        // The environment that is named does not have this slot.
        usage.add(7, Kind::Slot, &key('e'));
        let third = found(&key('3'), &[&key('e')]);
        assert_eq!(usage.users(&third, &all), [7]);
        assert!(usage.has(&k) && !usage.has(&one));
    }
}
