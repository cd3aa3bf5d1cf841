//! What a host lets start, seen from a package that starts on it. The numbers are those of the list of hostile cases.
#![allow(clippy::panic)]

mod common;
#[path = "common/etc.rs"]
mod etc;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use common::{assert_refused, must};
use etc::{Etc, OTHER, USER, assert_started, fingerprint, mode, patient, pem};
use psp_format::metadata::Metadata;
use psp_launcher::env_vars;

const REQUIRE: &str = r#"{"version":1,"trust":{"require_trusted_key":true}}"#;
const EMPTY: &str = r#"{"version":1}"#;
/// Where a host remembers versions, in the user's directory.
const SEEN: &str = "seen";

fn execution(text: &str) -> String {
    format!("{{\"version\":1,\"execution\":{{{text}}}}}")
}

/// With a build time of so many days ago.
fn built(days: i64) -> impl FnOnce(&mut Metadata) {
    let now = i64::try_from(psp_launcher::store::now()).unwrap_or(0);
    let time = u64::try_from(now - days * 86_400).unwrap_or(0);
    move |m| m.build.timestamp = psp_format::instant::to_text(time)
}

fn version(version: &str) -> impl FnOnce(&mut Metadata) {
    let version = version.to_owned();
    move |m| m.package.version = version
}

/// A package has a lower version than the highest that was seen.
///
/// outcome: refused (125); it starts after the remembering file was removed
/// layer: policy
/// message: which started here before | versions cannot be compared
#[test]
fn case_038_a_lower_version_than_was_seen() {
    let host = Etc::new();
    host.put_system("policy.json", execution("\"refuse_downgrade\":true"));
    let start = |v: &str| host.start(&host.package("test", version(v)));
    assert_started(&start("1.10"));
    assert_started(&start("1.10"));
    let memory = host
        .user(SEEN)
        .join(format!("demo.{}", fingerprint("test")));
    let fact = format!(
        "version 1.9 is below 1.10, which started here before ({})",
        memory.display()
    );
    for _ in 0..2 {
        assert_refused(&start("1.9"), 125, &[&fact, "remove that file"]);
    }
    assert_refused(&start("1.10rc1"), 125, &["below 1.10"]);
    assert_started(&start("1.11"));
    assert_refused(&start("1.10"), 125, &["below 1.11"]);
    // Other packages and other signers have versions of their own.
    let other = host.package("test", |m| {
        m.package.name = "other".into();
        m.package.version = "0.1".into();
    });
    assert_started(&host.start(&other));
    assert_started(&host.start(&host.package("somebody", version("0.1"))));
    // What was seen and cannot be read is not "never seen".
    for text in ["", "flavor seen 1\n9.9", "flavor seen 2\n1.0\n"] {
        etc::put(&memory, text, USER);
        assert_refused(&start("1.11"), 125, &["versions cannot be compared"]);
    }
    etc::put(&memory, "x", OTHER);
    assert_refused(&start("1.11"), 125, &["can be changed by others"]);
    must(fs::remove_file(&memory));
    must(symlink("/dev/zero", &memory));
    assert_refused(&start("1.11"), 125, &["is not a regular file"]);
    must(fs::remove_file(&memory));
    assert_started(&start("1.9"));
    let left = must(fs::read_dir(host.user(SEEN))).count();
    assert_eq!(left, 3, "nothing half-written");
    // Where there is nowhere to remember it, nothing starts.
    let path = host.package("test", |_| {});
    let refused = host.start_as(OTHER, &path);
    assert_refused(
        &refused,
        125,
        &["versions cannot be compared", "/nonexistent"],
    );
}

/// Another package has the same name, signer and version.
///
/// outcome: refused (125), or a warning where the policy says so
/// layer: policy
/// message: another package of the same name, signer and version
#[test]
fn case_039_another_package_under_the_same_version() {
    let host = Etc::new();
    let policy = "\"refuse_downgrade\":true";
    host.put_system("policy.json", execution(policy));
    let one = host.package("test", |_| {});
    assert_started(&host.start(&one));
    let describe = |m: &mut Metadata| m.package.description = Some("changed".into());
    let other = host.package("test", describe);
    let fact = "another package of the same name, signer and version 1.2 started here before";
    assert_refused(&host.start(&other), 125, &[fact]);
    let warn = "{\"version\":1,\"execution\":{\"refuse_downgrade\":true},\"enforcement\":{\"same_version\":\"warn\"}}";
    host.put_system("policy.json", warn);
    assert_warned(&host.start(&other), fact);
}

