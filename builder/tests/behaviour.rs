//! What transcripts do not show: modes of files, what is left behind, closed pipes, whole documents.

mod fixtures;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

fn flavor(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flavor"));
    command
        .current_dir(dir)
        .args(args)
        .env("FLAVOR_CONFIG_DIR", "/nonexistent")
        .env("FLAVOR_CACHE", dir.join("cache"));
    command
}

fn output(dir: &Path, args: &[&str]) -> std::io::Result<Output> {
    flavor(dir, args).output()
}

fn place() -> std::result::Result<tempfile::TempDir, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    fixtures::write(dir.path())?;
    Ok(dir)
}

fn names(dir: &Path) -> std::io::Result<Vec<String>> {
    let entries = fs::read_dir(dir)?.flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

#[test]
fn a_failed_verb_leaves_nothing_behind() -> Result {
    let dir = place()?;
    let before = names(dir.path())?;
    for args in [
        &["extract-all", "bad-slot.psp", "out"][..],
        &["extract-all", "bad-contents.psp", "out"],
        &["extract", "bad-slot.psp", "note", "out"],
        &[
            "sign",
            "good.psp",
            "--private-key",
            "test.key",
            "--output",
            "out",
        ],
        &[
            "sign",
            "truncated.psp",
            "--private-key",
            "test.key",
            "--output",
            "out",
        ],
        &[
            "pack",
            "project",
            "--private-key",
            "rsa.key",
            "--output",
            "out",
        ],
        &["keygen", "--name", "test"],
    ] {
        assert!(!output(dir.path(), args)?.status.success(), "{args:?}");
        assert_eq!(names(dir.path())?, before, "{args:?}");
    }
    Ok(())
}

#[test]
fn a_replaced_directory_is_replaced_whole_or_not_at_all() -> Result {
    let dir = place()?;
    let full = dir.path().join("full");
    let refused = output(
        dir.path(),
        &["extract-all", "bad-slot.psp", "full", "--force"],
    )?;
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(names(&full)?, ["of"]);
    let done = output(dir.path(), &["extract-all", "good.psp", "full", "--force"])?;
    assert!(done.status.success());
    assert_eq!(names(&full)?, ["app", "doc"]);
    assert_eq!(fs::read(full.join("doc/note.txt"))?, b"hello\n");
    let mode = |path: &str| {
        Ok::<_, std::io::Error>(fs::metadata(full.join(path))?.permissions().mode() & 0o777)
    };
    assert_eq!(
        (mode("app/bin/run")?, mode("doc/note.txt")?),
        (0o755, 0o644)
    );
    Ok(())
}

#[test]
fn keys_are_private_and_belong_together() -> Result {
    let dir = tempfile::tempdir()?;
    let keys = dir.path().join("new");
    let made = output(dir.path(), &["keygen", "--out-dir", "new", "--json"])?;
    assert!(made.status.success());
    let mode = |name: &str| {
        Ok::<_, std::io::Error>(fs::metadata(keys.join(name))?.permissions().mode() & 0o777)
    };
    assert_eq!(
        (mode("flavor-signing.key")?, mode("flavor-signing.pub")?),
        (0o600, 0o644)
    );
    assert_eq!(names(&keys)?, ["flavor-signing.key", "flavor-signing.pub"]);
    let private = fs::read_to_string(keys.join("flavor-signing.key"))?;
    let public = fs::read_to_string(keys.join("flavor-signing.pub"))?;
    let key = psp_format::keys::private_key_from_pem(&private)?.public_key();
    assert_eq!(psp_format::keys::public_key_from_pem(&public)?, key);
    let said: serde_json::Value = serde_json::from_slice(&made.stdout)?;
    assert_eq!(said["fingerprint"], key.fingerprint().to_string());
    // One half is there: neither is written.
    fs::remove_file(keys.join("flavor-signing.key"))?;
    assert_eq!(
        output(dir.path(), &["keygen", "--out-dir", "new"])?
            .status
            .code(),
        Some(2)
    );
    assert_eq!(names(&keys)?, ["flavor-signing.pub"]);
    Ok(())
}

#[test]
fn a_signature_changes_the_trailer_only() -> Result {
    let dir = place()?;
    let (unsigned, good) = (dir.path().join("unsigned.psp"), dir.path().join("good.psp"));
    fs::set_permissions(&unsigned, fs::Permissions::from_mode(0o751))?;
    let done = output(
        dir.path(),
        &["sign", "unsigned.psp", "--private-key", "test.key"],
    )?;
    assert!(done.status.success());
    assert!(fs::read(&unsigned)? == fs::read(good)?);
    assert_eq!(fs::metadata(unsigned)?.permissions().mode() & 0o777, 0o751);
    Ok(())
}

#[test]
fn what_is_signed_is_checked() -> Result {
    let dir = place()?;
    let good = fs::read(dir.path().join("unsigned.psp"))?;
    let wrong = dir.path().join("wrong.psp");
    for at in [
        100,
        170,
        1500,
        1600,
        good.len() - 8210,
        good.len() - 8000,
        good.len() - 100,
    ] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&wrong, &bytes)?;
        let refused = output(
            dir.path(),
            &["sign", "wrong.psp", "--private-key", "test.key"],
        )?;
        assert_eq!(refused.status.code(), Some(1), "byte {at}");
        assert!(fs::read(&wrong)? == bytes);
    }
    Ok(())
}

