//! The same package under many names, and packages that start packages.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::{said, script};

/// A package started through links, a hard link, a descriptor of a deleted file, and with argv[0] of others.
///
/// outcome: runs; all of these are one entry of the cache
/// layer: none
/// message: none
#[test]
fn case_114_every_way_to_start_one_file() {
    let project = script("printf '%s' \"$FLAVOR_WORKENV\"");
    let package = project.pack();
    let at = |name: &str| project.path().join(name);
    symlink(&package, at("link")).unwrap();
    symlink("link", at("link-to-link")).unwrap();
    fs::hard_link(&package, at("hard")).unwrap();
    let workenv = said(&project.start(&package).output().unwrap());
    for name in ["link", "link-to-link", "hard"] {
        let output = project.start(&at(name)).output().unwrap();
        assert_eq!(said(&output), workenv, "{name}");
    }
    for zero in [
        "",
        "/bin/sh",
        "sudo",
        "../../x",
        "/nonexistent",
        "-rf",
        "{workenv}",
    ] {
        let output = project.start(&package).arg0(zero).output().unwrap();
        assert_eq!(said(&output), workenv, "{zero}");
    }
    // By a descriptor, when the name is gone or another one.
    for (script, path) in [
        ("exec 3<\"$1\"; rm \"$1\"; exec /proc/self/fd/3", "hard"),
        (
            "exec 3<\"$1\"; mv \"$1\" \"$1.moved\"; exec /proc/self/fd/3",
            "dist/demo.psp",
        ),
    ] {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script, "sh"]).arg(at(path));
        let output = shell.env("FLAVOR_CACHE", project.cache()).output().unwrap();
        assert_eq!(said(&output), workenv, "{script}");
        assert!(!at(path).exists());
    }
    assert_eq!(
        fs::read_dir(project.cache().join("ready")).unwrap().count(),
        1
    );
}

/// A package that starts itself, and another one, with all the variables that it got.
///
/// outcome: runs; each has its own command, environment and cache entry
/// layer: environment
/// message: none
#[test]
fn case_115_packages_that_start_packages() {
    let inner = script(
        "printf '%s %s %s [%s]' \"$FLAVOR_PACKAGE\" \"$FLAVOR_COMMAND_NAME\" \"${FLAVOR_ORIGINAL_COMMAND##*/}\" \"$*\"; [ \"$0\" = \"$FLAVOR_WORKENV/app/run\" ] || echo WRONG",
    );
    inner.manifest(&super::MANIFEST.replace("demo", "inner"));
    let inner_package = inner.pack();
    let outer = script(
        r#"printf '%s/%s ' "$FLAVOR_COMMAND_NAME" "$1"
        [ "$0" = "$FLAVOR_WORKENV/app/run" ] || echo WRONG
        case $1 in
        0) exec "$2" "last of all" ;;
        *) exec "$FLAVOR_ORIGINAL_COMMAND" $(($1 - 1)) "$2" ;;
        esac"#,
    );
    outer.manifest(&format!(
        "{}\n[commands.tool]\nexec = \"{{workenv}}/app/run\"\n",
        super::MANIFEST
    ));
    let package = outer.pack();
    for _cold_then_warm in 0..2 {
        let mut start = outer.start(&package);
        let start = start.args(["2"]).arg(&inner_package);
        // Its own choice of a command, which is nobody else's.
        let start = start.env("FLAVOR_COMMAND", "tool");
        let expected = "tool/2 demo.psp/1 demo.psp/0 inner demo.psp demo.psp [last of all]";
        assert_eq!(said(&start.output().unwrap()), expected);
    }
    // The first was asked to run, and its answer is not asked for again by those below it.
    let mut ask = outer.start(&package);
    let ask = ask.args(["run", "0"]).arg(&inner_package);
    let answer = said(&ask.env("FLAVOR_LAUNCHER_CLI", "1").output().unwrap());
    assert_eq!(answer, "demo.psp/0 inner demo.psp demo.psp [last of all]");
    assert_eq!(
        fs::read_dir(outer.cache().join("ready")).unwrap().count(),
        2
    );
}
