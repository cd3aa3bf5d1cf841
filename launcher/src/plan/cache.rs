//! Where to extract: the candidates for the cache, in order. Which of them is usable is found out by the store.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use super::{PlanError, Snapshot};
use crate::env_vars;
use crate::store::Candidate;

/// The directory below `XDG_CACHE_HOME`, and below the `.cache` of a home.
const NAME: &[u8] = b"/flavor";
const HOME_NAME: &[u8] = b"/.cache/flavor";

/// The candidates that the environment names.
///
/// An empty variable counts as unset. A relative path would make the cache depend on the caller's directory: in a
/// variable that is there to name a cache it is an error, in `HOME` it is passed over.
pub fn named(snapshot: &Snapshot<'_>) -> Result<Vec<Candidate>, PlanError> {
    let mut out = Vec::new();
    for (variable, suffix) in [
        (env_vars::FLAVOR_CACHE, &b""[..]),
        (env_vars::CACHE_DIRECTORY, b""),
        (env_vars::XDG_CACHE_HOME, NAME),
    ] {
        let Some(mut value) = snapshot.var(variable).filter(|value| !value.is_empty()) else {
            continue;
        };
        // systemd separates the directories of a service with colons, and its paths hold none.
        if variable == env_vars::CACHE_DIRECTORY {
            value = value.split(|&byte| byte == b':').next().unwrap_or(value);
        }
        if !value.starts_with(b"/") {
            return Err(PlanError::Relative {
                variable,
                value: value.to_vec(),
            });
        }
        out.push(candidate(value, suffix, variable));
    }
    if let Some(home) = absolute_home(snapshot) {
        out.push(candidate(home, HOME_NAME, env_vars::HOME));
    }
    Ok(out)
}

/// The candidates after those, for when none of them is usable: the home of the passwd entry, and directories that
/// every user can write to.
pub fn fallbacks(snapshot: &Snapshot<'_>, passwd: Option<&[u8]>) -> Vec<Candidate> {
    let mut out = Vec::new();
    let home = passwd.and_then(|passwd| passwd_home(passwd, snapshot.uid));
    if let Some(home) = home.filter(|home| absolute_home(snapshot) != Some(home)) {
        out.push(candidate(home, HOME_NAME, "the home directory of the user"));
    }
    let uid = snapshot.uid.to_string();
    for root in [&b"/var/tmp/flavor-"[..], b"/tmp/flavor-"] {
        out.push(candidate(
            root,
            uid.as_bytes(),
            "a directory for temporary files",
        ));
    }
    out
}

fn candidate(path: &[u8], suffix: &[u8], origin: &'static str) -> Candidate {
    // `/` as a home must not become `//.cache`.
    let base = if suffix.starts_with(b"/") {
        path.strip_suffix(b"/").unwrap_or(path)
    } else {
        path
    };
    let path = PathBuf::from(OsString::from_vec([base, suffix].concat()));
    Candidate { path, origin }
}

fn absolute_home<'a>(snapshot: &Snapshot<'a>) -> Option<&'a [u8]> {
    snapshot
        .var(env_vars::HOME)
        .filter(|home| home.starts_with(b"/"))
}

/// The home directory of a user in the text of `/etc/passwd` (passwd(5): the third field is the id, the sixth the
/// directory).
pub(crate) fn passwd_home(passwd: &[u8], uid: u32) -> Option<&[u8]> {
    let uid = uid.to_string();
    passwd
        .split(|&byte| byte == b'\n')
        .find_map(|line| {
            let mut fields = line.split(|&byte| byte == b':');
            let matches = fields.nth(2)? == uid.as_bytes();
            matches.then(|| fields.nth(2)).flatten()
        })
        .filter(|home| home.starts_with(b"/"))
}