#[test]
fn no_byte_can_change_unnoticed() -> Result {
    let dir = place()?;
    let good = fs::read(dir.path().join("good.psp"))?;
    let wrong = dir.path().join("wrong.psp");
    for at in (0..good.len()).step_by(97) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x80;
        fs::write(&wrong, &bytes)?;
        let verdict = output(dir.path(), &["verify", "wrong.psp", "--json"])?;
        assert_eq!(verdict.status.code(), Some(1), "byte {at}");
        let verdict: serde_json::Value = serde_json::from_slice(&verdict.stdout)?;
        assert_eq!(
            (&verdict["valid"], &verdict["trusted"]),
            (&false.into(), &serde_json::Value::Null)
        );
    }
    Ok(())
}

#[test]
fn json_is_one_document_and_nothing_else() -> Result {
    let dir = place()?;
    for args in [
        &["verify", "good.psp"][..],
        &["verify", "truncated.psp"],
        &["verify", "fifo"],
        &["verify", "good.psp", "--trusted-key", "rsa.key"],
        &["inspect", "good.psp", "--files"],
        &["inspect", "good.psp", "--dump"],
        &["inspect", "bad-signature.psp", "--dump"],
        &["inspect", "bad-slot.psp", "--files"],
        &["extract-all", "good.psp", "out"],
        &["extract", "good.psp", "none", "out"],
        &["cache", "list"],
        &["cache", "info"],
        &["cache", "warm", "good.psp"],
        &["cache", "list"],
        &["cache", "info"],
        &["cache", "info", "small"],
        &["cache", "verify", "good.psp"],
        &["cache", "prune"],
        &["cache", "remove", "none"],
        &["cache", "remove", "small", "--dry-run"],
        &["cache", "remove", "small"],
        &["keygen", "--name", "k"],
        &["sign", "unsigned.psp", "--private-key", "test.key"],
        &["pack", "project", "--key-seed", "x"],
        &["pack", "directory"],
        &["pack", "--level", "x"],
        &["verify"],
    ] {
        let args = [args, &["--json"]].concat();
        let output = output(dir.path(), &args)?;
        let document: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        if let Some(error) = document.get("error") {
            assert_eq!(
                error["code"],
                output.status.code().unwrap_or(-1),
                "{args:?}"
            );
            assert!(
                error["message"].is_string() && error["help"].is_string(),
                "{args:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_dump_lists_every_byte() -> Result {
    let dir = place()?;
    let size = fs::metadata(dir.path().join("good.psp"))?.len();
    let output = output(dir.path(), &["inspect", "good.psp", "--dump", "--json"])?;
    let document: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let mut at = 0;
    for line in document["dump"].as_array().into_iter().flatten() {
        assert_eq!(line["offset"], at);
        at += line["size"].as_u64().unwrap_or(0);
    }
    assert_eq!(at, size);
    Ok(())
}

#[test]
fn closed_and_full_outputs() -> Result {
    let dir = place()?;
    // A reader that is gone before the first byte is written.
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut verify = flavor(dir.path(), &["verify", "good.psp"]);
    let output = verify.stdout(writer).stderr(Stdio::piped()).output()?;
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
    );
    let full = fs::OpenOptions::new().write(true).open("/dev/full")?;
    let output = flavor(dir.path(), &["verify", "good.psp"])
        .stdout(full)
        .output()?;
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.starts_with("error: cannot write to standard output: "),
        "{text}"
    );
    Ok(())
}

#[test]
fn no_colour_where_nobody_sees_it() -> Result {
    let dir = place()?;
    let plain = output(dir.path(), &["verify", "good.psp"])?;
    assert!(!plain.stdout.contains(&0x1b));
    let forced = output(dir.path(), &["verify", "good.psp", "--color", "always"])?;
    assert!(forced.stdout.contains(&0x1b));
    let mut never = flavor(dir.path(), &["verify", "good.psp", "--color", "never"]);
    assert!(
        !never
            .env("CLICOLOR_FORCE", "1")
            .output()?
            .stdout
            .contains(&0x1b)
    );
    Ok(())
}

#[test]
fn secrets_are_never_printed() -> Result {
    let dir = place()?;
    let secret = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    fs::write(dir.path().join("broken.key"), secret)?;
    for name in ["broken.key", "env:SECRET"] {
        let args = ["sign", "unsigned.psp", "--verbose", "--private-key", name];
        let output = flavor(dir.path(), &args).env("SECRET", secret).output()?;
        assert_eq!(output.status.code(), Some(2));
        let said = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&said).contains("c2VjcmV0"));
    }
    Ok(())
}

