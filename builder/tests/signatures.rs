//! Several signatures on one package, and statements about keys: what transcripts do not show.

mod fixtures;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use psp_format::layout::{RawIndex, SignedBy};
use psp_format::range::widen;
use psp_format::signature::{PrivateKey, PublicKey};
use psp_format::{encode, succession, verify};
use serde_json::Value;

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

fn flavor(dir: &Path, args: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_flavor"))
        .current_dir(dir)
        .args(args)
        .env("FLAVOR_CONFIG_DIR", "/nonexistent")
        .env("FLAVOR_CACHE", dir.join("cache"))
        .output()
}

fn place() -> std::result::Result<tempfile::TempDir, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    fixtures::write(dir.path())?;
    Ok(dir)
}

fn other() -> PublicKey {
    PrivateKey::from_text_seed("somebody else").public_key()
}

/// Changes the index of a package and computes its checksum anew, as anybody can.
fn edited(
    package: &[u8],
    edit: impl FnOnce(&mut RawIndex),
) -> std::result::Result<Vec<u8>, psp_format::Error> {
    let mut index = RawIndex::from_bytes(verify::locate_bytes(package)?.index).clone();
    edit(&mut index);
    index.index_checksum = index.checksum().into();
    Ok([&package[..package.len() - 8200], &encode::trailer(&index)].concat())
}

#[test]
fn the_order_of_signing_changes_nothing_but_who_is_first() -> Result {
    let dir = place()?;
    let path = |name: &str| dir.path().join(name);
    fs::set_permissions(path("good.psp"), fs::Permissions::from_mode(0o751))?;
    for (name, keys) in [
        ("a.psp", ["other.key", "third.key"]),
        ("b.psp", ["third.key", "other.key"]),
    ] {
        fs::copy(path("good.psp"), path(name))?;
        for key in keys {
            let done = flavor(dir.path(), &["sign", name, "--add", "--private-key", key])?;
            assert!(
                done.status.success(),
                "{}",
                String::from_utf8_lossy(&done.stderr)
            );
        }
        assert_eq!(
            fs::metadata(path(name))?.permissions().mode() & 0o777,
            0o751
        );
    }
    let (a, b) = (fs::read(path("a.psp"))?, fs::read(path("b.psp"))?);
    assert!(a == b);
    let (good, expected) = (fs::read(path("good.psp"))?, ["somebody else", "a third"]);
    assert!(a == fixtures::signed_by(&good, &expected)?);
    assert!(a[..a.len() - 8200] == good[..good.len() - 8200]);
    Ok(())
}

#[test]
fn what_is_not_added_leaves_the_package_as_it_was() -> Result {
    let dir = place()?;
    let names = || -> std::io::Result<usize> { Ok(fs::read_dir(dir.path())?.count()) };
    let before = names()?;
    let seeds: Vec<String> = (0..16).map(|nth| format!("signer {nth}")).collect();
    let seeds: Vec<&str> = seeds.iter().map(String::as_str).collect();
    let good = fs::read(dir.path().join("good.psp"))?;
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let end = good.len();
    for (what, package) in [
        ("full", fixtures::signed_by(&good, &seeds)?),
        (
            "signed by this key",
            fixtures::signed_by(&good, &["somebody else"])?,
        ),
        ("launcher", flipped(100)),
        ("slot", flipped(1600)),
        ("signature", flipped(end - 8200 + 4 + 130)),
        ("record", flipped(end - 4 - 8192 + 1600)),
        ("end", flipped(end - 1)),
    ] {
        let path = dir.path().join("good.psp");
        fs::write(&path, &package)?;
        let refused = flavor(
            dir.path(),
            &["sign", "good.psp", "--add", "--private-key", "other.key"],
        )?;
        assert_eq!(refused.status.code(), Some(1), "{what}");
        assert!(fs::read(&path)? == package, "{what}");
        assert_eq!(names()?, before, "{what}");
    }
    Ok(())
}

