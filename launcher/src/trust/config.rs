//! Where a host keeps what it says about packages: `/etc/flavor`, and a directory of the user.
//!
//! Where the system has a policy, no variable says whose word counts: the user's directory is then the one in the home of
//! the passwd entry. Without one, it is `FLAVOR_CONFIG_DIR`, or `flavor` in `XDG_CONFIG_HOME`, or `.config/flavor` in
//! `HOME`, and `FLAVOR_TRUSTED_KEYS_DIR` may name another store of keys.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use psp_format::digest::Digest;
use rustix::fs::{CWD, FlockOperation};
use rustix::io::Errno;

use super::Trust;
use super::file::{self, DIRECTORY, Fault, Owner, Problem};
use super::revoked::{self, MAX_LIST, REVOKED_KEYS};
use crate::plan::cache::passwd_home;
use crate::{at, env_vars, start};

/// The administrator's directory.
pub const SYSTEM: &str = "/etc/flavor";
/// Name of the store of keys in a configuration directory.
pub const TRUSTED_KEYS: &str = "trusted-keys";
/// Name of the policy in a configuration directory.
pub const POLICY: &str = "policy.json";
/// Largest policy that is read, in bytes.
pub const MAX_POLICY: usize = 64 << 10;
const HOME_NAME: &str = ".config/flavor";

/// A directory of files that somebody is configured by.
#[derive(Debug)]
pub struct Config {
    path: PathBuf,
    handle: OwnedFd,
    owner: Owner,
}

