//! Every environment variable that the `flavor` command itself reads; those of packages are in
//! [`psp_launcher::env_vars`].
//!
//! A variable that `--private-key env:NAME` names is read too.

/// The directory with this person's settings: `trusted-keys/*.pub` below it are trusted.
pub const FLAVOR_CONFIG_DIR: &str = "FLAVOR_CONFIG_DIR";
/// `flavor` below it holds this person's settings.
pub const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// `.config/flavor` below it holds this person's settings.
pub const HOME: &str = "HOME";
/// The time that a build signs, in Unix seconds.
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Every variable with its meaning, in the order of the documentation.
pub const TABLE: &[(&str, &str)] = &[
    (
        FLAVOR_CONFIG_DIR,
        "the directory with this person's settings: keys in `trusted-keys/*.pub` below it are trusted; absolute",
    ),
    (
        XDG_CONFIG_HOME,
        "without the one above: the settings are in `flavor` below it",
    ),
    (
        HOME,
        "without the two above: the settings are in `.config/flavor` below it",
    ),
    (
        SOURCE_DATE_EPOCH,
        "`pack`: the build time to sign and the time of every file, in seconds since 1970; without it no build time is signed",
    ),
    (
        "NO_COLOR",
        "when it is set and not empty, no colours with `--color auto`",
    ),
    ("CLICOLOR", "`0`: no colours with `--color auto`"),
    (
        "CLICOLOR_FORCE",
        "when it is set and not `0`, colours with `--color auto` even where there is no terminal",
    ),
];
