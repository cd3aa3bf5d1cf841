//! Every key of a flavorpack manifest that is read, with what its tools and what this one make of it. The lists that
//! the reader goes by and the table of the documentation are the same.

/// One key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// As it is written.
    pub(crate) name: &'static str,
    /// What flavorpack 0.5.4 does with it.
    pub(crate) theirs: &'static str,
    /// What becomes of it here.
    pub(crate) ours: &'static str,
}

macro_rules! objects {
    ($($(#[$doc:meta])* $names:ident at $at:literal { $($name:literal: $theirs:literal => $ours:literal,)* })*) => {
        $(
            $(#[$doc])*
            pub(super) const $names: &[&str] = &[$($name),*];
        )*

        /// Each object: where it stands, and its keys.
        pub(crate) const OBJECTS: &[(&str, &[Key])] = &[
            $(($at, &[$(Key { name: $name, theirs: $theirs, ours: $ours }),*]),)*
        ];
    };
}

objects! {
    /// The top level.
    MANIFEST at "" {
        "package": "name and version" => "the same",
        "slots": "the content" => "the same",
        "execution": "the command" => "the same",
        "runtime": "rules for the environment" => "`[env]`",
        "workenv": "directories, and variables that only the Rust launcher sets" => "both are there",
        "setup_commands": "run once, after unpacking" => "`[[setup]]`, or content where nothing has to run; the slots are then not shared with other packages",
        "cache_validation": "looked at by each start, which unpacks again when it differs" => "checked once, after the setup commands; later starts go by the signed digest",
        "policy": "not read by the builders" => "signed, as `[policy]`",
        "signature": "written by `flavor pack`, not read by the builders" => "`[sign]`",
        "format": "not read; `PSPF/2025` is written" => "must be `PSPF/2025` where it is there",
    }
    /// `package`.
    PACKAGE at "package" {
        "name": "any text" => "must match `[a-z0-9][a-z0-9_-]*`: it names directories and files",
        "version": "any text" => "must match `[0-9A-Za-z][0-9A-Za-z.+_~-]*`",
        "description": "one line" => "the same",
        "license": "not read" => "signed",
        "homepage": "not read" => "signed",
        "authors": "not read" => "signed",
    }
    /// `slots[]`.
    SLOT at "slots[]" {
        "slot": "its number, refused when it is another" => "the same",
        "id": "any text" => "must match `[A-Za-z0-9_][A-Za-z0-9._-]*` and be unique",
        "source": "a file; relative to where the person is, `{workenv}/` to --workenv-base; directories are refused; `$SELF` builds a package that does not start" => "relative to the manifest, `{workenv}/` as there; directories work; `$SELF` is an error",
        "target": "the path of a file; not used for archives, which are unpacked into `{workenv}`" => "the same; for a directory the place of its content; must lie in the work environment",
        "operations": "`tar`, `gzip`, `tgz` (Go: also `tar.gz`); anything else stores the bytes as they are, in silence" => "what the source is: a file, a compressed file (gzip, zstd, xz, bzip2) or an archive (tar, tar.gz, tar.zst, tar.xz, tar.bz2); anything else is an error; stored compressed with Zstandard in any case",
        "purpose": "unknown ones become `payload`" => "unknown ones are an error; without it `data`",
        "lifecycle": "unknown ones become `runtime`; only `init` has an effect" => "unknown ones are an error; each has its effect",
        "permissions": "octal; 0600 without it, and where it is no number" => "octal, at most 0777, for a single file; without it those of the source",
        "resolution": "copied; no effect" => "must be `build`: sources are read when the package is built",
        "type": "written by `flavor pack`, not read by the builders" => "must be `file`, at a single file",
    }
    /// `execution`.
    EXECUTION at "execution" {
        "command": "placeholders are replaced, then it is parted at spaces; quotation marks of both kinds quote; no shell" => "parted first, so that paths with spaces work; a backslash that its launchers read differently is an error; a program without a path is looked for in the caller's PATH, through `/usr/bin/env`; a relative path is an error",
        "env": "set for the command; placeholders only with the Rust launcher" => "set, with placeholders",
        "environment": "the same as `env`, with the Go launcher only" => "the same as `env`; not both",
    }
    /// `runtime`.
    RUNTIME at "runtime" {
        "env": "the rules" => "the same",
    }
    /// `runtime.env`.
    RUNTIME_ENV at "runtime.env" {
        "unset": "names, with `*` at the end" => "names, with `*` and `?` anywhere",
        "pass": "names that stay" => "the same",
        "map": "old name, new name" => "the same",
        "set": "as written" => "placeholders are replaced",
    }
    /// `workenv`.
    WORKENV at "workenv" {
        "directories": "made when the package is unpacked" => "packed as directories, which the application can write to",
        "env": "set with the Rust launcher, not with the Go launcher" => "set, unless `runtime.env` or `execution` says otherwise",
    }
    /// `workenv.directories[]`.
    DIRECTORY at "workenv.directories[]" {
        "path": "the Rust launcher also makes absolute ones and ones with `..`" => "in the work environment, or an error",
        "mode": "octal; 0700 without it" => "the same, at most 0777",
    }
    /// `setup_commands[]`.
    SETUP at "setup_commands[]" {
        "type": "`execute`, `write_file`, `chmod`, `enumerate_and_execute`; others fail at the first start" => "others are an error when the package is built; a text is `execute`, as in the Go launcher",
        "command": "parted as `execution.command` (Rust), at spaces only (Go)" => "parted as `execution.command`",
        "path": "of `write_file` and `chmod`; the Rust launcher writes anywhere and changes no mode where it is a glob or missing" => "in the work environment, or an error; globs work in `chmod`; a missing file fails the first start",
        "content": "of `write_file`; placeholders are replaced" => "the same",
        "mode": "of `chmod`; not read for `write_file`" => "of both; 0644 without it for `write_file`",
        "enumerate": "the files of `enumerate_and_execute`: one call for each, with its path at the end" => "the same, through `/bin/sh`; a failing call fails the start",
        "env": "not read" => "set for `execute`",
        "cwd": "not read" => "the working directory of `execute`",
        "description": "for people" => "the same; not packed",
    }
    /// `setup_commands[].enumerate`.
    ENUMERATE at "setup_commands[].enumerate" {
        "path": "the directory" => "the same, in the work environment",
        "pattern": "a glob" => "a glob for names in that directory",
    }
    /// `cache_validation`.
    VALIDATION at "cache_validation" {
        "check_file": "its path" => "the same, in the work environment",
        "expected_content": "what it holds" => "the same; where a setup command writes just that, nothing is left to check",
    }
    /// `policy`.
    POLICY at "policy" {
        "platforms": "where it starts" => "the same; unknown ones are an error",
        "refuse_root": "whether root can start it" => "the same",
        "require_env": "variables that must be there" => "the same",
        "max_age_days": "by an unsigned time, from which 0 removes the limit" => "by the signed build time",
    }
    /// `signature`.
    SIGNATURE at "signature" {
        "private_key": "" => "a PEM file; --private-key and --key-seed win",
        "public_key": "" => "nothing to say: it follows from the private key",
    }
}