/// Whoever holds a package can change the order of its signers, add one of their own and take some away.
#[test]
fn versions_are_compared_with_those_of_every_signer() {
    let host = Etc::new();
    host.put_system("policy.json", execution("\"refuse_downgrade\":true"));
    let start = |signers: &[&str], v: &str| host.start(&host.signed(signers, version(v)));
    assert_started(&start(&["one", "two"], "2.0"));
    let fact = "version 1.0 is below 2.0, which started here before";
    for signers in [
        &["one"][..],
        &["two"],
        &["two", "one"],
        &["mallory", "one"],
        &["mallory", "two"],
        &["mallory", "two", "one"],
    ] {
        assert_refused(&start(signers, "1.0"), 125, &[fact]);
    }
    // What was refused is not remembered of anybody.
    assert_started(&start(&["mallory"], "0.1"));
}

#[test]
fn packages_are_of_one_maker_when_all_signers_are_the_same() {
    let host = Etc::new();
    let recorded = |signers: &[&str], v: &str| {
        let path = host.signed(signers, version(v));
        assert_started(&host.start(&path));
        let ready = host.place.path("home/.cache/flavor/ready");
        let records = must(fs::read_dir(ready)).flatten();
        let records = records.map(|entry| must(fs::read_to_string(entry.path())));
        let mine = records.filter(|text| text.contains(&format!("\nversion {v}\n")));
        let lines: Vec<_> = mine.collect();
        let line = lines.iter().flat_map(|text| text.lines());
        line.filter_map(|line| line.strip_prefix("signer "))
            .collect::<Vec<_>>()
            .join("|")
    };
    let mut both = [fingerprint("one"), fingerprint("two")];
    both.sort();
    assert_eq!(recorded(&["one", "two"], "1.0"), both.join(" "));
    assert_eq!(recorded(&["two", "one"], "1.1"), both.join(" "));
    assert_eq!(recorded(&["one"], "1.2"), fingerprint("one"));
    assert_ne!(recorded(&["mallory", "one"], "1.3"), fingerprint("one"));
}

/// A version is so high that no other can follow.
///
/// outcome: runs; a lower one is refused (125) until the file that the message names is removed
/// layer: policy
/// message: which started here before
#[test]
fn case_040_a_version_that_is_too_high() {
    let host = Etc::new();
    host.put_user("policy.json", execution("\"refuse_downgrade\":true"));
    let start = |v: &str| host.start(&host.package("test", version(v)));
    assert_started(&start("18446744073709551615"));
    assert_started(&start("18446744073709551616"));
    assert_refused(&start("2.0"), 125, &["below 18446744073709551616"]);
    // The message has named the file, and what to do with it.
    let memory = host
        .user(SEEN)
        .join(format!("demo.{}", fingerprint("test")));
    must(fs::remove_file(memory));
    assert_started(&start("2.0"));
}

/// A package is too old, from the future, or without a build time where an age is limited.
///
/// outcome: refused (125)
/// layer: policy
/// message: days old, the limit is | the clock is before its build time | no build time is signed
#[test]
fn case_041_old_packages_and_packages_from_the_future() {
    let host = Etc::new();
    host.put_system("policy.json", execution("\"max_age_days\":30"));
    assert_started(&host.start(&host.package("test", built(29))));
    for _ in 0..2 {
        let refused = host.start(&host.package("test", built(31)));
        assert_refused(&refused, 125, &["days old, the limit is 30", "policy.json"]);
    }
    let refused = host.start(&host.package("test", built(-2)));
    assert_refused(&refused, 125, &["the clock is before its build time"]);
    // No build time is not "as new as can be".
    let none = |m: &mut Metadata| m.build.timestamp = "1970-01-01T00:00:00Z".into();
    let refused = host.start(&host.package("test", none));
    assert_refused(&refused, 125, &["no build time is signed"]);
    // The stricter of two limits, whoever has set it.
    host.put_user("policy.json", execution("\"max_age_days\":3650"));
    assert_refused(&host.start(&host.package("test", built(31))), 125, &["30"]);
    host.put_user("policy.json", execution("\"max_age_days\":7"));
    assert_refused(&host.start(&host.package("test", built(8))), 125, &["7"]);
    assert_started(&host.start(&host.package("test", built(6))));
}

