//! What `flavor doctor` says about places is what a start then does, and asking changes nothing.

use std::process::Command;

use psp_testkit::host::{Host, by};
use psp_testkit::project::{copy_program, flavor, text};
use serde_json::Value;

use super::choice::{HOMES, ROWS};
use super::{teller, twice};

/// Where `flavor` lies in a host.
const FLAVOR: &str = "/srv/flavor";

/// Puts `flavor` into a host: what the tests built may lie where it has mounted something else.
fn bring_flavor(host: &Host) {
    let built = flavor();
    copy_program(built.get_program().as_ref(), &host.path(FLAVOR)).unwrap();
}

fn doctor(host: &Host, uid: u32, vars: &[(&str, &str)]) -> (Option<i32>, Value) {
    let mut command: Command = host.command(by(uid, [FLAVOR, "doctor", "--json"]));
    let output = command.envs(vars.iter().copied()).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    (output.status.code(), report)
}

/// Everything in the places that are a host's own, with times.
fn all_files(host: &Host) -> String {
    host.sh("find /srv /home /root /var/lib /var/tmp /tmp -printf '%p %m %U %s %T@ %C@\\n' | sort")
}

/// The lines about places: what came out, and what it says.
fn of_cache(report: &Value) -> Vec<(String, String)> {
    let checks = report["checks"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of_cache = checks.iter().filter(|check| check["name"] == "cache");
    of_cache
        .map(|check| (text(&check["status"]), text(&check["detail"])))
        .collect()
}

#[test]
fn doctor_names_the_place_that_a_start_uses() {
    let project = teller();
    let package = project.pack();
    for &(prepare, vars, uid, expected) in ROWS.iter().chain(&HOMES) {
        let host = Host::new(&package, prepare);
        bring_flavor(&host);
        let before = all_files(&host);
        let (code, report) = doctor(&host, uid, vars);
        assert_eq!(all_files(&host), before, "{prepare} {vars:?}");
        assert_eq!(code, Some(0), "{prepare} {vars:?} {report}");
        let cache = &report["cache"];
        assert_eq!(cache["path"], expected, "{prepare} {vars:?} {uid} {report}");
        let is_there = host.path(expected).is_dir();
        assert_eq!(cache["exists"], is_there, "{expected}");
        assert_eq!(
            twice(&host, uid, vars),
            expected,
            "{prepare} {vars:?} {uid}"
        );
        let (_, report) = doctor(&host, uid, vars);
        assert_eq!(report["cache"]["path"], expected);
        assert_eq!(report["cache"]["exists"], true);
    }
}

#[test]
fn places_that_do_not_pass_are_named_with_their_reasons() {
    let project = teller();
    let host = Host::new(
        &project.pack(),
        "mkdir /srv/noexec /srv/ro; echo >/srv/file
         mount -t tmpfs -o noexec,mode=755 none /srv/noexec
         mount -t tmpfs -o ro,mode=755 none /srv/ro",
    );
    bring_flavor(&host);
    for (vars, reason) in [
        (
            ("FLAVOR_CACHE", "/srv/noexec/a/b"),
            "/srv/noexec/a/b (FLAVOR_CACHE): on a file system that is mounted noexec; passed over",
        ),
        (
            ("FLAVOR_CACHE", "/srv/noexec"),
            "/srv/noexec (FLAVOR_CACHE): on a file system that is mounted noexec; passed over",
        ),
        (
            ("FLAVOR_CACHE", "/srv/ro"),
            "/srv/ro (FLAVOR_CACHE): on a file system that is mounted read-only; passed over",
        ),
        (
            ("FLAVOR_CACHE", "/srv/ro/a"),
            "/srv/ro/a (FLAVOR_CACHE): on a file system that is mounted read-only; passed over",
        ),
        (
            ("XDG_CACHE_HOME", "/srv/file"),
            "/srv/file/flavor (XDG_CACHE_HOME): not a directory, or a symbolic link; passed over",
        ),
    ] {
        let (code, report) = doctor(&host, 0, &[vars, ("HOME", "/root")]);
        let lines = of_cache(&report);
        assert_eq!(lines[0], ("note".to_owned(), reason.to_owned()));
        assert_eq!(lines.last().unwrap().0, "ok");
        assert_eq!((code, &report["ok"]), (Some(0), &Value::Bool(true)));
    }

    // Now nothing is left, and packages say so too.
    host.sh(
        "mount -o remount,noexec /root; mount -o remount,noexec /tmp; mount -o remount,ro /var/tmp",
    );
    let (code, report) = doctor(&host, 0, &[("FLAVOR_CACHE", "/srv/noexec")]);
    let expected = "no place to unpack to: /srv/noexec (FLAVOR_CACHE): on a file system that is mounted noexec; \
                    /root/.cache/flavor (the home directory of the user): on a file system that is mounted noexec; \
                    /var/tmp/flavor-0 (a directory for temporary files): on a file system that is mounted read-only; \
                    /tmp/flavor-0 (a directory for temporary files): on a file system that is mounted noexec";
    let expected = ("failed".to_owned(), expected.to_owned());
    assert_eq!(of_cache(&report), [expected]);
    assert_eq!((code, &report["cache"]), (Some(1), &Value::Null));
    let start = host.start(0).env("FLAVOR_CACHE", "/srv/noexec").output();
    assert_eq!(start.unwrap().status.code(), Some(125));
}