/// M14: whoever holds the file can add a signature, take one away and choose which is the first. None of it makes a
/// package trusted that was not, and only taking a trusted one away makes one untrusted.
#[test]
fn trust_counts_trusted_signers_wherever_they_stand() -> Result {
    let dir = place()?;
    let good = fs::read(dir.path().join("good.psp"))?;
    let two = fixtures::signed_by(&good, &["somebody else"])?;
    let swapped = edited(&two, |index| {
        let first = SignedBy {
            public_key: index.public_key,
            signature: index.signature[..64].try_into().unwrap_or([0; 64]),
        };
        let record = std::mem::replace(&mut index.signed_by[0], first);
        index.public_key = record.public_key;
        index.attestation_key_fp = other().fingerprint().hex();
        index.signature[..64].copy_from_slice(&record.signature);
    })?;
    let crowd = fixtures::signed_by(&good, &["thief 1", "thief 2", "thief 3"])?;
    let by_thief_first = fixtures::signed_by(&good, &["thief 1"])?;
    // Trusted keys, threshold, whether there are enough, for each package.
    for (name, package, trusted, threshold, expected) in [
        ("one", &good, &["test.pub"][..], "1", true),
        ("one", &good, &["test.pub", "other.pub"], "2", false),
        ("two", &two, &["test.pub", "other.pub"], "2", true),
        ("two", &two, &["test.pub", "test.pub"], "2", false),
        ("two", &two, &["other.pub"], "1", true),
        ("two", &two, &["other.pub", "third.pub"], "2", false),
        ("swapped", &swapped, &["test.pub", "other.pub"], "2", true),
        ("swapped", &swapped, &["test.pub"], "1", true),
        ("swapped", &swapped, &["third.pub"], "1", false),
        ("crowd", &crowd, &["test.pub"], "2", false),
        ("crowd", &crowd, &["other.pub"], "1", false),
        ("thief", &by_thief_first, &["test.pub"], "1", true),
    ] {
        fs::write(dir.path().join("asked.psp"), package)?;
        let mut args = vec!["asked.psp", "--threshold", threshold];
        trusted
            .iter()
            .for_each(|key| args.extend(["--trusted-key", key]));
        let verdict = flavor(dir.path(), &[&["verify", "--json"][..], &args].concat())?;
        let case = format!("{name}, {trusted:?}, {threshold}");
        assert_eq!(verdict.status.code(), Some(i32::from(!expected)), "{case}");
        let verdict: Value = serde_json::from_slice(&verdict.stdout)?;
        assert_eq!(verdict["valid"], true, "{case}");
        assert_eq!(verdict["trusted"], expected, "{case}");
        let started = flavor(dir.path(), &[&["run"][..], &args].concat())?;
        let code = if expected { 0 } else { 125 };
        assert_eq!(started.status.code(), Some(code), "{case}");
        assert_eq!(started.stdout == b"hello\n", expected, "{case}");
    }
    Ok(())
}

#[test]
fn every_signer_is_in_the_reports() -> Result {
    let dir = place()?;
    for verb in ["verify", "inspect"] {
        let said = flavor(dir.path(), &[verb, "two-signers.psp", "--json"])?;
        let said: Value = serde_json::from_slice(&said.stdout)?;
        let signers = said["signers"].as_array().map(Vec::as_slice);
        let signers = signers.unwrap_or_default();
        let expected = [fixtures::key().public_key(), other()];
        assert_eq!(signers.len(), 2);
        for (signer, key) in signers.iter().zip(expected) {
            assert_eq!(signer["fingerprint"], key.fingerprint().to_string());
            assert_eq!(signer["trusted"], false);
        }
        assert_eq!(said["signer"], signers[0]);
    }
    let listing = flavor(dir.path(), &["inspect", "two-signers.psp", "--dump"])?;
    let listing = String::from_utf8(listing.stdout)?;
    assert!(listing.contains("index.signed_by_count                     1\n"));
    assert!(listing.contains("index.signed_by[0].public_key "));
    assert!(!listing.contains("index.signed_by[1]"));
    Ok(())
}

#[test]
fn a_statement_is_what_the_library_reads() -> Result {
    let dir = place()?;
    let path = dir.path().join("next.succession");
    let args = [
        "trust",
        "rotate",
        "--old",
        "test.key",
        "--new",
        "other.pub",
        "-o",
        "next.succession",
    ];
    assert!(flavor(dir.path(), &args)?.status.success());
    let text = fs::read(&path)?;
    assert_eq!(widen(text.len()), widen(succession::STATEMENT_SIZE));
    let statement = succession::read(&text)?;
    assert_eq!(statement.old_key(), &fixtures::key().public_key());
    assert_eq!(statement.new_key(), &other());
    assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o644);
    // Never overwritten, whatever it is: a file, a link to nowhere.
    assert_eq!(flavor(dir.path(), &args)?.status.code(), Some(2));
    assert!(fs::read(&path)? == text);
    fs::remove_file(&path)?;
    std::os::unix::fs::symlink("nowhere", &path)?;
    assert_eq!(flavor(dir.path(), &args)?.status.code(), Some(2));
    assert!(!dir.path().join("nowhere").exists());
    Ok(())
}

/// A core dump of a process that holds a private key would hold it, too.
#[test]
fn keys_are_in_no_core_dump() -> Result {
    let dir = place()?;
    fs::copy(dir.path().join("good.psp"), dir.path().join("again.psp"))?;
    for args in [
        &["sign", "again.psp", "--add", "--private-key", "other.key"][..],
        &["keygen", "--name", "new"],
    ] {
        let output = Command::new("strace")
            .args([
                "-f",
                "-e",
                "trace=prctl,openat,getrandom",
                env!("CARGO_BIN_EXE_flavor"),
            ])
            .args(args)
            .current_dir(dir.path())
            .env("FLAVOR_CONFIG_DIR", "/nonexistent")
            .output()
            .map_err(|error| format!("strace: {error}; apt-get install strace"))?;
        assert!(output.status.success(), "{output:?}");
        let trace = String::from_utf8_lossy(&output.stderr).into_owned();
        let guarded = trace.find("PR_SET_DUMPABLE, SUID_DUMP_DISABLE");
        let guarded = guarded.ok_or_else(|| format!("no guard: {trace}"))?;
        // The key of `sign` comes out of a file, that of `keygen` out of the kernel's randomness.
        let source = if args[0] == "sign" {
            "other.key"
        } else {
            "getrandom("
        };
        let key = trace.rfind(source).ok_or("the key comes from nowhere")?;
        assert!(guarded < key, "{trace}");
    }
    Ok(())
}