/// The clock stands at 1970.
///
/// outcome: refused where an age is limited; no panic
/// layer: policy
/// message: the clock is before its build time
#[test]
fn case_042_a_clock_at_1970() {
    use psp_format::digest::Digest;
    use psp_launcher::policy::host::{Check, HostPolicy, Level};
    use psp_launcher::policy::judge::{HostFacts, Reason, Rules};
    let host = Etc::new();
    let package = must(fs::read(host.package("test", built(0))));
    let package = must(psp_format::verify::verify_bytes(&package));
    let dir = host.place.path("config").display().to_string();
    host.put_user("policy.json", EMPTY);
    let key = format!("# Expires: 1970-01-01\n{}", pem("test"));
    etc::put(&host.place.path("config/trusted-keys/k.pub"), key, 0);
    let var = |name: &str| (name == env_vars::FLAVOR_CONFIG_DIR).then_some(dir.as_bytes());
    let mut rules = Rules::read(&var, 0).unwrap_or_else(|e| panic!("{e:?}"));
    let policy = HostPolicy {
        max_age_days: 30,
        require_trusted_key: true,
        required_signers: vec![Digest::of(b"")],
        ..HostPolicy::default()
    };
    rules.policies = vec![("p".into(), policy)];
    for (now, checks) in [
        ((|| 0) as fn() -> u64, vec![Check::Age, Check::Signer]),
        (
            || 86_400,
            vec![Check::Age, Check::TrustedKey, Check::Signer],
        ),
        (
            || u64::MAX,
            vec![Check::Age, Check::TrustedKey, Check::Signer],
        ),
    ] {
        let facts = HostFacts {
            uid: 0,
            now,
            remember: false,
        };
        let mut found = Vec::new();
        rules.judge(&package, &facts, &mut |_, check, level, reason: Reason| {
            assert!(!reason.to_string().is_empty() && level == Level::Deny);
            found.push(check);
        });
        assert_eq!(found, checks);
    }
}

/// Variables that would lower validation, in any case and with any value.
///
/// outcome: refused (125)
/// layer: environment
/// message: is not trusted here
#[test]
fn case_043_no_variable_weakens_anything() {
    let host = Etc::new();
    host.put_system("policy.json", REQUIRE);
    let path = host.package("test", |_| {});
    let mut damaged = must(fs::read(&path));
    let end = damaged.len() - 8200 - 20;
    damaged[end] ^= 1;
    let broken = host.write("broken.psp", &damaged);
    for name in [
        "FLAVOR_VALIDATION",
        "flavor_validation",
        "FLAVOR_VALIDATION_LEVEL",
        "FLAVOR_POLICY",
        "FLAVOR_TRUST",
        "FLAVOR_INSECURE",
        "FLAVOR_DEV",
        "FLAVOR_EXEC_MODE",
        "FLAVOR_WORKENV_CACHE",
    ] {
        for value in [
            "", "none", "NONE", "Relaxed", "minimal", "0", "1", "false", "what",
        ] {
            let parts = ["is not trusted here"];
            assert_refused(&host.start_with(&path, name, value), 125, &parts);
        }
        let refused = host.start_with(&broken, name, "none");
        assert_eq!(refused.status.code(), Some(125));
        assert!(refused.stdout.is_empty());
    }
}

/// Somebody's directory, in which everything is allowed and everybody trusted.
fn attackers(host: &Etc, owner: u32) -> String {
    let dir = host.place.path("attacker");
    for base in ["", "flavor/", ".config/flavor/"] {
        let base = dir.join(base);
        etc::put(
            &base.join("trusted-keys/evil.pub"),
            pem("an attacker"),
            owner,
        );
        let policy = "{\"version\":1,\"enforcement\":{\"default\":\"allow\"}}";
        etc::put(&base.join("policy.json"), policy, owner);
    }
    dir.display().to_string()
}

