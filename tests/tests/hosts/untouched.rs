//! Packages that are only looked at.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use psp_testkit::keys::{OTHER, SIGNER, Secret, Signed};
use psp_testkit::project::{Project, flavor, launcher, text};
use psp_testkit::writer::tar::{Entry, Tar};
use psp_testkit::writer::{Plan, Slot};

/// Writes a package whose launcher, application and setup command are scripts that leave marks.
fn malicious(project: &Project, name: &str, change: impl FnOnce(Plan) -> Plan) {
    let mark = project.path().join("mark");
    let launcher = format!("#!/bin/sh\necho launcher >>'{}'\nexit 0\n", mark.display());
    let app = format!("#!/bin/sh\necho app >>'{}'\n", mark.display());
    let app = Entry {
        mode: 0o755,
        ..Entry::file("app/run", app)
    };
    let tree = Tar::new().entry(&Entry::directory("app")).entry(&app).end();
    let mut plan = Plan::new().slot(Slot::tar(0, "app", &tree));
    // A shell reads no further than `exit`; what follows is not text.
    plan.launcher = launcher.into_bytes();
    let argv = serde_json::json!(["{workenv}/app/run"]);
    let plan = plan
        .set("/execution", "argv", argv.clone())
        .set("/execution", "command", "{workenv}/app/run".into())
        .set("", "setup", serde_json::json!([{ "argv": argv }]));
    let path = project.path().join(name);
    fs::write(&path, change(plan).bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn ask(project: &Project, args: &[&str]) -> Output {
    let mut command = flavor();
    command.args(args).current_dir(project.path());
    command.env("FLAVOR_CACHE", project.cache());
    command.env("FLAVOR_CONFIG_DIR", project.path());
    command.output().unwrap()
}

fn marks(project: &Project) -> String {
    fs::read_to_string(project.path().join("mark")).unwrap_or_default()
}

/// A package whose launcher and application leave marks, given to every verb that looks at packages.
///
/// outcome: verify, inspect, extract and the others run nothing of it; flavor run starts the application only
/// layer: none
/// message: none
#[test]
fn case_116_a_malicious_launcher_is_never_run() {
    let project = Project::new();
    malicious(&project, "bad.psp", |plan| plan);
    for args in [
        &["verify", "bad.psp"][..],
        &["verify", "bad.psp", "--json"],
        &["inspect", "bad.psp"],
        &["inspect", "bad.psp", "--files"],
        &["inspect", "bad.psp", "--dump"],
        &["extract", "bad.psp", "app", "one"],
        &["extract-all", "bad.psp", "all"],
        &["policy", "check", "bad.psp"],
        &["trust", "verify", "bad.psp"],
        &["link", "bad.psp", "bin"],
        &["cache", "verify", "bad.psp"],
    ] {
        let output = ask(&project, args);
        assert!(output.status.code().is_some(), "{args:?}");
        assert_eq!(marks(&project), "", "{args:?}: {}", text(&output.stderr));
    }
    assert!(project.path().join("one/app/run").exists());
    assert!(project.path().join("all/app/run").exists());
    // Setup belongs to a start, and `run` brings its own launcher.
    let output = ask(&project, &["run", "bad.psp"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(marks(&project), "app\napp\n");
    // Started by itself, it does what it likes: nothing in the file can prevent that.
    let shell = Command::new("/bin/sh")
        .arg(project.path().join("bad.psp"))
        .status();
    assert!(shell.unwrap().success());
    assert_eq!(marks(&project), "app\napp\nlauncher\n");
}

/// A signature of another text.
fn wrong(text: &[u8]) -> Signed {
    Secret::from_seed(SIGNER).sign(&[text, b" "].concat())
}

/// The same with a signature that does not verify.
///
/// outcome: refused (1, of run 125); nothing is run, extracted or made
/// layer: signature
/// message: the signature does not match
#[test]
fn case_116_a_bad_signature_is_neither_extracted_nor_run() {
    let project = Project::new();
    malicious(&project, "bad.psp", |plan| plan.signed(wrong));
    for (args, code) in [
        (&["extract", "bad.psp", "app", "out"][..], 1),
        (&["extract-all", "bad.psp", "out"], 1),
        (&["link", "bad.psp", "out"], 1),
        (&["cache", "warm", "bad.psp"], 1),
        (&["run", "bad.psp"], 125),
    ] {
        let output = ask(&project, args);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
        assert!(
            message.contains("the signature does not match"),
            "{args:?}: {message}"
        );
    }
    assert_eq!(marks(&project), "");
    assert!(!project.path().join("out").exists() && !project.cache().exists());
}

/// Packages with a bad signature, a signature by another key and none, shown by inspect in every form.
///
/// outcome: shown as not verified (1)
/// layer: signature
/// message: NOT VERIFIED
#[test]
fn case_117_inspect_calls_nothing_verified() {
    let project = Project::new();
    let sign = |name: &str, signer: fn(&[u8]) -> Signed| {
        let app = Entry::file("app/verified valid", "x");
        let tree = Tar::new().entry(&Entry::directory("app")).entry(&app).end();
        let plan = Plan::new().slot(Slot::tar(0, "app", &tree)).signed(signer);
        fs::write(project.path().join(name), plan.bytes()).unwrap();
    };
    sign("flipped.psp", |text| {
        let mut signed = Secret::from_seed(OTHER).sign(text);
        signed.signature[3] ^= 1;
        signed
    });
    sign("other.psp", |text| Signed {
        key: Secret::from_seed(OTHER).public(),
        ..Secret::from_seed(SIGNER).sign(text)
    });
    sign("none.psp", |_| Signed {
        key: [0; 32],
        signature: [0; 64],
    });
    malicious(&project, "launcher.psp", |plan| plan.signed(wrong));
    for name in ["flipped.psp", "other.psp", "none.psp", "launcher.psp"] {
        for form in [
            &[][..],
            &["--files"],
            &["--json"],
            &["--files", "--json"],
            &["--dump"],
        ] {
            let args = [&["inspect", name], form].concat();
            let output = ask(&project, &args);
            let said = [&output.stdout[..], &output.stderr].concat();
            let said = text(&said).to_lowercase();
            assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
            let denied = [
                "not verified",
                "unverified",
                "not valid",
                "invalid",
                "\"verified\": false",
                "\"valid\": false",
                "\"good\": false",
            ];
            let mut rest = said.clone();
            for words in denied {
                rest = rest.replace(words, "");
            }
            for word in ["verified", "valid"] {
                assert!(!rest.contains(word), "{args:?}: {word} in {said}");
            }
            if form.is_empty() {
                assert!(text(&output.stdout).contains("NOT VERIFIED"), "{said}");
            }
            if form.contains(&"--json") {
                assert!(!said.contains("\"good\": true"), "{said}");
            }
        }
        let output = ask(&project, &["verify", name, "--json"]);
        assert!(text(&output.stdout).contains("\"valid\": false"));
    }
    assert_eq!(marks(&project), "");
    assert!(!Path::new(&project.cache()).exists());
}

/// Directory lists, and setup that writes files or sets modes, inside and outside of the cache: flavorpack has both.
///
/// outcome: refused (1, started and run 125); the format has neither, and nothing outside is touched
/// layer: layout
/// message: none
#[test]
fn case_089_directory_lists_and_setup_that_writes() {
    let project = Project::new();
    let at = |name: &str| project.path().join(name).display().to_string();
    fs::write(at("precious"), "precious").unwrap();
    fs::set_permissions(at("precious"), fs::Permissions::from_mode(0o600)).unwrap();
    let directory = serde_json::json!([{"path": at("made"), "mode": "0777"}]);
    let step = |kind: &str, path: &str| serde_json::json!([{"type": kind, "path": path, "content": "x", "mode": "0777"}]);
    for (parent, key, value) in [
        (
            "",
            "workenv",
            serde_json::json!({ "directories": directory }),
        ),
        ("", "directories", directory.clone()),
        ("/package", "directories", directory.clone()),
        ("/execution", "directories", directory),
        ("", "setup_commands", step("write_file", &at("made"))),
        ("", "setup", step("write_file", &at("made"))),
        (
            "",
            "setup",
            step("write_file", "{workenv}/../../../../made"),
        ),
        ("", "setup", step("chmod", &at("precious"))),
        ("", "setup", serde_json::json!(["touch made"])),
        (
            "",
            "setup",
            serde_json::json!([{"argv": ["touch", "made"]}]),
        ),
        (
            "",
            "setup",
            serde_json::json!([{"argv": ["/bin/touch", at("made")], "mode": "0777"}]),
        ),
    ] {
        let mut plan = Plan::new();
        plan.launcher = launcher().to_vec();
        let bytes = plan.set(parent, key, value.clone()).bytes();
        let path = project.path().join("bad.psp");
        let _ = fs::remove_file(&path);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let what = format!("{parent} {key} {value}");
        for (args, code) in [
            (&["verify", "bad.psp"][..], 1),
            (&["inspect", "bad.psp"], 1),
            (&["extract-all", "bad.psp", "out"], 1),
            (&["cache", "warm", "bad.psp"], 1),
            (&["run", "bad.psp"], 125),
        ] {
            let output = ask(&project, args);
            assert_eq!(output.status.code(), Some(code), "{what}: {args:?}");
        }
        let started = project.start(&path).current_dir(project.path()).output();
        assert_eq!(started.unwrap().status.code(), Some(125), "{what}");
        assert!(!Path::new(&at("made")).exists(), "{what}");
        assert!(!Path::new(&at("out")).exists() && !project.cache().exists());
        let mode = fs::metadata(at("precious")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{what}");
    }
}