impl Config {
    /// The directory, or `None` where there is none.
    #[inline(never)]
    pub(crate) fn find(path: &Path, owner: Owner) -> Result<Option<Config>, Errno> {
        match file::open(CWD, path.as_os_str().as_bytes(), DIRECTORY) {
            Ok(handle) => Ok(Some(Config {
                path: path.to_owned(),
                handle,
                owner,
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether it is the administrator's.
    pub fn is_system(&self) -> bool {
        self.owner == Owner(None)
    }

    /// The path of a file in it; of the directory itself for an empty name.
    #[inline(never)]
    pub fn path(&self, name: &[u8]) -> PathBuf {
        match name {
            b"" => self.path.clone(),
            name => self.path.join(OsStr::from_bytes(name)),
        }
    }

    /// The content of a file; `None` where there is none.
    ///
    /// # Errors
    ///
    /// A [`Fault`] of the file, or of the directory: what others can replace is not believed.
    #[inline(never)]
    pub fn read(&self, name: &[u8], max: usize) -> Result<Option<Vec<u8>>, Fault> {
        let text = file::read(self.handle.as_fd(), name, self.owner, max);
        match text.map_err(|problem| self.fault(name, problem))? {
            Some(text) => self.check().map(|()| Some(text)),
            None => Ok(None),
        }
    }

    /// The names in it.
    pub(super) fn names(&self) -> Result<Vec<Vec<u8>>, Fault> {
        self.check()?;
        crate::store::names(self.handle.as_fd())
            .map_err(|errno| self.fault(b"", Problem::System(errno)))
    }

    /// Waits for the lock of the directory. It is released with the handle.
    pub(crate) fn lock(&self) -> Result<(), Errno> {
        loop {
            match rustix::fs::flock(&self.handle, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Writes a file in place of the one that has the name, at once and for good. Whoever calls holds the lock.
    pub(crate) fn replace(&self, name: &[u8], content: &[u8]) -> Result<(), Fault> {
        const STAGED: &[u8] = b".new";
        let at = self.handle.as_fd();
        let write = || {
            match at::unlink(at, STAGED) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
            let file = at::new_file(at, STAGED, 0o600)?;
            at::write_all(&file, content)?;
            rustix::fs::fsync(&file)?;
            at::rename(at, STAGED, at, name)
        };
        write().map_err(|errno| self.fault(name, Problem::System(errno)))
    }

    fn check(&self) -> Result<(), Fault> {
        rustix::fs::fstat(&self.handle)
            .map_err(Problem::System)
            .and_then(|stat| self.owner.check(&stat))
            .map_err(|problem| self.fault(b"", problem))
    }

    #[inline(never)]
    pub(super) fn fault(&self, name: &[u8], problem: Problem) -> Fault {
        let path = self.path(name);
        Fault { path, problem }
    }
}

/// A variable that names a directory, and names it from wherever the caller happens to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relative {
    /// The variable.
    pub variable: &'static str,
    /// Its value.
    pub value: Vec<u8>,
}

/// Why a host's word cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// A file or directory cannot be believed.
    Fault(Fault),
    /// A variable is no absolute path.
    Relative(Relative),
}

impl From<Fault> for ConfigError {
    fn from(fault: Fault) -> ConfigError {
        ConfigError::Fault(fault)
    }
}

/// The two directories of a host, and what is decided by them alone.
#[derive(Debug)]
pub struct Host {
    /// The administrator's, if there is one.
    pub system: Option<Config>,
    /// The user's, if there is one.
    pub user: Option<Config>,
    /// Where the user's is, or would be.
    pub user_path: Option<PathBuf>,
    /// The user's store of keys, there or not.
    pub user_store: Option<PathBuf>,
    /// The text of the system's policy.
    pub system_policy: Option<Vec<u8>>,
    owner: Owner,
}

impl Host {
    /// Finds the directories. Where neither is there, two failing system calls.
    ///
    /// # Errors
    ///
    /// Where the administrator's word is there and cannot be read, or a variable is no absolute path.
    pub fn find<'v>(var: &dyn Fn(&str) -> Option<&'v [u8]>, uid: u32) -> Result<Host, ConfigError> {
        let open = |path: &Path, owner| {
            Config::find(path, owner).map_err(|errno| Fault {
                path: path.to_owned(),
                problem: Problem::System(errno),
            })
        };
        let system = open(Path::new(SYSTEM), Owner(None))?;
        let system_policy = match &system {
            Some(system) => system.read(POLICY.as_bytes(), MAX_POLICY)?,
            None => None,
        };
        let (user_path, mut store) = match system_policy {
            Some(_) => (home_of(uid).map(|home| home.join(HOME_NAME)), None),
            None => named(var)?,
        };
        if store.is_none() {
            store = user_path.as_ref().map(|path| path.join(TRUSTED_KEYS));
        }
        let owner = Owner(Some(uid));
        let user = match &user_path {
            Some(path) => match open(path, owner) {
                // What this user cannot reach is not this user's; and some homes are files.
                Err(Fault {
                    problem: Problem::System(Errno::ACCESS | Errno::NOTDIR),
                    ..
                }) => None,
                other => other?,
            },
            None => None,
        };
        Ok(Host {
            system,
            user,
            user_path,
            user_store: store,
            system_policy,
            owner,
        })
    }

    /// The directories that are there: the administrator's first.
    pub fn configs(&self) -> impl Iterator<Item = &Config> {
        self.system.iter().chain(&self.user)
    }

    /// The revoked keys of both lists.
    ///
    /// # Errors
    ///
    /// A list that is there and cannot be believed.
    pub fn revoked(&self) -> Result<Vec<Digest>, Fault> {
        let mut out = Vec::new();
        for config in self.configs() {
            let name = REVOKED_KEYS.as_bytes();
            if let Some(text) = config.read(name, MAX_LIST)? {
                let keys = revoked::read(&text);
                out.append(&mut keys.map_err(|problem| config.fault(name, problem))?);
            }
        }
        Ok(out)
    }

    /// The keys in the stores. Those of the user count `with_user` only.
    pub fn trust(&self, with_user: bool, revoked: Vec<Digest>) -> Trust {
        let mut trust = Trust {
            revoked,
            ..Trust::default()
        };
        let system = Path::new(SYSTEM).join(TRUSTED_KEYS);
        let user = self.user_store.as_ref().filter(|_| with_user);
        let stores = [(Some(&system), Owner(None)), (user, self.owner)];
        for (path, owner) in stores {
            let Some(path) = path else { continue };
            match Config::find(path, owner) {
                Ok(Some(store)) => trust.add(&store),
                Ok(None) => {}
                Err(errno) => {
                    let (path, problem) = (path.clone(), Problem::System(errno));
                    trust.faults.push(Fault { path, problem });
                }
            }
        }
        trust
    }
}

/// The user's directory and store, as variables name them. An empty variable counts as unset, a relative `HOME` too.
fn named<'v>(
    var: &dyn Fn(&str) -> Option<&'v [u8]>,
) -> Result<(Option<PathBuf>, Option<PathBuf>), ConfigError> {
    let absolute = |variable: &'static str| match var(variable) {
        None | Some(b"") => Ok(None),
        Some(value) if value.starts_with(b"/") => Ok(Some(PathBuf::from(OsStr::from_bytes(value)))),
        Some(value) => Err(ConfigError::Relative(Relative {
            variable,
            value: value.to_vec(),
        })),
    };
    let store = absolute(env_vars::FLAVOR_TRUSTED_KEYS_DIR)?;
    if let Some(path) = absolute(env_vars::FLAVOR_CONFIG_DIR)? {
        return Ok((Some(path), store));
    }
    if let Some(path) = absolute(env_vars::XDG_CONFIG_HOME)? {
        return Ok((Some(path.join("flavor")), store));
    }
    let home = absolute(env_vars::HOME).unwrap_or_default();
    Ok((home.map(|home| home.join(HOME_NAME)), store))
}

fn home_of(uid: u32) -> Option<PathBuf> {
    let passwd = start::passwd()?;
    passwd_home(&passwd, uid).map(|home| PathBuf::from(OsStr::from_bytes(home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_the_users_directory() {
        let find = |vars: &[(&str, &'static str)]| {
            let var = |name: &str| {
                let found = vars.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| value.as_bytes())
            };
            let found = named(&var);
            found.map(|(config, store)| (config.unwrap_or_default(), store.unwrap_or_default()))
        };
        let all = [
            ("FLAVOR_CONFIG_DIR", "/a"),
            ("XDG_CONFIG_HOME", "/b"),
            ("HOME", "/c"),
        ];
        let at = |config: &str, store: &str| Ok((config.into(), store.into()));
        assert_eq!(find(&all), at("/a", ""));
        assert_eq!(find(&all[1..]), at("/b/flavor", ""));
        assert_eq!(find(&all[2..]), at("/c/.config/flavor", ""));
        assert_eq!(find(&[]), at("", ""));
        assert_eq!(find(&[("HOME", "c")]), at("", ""));
        assert_eq!(
            find(&[("FLAVOR_CONFIG_DIR", ""), ("HOME", "/c")]),
            at("/c/.config/flavor", "")
        );
        assert_eq!(
            find(&[("FLAVOR_TRUSTED_KEYS_DIR", "/k"), ("HOME", "/c")]),
            at("/c/.config/flavor", "/k")
        );
        for name in [
            "FLAVOR_CONFIG_DIR",
            "XDG_CONFIG_HOME",
            "FLAVOR_TRUSTED_KEYS_DIR",
        ] {
            assert!(
                matches!(find(&[(name, "a"), ("HOME", "/c")]), Err(ConfigError::Relative(r)) if r.variable == name)
            );
        }
    }
}