/// Variables lead to directories of somebody else, where the system has a policy.
///
/// outcome: refused (125)
/// layer: environment
/// message: is not trusted here | is revoked on this host
#[test]
fn case_044_variables_that_lead_to_somebody_elses_directories() {
    let host = Etc::new();
    host.put_system("policy.json", REQUIRE);
    host.put_system("trusted-keys/maker.pub", pem("test"));
    let revoked = host.put_user("revoked-keys", fingerprint("test"));
    let dir = attackers(&host, USER);
    let bytes = |signer: &str| must(fs::read(host.package(signer, |_| {})));
    let good = host.write("good.psp", &bytes("test"));
    let path = host.write("evil.psp", &bytes("an attacker"));
    for name in [
        "FLAVOR_CONFIG_DIR",
        "FLAVOR_TRUSTED_KEYS_DIR",
        "XDG_CONFIG_HOME",
        "HOME",
    ] {
        let refused = host.start_with(&path, name, &dir);
        assert_refused(&refused, 125, &["is not trusted here"]);
        // What the user has revoked stays revoked, wherever the variables lead.
        let refused = host.start_with(&good, name, &dir);
        assert_refused(&refused, 125, &["is revoked on this host"]);
    }
    must(fs::remove_file(revoked));
    assert_started(&host.start(&good));
    // Without a policy of the system the variables say where the user's word is.
    host.clear_system();
    host.put_user("policy.json", REQUIRE);
    assert_refused(&host.start(&good), 125, &["is not trusted here"]);
    for name in ["FLAVOR_CONFIG_DIR", "XDG_CONFIG_HOME", "HOME"] {
        assert_started(&host.start_with(&good, name, &dir));
    }
    let keys = format!("{dir}/trusted-keys");
    let refused = host.start_with(&good, "FLAVOR_TRUSTED_KEYS_DIR", &keys);
    assert_refused(&refused, 125, &["is not trusted here"]);
    etc::put(&Path::new(&keys).join("maker.pub"), pem("test"), USER);
    assert_started(&host.start_with(&good, "FLAVOR_TRUSTED_KEYS_DIR", &keys));
    for name in [
        "FLAVOR_CONFIG_DIR",
        "XDG_CONFIG_HOME",
        "FLAVOR_TRUSTED_KEYS_DIR",
    ] {
        let refused = host.start_with(&good, name, "attacker");
        let fact = format!("{name} is not an absolute path: \"attacker\"");
        assert_refused(&refused, 125, &[&fact]);
    }
}

