//! `[native]`: compiled programs with the libraries that they need, run in a root that has nothing but the package, `/proc`
//! and the C library of the host; and what fails at build instead of there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use psp_testkit::host::{Host, SOMEBODY};
use psp_testkit::project::{Project, flavor, need, text};
use psp_testkit::root::Root;

fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input may be gone.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn project(native: &str) -> Project {
    let project = Project::new();
    let package = "[package]\nname = \"demo\"\nversion = \"1\"\n";
    project.manifest(&format!("{package}[native]\n{native}\n"));
    project
}

fn requirements(package: &Path) -> serde_json::Value {
    let output = flavor()
        .args(["inspect", "--requirements", "--json"])
        .arg(package)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Names of the libraries that are left to the host.
fn left_to_host(package: &Path) -> Vec<String> {
    let needs = requirements(package);
    let libraries = needs["libraries"].as_array().unwrap();
    libraries
        .iter()
        .map(|library| library["name"].as_str().unwrap().to_owned())
        .collect()
}

/// A program of the host, packed with its libraries, does in an empty root what it does here.
fn same_in_an_empty_root(program: &str, cases: &[(&[&str], &str)]) -> Project {
    let project = project(&format!("binary = \"{program}\"\nbundle-libraries = true"));
    let package = project.pack();
    for library in left_to_host(&package) {
        assert!(
            library.starts_with("ld-linux")
                || ["libc.so.6", "libm.so.6"].contains(&library.as_str()),
            "{library} is left to the host"
        );
    }
    let root = Root::new(&package, true);
    for (args, input) in cases {
        let here = run(
            Command::new(program)
                .args(*args)
                .env_clear()
                .env("HOME", "/tmp"),
            input,
        );
        for _cold_then_warm in 0..2 {
            let there = run(&mut root.start(args), input);
            assert_eq!(
                text(&there.stdout),
                text(&here.stdout),
                "{program} {args:?} {}",
                text(&there.stderr)
            );
            assert_eq!(
                text(&there.stderr),
                text(&here.stderr),
                "{program} {args:?}"
            );
            assert_eq!(
                there.status.code(),
                here.status.code(),
                "{program} {args:?}"
            );
        }
    }
    project
}

#[test]
fn sqlite3_runs_where_there_is_nothing_but_a_c_library() {
    need("sqlite3", "apt-get install sqlite3");
    let project = same_in_an_empty_root(
        "/usr/bin/sqlite3",
        &[
            (
                &[
                    ":memory:",
                    "create table t(a); insert into t values(1),(2); select sum(a), sqrt(16) from t",
                ],
                "",
            ),
            (&[":memory:", "select * from nothing"], ""),
            (&["-batch", ":memory:"], "select upper('x');\n.quit\n"),
        ],
    );
    let output = flavor()
        .args(["inspect", "--requirements"])
        .arg(project.output())
        .output()
        .unwrap();
    let said = text(&output.stdout).into_owned();
    for line in [
        "  needs        glibc 2.",
        "  interpreter  /lib64/ld-linux-x86-64.so.2 (native/bin/sqlite3)",
        "  library      libc.so.6 (base set: C library; native/bin/sqlite3 and ",
        "  native/bin/sqlite3 ",
        " libsqlite3.so.0* ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    // The libraries come from the package: the host's would have been found first if the run path were not there.
    let output = Command::new(project.output())
        .env("FLAVOR_CACHE", project.cache())
        .env("LD_DEBUG", "libs")
        .args([":memory:", "select 1"])
        .output()
        .unwrap();
    let said = text(&output.stderr).into_owned();
    let inits: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("calling init: ") && line.contains("sqlite"))
        .collect();
    assert!(
        !inits.is_empty() && inits.iter().all(|line| line.contains("/native/")),
        "{inits:?}"
    );
}

#[test]
fn jq_runs_where_there_is_nothing_but_a_c_library() {
    need("jq", "apt-get install jq");
    same_in_an_empty_root(
        "/usr/bin/jq",
        &[
            (&["-c", ".a | map(test(\"^x\"))"], "{\"a\":[\"xy\",\"yx\"]}"),
            (&["-e", ".b"], "{\"b\":false}"),
            (&["."], "{\"broken\""),
        ],
    );
}

#[test]
fn a_package_with_libraries_is_the_same_each_time() {
    need("jq", "apt-get install jq");
    let project = project("binary = \"/usr/bin/jq\"\nbundle-libraries = true");
    let first = fs::read(project.pack()).unwrap();
    assert!(first == fs::read(project.pack()).unwrap());
}

#[test]
fn a_service_in_rust_answers_from_an_empty_root() {
    let project = project("binary = \"target/release/service\"\nbundle-libraries = true");
    project.file(
        "service.rs",
        0o644,
        br#"
        use std::io::{Read, Write};
        fn main() {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            println!("{}", listener.local_addr().unwrap());
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let read = client.read(&mut request).unwrap();
            let path = String::from_utf8_lossy(&request[..read]);
            let path = path.split(' ').nth(1).unwrap_or("?").to_owned();
            write!(client, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()).unwrap();
        }"#,
    );
    let target = project.path().join("target/release");
    fs::create_dir_all(&target).unwrap();
    let rustc = Command::new("rustc")
        .args(["--edition", "2021", "-O", "-o"])
        .arg(target.join("service"))
        .arg(project.path().join("service.rs"))
        .output()
        .unwrap();
    assert!(rustc.status.success(), "{}", text(&rustc.stderr));
    let package = project.pack();
    assert!(!left_to_host(&package).contains(&"libgcc_s.so.1".to_owned()));

    let root = Root::new(&package, true);
    let mut service = root.start(&[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(service.stdout.take().unwrap())
        .read_line(&mut address)
        .unwrap();
    let mut client = TcpStream::connect(address.trim()).unwrap();
    client.write_all(b"GET /hello HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\n/hello");
    assert!(service.wait().unwrap().success());
}

/// Compiles `main.c` in a project.
fn cc(project: &Project, source: &str, args: &[&str]) {
    need("cc", "apt-get install gcc libc6-dev");
    project.file("main.c", 0o644, source.as_bytes());
    let output = Command::new("cc")
        .args(args)
        .current_dir(project.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

const HELLO: &str =
    "#include <stdio.h>\nint main(int n, char **a) { puts(n > 1 ? a[1] : \"hello\"); return n; }";

#[test]
fn a_static_program_is_packed_as_it_is_and_needs_nothing() {
    let project = project("binary = \"hello\"");
    cc(
        &project,
        HELLO,
        &["-static", "-O1", "-o", "hello", "main.c"],
    );
    let package = project.pack();
    let needs = requirements(&package);
    for nothing in ["versions", "interpreters", "libraries"] {
        assert_eq!(needs[nothing].as_array().map(Vec::len), Some(0), "{needs}");
    }
    let out = project.path().join("out");
    let extracted = flavor()
        .arg("extract-all")
        .args([&package, &out])
        .output()
        .unwrap();
    assert!(extracted.status.success(), "{}", text(&extracted.stderr));
    let packed = fs::read(out.join("native/bin/hello")).unwrap();
    assert!(packed == fs::read(project.path().join("hello")).unwrap());

    let output = run(&mut Root::new(&package, false).start(&["there"]), "");
    assert_eq!(
        (text(&output.stdout).trim(), output.status.code()),
        ("there", Some(2)),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_static_program_starts_from_memory_where_nothing_can_be_written() {
    let project = project("binary = \"hello\"");
    cc(
        &project,
        HELLO,
        &["-static", "-O1", "-o", "hello", "main.c"],
    );
    let package = project.pack();
    // An SBOM beside it is no second thing to unpack.
    for flag in ["--no-sbom", "--sbom"] {
        let packed = flavor().args(project.pack_args()).arg(flag).output();
        assert!(packed.unwrap().status.success());
        let host = Host::new(
            &package,
            "for place in /tmp /var/tmp /home /root /dev/shm /run; do mount -t tmpfs -o ro none $place; done",
        );
        let output = host.start(SOMEBODY).output().unwrap();
        assert_eq!(
            (text(&output.stdout).trim(), output.status.code()),
            ("hello", Some(1)),
            "{flag}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn several_programs_are_commands_of_their_names() {
    let project = project("binary = [\"hello\", \"tool\"]");
    cc(&project, HELLO, &["-o", "hello", "main.c"]);
    cc(
        &project,
        "#include <stdio.h>\nint main(void) { return puts(\"tool\") < 0; }",
        &["-o", "tool", "main.c"],
    );
    let package = project.pack();
    for (command, said) in [("", "hello"), ("hello", "hello"), ("tool", "tool")] {
        let mut start = project.start(&package);
        if !command.is_empty() {
            start.env("FLAVOR_COMMAND", command);
        }
        assert_eq!(text(&start.output().unwrap().stdout).trim(), said);
    }
}

/// Packs, which fails with exit code 2 and no package, and gives what is said.
fn refused(project: &Project) -> String {
    let output = flavor()
        .args(project.pack_args_unsigned())
        .output()
        .unwrap();
    let message = text(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(!project.output().exists());
    message
}

#[test]
fn a_newer_c_library_than_the_floor_fails_the_build() {
    // A symbol that is at this version for ever: clock_gettime moved into libc with 2.17.
    let source =
        "#include <time.h>\nint main(void) { struct timespec t; return clock_gettime(0, &t); }";
    let with_recipe = project("binary = \"late\"\nglibc-floor = \"2.10\"");
    cc(&with_recipe, source, &["-o", "late", "main.c"]);
    let message = refused(&with_recipe);
    assert!(
        message.starts_with("error: native/bin/late needs glibc 2."),
        "{message}"
    );
    assert!(message.contains(" for "), "{message}");
    assert!(message.contains("@GLIBC_2."), "{message}");
    assert!(
        message.contains("and `glibc-floor` in [native] is 2.10\nhelp: "),
        "{message}"
    );

    // The same for a package that is described by slots.
    let by_hand = Project::new();
    by_hand.manifest(
        "[package]\nname = \"demo\"\nversion = \"1\"\n[[slot]]\nid = \"app\"\nsource = \"app\"\n\
         [command]\nexec = \"{workenv}/app/late\"\n[native]\nglibc-floor = \"2.10\"\n",
    );
    fs::create_dir(by_hand.path().join("app")).unwrap();
    cc(&by_hand, source, &["-o", "app/late", "main.c"]);
    assert!(refused(&by_hand).starts_with("error: app/late needs glibc 2."));
    let manifest = by_hand.read_manifest().replace("2.10", "2.99");
    by_hand.manifest(&manifest);
    by_hand.pack();
}

/// Says that an ELF file is for 64-bit ARM.
fn for_arm(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[18..20].copy_from_slice(&183_u16.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_command_for_another_processor_fails_the_build_and_data_is_warned_about() {
    let project = Project::new();
    project.manifest(
        "[package]\nname = \"demo\"\nversion = \"1\"\n[[slot]]\nid = \"app\"\nsource = \"app\"\n\
         [command]\nexec = \"{workenv}/app/hello\"\n",
    );
    fs::create_dir_all(project.path().join("app/wheels")).unwrap();
    cc(&project, HELLO, &["-o", "app/hello", "main.c"]);
    for name in ["one.so", "two.so"] {
        fs::copy(
            project.path().join("app/hello"),
            project.path().join("app/wheels").join(name),
        )
        .unwrap();
        for_arm(&project.path().join("app/wheels").join(name));
    }
    let output = flavor().args(project.pack_args()).output().unwrap();
    let message = text(&output.stderr).into_owned();
    assert!(output.status.success(), "{message}");
    let warning = "warning: slot app: app/wheels/one.so is ELF aarch64, not for linux_amd64: exclude it if nothing needs it (and 1 more)";
    assert!(message.contains(warning), "{message}");
    assert_eq!(
        project
            .start(&project.output())
            .output()
            .unwrap()
            .status
            .code(),
        Some(1)
    );

    let manifest = project.read_manifest().replace(
        "source = \"app\"",
        "source = \"app\"\nexclude = [\"wheels\"]",
    );
    project.manifest(&manifest);
    let output = flavor().args(project.pack_args()).output().unwrap();
    assert!(output.status.success() && !text(&output.stderr).contains("aarch64"));

    fs::remove_file(project.output()).unwrap();
    for_arm(&project.path().join("app/hello"));
    let message = refused(&project);
    assert!(
        message.starts_with("error: [command] cannot run on linux_amd64: `app/hello` is ELF aarch64\nhelp: build it for the target"),
        "{message}"
    );
}

#[test]
fn a_library_that_is_not_there_and_a_program_that_is_none_are_named() {
    let missing = project("binary = \"main\"\nbundle-libraries = true");
    missing.file("gone.c", 0o644, b"int gone(void) { return 1; }");
    cc(
        &missing,
        "int gone(void); int main(void) { return gone(); }",
        &[
            "-shared",
            "-Wl,-soname,libgone.so.7",
            "-o",
            "libgone.so",
            "gone.c",
        ],
    );
    cc(
        &missing,
        "int gone(void); int main(void) { return gone(); }",
        &["-o", "main", "main.c", "libgone.so"],
    );
    let output = flavor()
        .args(missing.pack_args_unsigned())
        .output()
        .unwrap();
    let message = text(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(
        message
            .contains("needs libgone.so.7, which is not on this machine for linux_amd64\nhelp: "),
        "{message}"
    );

    let script = project("binary = \"run\"\nbundle-libraries = true");
    script.file("run", 0o755, b"#!/bin/sh\n");
    assert!(refused(&script).contains(
        "run is no executable: libraries can be bundled with ELF programs for linux_amd64 only"
    ));
    let absent = project("binary = \"target/release/absent\"\nbundle-libraries = true");
    assert!(
        refused(&absent).contains("target/release/absent does not exist\nhelp: build it first")
    );
}

#[test]
fn what_the_recipe_comes_to_is_a_manifest() {
    let project =
        project("binary = [\"hello\", \"two.0\"]\nbundle-libraries = true\nglibc-floor = \"2.99\"");
    cc(&project, HELLO, &["-o", "hello", "main.c"]);
    fs::copy(project.path().join("hello"), project.path().join("two.0")).unwrap();
    let explain = |project: &Project| {
        let output = flavor()
            .args(project.pack_args_unsigned())
            .arg("--explain")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(!project.output().exists());
        text(&output.stdout).into_owned()
    };
    let plain = explain(&project);
    assert!(plain.contains("# bin/hello from "), "{plain}");
    assert!(
        plain.contains("[commands.\"two.0\"]\nexec = \"{workenv}/native/bin/two.0\""),
        "{plain}"
    );
    // It explains itself to the same, and packs with the directory that the recipe would have made.
    let by_hand = Project::new();
    by_hand.manifest(&plain);
    for name in ["hello", "two.0"] {
        let to = by_hand.path().join("native/bin").join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(project.path().join(name), to).unwrap();
    }
    let without_comments: String = plain
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(explain(&by_hand), without_comments);
    assert!(fs::read(by_hand.pack()).unwrap() == fs::read(project.pack()).unwrap());
}

#[test]
fn names_that_differ_in_case_alone_are_warned_about() {
    let project = Project::new();
    project.manifest(
        "[package]\nname = \"demo\"\nversion = \"1\"\n[[slot]]\nid = \"app\"\nsource = \"app\"\n\
         [command]\nexec = \"/bin/true\"\n",
    );
    project.file("app/terminfo/A", 0o644, b"1");
    project.file("app/terminfo/a", 0o644, b"2");
    project.file("app/terminfo/b", 0o644, b"3");
    let output = flavor().args(project.pack_args()).output().unwrap();
    let message = text(&output.stderr).into_owned();
    let warning = "warning: slot app: `app/terminfo/A` and `app/terminfo/a` are one name where case does not count";
    assert!(message.contains(warning), "{message}");
}

#[test]
fn private_keys_in_a_slot_are_pointed_out() {
    let project = Project::new();
    project.manifest(
        "[package]\nname = \"demo\"\nversion = \"1\"\n[[slot]]\nid = \"app\"\nsource = \"app\"\n\
         [command]\nexec = \"/bin/true\"\n",
    );
    project.file(
        "app/readme",
        0o644,
        b"-----BEGIN nothing that matters-----\n",
    );
    let app = project.path().join("app");
    for name in ["one", "two"] {
        let mut keygen = flavor();
        keygen.args(["keygen", "--name", name, "--out-dir"]);
        assert!(keygen.arg(&app).status().unwrap().success());
    }
    let warned = || {
        let output = flavor().args(project.pack_args()).output().unwrap();
        let message = text(&output.stderr).into_owned();
        assert!(output.status.success(), "{message}");
        let lines = message.lines().filter(|line| line.contains("private key"));
        let lines = lines.filter(|line| line.starts_with("warning: slot "));
        lines.map(str::to_owned).collect::<Vec<String>>()
    };
    let fact = "warning: slot app: `app/one.key` is a private key, which everybody gets who gets the package: exclude it";
    assert_eq!(warned(), [format!("{fact} (and 1 more)")]);
    fs::remove_file(app.join("two.key")).unwrap();
    assert_eq!(warned(), [fact]);
    fs::remove_file(app.join("one.key")).unwrap();
    assert_eq!(warned(), [""; 0]);
}
