//! Packages built by `flavor pack` and started as a user starts them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use psp_testkit::project::{Project, copy_program, flavor, need, text};

/// A project whose application is this shell script.
fn script(body: &str) -> Project {
    let project = Project::new();
    project.file("app/run", 0o755, format!("#!/bin/sh\n{body}\n").as_bytes());
    project.manifest(
        r#"
        [package]
        name = "demo"
        version = "1.2.3"
        [[slot]]
        id = "app"
        source = "app"
        [command]
        exec = "{workenv}/app/run"
        args = ["first argument"]
        "#,
    );
    project
}

#[test]
fn the_application_has_its_own_status_pid_and_streams() {
    let project = script(r#"echo $$; cat >&2; exit 42"#);
    let package = project.pack();
    let mut child = project
        .start(&package)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(42));
    assert_eq!(text(&output.stdout).trim(), pid.to_string());
    assert_eq!(text(&output.stderr), "through");
}

#[test]
fn signals_end_the_application_and_are_seen() {
    for signal in [9, 15] {
        let project = script(&format!("kill -{signal} $$; sleep 9"));
        let package = project.pack();
        let status = project.start(&package).status().unwrap();
        assert_eq!(status.signal(), Some(signal));
    }
}

#[test]
fn arguments_arrive_byte_for_byte() {
    let project = script(r#"for a in "$@"; do printf '%s\0' "$a"; done"#);
    let package = project.pack();
    let given: [&[u8]; 9] = [
        b"",
        b"a b",
        b"$x",
        b"a\nb",
        b"\xff\xfe",
        b"--help",
        b"{workenv}",
        b"'\"\\",
        b"*",
    ];
    for _cold_then_warm in 0..2 {
        let args = given.map(OsStr::from_bytes);
        let output = project.start(&package).args(args).output().unwrap();
        let mut expected = b"first argument\0".to_vec();
        given
            .iter()
            .for_each(|arg| expected.extend([arg, &b"\0"[..]].concat()));
        assert_eq!(output.stdout, expected);
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn a_hundred_megabytes_pass_through() {
    let project = script("exec cat");
    let package = project.pack();
    let mut child = project
        .start(&package)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let block: Vec<u8> = (0..1 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    let (mut received, mut buffer) = (0, vec![0; 1 << 20]);
    std::thread::scope(|scope| {
        let block = &block;
        scope.spawn(move || (0..100).for_each(|_| stdin.write_all(block).unwrap()));
        loop {
            let n = stdout.read(&mut buffer).unwrap();
            if n == 0 {
                break;
            }
            let at = received % block.len();
            let expected = block[at..].iter().chain(block.iter());
            assert!(buffer[..n].iter().zip(expected).all(|(a, b)| a == b));
            received += n;
        }
    });
    assert_eq!(received, 100 << 20);
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_environment_follows_the_rules() {
    let project = script("env -0");
    project.manifest(&format!(
        "{}\n[env]\nunset = [\"DROP_*\"]\npass = [\"DROP_NOT\"]\nmap = {{ OLD = \"NEW\" }}\nset = {{ HERE = \"{{workenv}}/x\" }}\n",
        project.read_manifest()
    ));
    let package = project.pack();
    let output = project
        .start(&package)
        .envs([
            ("DROP_A", "1"),
            ("DROP_NOT", "2"),
            ("OLD", "3"),
            ("KEEP", "4"),
        ])
        .output()
        .unwrap();
    let all = text(&output.stdout).into_owned();
    let get = |name: &str| {
        let line = all
            .split('\0')
            .find(|line| line.starts_with(&format!("{name}=")));
        line.map(|line| line[name.len() + 1..].to_owned())
    };
    assert_eq!(
        (get("DROP_A"), get("DROP_NOT").as_deref()),
        (None, Some("2"))
    );
    assert_eq!((get("OLD"), get("NEW").as_deref()), (None, Some("3")));
    assert_eq!(get("KEEP").as_deref(), Some("4"));
    let workenv = get("FLAVOR_WORKENV").unwrap();
    assert_eq!(get("HERE"), Some(format!("{workenv}/x")));
    assert_eq!(get("FLAVOR_ORIGINAL_COMMAND").as_deref(), package.to_str());
    assert_eq!(get("FLAVOR_PACKAGE").as_deref(), Some("demo"));
    assert_eq!(get("FLAVOR_VERSION").as_deref(), Some("1.2.3"));
    assert_eq!(get("FLAVOR_PLATFORM").as_deref(), Some("linux_amd64"));
}

/// Homes and directories with spaces, placeholders, quotes and bytes that are no text.
///
/// outcome: runs; nothing is substituted
/// layer: environment
/// message: none
#[test]
fn case_063_homes_with_placeholders_and_quotes() {
    let project = script(r#"printf '%s\0%s' "$0" "$FLAVOR_ORIGINAL_COMMAND""#);
    let package = project.pack();
    let names: [&[u8]; 5] = [
        b"with space",
        b"new\nline",
        b"\xff\xfe",
        b"{version}'\"",
        b"...psp",
    ];
    for name in names {
        let name = OsStr::from_bytes(name);
        let directory = project.path().join("odd").join(name);
        fs::create_dir_all(&directory).unwrap();
        let copy = directory.join(name);
        copy_program(&package, &copy).unwrap();
        let home = directory.join("home {workenv} {version} {slot:0} 'x' \"y\" $HOME");
        fs::create_dir(&home).unwrap();
        let output = Command::new(&copy)
            .env_clear()
            .env("HOME", &home)
            .output()
            .unwrap();
        assert_eq!(text(&output.stderr), "", "{name:?}");
        let (program, original) = output.stdout.split_at(
            output
                .stdout
                .iter()
                .position(|&c| c == 0)
                .expect("two parts"),
        );
        assert!(program.starts_with(home.as_os_str().as_bytes()), "{name:?}");
        assert_eq!(&original[1..], copy.as_os_str().as_bytes());
    }
}

#[test]
fn found_through_path_and_through_links() {
    let project = script(r#"echo "$FLAVOR_ORIGINAL_COMMAND""#);
    let package = project.pack();
    let directory = package.parent().unwrap();
    let link = project.path().join("link");
    symlink(&package, &link).unwrap();
    let output = project.start(&link).output().unwrap();
    assert_eq!(text(&output.stdout).trim(), link.to_str().unwrap());
    let output = Command::new("/bin/sh")
        .args(["-c", "demo.psp"])
        .env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
        .env("FLAVOR_CACHE", project.cache())
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout).trim(), package.to_str().unwrap());
}

#[test]
fn named_commands() {
    let project = script(r#"echo "default""#);
    project.file("app/other", 0o755, b"#!/bin/sh\necho \"other $1\"\n");
    project.manifest(&format!(
        "{}\n[commands.other]\nexec = \"{{workenv}}/app/other\"\nargs = [\"x\"]\n",
        project.read_manifest()
    ));
    let package = project.pack();
    let link = project.path().join("other");
    symlink(&package, &link).unwrap();
    let run = |command: &mut Command| text(&command.output().unwrap().stdout).into_owned();
    assert_eq!(run(&mut project.start(&package)), "default\n");
    assert_eq!(run(&mut project.start(&link)), "other x\n");
    assert_eq!(
        run(project.start(&package).env("FLAVOR_COMMAND", "other")),
        "other x\n"
    );
    let output = project
        .start(&package)
        .env("FLAVOR_COMMAND", "none")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(
        text(&output.stderr).contains("other"),
        "the known names are listed"
    );
}

#[test]
fn setup_runs_once_and_its_failure_leaves_nothing() {
    let project = script(r#"cat "$FLAVOR_WORKENV/made""#);
    let setup = |line: &str| {
        format!(
            "{}\n[[setup]]\nexec = \"/bin/sh\"\nargs = [\"-c\", \"{line}\"]\n",
            project.read_manifest()
        )
    };
    let plain = project.read_manifest();
    project.manifest(&setup(
        "echo once >> {workenv}/made; echo not on standard output",
    ));
    let package = project.pack();
    for _ in 0..3 {
        assert_eq!(
            text(&project.start(&package).output().unwrap().stdout),
            "once\n"
        );
    }
    project.manifest(&plain);
    project.manifest(&setup("exit 7"));
    let package = project.pack();
    let output = project.start(&package).output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_ref()),
        (Some(125), "")
    );
    assert!(
        text(&output.stderr).contains('7'),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(
        project.start(&package).output().unwrap().status.code(),
        Some(125),
        "and again"
    );
}

/// A tree with everything that real trees have.
fn rich_tree(project: &Project) {
    let root = project.path().join("app");
    fs::create_dir_all(root.join("empty/inner")).unwrap();
    fs::create_dir_all(root.join("deep/a/b/c")).unwrap();
    for nth in 0..300 {
        project.file(
            &format!("app/deep/a/f{nth}"),
            0o644,
            format!("{nth}\n").repeat(nth).as_bytes(),
        );
    }
    project.file("app/deep/a/b/c/tool", 0o755, b"#!/bin/sh\necho tool\n");
    fs::hard_link(root.join("deep/a/b/c/tool"), root.join("hard")).unwrap();
    symlink("deep/a/b/c/tool", root.join("soft")).unwrap();
    symlink("../f7", root.join("deep/a/b/up")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    let odd = root.join(OsStr::from_bytes(b"not utf-8 \xff\xfe"));
    fs::write(odd, b"odd").unwrap();
    project.file(&format!("app/{}", "long".repeat(60)), 0o644, b"long");
    fs::set_permissions(root.join("deep/a"), fs::Permissions::from_mode(0o711)).unwrap();
    let manifest = project.read_manifest();
    project.manifest(&manifest.replacen("[[slot]]\n", "[[slot]]\nmodes = \"keep\"\n", 1));
}

/// Every path below a directory with type, permission bits, link target or content.
fn listing(root: &std::path::Path) -> Vec<(Vec<u8>, u32, Vec<u8>)> {
    let (mut out, mut queue) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(directory) = queue.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else if metadata.is_dir() {
                queue.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            let name = path
                .strip_prefix(root)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec();
            out.push((name, metadata.mode() & 0o170_555, content));
        }
    }
    out.sort();
    out
}

#[test]
fn a_real_tree_comes_out_as_it_went_in() {
    let project = script("exit 0");
    rich_tree(&project);
    let package = project.pack();
    let out = project.path().join("out");
    let done = flavor()
        .args(["extract-all", package.to_str().unwrap()])
        .arg(&out)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(
        listing(&out.join("app")),
        listing(&project.path().join("app"))
    );
    let inode = |name: &str| fs::metadata(out.join("app").join(name)).unwrap().ino();
    assert_eq!(inode("hard"), inode("deep/a/b/c/tool"));
}

#[test]
fn archives_give_the_same_package_as_the_directory() {
    for tool in ["tar", "xz", "zstd", "gzip"] {
        need(tool, &format!("apt-get install {tool}"));
    }
    let project = script("exit 0");
    rich_tree(&project);
    let from_directory = fs::read(project.pack()).unwrap();
    for (archive, flag) in [
        ("app.tar", "-c"),
        ("app.tar.gz", "-cz"),
        ("app.tar.xz", "-cJ"),
        ("app.tar.zst", "-c --zstd"),
    ] {
        let mut tar = Command::new("tar");
        tar.current_dir(project.path().join("app"))
            .args(flag.split(' '));
        assert!(
            tar.arg("-f")
                .arg(project.path().join(archive))
                .arg(".")
                .status()
                .unwrap()
                .success()
        );
        let manifest = project.read_manifest();
        project.manifest(&manifest.replace("source = \"app\"", &format!("source = \"{archive}\"")));
        assert!(
            fs::read(project.pack()).unwrap() == from_directory,
            "{archive}"
        );
        project.manifest(&manifest);
    }
}

#[test]
fn names_that_the_launcher_keeps_for_itself_are_not_packed() {
    let project = script("exit 0");
    let manifest = project.read_manifest();
    project.file("app/.flavorful", 0o644, b"");
    project.manifest(&manifest.replace("source = \"app\"", "source = \"app\"\ntarget = \".\""));
    let output = flavor().args(project.pack_args()).output().unwrap();
    let message = text(&output.stderr);
    assert!(!output.status.success(), "packed");
    assert!(
        message.contains(".flavorful") && message.contains("launcher"),
        "{message}"
    );
    // Below a target it is a name like any other.
    project.manifest(&manifest);
    project.pack();
}

#[test]
fn packing_is_deterministic() {
    need("faketime", "apt-get install faketime");
    let build = |when: &str, umask: &str| {
        let project = script("exit 0");
        rich_tree(&project);
        let command = format!("umask {umask}; exec faketime '{when}' \"$0\" \"$@\"");
        let mut pack = Command::new("/bin/sh");
        pack.args(["-c", &command])
            .arg(flavor().get_program())
            .args(project.pack_args());
        let output = pack.env_remove("SOURCE_DATE_EPOCH").output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        fs::read(project.output()).unwrap()
    };
    assert!(build("2026-01-02 03:04:05", "022") == build("2031-06-07 08:09:10", "077"));
}

#[test]
fn python_byte_code_stays_valid() {
    let python = "/usr/bin/env";
    let project = Project::new();
    project.file("app/module.py", 0o644, b"value = 42\n");
    let compiled = Command::new(python)
        .args(["python3", "-m", "compileall", "-q"])
        .arg(project.path().join("app"))
        .env_remove("PYTHONDONTWRITEBYTECODE")
        .status()
        .unwrap();
    assert!(
        compiled.success(),
        "python3 is needed: apt-get install python3"
    );
    project.file(
        "app/run",
        0o755,
        b"#!/bin/sh\nPYTHONPATH=$FLAVOR_WORKENV/app exec python3 -v -c 'import module' 2>&1\n",
    );
    project.manifest(
        "[package]\nname = \"demo\"\nversion = \"1\"\n[[slot]]\nid = \"app\"\nsource = \"app\"\n[command]\nexec = \"{workenv}/app/run\"\n",
    );
    let package = project.pack();
    let output = project.start(&package).output().unwrap();
    let log = text(&output.stdout).into_owned();
    let matched = log
        .lines()
        .any(|line| line.contains("module.cpython") && line.contains("matches"));
    let stale = log
        .lines()
        .any(|line| line.contains("bytecode is stale") && line.contains("module"));
    assert!(matched && !stale, "{log}");
}

#[test]
fn unsigned_packages_neither_start_nor_verify_until_signed() {
    let project = script("echo ran");
    let output = flavor()
        .args(project.pack_args_unsigned())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let package = project.output();
    let before = fs::read(&package).unwrap();
    let started = project.start(&package).output().unwrap();
    assert_eq!(
        (started.status.code(), text(&started.stdout).as_ref()),
        (Some(125), "")
    );
    let verified = flavor().arg("verify").arg(&package).output().unwrap();
    assert_eq!(verified.status.code(), Some(1));
    let keys = project.path().join("keys");
    let made = flavor()
        .args(["keygen", "--out-dir"])
        .arg(&keys)
        .args(["--name", "k"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let signed = flavor()
        .args(["sign", package.to_str().unwrap(), "--private-key"])
        .arg(keys.join("k.key"))
        .output()
        .unwrap();
    assert!(signed.status.success(), "{}", text(&signed.stderr));
    let after = fs::read(&package).unwrap();
    let trailer = before.len() - 8200;
    assert!(
        before[..trailer] == after[..trailer],
        "only the trailer changes"
    );
    assert_eq!(
        text(&project.start(&package).output().unwrap().stdout),
        "ran\n"
    );
    let verified = flavor()
        .args([
            "verify",
            package.to_str().unwrap(),
            "--require-trusted",
            "--trusted-key",
        ])
        .arg(keys.join("k.pub"))
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", text(&verified.stdout));
}

#[test]
fn damaged_files_say_what_happened_and_do_not_start() {
    need("strip", "apt-get install binutils");
    let project = script("echo ran");
    let package = project.pack();
    let good = fs::read(&package).unwrap();
    let damaged = project.path().join("damaged");
    let check = |bytes: &[u8], words: &str| {
        fs::write(&damaged, bytes).unwrap();
        fs::set_permissions(&damaged, fs::Permissions::from_mode(0o755)).unwrap();
        check_refused(&project, &damaged, words);
    };
    let whole = format!("of {} bytes", good.len());
    check(&good[..good.len() - 1], &whole);
    check(&good[..good.len() - 9000], "truncated");
    check(&[&good[..], b"\n"].concat(), "1 byte");
    fs::write(&damaged, &good).unwrap();
    assert!(
        Command::new("strip")
            .arg(&damaged)
            .status()
            .unwrap()
            .success()
    );
    check_refused(&project, &damaged, "strip");
}

fn check_refused(project: &Project, package: &std::path::Path, words: &str) {
    let started = project.start(package).output().unwrap();
    assert_eq!(
        (started.status.code(), text(&started.stdout).as_ref()),
        (Some(125), "")
    );
    assert!(
        text(&started.stderr).contains(words),
        "{words}: {}",
        text(&started.stderr)
    );
    let verified = flavor().arg("verify").arg(package).output().unwrap();
    assert_eq!(verified.status.code(), Some(1));
    let said = [verified.stdout, verified.stderr].concat();
    assert!(text(&said).contains(words), "{words}: {}", text(&said));
    assert!(
        !project.cache().join("ready").exists()
            || fs::read_dir(project.cache().join("ready")).unwrap().count() == 0
    );
}