/// The user's policy is weaker than the system's.
///
/// outcome: refused (125): all policies have to hold
/// layer: policy
/// message: is not trusted here
#[test]
fn case_045_the_user_can_only_tighten() {
    let host = Etc::new();
    let weak = r#"{"version":1,
        "trust":{"require_trusted_key":false},
        "execution":{"refuse_root":false,"max_age_days":0,"allow_platforms":[],"refuse_downgrade":false,"minimum_version":{"*":"0"}},
        "attestation":{"require_sbom":false},
        "enforcement":{"default":"allow","untrusted_key":"allow","platform_mismatch":"warn"}}"#;
    let path = host.package("test", |_| {});
    let signers = format!(
        "{{\"version\":1,\"trust\":{{\"required_signers\":[\"{}\"]}}}}",
        fingerprint("maker")
    );
    let systems = [
        (REQUIRE.to_owned(), "is not trusted here"),
        (signers, "is none of those that are required"),
        (execution("\"max_age_days\":1"), "the limit is 1"),
        (
            execution("\"allow_platforms\":[\"windows_arm64\",\"x_y\"]"),
            "packages start on windows_arm64, x_y only",
        ),
        (
            execution("\"minimum_version\":{\"dem?\":\"1.3\"}"),
            "version 1.2 is below 1.3",
        ),
        (
            "{\"version\":1,\"attestation\":{\"require_sbom\":true}}".to_owned(),
            "the package has no SBOM",
        ),
    ];
    for (system, part) in &systems {
        host.put_system("policy.json", system);
        host.clear_user();
        assert_refused(
            &host.start(&path),
            125,
            &["/etc/flavor/policy.json: ", part],
        );
        host.put_user("policy.json", weak);
        assert_refused(
            &host.start(&path),
            125,
            &["/etc/flavor/policy.json: ", part],
        );
        // The same from the user, where the administrator asks for nothing: either way it holds.
        host.put_system("policy.json", EMPTY);
        host.put_user("policy.json", system);
        assert_refused(&host.start(&path), 125, &[part]);
        host.put_system("policy.json", weak);
        host.put_user("policy.json", system);
        assert_refused(&host.start(&path), 125, &[part]);
        // The administrator may warn only; the user may want more.
        let warn = system.replacen('{', "{\"enforcement\":{\"default\":\"warn\"},", 1);
        host.put_system("policy.json", &warn);
        host.put_user("policy.json", EMPTY);
        assert_warned(&host.start(&path), part);
        let deny = "{\"version\":1,\"enforcement\":{\"default\":\"deny\"}}";
        host.put_user("policy.json", deny);
        assert_refused(&host.start(&path), 125, &[part]);
        let allow = system.replacen('{', "{\"enforcement\":{\"default\":\"allow\"},", 1);
        host.clear_user();
        host.put_system("policy.json", &allow);
        assert_started(&host.start(&path));
    }
    host.put_system("policy.json", execution("\"refuse_root\":true"));
    assert_started(&host.start(&path));
    let refused = host.start_as(0, &path);
    assert_refused(&refused, 125, &["packages do not start as root"]);
    // What fits everything.
    let fits = host.package("test", |m| {
        built(3)(m);
        m.package.version = "2.0".into();
    });
    host.put_system(
        "policy.json",
        format!(
            "{{\"version\":1,\"trust\":{{\"require_trusted_key\":true,\"required_signers\":[\"{}\"]}},\
             \"execution\":{{\"max_age_days\":5,\"allow_platforms\":[\"{}\"],\"minimum_version\":{{\"demo\":\"2\"}},\"refuse_root\":true}}}}",
            fingerprint("test"),
            psp_launcher::plan::PLATFORM
        ),
    );
    host.put_system("trusted-keys/k.pub", pem("test"));
    assert_started(&host.start(&fits));
}

/// Asserts that the application began, after one line of warning.
fn assert_warned(output: &Output, part: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"started\n", "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(
        matches!(lines[..], [line] if line.starts_with("warning: ") && line.contains(part)),
        "{stderr}"
    );
}

