//! What transcripts do not show of `flavor trust` and `flavor policy`: modes of files, `/etc/flavor`, and hostile cases by
//! their number.

mod fixtures;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use psp_format::digest::Digest;

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

fn place() -> std::result::Result<tempfile::TempDir, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    fixtures::write(dir.path())?;
    Ok(dir)
}

fn flavor(dir: &Path, args: &[&str]) -> std::io::Result<Output> {
    in_words(&mut Command::new(env!("CARGO_BIN_EXE_flavor")), dir, args)
}

fn in_words(command: &mut Command, dir: &Path, args: &[&str]) -> std::io::Result<Output> {
    command
        .args(args)
        .current_dir(dir)
        .env("FLAVOR_CONFIG_DIR", dir.join("own"))
        .env("FLAVOR_CACHE", dir.join("cache"))
        .env("NO_COLOR", "1")
        .output()
}

/// On a host whose `/etc` is the directory `etc`.
fn on_host(dir: &Path, args: &[&str]) -> std::io::Result<Output> {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test mounts a directory: run it as root, as .ci/run does"
    );
    const SCRIPT: &str = "mount --bind \"$1\" /etc && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
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
        .arg(dir.join("etc"))
        .arg(env!("CARGO_BIN_EXE_flavor"));
    in_words(&mut command, dir, args)
}

