//! Gathers the launcher stubs that `flavor` embeds.
//!
//! Taken are the stubs that `scripts/stubs` has made from the present sources. Where the one of the target that
//! `flavor` itself is built for is missing, it is built here with the toolchain at hand: larger, but always there, so
//! that a plain `cargo build` gives a `flavor` that can pack. Either way it is the launcher in its own profile, in
//! debug builds too: tests are to meet the real thing.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One stub, copied into `OUT_DIR` as `TARGET.stub`.
struct Found {
    target: String,
    libc: String,
}

fn main() -> Result<()> {
    let workspace = PathBuf::from(variable("CARGO_MANIFEST_DIR")?)
        .join("..")
        .canonicalize()?;
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let stubs_dir =
        workspace.join(env::var_os("FLAVOR_STUBS_DIR").unwrap_or_else(|| "target/stubs".into()));
    watch(&workspace, &stubs_dir);

    let host = target_name(
        &variable("CARGO_CFG_TARGET_OS")?,
        &variable("CARGO_CFG_TARGET_ARCH")?,
    );
    let mut stubs = current_stubs(&workspace, &stubs_dir, &out_dir)?;
    if host.starts_with("linux_") && !stubs.iter().any(|stub| stub.target == host) {
        stubs.push(build(&workspace, &out_dir, &host)?);
    }
    stubs.sort_by(|a, b| a.target.cmp(&b.target));
    fs::write(out_dir.join("stubs.rs"), table(&host, &stubs)?)?;
    Ok(())
}

/// The format's name of a target, from what Rust calls its parts.
fn target_name(os: &str, arch: &str) -> String {
    let os = if os == "macos" { "darwin" } else { os };
    let arch = match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{os}_{arch}")
}

/// Everything that decides what the stubs are; the same list as the key of `scripts/stubs`.
fn watch(workspace: &Path, stubs_dir: &Path) {
    println!("cargo::rerun-if-env-changed=FLAVOR_STUBS_DIR");
    println!("cargo::rerun-if-changed=build.rs");
    for path in [
        "Cargo.toml",
        "Cargo.lock",
        "scripts/stubs",
        "launcher/Cargo.toml",
        "launcher/src",
        "launcher/build.rs",
        "format-spec/Cargo.toml",
        "format-spec/src",
        "format-spec/build.rs",
    ] {
        let path = workspace.join(path);
        // A watched path that is missing counts as changed in every build.
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    // For the same reason the directory of stubs is made when missing, and made to look old: cargo takes what is newer
    // than the start of this script for a change. Where it cannot be made, its appearance goes unnoticed: no harm.
    if !stubs_dir.exists() && fs::create_dir_all(stubs_dir).is_ok() {
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        if let Ok(dir) = fs::File::open(stubs_dir) {
            let _ = dir.set_modified(past);
        }
    }
    if stubs_dir.exists() {
        println!("cargo::rerun-if-changed={}", stubs_dir.display());
    }
}

/// Copies the stubs that were made from the present sources, and says which others there are.
fn current_stubs(workspace: &Path, stubs_dir: &Path, out_dir: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut key = None;
    for (target, facts) in recorded_stubs(stubs_dir)? {
        let key = match &key {
            Some(key) => key,
            None => key.insert(source_key(workspace)),
        };
        let stale = match key {
            Ok(key) => {
                (field(&facts, "key") != Some(key)).then(|| "older than its sources".to_owned())
            }
            Err(error) => Some(format!("of unknown age ({error})")),
        };
        if let Some(reason) = stale {
            println!(
                "cargo::warning=the stub for {target} is {reason} and is not embedded; renew it with: scripts/stubs {target}"
            );
            continue;
        }
        let libc = field(&facts, "libc")
            .ok_or_else(|| format!("the stub.json of {target} names no libc"))?;
        let bytes = fs::read(stubs_dir.join(&target).join("psp-stub"))?;
        if field(&facts, "size") != Some(bytes.len().to_string().as_str()) {
            return Err(format!(
                "the stub for {target} has {} bytes, not what its stub.json says; renew it with: scripts/stubs --force {target}",
                bytes.len()
            )
            .into());
        }
        fs::write(out_dir.join(format!("{target}.stub")), bytes)?;
        found.push(Found {
            libc: libc.to_owned(),
            target,
        });
    }
    Ok(found)
}

/// Target and `stub.json` of every complete stub, by name.
fn recorded_stubs(stubs_dir: &Path) -> Result<Vec<(String, String)>> {
    let entries = match fs::read_dir(stubs_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut recorded = Vec::new();
    for entry in entries {
        let entry = entry?;
        // A stub that is being replaced has no stub.json.
        let Ok(facts) = fs::read_to_string(entry.path().join("stub.json")) else {
            continue;
        };
        if let Some(target) =
            field(&facts, "target").filter(|target| entry.file_name() == OsStr::new(target))
        {
            recorded.push((target.to_owned(), facts));
        }
    }
    recorded.sort();
    Ok(recorded)
}

/// The value of a string or number in a `stub.json`, which `scripts/stubs` writes with one on each line.
fn field<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    json.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        let value = value.trim().trim_end_matches(',').trim_matches('"');
        (key.trim().trim_matches('"') == name).then_some(value)
    })
}