#[test]
fn slots_for_other_launchers_are_read() -> Result {
    let dir = place()?;
    let tree = fixtures::small_tree();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&tree)?;
    let stored = gzip.finish()?;
    fs::write(
        dir.path().join("gzip.psp"),
        fixtures::gzip_package(&stored, tree.len())?,
    )?;
    let verdict = output(dir.path(), &["verify", "gzip.psp"])?;
    assert!(
        verdict.status.success(),
        "{}",
        String::from_utf8_lossy(&verdict.stdout)
    );
    let done = output(dir.path(), &["extract-all", "gzip.psp", "out"])?;
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert_eq!(
        fs::read(dir.path().join("out/app/bin/run"))?,
        b"#!/bin/sh\necho hello\n"
    );
    let longer = [&stored[..], b"x"].concat();
    fs::write(
        dir.path().join("gzip.psp"),
        fixtures::gzip_package(&longer, tree.len())?,
    )?;
    assert_eq!(
        output(dir.path(), &["verify", "gzip.psp"])?.status.code(),
        Some(1)
    );
    Ok(())
}

#[test]
fn a_package_runs_without_its_launcher() -> Result {
    let dir = place()?;
    let args = [
        "run",
        "good.psp",
        "--trusted-key",
        "test.pub",
        "--require-trusted",
        "--",
        "--json",
    ];
    let started = output(dir.path(), &args)?;
    assert_eq!(
        started.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&started.stderr)
    );
    assert_eq!(started.stdout, b"hello\n");
    Ok(())
}

#[test]
fn links_start_their_commands_and_replace_no_file() -> Result {
    let dir = place()?;
    let link = |args: &[&str]| output(dir.path(), &[&["link", "good.psp", "bin"], args].concat());
    let again = dir.path().join("bin/again");
    assert!(link(&[])?.status.success());
    assert_eq!(fs::read_link(&again)?, dir.path().join("good.psp"));
    for make in [
        (|path: &Path| fs::write(path, "a file")) as fn(&Path) -> std::io::Result<()>,
        |path| fs::create_dir(path),
    ] {
        fs::remove_file(&again)?;
        make(&again)?;
        for args in [&[][..], &["--force"]] {
            assert_eq!(link(args)?.status.code(), Some(2));
            assert!(!again.is_symlink());
        }
        let _ = fs::remove_dir(&again);
        fs::write(&again, "")?;
    }
    assert_eq!(names(&dir.path().join("bin"))?, ["again"]);
    Ok(())
}

const LIVING: &str = r#"
[package]
name = "living"
version = "1"

[[slot]]
id = "app"
source = "run"
target = "run"

[[slot]]
id = "here"
source = "text"
platforms = ["linux_amd64"]
lifecycle = "platform"

[[slot]]
id = "elsewhere"
source = "text"
platforms = ["windows_amd64"]
lifecycle = "platform"

[[slot]]
id = "tmp"
source = "text"
target = "var/tmp"
lifecycle = "temporary"

[command]
exec = "{workenv}/run"

[commands.tool]
exec = "{workenv}/run"
args = ["as tool"]
"#;

#[test]
fn platforms_temporary_slots_and_links_end_to_end() -> Result {
    let dir = tempfile::tempdir()?;
    let file = |name: &str, mode, content: &str| {
        let path = dir.path().join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
    };
    file("flavor.toml", 0o644, LIVING)?;
    file(
        "run",
        0o755,
        "#!/bin/sh\necho \"$FLAVOR_COMMAND_NAME $1\"; cd \"$FLAVOR_WORKENV\" && find . | sort\nexit 6\n",
    )?;
    file("text", 0o644, "text\n")?;
    let packed = output(
        dir.path(),
        &["pack", "--key-seed", "tests", "--target", "linux_amd64"],
    )?;
    assert!(
        packed.status.success(),
        "{}",
        String::from_utf8_lossy(&packed.stderr)
    );
    let inspected = output(dir.path(), &["inspect", "dist/living.psp", "--json"])?;
    let document: serde_json::Value = serde_json::from_slice(&inspected.stdout)?;
    let ids = document["slots"].as_array().map_or(0, Vec::len);
    assert_eq!(ids, 3, "{document}");
    assert!(!document.to_string().contains("elsewhere"));
    assert!(
        output(dir.path(), &["link", "dist/living.psp", "bin"])?
            .status
            .success()
    );
    let started = Command::new(dir.path().join("bin/tool"))
        .env("FLAVOR_CACHE", dir.path().join("cache"))
        .output()?;
    let expected = "tool as tool\n.\n./here\n./run\n./var\n./var/tmp\n";
    assert_eq!(String::from_utf8_lossy(&started.stdout), expected);
    assert_eq!(started.status.code(), Some(6));
    assert_eq!(fs::read_dir(dir.path().join("cache/runs"))?.count(), 0);
    // `flavor run` supervises in the same way.
    let run = output(dir.path(), &["run", "dist/living.psp"])?;
    assert_eq!(
        run.status.code(),
        Some(6),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert_eq!(fs::read_dir(dir.path().join("cache/runs"))?.count(), 0);
    Ok(())
}