/// A policy that is no JSON, lacks its version, has unknown or repeated keys, is too large or too deep, or no file.
///
/// outcome: refused (125)
/// layer: policy
/// message: expected an object | there is no such key | this key stands here twice | is too large | is not a regular file
#[test]
fn case_046_a_policy_that_cannot_be_read_is_not_no_policy() {
    let host = Etc::new();
    let path = host.package("test", |_| {});
    assert_started(&host.start(&path));
    let deep = ["{\"version\":1,\"trust\":", &"[".repeat(10_000)].concat();
    let policies: [(&[u8], &str); 10] = [
        (b"", "line 1, column 1: expected an object"),
        (b"{\"trust\":{}}", "\"version\" is missing"),
        (b"{\"version\":1}}", "expected nothing more"),
        (
            b"{\"version\":1,\n\"policy\":{}}",
            "line 2, column 1: there is no such key",
        ),
        (b"{\"version\":\"1\"}", "column 12: expected a whole number"),
        (
            b"{\"version\":1,\"version\":1}",
            "this key stands here twice",
        ),
        (b"{\"version\":1}\xff", "column 14: expected nothing more"),
        (deep.as_bytes(), "expected an object"),
        (&vec![b' '; 10 << 20], "is too large"),
        (
            &[b"{\"version\":1}", &vec![b' '; 65 << 10][..]].concat(),
            "is too large",
        ),
    ];
    for (text, part) in policies {
        for is_system in [true, false] {
            let file = if is_system {
                host.put_system("policy.json", text)
            } else {
                host.put_user("policy.json", text)
            };
            for _ in 0..2 {
                assert_refused(&host.start(&path), 125, &["policy.json", part]);
            }
            must(fs::remove_file(file));
            assert_started(&host.start(&path));
        }
    }
    for is_system in [true, false] {
        let file = if is_system {
            host.put_system("policy.json", EMPTY)
        } else {
            host.put_user("policy.json", EMPTY)
        };
        mode(&file, 0);
        assert_refused(&host.start(&path), 125, &["policy.json: Permission denied"]);
        must(fs::remove_file(&file));
        must(fs::create_dir(&file));
        assert_refused(
            &host.start(&path),
            125,
            &["policy.json is not a regular file"],
        );
        must(fs::remove_dir(&file));
        must(symlink("/dev/zero", &file));
        assert_refused(
            &host.start(&path),
            125,
            &["policy.json is not a regular file"],
        );
        must(fs::remove_file(&file));
        let (fifo, all) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o644));
        must(rustix::fs::mknodat(rustix::fs::CWD, &file, fifo, all, 0));
        assert_refused(
            &host.start(&path),
            125,
            &["policy.json is not a regular file"],
        );
        must(fs::remove_file(&file));
    }
    // A link that leads nowhere says that something should be there.
    let policy = host.system("policy.json");
    must(symlink("nothing", &policy));
    assert_refused(
        &host.start(&path),
        125,
        &["cannot read /etc/flavor/policy.json"],
    );
    must(fs::remove_file(&policy));
    let policy = host.user("policy.json");
    must(symlink("nothing", &policy));
    assert_refused(&host.start(&path), 125, &["cannot read", "policy.json"]);
    must(fs::remove_file(&policy));
    // One that leads to a policy does.
    host.put_system("real", REQUIRE);
    must(symlink("real", host.system("policy.json")));
    assert_refused(&host.start(&path), 125, &["is not trusted here"]);
    host.clear_system();
    let directory = host.place.path("etc/flavor");
    must(symlink("nothing", &directory));
    assert_refused(&host.start(&path), 125, &["cannot read /etc/flavor"]);
    must(fs::remove_file(&directory));
    // A file in the place of the directory.
    must(fs::write(&directory, ""));
    assert_refused(&host.start(&path), 125, &["/etc/flavor: Not a directory"]);
}

/// Where nobody has said anything, or nobody can have: a home that is none, or another user's.
#[test]
fn hosts_without_a_word() {
    let host = Etc::new();
    let path = host.package("test", |_| {});
    must(fs::create_dir(host.system("")));
    assert_started(&host.start(&path));
    for home in ["/nonexistent", "/dev/null", "", "relative", "/"] {
        let mut command = host.command(USER, &path);
        let cache = host.place.path("home/cache");
        let started = patient(command.env("HOME", home).env("FLAVOR_CACHE", cache));
        assert_started(&started);
    }
    // Root with the environment of a user who has keys and no policy.
    host.put_user("trusted-keys/k.pub", pem("test"));
    let mut command = host.command(0, &path);
    let cache = host.place.path("roots");
    assert_started(&patient(command.env("FLAVOR_CACHE", &cache)));
    host.put_user("policy.json", EMPTY);
    let mut command = host.command(0, &path);
    let refused = patient(command.env("FLAVOR_CACHE", &cache));
    assert_refused(&refused, 125, &["can be changed by others"]);
}

/// What a warm start asks the system for, where nobody has said anything.
#[test]
fn silence_costs_two_failing_calls() {
    let host = Etc::new();
    let path = host.package("test", |_| {});
    assert_started(&host.start(&path));
    let trace = host.place.path("trace");
    let mut command = host.command(USER, "strace");
    command.args(["-f", "-o"]).arg(&trace).arg(&path);
    mode(&host.place.path("."), 0o777);
    let found = patient(&mut command);
    assert_eq!(
        found.stdout,
        b"started\n",
        "strace is needed: apt-get install strace: {}",
        String::from_utf8_lossy(&found.stderr)
    );
    let trace = must(fs::read_to_string(trace));
    let calls = |part: &str| trace.lines().filter(|line| line.contains(part)).count();
    assert_eq!(calls("/etc/flavor"), 1, "{trace}");
    assert_eq!(calls(".config/flavor"), 1, "{trace}");
    assert_eq!(calls("/etc/passwd"), 0, "{trace}");
}