fn assert_says(output: &Output, code: i32, parts: &[&str]) {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

fn mode(path: &Path) -> std::io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

/// The fingerprint in the index is that of a trusted key, and the key is another one.
///
/// outcome: refused (1)
/// layer: layout
/// message: is not what the signed metadata implies
#[test]
fn case_030_trust_is_asked_of_the_key_and_not_of_what_the_file_says() -> Result {
    let dir = place()?;
    assert_says(&flavor(dir.path(), &["trust", "add", "other.pub"])?, 0, &[]);
    let good = fs::read(dir.path().join("good.psp"))?;
    let other = fs::read_to_string(dir.path().join("other.pub"))?;
    let key = psp_launcher::trust::key_file::read(other.as_bytes());
    let other = key.map(|file| Digest::of(&file.key)).unwrap_or_default();
    let mut forged = good;
    let index = forged.len() - 8196;
    forged[index + 1376..index + 1440].copy_from_slice(&other.hex());
    // A checksum that fits: Adler-32 over the index with its own field zero.
    forged[index + 4..index + 8].fill(0);
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in &forged[index..index + 8192] {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    forged[index + 4..index + 8].copy_from_slice(&(b << 16 | a).to_le_bytes());
    fs::write(dir.path().join("forged.psp"), forged)?;
    for verb in [
        &["trust", "verify", "forged.psp"][..],
        &["verify", "forged.psp", "--require-trusted"],
        &["policy", "check", "forged.psp"],
    ] {
        let fact = "is not what the signed metadata implies";
        assert_says(&flavor(dir.path(), verb)?, 1, &[fact]);
    }
    Ok(())
}

/// Packing with an RSA, EC, encrypted or OpenSSH key, 64 raw bytes, or the public key of another one.
///
/// outcome: refused (2); no file is written
/// layer: build
/// message: an RSA key | no PEM block
#[test]
fn case_035_keys_that_cannot_sign() -> Result {
    let dir = place()?;
    let raw = [0x17_u8; 64];
    fs::write(dir.path().join("raw.key"), raw)?;
    for (key, part) in [
        ("rsa.key", "an RSA key"),
        ("ec.key", "an EC key"),
        ("encrypted.key", "an encrypted private key"),
        ("openssh.key", "an OpenSSH private key"),
        ("raw.key", "no PEM block"),
        ("test.pub", "a public key"),
        ("fifo", "a FIFO"),
        ("directory", "a directory"),
    ] {
        let args = [
            "pack",
            "project",
            "--private-key",
            key,
            "--output",
            "out.psp",
        ];
        assert_says(&flavor(dir.path(), &args)?, 2, &[part]);
        assert!(!dir.path().join("out.psp").exists(), "{key}");
    }
    // The public key is that of the private one; another one is refused.
    let args = [
        "pack",
        "project",
        "--private-key",
        "test.key",
        "--public-key",
        "other.pub",
        "--output",
        "out.psp",
    ];
    assert_says(&flavor(dir.path(), &args)?, 2, &["--public-key"]);
    assert!(!dir.path().join("out.psp").exists());
    Ok(())
}

#[test]
fn a_key_that_continues_a_trusted_one() -> Result {
    let dir = place()?;
    let old = psp_format::signature::PrivateKey::from_text_seed("somebody else");
    let pem = psp_format::keys::private_key_to_pem(&old)?;
    fs::write(dir.path().join("old.key"), pem.as_bytes())?;
    fs::set_permissions(
        dir.path().join("old.key"),
        fs::Permissions::from_mode(0o600),
    )?;
    let run = |args: &[&str]| flavor(dir.path(), args);
    assert_says(
        &run(&["trust", "add", "other.pub", "--packages", "sm*"])?,
        0,
        &[],
    );
    let args = ["trust", "rotate", "--old", "old.key", "--new", "test.pub"];
    assert_says(&run(&args)?, 0, &["test.succession"]);
    assert_says(&run(&["trust", "verify", "good.psp"])?, 1, &["not trusted"]);
    let store = dir.path().join("own/trusted-keys");
    fs::copy(
        dir.path().join("test.succession"),
        store.join("test.succession"),
    )?;
    let continues = format!("continues {}", old.public_key().fingerprint());
    assert_says(&run(&["trust", "verify", "good.psp"])?, 0, &[&continues]);
    assert_says(
        &run(&["verify", "good.psp", "--require-trusted"])?,
        0,
        &[&continues],
    );
    assert_says(&run(&["trust", "list"])?, 0, &[&continues]);
    assert_says(&run(&["trust", "revoke", "other.pub"])?, 0, &[]);
    assert_says(
        &run(&["trust", "verify", "good.psp"])?,
        1,
        &["which is revoked"],
    );
    Ok(())
}

#[test]
fn files_are_for_their_owner_to_write() -> Result {
    let dir = place()?;
    let own = dir.path().join("own");
    for args in [
        &["trust", "add", "test.pub", "--name", "x"][..],
        &["trust", "revoke", "other.pub"],
        &["policy", "init"],
    ] {
        assert_says(&flavor(dir.path(), args)?, 0, &[]);
    }
    assert_eq!(mode(&own)?, 0o700);
    assert_eq!(mode(&own.join("trusted-keys"))?, 0o700);
    for file in ["revoked-keys", "policy.json"] {
        assert_eq!(mode(&own.join(file))?, 0o644);
    }
    // Exactly what flavorpack writes for `--name x`, and under the name that it gives.
    let key = own.join("trusted-keys/c86c7a10fdd8209e.pub");
    let expected = format!(
        "# Name: x\n{}",
        fs::read_to_string(dir.path().join("test.pub"))?
    );
    assert_eq!(fs::read_to_string(key)?, expected);
    let left = fs::read_dir(own.join("trusted-keys"))?.count() + fs::read_dir(&own)?.count();
    assert_eq!(left, 4, "nothing half-written");
    Ok(())
}

#[test]
fn another_file_is_never_overwritten() -> Result {
    let dir = place()?;
    let store = dir.path().join("own/trusted-keys");
    fs::create_dir_all(&store)?;
    for dir in [&store, &dir.path().join("own")] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    }
    let taken = store.join("c86c7a10fdd8209e.pub");
    fs::copy(dir.path().join("other.pub"), &taken)?;
    let before = fs::read(&taken)?;
    assert_says(&flavor(dir.path(), &["trust", "add", "test.pub"])?, 0, &[]);
    assert_eq!(fs::read(&taken)?, before);
    assert_says(
        &flavor(dir.path(), &["trust", "verify", "good.psp"])?,
        0,
        &["trusted"],
    );
    // A store that others can write to is not written to either.
    fs::set_permissions(&store, fs::Permissions::from_mode(0o777))?;
    let refused = flavor(dir.path(), &["trust", "remove", "c86c7a10"])?;
    assert_says(&refused, 3, &["can be changed by others"]);
    Ok(())
}

#[test]
fn the_system_s_files_count_for_everybody() -> Result {
    let dir = place()?;
    fs::create_dir(dir.path().join("etc"))?;
    fs::write(dir.path().join("etc/passwd"), "")?;
    let run = |args: &[&str]| on_host(dir.path(), args);
    assert_says(
        &run(&["policy", "init", "--global"])?,
        0,
        &["/etc/flavor/policy.json"],
    );
    assert_says(
        &run(&["trust", "add", "test.pub", "--global"])?,
        0,
        &["/etc/flavor/trusted-keys"],
    );
    let flavor = dir.path().join("etc/flavor");
    assert_eq!(mode(&flavor)?, 0o755);
    assert_eq!(mode(&flavor.join("trusted-keys"))?, 0o755);
    assert_says(&run(&["trust", "verify", "good.psp"])?, 0, &["trusted"]);
    // The system has a policy, so the variable says nothing, and there is no home in the passwd file.
    let own = run(&["trust", "add", "other.pub"])?;
    assert_says(&own, 3, &["no directory for this user's settings"]);
    assert!(!dir.path().join("own").exists());
    let home = dir.path().join("home").display().to_string();
    fs::write(
        dir.path().join("etc/passwd"),
        format!("root:x:0:0::{home}:/bin/sh\n"),
    )?;
    fs::write(
        flavor.join("policy.json"),
        "{\"version\":1,\"trust\":{\"require_trusted_key\":true}}",
    )?;
    let added = run(&["trust", "add", "other.pub"])?;
    assert_says(
        &added,
        0,
        &["only those in /etc/flavor/trusted-keys count", &home],
    );
    assert_says(&run(&["trust", "list"])?, 0, &["not counted"]);
    assert_says(
        &run(&["policy", "check", "good.psp"])?,
        0,
        &["it starts here"],
    );
    assert_says(&run(&["trust", "remove", "c86c7a10", "--global"])?, 0, &[]);
    assert_says(
        &run(&["policy", "check", "good.psp"])?,
        1,
        &["it does not start here"],
    );
    assert_says(
        &run(&["run", "good.psp"])?,
        125,
        &["is not trusted here, nobody is"],
    );
    // Trust that is given on the command line is an answer to a question of that line only.
    let args = [
        "run",
        "good.psp",
        "--trusted-key",
        "test.pub",
        "--require-trusted",
    ];
    assert_says(&run(&args)?, 125, &["/etc/flavor/policy.json"]);
    Ok(())
}
