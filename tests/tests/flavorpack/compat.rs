//! `flavor pack --compat flavorpack`: what it writes, and what it says it cannot.

use std::fs;
use std::os::unix::fs::symlink;

use psp_testkit::project::text;

use crate::tool::{Bench, Launcher, PROJECT};

#[test]
fn links_are_named() {
    let bench = Bench::new();
    symlink("data.txt", bench.path("app/link")).unwrap();
    fs::hard_link(bench.path("app/data.txt"), bench.path("app/same")).unwrap();
    let packed = bench.pack(Some(Launcher::Rust), &["--compat", "flavorpack"], "p.psp");
    let said = text(&packed.stderr).into_owned();
    assert_eq!(packed.status.code(), Some(2), "{said}");
    for named in ["`link`, a symbolic link", "`same`, a hard link", "slot app"] {
        assert!(said.contains(named), "{said}");
    }
    assert!(!bench.path("p.psp").exists());
}

#[test]
fn what_its_launchers_would_pass_over_is_an_error() {
    let bench = Bench::new();
    let pack = |project: &str| {
        bench.file("other.toml", 0o644, project.as_bytes());
        let packed = bench.pack(
            Some(Launcher::Go),
            &["--compat", "flavorpack", "--manifest", "other.toml"],
            "p.psp",
        );
        (packed.status.code(), text(&packed.stderr).into_owned())
    };
    for (project, named) in [
        (PROJECT.replace("\"a b\"", "\"{cache}\""), "{cache}"),
        (
            PROJECT.replace("\"a b\"", "'a\\b'"),
            "a backslash in a command",
        ),
        (
            format!("{PROJECT}\n[[setup]]\nexec = \"/bin/true\"\n"),
            "setup commands",
        ),
    ] {
        let (code, said) = pack(&project);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn a_launcher_is_needed() {
    let bench = Bench::new();
    let packed = bench.pack(None, &["--compat", "flavorpack"], "p.psp");
    assert_eq!(packed.status.code(), Some(2));
    assert!(text(&packed.stderr).contains("--launcher-bin"));
}

#[test]
fn the_same_inputs_give_the_same_bytes_with_the_tree_in_the_same_places() {
    let bench = Bench::new();
    for name in ["one.psp", "two.psp"] {
        let packed = bench.pack(Some(Launcher::Rust), &["--compat", "flavorpack"], name);
        assert!(packed.status.success(), "{}", text(&packed.stderr));
    }
    let [one, two] = ["one.psp", "two.psp"].map(|name| fs::read(bench.path(name)).unwrap());
    assert!(one == two);
    let output = bench.start("one.psp", &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let cache = bench.path("their-cache/workenv/one");
    for (file, content) in [
        ("app/data.txt", &b"data\n"[..]),
        ("etc/conf.txt", b"conf\n"),
    ] {
        assert_eq!(fs::read(cache.join(file)).unwrap(), content, "{file}");
    }
}
