//! Every environment variable that the `flavor` command itself reads; those of packages are in
//! [`psp_launcher::env_vars`].
//!
//! A variable that `--private-key env:NAME` names is read too. Those that say where trusted keys and policies are
//! stand with those of packages: both look at the same files.

/// The time that a build signs, in Unix seconds.
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The passphrase of a private key that is encrypted.
pub const FLAVOR_KEY_PASSPHRASE: &str = "FLAVOR_KEY_PASSPHRASE";

/// Every variable with its meaning, in the order of the documentation.
pub const TABLE: &[(&str, &str)] = &[
    (
        SOURCE_DATE_EPOCH,
        "`pack`: the build time to sign and the time of every file, in seconds since 1970; without it no build time is signed",
    ),
    (
        FLAVOR_KEY_PASSPHRASE,
        "the passphrase of the private key, where it is encrypted or `keygen --passphrase` makes one that is; without it, the terminal is asked",
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
