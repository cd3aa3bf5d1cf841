//! Every environment variable that a starting package reads or sets.
//!
//! None of them weakens verification. [`TABLE`] is what the documentation is generated from.

/// Read: the cache directory, before every other candidate. Set for the application to the cache that is used.
pub const FLAVOR_CACHE: &str = "FLAVOR_CACHE";
/// Read: the command to start, by its name in the package. Never passed on, so that a package started by this one
/// chooses for itself.
pub const FLAVOR_COMMAND: &str = "FLAVOR_COMMAND";
/// Read: `1` makes the package answer about itself instead of starting. Never passed on.
pub const FLAVOR_LAUNCHER_CLI: &str = "FLAVOR_LAUNCHER_CLI";
/// Read: `1` extracts the slots that are there for development too.
pub const FLAVOR_DEV: &str = "FLAVOR_DEV";
/// Read: the cache directory of a systemd service (`CacheDirectory=`); the first of a list.
pub const CACHE_DIRECTORY: &str = "CACHE_DIRECTORY";
/// Read: `flavor` below it is a candidate for the cache.
pub const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
/// Read: `.cache/flavor` below it is a candidate for the cache; the log of a graphical session lies there. Where the
/// system has no policy, the user's is in `.config/flavor`.
pub const HOME: &str = "HOME";
/// Read where the system has no policy: the user's policy and trusted keys are in it.
pub const FLAVOR_CONFIG_DIR: &str = "FLAVOR_CONFIG_DIR";
/// Read where the system has no policy: the user's trusted keys.
pub const FLAVOR_TRUSTED_KEYS_DIR: &str = "FLAVOR_TRUSTED_KEYS_DIR";
/// Read where the system has no policy: the user's policy and trusted keys are in `flavor` below it.
pub const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// Read where there is neither `/proc` nor a path from the kernel: where `argv[0]` is searched.
pub const PATH: &str = "PATH";
/// Read when a start without a terminal fails or takes its time: an X display for a window.
pub const DISPLAY: &str = "DISPLAY";
/// Read likewise: a Wayland display.
pub const WAYLAND_DISPLAY: &str = "WAYLAND_DISPLAY";
/// Read likewise: `device:inode` of the journal's socket.
pub const JOURNAL_STREAM: &str = "JOURNAL_STREAM";
/// Read likewise: the process that systemd started, which gets no window.
pub const SYSTEMD_EXEC_PID: &str = "SYSTEMD_EXEC_PID";
/// Set: the directory with the package's files.
pub const FLAVOR_WORKENV: &str = "FLAVOR_WORKENV";
/// Set: the name of the command that was chosen; for the default command, the base name of the path below.
pub const FLAVOR_COMMAND_NAME: &str = "FLAVOR_COMMAND_NAME";
/// Set: the path of the package as the person named it.
pub const FLAVOR_ORIGINAL_COMMAND: &str = "FLAVOR_ORIGINAL_COMMAND";
/// Set: the name of the package.
pub const FLAVOR_PACKAGE: &str = "FLAVOR_PACKAGE";
/// Set: the version of the package.
pub const FLAVOR_VERSION: &str = "FLAVOR_VERSION";
/// Set: `linux`, `darwin` or `windows`.
pub const FLAVOR_OS: &str = "FLAVOR_OS";
/// Set: `amd64` or `arm64`.
pub const FLAVOR_ARCH: &str = "FLAVOR_ARCH";
/// Set: the two, as in `linux_amd64`.
pub const FLAVOR_PLATFORM: &str = "FLAVOR_PLATFORM";

/// What happens with a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The launcher reads it; the application gets it as it is.
    Read,
    /// The launcher reads it and removes it.
    Taken,
    /// The launcher sets it for the application.
    Set,
    /// The launcher reads it and sets it for the application.
    ReadAndSet,
}

/// One line of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What happens with it.
    pub usage: Use,
    /// What it means.
    pub meaning: &'static str,
}

/// Every variable, in the order of the documentation.
pub const TABLE: &[Variable] = &[
    line(
        FLAVOR_CACHE,
        Use::ReadAndSet,
        "the cache directory, before every other candidate; absolute",
    ),
    line(
        FLAVOR_COMMAND,
        Use::Taken,
        "the command to start, by its name in the package",
    ),
    line(
        FLAVOR_LAUNCHER_CLI,
        Use::Taken,
        "`1`: the package answers instead of starting; its first argument is `info`, `verify`, `metadata`, `extract`, `run`, `version` or `help`",
    ),
    line(
        FLAVOR_DEV,
        Use::Read,
        "`1` extracts the slots that are there for development too",
    ),
    line(
        CACHE_DIRECTORY,
        Use::Read,
        "the cache directory of a systemd service",
    ),
    line(XDG_CACHE_HOME, Use::Read, "the cache is `flavor` below it"),
    line(
        HOME,
        Use::Read,
        "the cache is `.cache/flavor` below it, this person's policy and trusted keys are in `.config/flavor`; messages that go to the log of a graphical session there are no reason against a window",
    ),
    line(
        FLAVOR_CONFIG_DIR,
        Use::Read,
        "the directory with this person's policy and trusted keys; absolute. Without effect where the system has a policy, as are the next two",
    ),
    line(
        XDG_CONFIG_HOME,
        Use::Read,
        "without the one above: they are in `flavor` below it",
    ),
    line(
        FLAVOR_TRUSTED_KEYS_DIR,
        Use::Read,
        "the directory with this person's trusted keys, in place of `trusted-keys` in the one above",
    ),
    line(
        PATH,
        Use::Read,
        "where the package is searched when the system does not tell its path",
    ),
    line(
        DISPLAY,
        Use::Read,
        "a display for windows, when a start without a terminal fails or takes its time",
    ),
    line(WAYLAND_DISPLAY, Use::Read, "the same"),
    line(
        JOURNAL_STREAM,
        Use::Read,
        "whether messages go to the journal, which is no reason against a window",
    ),
    line(
        SYSTEMD_EXEC_PID,
        Use::Read,
        "whether the package is a service, which gets no window",
    ),
    line(
        FLAVOR_WORKENV,
        Use::Set,
        "the directory with the package's files",
    ),
    line(
        FLAVOR_COMMAND_NAME,
        Use::Set,
        "the command that was chosen; for the default one, the name under which the package was started",
    ),
    line(
        FLAVOR_ORIGINAL_COMMAND,
        Use::Set,
        "the path of the package as it was named",
    ),
    line(FLAVOR_PACKAGE, Use::Set, "the name of the package"),
    line(FLAVOR_VERSION, Use::Set, "the version of the package"),
    line(FLAVOR_OS, Use::Set, "`linux`, `darwin` or `windows`"),
    line(FLAVOR_ARCH, Use::Set, "`amd64` or `arm64`"),
    line(FLAVOR_PLATFORM, Use::Set, "both, as in `linux_amd64`"),
];

const fn line(name: &'static str, usage: Use, meaning: &'static str) -> Variable {
    Variable {
        name,
        usage,
        meaning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_is_in_the_table() {
        let constants = include_str!("env_vars.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("pub const "))
            .filter_map(|line| line.split_once(": &str"))
            .map(|(name, _)| name);
        let table: Vec<_> = TABLE.iter().map(|variable| variable.name).collect();
        assert_eq!(constants.filter(|name| !table.contains(name)).count(), 0);
        assert_eq!(table.len(), 23);
    }
}