/// The digest of the stub's sources. Asked of the script, so that there is one definition of it.
fn source_key(workspace: &Path) -> Result<String> {
    let output = Command::new("bash")
        .arg(workspace.join("scripts/stubs"))
        .arg("--key")
        .output()?;
    if !output.status.success() {
        return Err(format!("scripts/stubs --key: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Builds the stub of the target that `flavor` is built for, with the same cargo and compiler.
fn build(workspace: &Path, out_dir: &Path, target: &str) -> Result<Found> {
    let triple = variable("TARGET")?;
    // A directory of its own: the outer cargo holds the lock of the usual one until this script has ended.
    let target_dir = out_dir.join("stub-target");
    // Static, as a package runs where no library can be counted on. The choices of code are those of `scripts/stubs`,
    // with the reasons there.
    let rustflags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        "-Cforce-unwind-tables=no".to_owned(),
        "--cfg=curve25519_dalek_backend=\"serial\"".to_owned(),
        "--cfg=sha2_backend_soft=\"compact\"".to_owned(),
        format!("--remap-path-prefix={}=/flavor", workspace.display()),
        format!("--remap-path-prefix={}=/cargo", cargo_home().display()),
    ];

    let mut cargo = Command::new(variable("CARGO")?);
    for (name, _) in env::vars_os().filter(|(name, _)| is_about_this_build(name)) {
        cargo.env_remove(name);
    }
    cargo
        .current_dir(workspace)
        .args([
            "build",
            "--locked",
            "--profile",
            "stub",
            "--package",
            "psp-launcher",
            "--bin",
            "psp-stub",
        ])
        .args(["--target", &triple])
        .arg("--target-dir")
        .arg(&target_dir)
        // Separated by 0x1f, so that a path may hold a space.
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags.join("\x1f"))
        .env(
            format!("CFLAGS_{}", triple.replace('-', "_")),
            "-DZSTD_FORCE_DECOMPRESS_SEQUENCES_SHORT=1 -DDYNAMIC_BMI2=0 -DHUF_FORCE_DECOMPRESS_X1=1",
        )
        // This script's own output is a protocol with cargo.
        .stdout(Stdio::null());
    let status = cargo.status()?;
    if !status.success() {
        return Err(format!(
            "the launcher for {target} could not be built as a static executable ({status}); \
             a static C library is needed (libc.a, in Debian's libc6-dev), or a stub made by: scripts/stubs {target}"
        )
        .into());
    }
    fs::copy(
        target_dir.join(&triple).join("stub/psp-stub"),
        out_dir.join(format!("{target}.stub")),
    )?;
    let libc = if variable("CARGO_CFG_TARGET_ENV")? == "musl" {
        "musl"
    } else {
        "glibc"
    };
    Ok(Found {
        target: target.to_owned(),
        libc: libc.to_owned(),
    })
}

/// Where cargo keeps the sources of dependencies; the launcher is not to carry the path in its panic texts.
fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| env::home_dir().unwrap_or_default().join(".cargo"))
}

/// Whether a variable speaks of the outer build: its flags and profiles, a wrapper such as clippy's, the package that is
/// being built. None of that may reach the launcher; where crates come from and how many jobs may run still does.
fn is_about_this_build(name: &OsStr) -> bool {
    const NAMES: [&str; 9] = [
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_DIR",
        "CLIPPY_ARGS",
        "CLIPPY_CONF_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTFLAGS",
    ];
    const PREFIXES: [&str; 7] = [
        "CARGO_BUILD_",
        "CARGO_CFG_",
        "CARGO_FEATURE_",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "DEP_",
    ];
    name.to_str().is_some_and(|name| {
        NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// The source of `stubs.rs` in `OUT_DIR`, which `src/stubs.rs` includes. The files it names lie beside it.
fn table(host: &str, stubs: &[Found]) -> Result<String> {
    let mut source = format!("const HOST_TARGET: &str = {host:?};\nstatic STUBS: &[Stub] = &[\n");
    for Found { target, libc } in stubs {
        let file = format!("{target}.stub");
        writeln!(
            source,
            "    Stub {{ target: {target:?}, libc: {libc:?}, bytes: include_bytes!({file:?}) }},"
        )?;
    }
    source.push_str("];\n");
    Ok(source)
}

fn variable(name: &str) -> Result<String> {
    env::var(name).map_err(|error| format!("{name}: {error}").into())
}
