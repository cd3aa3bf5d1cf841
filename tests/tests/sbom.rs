//! The SBOM and the statement of provenance that `flavor pack` writes: what is in them, compared with what the tools of each
//! ecosystem say of the same trees; that they are valid; and that nothing which lies in a tree can break them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use psp_testkit::app::{App, succeed};
use psp_testkit::project::{MANIFEST, Project, flavor, need, text};
use psp_testkit::writer::TRAILER_SIZE;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Validates a document against the schema of CycloneDX, strictly.
const VALIDATE: &str = r#"
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
text = sys.stdin.buffer.read().decode()
fault = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
sys.exit(repr(fault) if fault else 0)
"#;

/// The interpreter of `target/cyclonedx`, or of the virtual environment that `CYCLONEDX` names.
fn validator() -> PathBuf {
    let home = match std::env::var_os("CYCLONEDX") {
        Some(home) => home.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/cyclonedx"),
    };
    let python = home.join("bin/python");
    assert!(
        python.exists(),
        "cyclonedx-python-lib is needed for this test: python3 -m venv target/cyclonedx && \
         target/cyclonedx/bin/pip install 'cyclonedx-python-lib[json-validation]==11.12.0'"
    );
    python
}

/// The text of a package's SBOM, which is valid.
fn sbom_text(package: &Path) -> String {
    let output = succeed(flavor().args(["inspect", "--sbom"]).arg(package));
    let mut validate = Command::new(validator())
        .args(["-c", VALIDATE])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = validate.stdin.take().unwrap();
    input.write_all(&output.stdout).unwrap();
    drop(input);
    let done = validate.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn sbom(package: &Path) -> Value {
    serde_json::from_str(&sbom_text(package)).unwrap()
}

fn provenance(package: &Path) -> Value {
    let output = succeed(flavor().args(["inspect", "--provenance"]).arg(package));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The components whose package URL is of this type.
fn of_type<'s>(sbom: &'s Value, kind: &str) -> Vec<&'s Value> {
    let start = format!("pkg:{kind}/");
    let components = sbom["components"].as_array().unwrap().iter();
    components
        .filter(|it| {
            it["purl"]
                .as_str()
                .is_some_and(|purl| purl.starts_with(&start))
        })
        .collect()
}

/// The component with this package URL.
fn component<'s>(sbom: &'s Value, purl: &str) -> &'s Value {
    let mut components = sbom["components"].as_array().unwrap().iter();
    let found = components.find(|it| it["purl"] == purl);
    found.unwrap_or_else(|| panic!("no {purl} in {sbom}"))
}

fn name_and_version(component: &Value) -> (String, String) {
    let text = |key: &str| component[key].as_str().unwrap_or_default().to_owned();
    let name = match component.get("group") {
        Some(group) => format!("{}/{}", group.as_str().unwrap(), text("name")),
        None => text("name"),
    };
    (name, text("version"))
}

/// The name that PyPI knows it by.
fn normal(name: &str) -> String {
    name.replace(['_', '.'], "-").to_lowercase()
}

fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The ids of a package's slots with their digests, and how long they live.
fn slots(package: &Path) -> Vec<(String, String, String)> {
    let output = succeed(flavor().args(["inspect", "--json"]).arg(package));
    let inspected: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |slot: &Value, key: &str| slot[key].as_str().unwrap().to_owned();
    let slots = inspected["slots"].as_array().unwrap().iter();
    slots
        .map(|slot| {
            (
                text(slot, "id"),
                text(slot, "sha256"),
                text(slot, "lifecycle"),
            )
        })
        .collect()
}

fn ids(package: &Path) -> Vec<String> {
    slots(package).into_iter().map(|(id, _, _)| id).collect()
}

/// Every file that a component names is in the tree and has that digest.
fn files_are_there(sbom: &Value, tree: &Path) {
    for component in sbom["components"].as_array().unwrap() {
        for file in component["components"].as_array().into_iter().flatten() {
            let path = tree.join(file["name"].as_str().unwrap());
            let digest = hex_sha256(&fs::read(&path).unwrap());
            assert_eq!(
                file["hashes"][0]["content"],
                digest.as_str(),
                "{}",
                path.display()
            );
        }
    }
}

/// Nothing of who built, and where, is in a document.
fn says_nothing_of_this_machine(package: &Path, project: &Project) {
    let temporary = std::env::temp_dir().display().to_string();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let here = project.path().display().to_string();
    let host = host.trim();
    for flag in ["--sbom", "--provenance"] {
        let output = succeed(flavor().args(["inspect", flag]).arg(package));
        let said = text(&output.stdout).into_owned();
        for secret in ["flavor-recipe-", "/home/", "/root", &temporary, &here] {
            assert!(!said.contains(secret), "{flag} has {secret}");
        }
        // A short name may be a part of anything.
        assert!(host.len() < 6 || !said.contains(host), "{flag} has {host}");
    }
}

#[test]
fn of_python_the_distributions_that_its_pip_lists() {
    let app = App::pack("httpie");
    let sbom = sbom(&app.package);
    let listed: BTreeSet<(String, String)> = of_type(&sbom, "pypi")
        .into_iter()
        .filter(|it| it.get("properties").is_none())
        .map(name_and_version)
        .map(|(name, version)| (normal(&name), version))
        .collect();
    let output = succeed(
        app.start(&["-m", "pip", "list", "--format", "json"])
            .env("FLAVOR_COMMAND", "python"),
    );
    let pip: Value = serde_json::from_slice(&output.stdout).unwrap();
    let pip: BTreeMap<String, String> = pip
        .as_array()
        .unwrap()
        .iter()
        .map(name_and_version)
        .map(|(name, version)| (normal(&name), version))
        .collect();
    assert!(pip.len() > 10, "{pip:?}");
    // Of two with one name pip lists the one that is found first; both are inside.
    let names: BTreeSet<&String> = listed.iter().map(|(name, _)| name).collect();
    assert_eq!(names, pip.keys().collect());
    for (name, version) in &pip {
        assert!(
            listed.contains(&(name.clone(), version.clone())),
            "{name} {version}"
        );
    }
    let hidden: Vec<_> = listed
        .iter()
        .filter(|(name, version)| &pip[name] != version)
        .collect();
    assert!(hidden.iter().all(|(name, _)| name == "pip"), "{hidden:?}");
    // The same by the tree: what setuptools carries for itself is listed, and marked.
    let found = succeed(
        Command::new("find")
            .arg(&app.tree)
            .args(["-name", "*.dist-info"]),
    );
    let found = text(&found.stdout).lines().count();
    let all: Vec<&Value> = of_type(&sbom, "pypi");
    let metadata = all
        .iter()
        .flat_map(|it| it["components"].as_array().unwrap());
    let metadata = metadata.filter(|it| it["name"].as_str().unwrap().ends_with("/METADATA"));
    assert_eq!(metadata.count(), found);
    files_are_there(&sbom, &app.tree);
    // And so are wheels.
    let found = succeed(Command::new("find").arg(&app.tree).args(["-name", "*.whl"]));
    let found = text(&found.stdout).lines().count();
    let files = all
        .iter()
        .flat_map(|it| it["components"].as_array().unwrap());
    let wheels = files.filter(|it| it["name"].as_str().unwrap().ends_with(".whl"));
    assert_eq!(wheels.count(), found);

    let version = succeed(
        app.start(&["-c", "import platform; print(platform.python_version())"])
            .env("FLAVOR_COMMAND", "python"),
    );
    let version = text(&version.stdout).trim().to_owned();
    let interpreter = component(&sbom, &format!("pkg:generic/python@{version}"));
    assert_eq!(interpreter["licenses"][0]["license"]["id"], "PSF-2.0");
    let cpe = format!("cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*");
    assert_eq!(interpreter["cpe"], cpe.as_str());
    let idna = all.iter().find(|it| it["name"] == "idna").unwrap();
    assert_eq!(idna["licenses"][0]["license"]["id"], "BSD-3-Clause");

    let statement = provenance(&app.package);
    let resolved = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        .as_array()
        .unwrap();
    let uris: BTreeSet<&str> = resolved
        .iter()
        .filter_map(|it| it["uri"].as_str())
        .collect();
    for distribution in all {
        assert!(uris.contains(distribution["purl"].as_str().unwrap()));
    }
    says_nothing_of_this_machine(&app.package, &app.project);
    // Neither is unpacked at a start.
    let found = succeed(
        Command::new("find")
            .arg(app.project.cache())
            .args(["-name", ".sbom"]),
    );
    assert_eq!(text(&found.stdout), "");
    assert!(app.tree.join(".sbom/sbom.cdx.json").exists());
}

#[test]
fn of_node_the_modules_that_are_installed() {
    need("npm", "install Node 20 or newer");
    let app = App::pack("node-server");
    let sbom = sbom(&app.package);
    let modules = of_type(&sbom, "npm");
    let listed: BTreeSet<(String, String)> =
        modules.iter().map(|it| name_and_version(it)).collect();
    let find = "find . -path '*/node_modules/*' -name package.json | grep -E 'node_modules/(@[^/]*/)?[^@/.][^/]*/package.json$'";
    let found = succeed(Command::new("sh").args(["-c", find]).current_dir(&app.tree));
    let installed: BTreeSet<(String, String)> = text(&found.stdout)
        .lines()
        .map(|path| fs::read(app.tree.join(path)).unwrap())
        .map(|text| serde_json::from_slice::<Value>(&text).unwrap())
        .map(|described| name_and_version(&described))
        .collect();
    assert!(installed.len() > 20, "{installed:?}");
    assert_eq!(listed, installed);
    // What the registry gave out, by the lock file.
    let lock = fs::read(app.project.path().join("source/package-lock.json")).unwrap();
    let lock: Value = serde_json::from_slice(&lock).unwrap();
    let integrity = lock["packages"]["node_modules/express"]["integrity"]
        .as_str()
        .unwrap();
    let decode =
        "import base64,sys; print(base64.b64decode(sys.argv[1].removeprefix('sha512-')).hex())";
    let digest = succeed(Command::new("python3").args(["-c", decode, integrity]));
    let express = component(&sbom, "pkg:npm/express@5.1.0");
    let expected = json!([{"alg": "SHA-512", "content": text(&digest.stdout).trim()}]);
    assert_eq!(express["hashes"], expected);
    assert_eq!(express["licenses"], json!([{"license": {"id": "MIT"}}]));
    let node = succeed(Command::new("node").arg("--version"));
    let node = text(&node.stdout).trim().trim_start_matches('v').to_owned();
    component(&sbom, &format!("pkg:generic/node@{node}"));
    files_are_there(&sbom, &app.tree);
    says_nothing_of_this_machine(&app.package, &app.project);
}

#[test]
fn of_bundled_libraries_the_debian_packages() {
    need("jq", "apt-get install jq");
    need("dpkg-query", "run this test on Debian");
    let project = Project::new();
    project.manifest("[package]\nname = \"demo\"\nversion = \"1\"\n[native]\nbinary = \"/usr/bin/jq\"\nbundle-libraries = true\n");
    let package = project.pack();
    let sbom = sbom(&package);
    let libraries = of_type(&sbom, "deb");
    for name in ["jq", "libjq1"] {
        let ask = ["-W", "-f", "${Version} ${Architecture}\n", name];
        let output = succeed(Command::new("dpkg-query").args(ask));
        let output = text(&output.stdout).into_owned();
        let (version, architecture) = output.trim().split_once(' ').unwrap();
        let found = libraries
            .iter()
            .find(|it| it["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {sbom}"));
        assert_eq!(found["version"], version);
        let purl = found["purl"].as_str().unwrap();
        assert!(
            purl.contains(&format!("arch={architecture}")) && purl.contains("distro="),
            "{purl}"
        );
    }
    let tree = project.path().join("tree");
    succeed(flavor().arg("extract-all").arg(&package).arg(&tree));
    files_are_there(&sbom, &tree);
    // Every library that was taken is of some package here.
    let libraries = fs::read_dir(tree.join("native/lib"))
        .unwrap()
        .map(|it| it.unwrap().file_name());
    let named = sbom.to_string();
    for library in libraries {
        assert!(named.contains(library.to_str().unwrap()), "{library:?}");
    }
    says_nothing_of_this_machine(&package, &project);
}

/// A program with a section of these bytes.
fn program(project: &Project, name: &str, section: &str, content: &[u8]) {
    need("cc", "apt-get install gcc libc6-dev");
    project.file("content", 0o644, content);
    project.file("main.c", 0o644, b"int main(void) { return 0; }\n");
    let assembled =
        format!(".section {section},\"a\"\n.incbin \"content\"\n.section .note.GNU-stack,\"\"\n");
    project.file("section.s", 0o644, assembled.as_bytes());
    let mut cc = Command::new("cc");
    cc.args(["-static", "-o", name, "main.c", "section.s"]);
    succeed(cc.current_dir(project.path()));
}

#[test]
fn of_programs_the_crates_and_modules_that_they_name() {
    let project = Project::new();
    let crates = r#"{"packages":[{"name":"serde","version":"1.0.200","source":"crates.io"},
        {"name":"cc","version":"1.0.90","source":"crates.io","kind":"build"},
        {"name":"tool","version":"0.3.0","source":"local","dependencies":[0,1],"root":true}]}"#;
    let compress = "import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.argv[1].encode()))";
    let compressed = succeed(Command::new("python3").args(["-c", compress, crates]));
    fs::create_dir_all(project.path().join("app")).unwrap();
    program(&project, "app/run", ".dep-v0", &compressed.stdout);

    let modules = "path\texample.com/srv\nmod\texample.com/srv\tv0.9.0\t\ndep\tgolang.org/x/text\tv0.14.0\th1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\nbuild\tCGO_ENABLED=0\n";
    let mark = "x".repeat(16);
    let mut information = b"\xff Go buildinf:\x08\x02".to_vec();
    information.resize(32, 0);
    for text in ["go1.22.3".to_owned(), format!("{mark}{modules}{mark}")] {
        let (low, high) = (text.len() & 0x7f, text.len() >> 7);
        match high {
            0 => information.push(u8::try_from(low).unwrap()),
            _ => information.extend([
                u8::try_from(low | 0x80).unwrap(),
                u8::try_from(high).unwrap(),
            ]),
        }
        information.extend(text.bytes());
    }
    program(&project, "app/srv", ".go.buildinfo", &information);
    project.manifest(MANIFEST);
    let package = project.pack();
    let sbom = sbom(&package);
    let references: Vec<&str> = sbom["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["purl"].as_str().unwrap())
        .collect();
    let expected = [
        "pkg:cargo/cc@1.0.90",
        "pkg:cargo/serde@1.0.200",
        "pkg:cargo/tool@0.3.0",
        "pkg:golang/example.com/srv@v0.9.0",
        "pkg:golang/golang.org/x/text@v0.14.0",
        "pkg:golang/stdlib@1.22.3",
    ];
    assert_eq!(references, expected);
    assert_eq!(component(&sbom, expected[0])["scope"], "excluded");
    assert_eq!(
        component(&sbom, expected[4])["hashes"][0]["content"],
        "01".repeat(32).as_str()
    );
    for (purl, file) in [(expected[2], "app/run"), (expected[3], "app/srv")] {
        let digest = hex_sha256(&fs::read(project.path().join(file)).unwrap());
        let file = json!([{"type": "file", "name": file, "hashes": [{"alg": "SHA-256", "content": digest}]}]);
        assert_eq!(component(&sbom, purl)["components"], file);
    }
    let needs = json!({"ref": expected[2], "dependsOn": [expected[0], expected[1]]});
    assert!(
        sbom["dependencies"].as_array().unwrap().contains(&needs),
        "{}",
        sbom["dependencies"]
    );
    assert_eq!(succeed(&mut project.start(&package)).stdout, b"");
}

/// A tree with a distribution, at this place.
fn tree(project: &Project, at: &str) {
    project.file("app/run", 0o755, b"#!/bin/sh\necho hello\n");
    let metadata = "Metadata-Version: 2.1\nName: Some.Thing\nVersion: 1.0\nLicense-Expression: MIT OR Apache-2.0\n\nText\n";
    project.file(
        &format!("app/{at}/some_thing-1.0.dist-info/METADATA"),
        0o644,
        metadata.as_bytes(),
    );
    project.manifest(MANIFEST);
}

#[test]
fn two_builds_are_the_same_and_can_be_rebuilt() {
    let (here, there) = (Project::new(), Project::new());
    let mut packages = Vec::new();
    for project in [&here, &there] {
        tree(project, "lib");
        let mut pack = flavor();
        pack.args(project.pack_args())
            .env("SOURCE_DATE_EPOCH", "1700000000");
        succeed(&mut pack);
        packages.push(fs::read(project.output()).unwrap());
    }
    assert!(packages[0] == packages[1]);
    let package = here.output();
    assert_eq!(ids(&package), ["app", "_sbom", "_provenance"]);
    let document = sbom(&package);
    assert_eq!(document["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    assert_eq!(
        component(&document, "pkg:pypi/some.thing@1.0")["licenses"],
        json!([{"expression": "MIT OR Apache-2.0"}])
    );

    let rebuild = |more: &[&str]| {
        let mut rebuild = flavor();
        rebuild
            .arg("rebuild")
            .arg(&package)
            .args(["--level", "3", "--manifest"]);
        rebuild
            .arg(here.path().join("flavor.toml"))
            .args(more)
            .output()
            .unwrap()
    };
    let done = rebuild(&[]);
    assert!(
        done.status.success(),
        "{}{}",
        text(&done.stdout),
        text(&done.stderr)
    );
    // One that had none gets none.
    succeed(flavor().args(here.pack_args()).arg("--no-sbom"));
    assert_eq!(ids(&package), ["app"]);
    let done = rebuild(&[]);
    assert!(
        done.status.success(),
        "{}{}",
        text(&done.stdout),
        text(&done.stderr)
    );
    let changed = |text: &str| fs::write(here.path().join("flavor.toml"), text).unwrap();
    succeed(flavor().args(here.pack_args()));
    changed(&format!("{MANIFEST}\n# Another text.\n"));
    let done = rebuild(&[]);
    assert_eq!(done.status.code(), Some(1));
    assert!(
        text(&done.stdout).contains("_provenance"),
        "{}",
        text(&done.stdout)
    );
}

#[test]
fn the_statement_names_the_slots_the_manifest_and_the_launcher() {
    let project = Project::new();
    tree(&project, "lib");
    succeed(
        flavor()
            .args(project.pack_args())
            .env("SOURCE_DATE_EPOCH", "1700000000"),
    );
    let package = project.output();
    let statement = provenance(&package);
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let all = slots(&package);
    let subjects: Vec<Value> = all
        .iter()
        .filter(|(id, _, _)| id != "_provenance")
        .map(|(id, digest, _)| json!({"name": id, "digest": {"sha256": digest}}))
        .collect();
    assert_eq!(statement["subject"], Value::Array(subjects));
    let predicate = &statement["predicate"];
    let build = &predicate["buildDefinition"];
    let manifest = hex_sha256(project.read_manifest().as_bytes());
    let expected = json!({"name": "flavor.toml", "digest": {"sha256": manifest}});
    assert_eq!(build["externalParameters"]["manifest"], expected);
    assert_eq!(
        build["externalParameters"]["package"],
        json!({"name": "demo", "version": "1"})
    );
    assert_eq!(build["externalParameters"]["target"], "linux_amd64");
    let launcher = hex_sha256(psp_testkit::project::launcher());
    assert_eq!(
        build["resolvedDependencies"][0]["digest"]["sha256"],
        launcher.as_str()
    );
    assert_eq!(
        build["resolvedDependencies"][1],
        json!({"uri": "pkg:pypi/some.thing@1.0"})
    );
    assert!(predicate["runDetails"]["builder"]["id"].is_string());
    assert_eq!(
        predicate["runDetails"]["metadata"]["startedOn"],
        "2023-11-14T22:13:20Z"
    );
    says_nothing_of_this_machine(&package, &project);

    // The SBOM's digest is in the index, 1440 bytes into it, and it is that of the document.
    let document = sbom_text(&package);
    let bytes = fs::read(&package).unwrap();
    let at = bytes.len() - TRAILER_SIZE + 4 + 1440;
    assert_eq!(text(&bytes[at..at + 64]), hex_sha256(document.as_bytes()));
    let position = bytes
        .windows(document.len())
        .position(|part| part == document.as_bytes());
    assert!(
        position.is_some(),
        "the document does not stand in the file as it is"
    );
    assert_eq!(all[1].2, "attestation");
    // A changed one is not shown.
    let mut changed = bytes.clone();
    changed[position.unwrap() + 20] ^= 1;
    fs::write(project.path().join("changed.psp"), changed).unwrap();
    let refused = flavor()
        .args(["inspect", "--sbom"])
        .arg(project.path().join("changed.psp"))
        .output()
        .unwrap();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
}

#[test]
fn where_nothing_is_to_be_listed_there_is_none_unless_it_is_asked_for() {
    let project = Project::new();
    project.file("app/run", 0o755, b"#!/bin/sh\necho hello\n");
    project.manifest(MANIFEST);
    let package = project.pack();
    assert_eq!(ids(&package), ["app"]);
    for (flag, what) in [
        ("--sbom", "SBOM"),
        ("--provenance", "statement of provenance"),
    ] {
        let none = flavor()
            .args(["inspect", flag])
            .arg(&package)
            .output()
            .unwrap();
        let said = text(&none.stderr).into_owned();
        assert_eq!(none.status.code(), Some(1), "{said}");
        let lines: Vec<&str> = said.lines().collect();
        assert!(
            lines.len() == 2 && lines[0].ends_with(&format!("demo.psp has no {what}")),
            "{said}"
        );
        assert!(lines[1].starts_with("help: `flavor pack --sbom`"), "{said}");
    }
    succeed(flavor().args(project.pack_args()).arg("--sbom"));
    assert_eq!(ids(&package), ["app", "_sbom", "_provenance"]);
    let document = sbom(&package);
    assert_eq!(document["components"], json!([]));
    assert!(document["metadata"].get("timestamp").is_none());
    assert_eq!(
        text(&succeed(&mut project.start(&package)).stdout),
        "hello\n"
    );

    // Who brings an SBOM keeps it.
    project.file("mine.json", 0o644, b"{\"mine\":true}");
    let own = "[[slot]]\nid = \"mine\"\nsource = \"mine.json\"\nlifecycle = \"attestation\"\n";
    project.manifest(&MANIFEST.replace("[command]", &format!("{own}[command]")));
    project.file(
        "app/a-1.dist-info/METADATA",
        0o644,
        b"Name: a\nVersion: 1\n",
    );
    succeed(flavor().args(project.pack_args()));
    assert_eq!(ids(&package), ["app", "mine"]);
    let shown = succeed(flavor().args(["inspect", "--sbom"]).arg(&package));
    assert_eq!(text(&shown.stdout), "{\"mine\":true}\n");
    let refused = flavor()
        .args(project.pack_args())
        .arg("--sbom")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr).into_owned();
    assert!(
        said.contains("error: slot mine stands where the SBOM")
            && said.contains("\nhelp: leave out --sbom"),
        "{said}"
    );
}

#[test]
fn a_host_that_asks_for_an_sbom_starts_the_package() {
    let project = Project::new();
    tree(&project, "lib");
    let package = project.pack();
    let policy = r#"{"version":1,"attestation":{"require_sbom":true}}"#;
    project.file("config/policy.json", 0o644, policy.as_bytes());
    let start = || {
        let mut start = project.start(&package);
        start.env("FLAVOR_CONFIG_DIR", project.path().join("config"));
        start.output().unwrap()
    };
    let output = start();
    assert_eq!(text(&output.stdout), "hello\n", "{}", text(&output.stderr));
    succeed(flavor().args(project.pack_args()).arg("--no-sbom"));
    let output = start();
    assert!(
        text(&output.stderr).contains("the package has no SBOM"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn no_metadata_breaks_a_build_or_a_document() {
    let project = Project::new();
    tree(&project, "lib");
    let file =
        |name: &str, content: &[u8]| project.file(&format!("app/lib/{name}"), 0o644, content);
    file(
        "utf-1.dist-info/METADATA",
        b"Name: u\xff\xfetf\nVersion: \x80\n",
    );
    let mut large = b"Name: large\nVersion: 3\nDescription: ".to_vec();
    large.resize(10 << 20, b'x');
    file("large-3.dist-info/METADATA", &large);
    file("endless-4.dist-info/METADATA", &vec![b'y'; 2 << 20]);
    file("empty-5.dist-info/METADATA", b"");
    file(
        "control.dist-info/METADATA",
        "Name: c\u{1b}]0;t\u{7}\u{9b}31m\u{202e}\nVersion: 1\u{0}\"\\\nLicense: \u{1b}[31m\n"
            .as_bytes(),
    );
    file("old-6-py3.11.egg-info", b"Name: old\nVersion: 6\n");
    file("dir.egg-info/PKG-INFO", b"Name: dir\nVersion: 7\n");
    file("broken-8-py3-none-any.whl", b"PK\x03\x04 and no more");
    let zip = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as wheel:\n    wheel.writestr('whole-9.dist-info/METADATA', 'Name: whole\\nVersion: 9.1\\n')\n";
    let wheel = project.path().join("app/lib/x-1-py3-none-any.whl");
    succeed(Command::new("python3").args(["-c", zip]).arg(&wheel));
    file("node_modules/broken-module/package.json", b"not JSON {");
    file("node_modules/list/package.json", b"[1,2]");
    file(
        "node_modules/types/package.json",
        br#"{"name":["x"],"version":7,"license":{"type":9},"licenses":"x"}"#,
    );
    file(
        "node_modules/@s/esc/package.json",
        br#"{"name":"@s/\u001b[2Jx\u0000","version":"1.0.0\n","license":"\u009b"}"#,
    );
    let deep = [b"[".repeat(200_000), b"]".repeat(200_000)].concat();
    file("node_modules/deep/package.json", &deep);
    file("package-lock.json", &deep);
    // The names of directories are names, too.
    let odd = project.path().join("app/lib/node_modules");
    let odd = odd.join(std::ffi::OsStr::from_bytes(b"odd\xff\x1b"));
    fs::create_dir_all(&odd).unwrap();
    fs::write(odd.join("package.json"), b"{}").unwrap();
    let garbage: Vec<u8> = (0..5000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    for (name, section) in [("app/a", ".dep-v0"), ("app/b", ".go.buildinfo")] {
        program(&project, name, section, &garbage);
    }
    fs::hard_link(
        project.path().join("app/lib/empty-5.dist-info/METADATA"),
        project.path().join("app/lib/zz.egg-info"),
    )
    .unwrap();

    let package = project.pack();
    let document = sbom_text(&package);
    let obeyed = |c: char| c.is_control() || c == '\u{202e}';
    assert!(!document.trim_end().contains(obeyed), "{document}");
    let sbom: Value = serde_json::from_str(&document).unwrap();
    let all: BTreeMap<String, String> = sbom["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(name_and_version)
        .collect();
    for (name, version) in [
        ("Some.Thing", "1.0"),
        ("u\u{fffd}\u{fffd}tf", "\u{fffd}"),
        ("large", "3"),
        ("endless", "4"),
        ("empty", "5"),
        ("zz", ""),
        ("c\u{1b}]0;t\u{7}\u{9b}31m\u{202e}", "1\u{0}\"\\"),
        ("old", "6"),
        ("dir", "7"),
        ("broken", "8"),
        ("whole", "9.1"),
        ("broken-module", ""),
        ("list", ""),
        ("types", ""),
        ("deep", ""),
        ("odd\u{fffd}\u{1b}", ""),
        ("@s/\u{1b}[2Jx\u{0}", "1.0.0"),
    ] {
        assert_eq!(
            all.get(name).map(String::as_str),
            Some(version),
            "{name:?} in {all:?}"
        );
    }
    let statement = provenance(&package);
    assert!(statement["subject"].is_array());
    assert_eq!(
        text(&succeed(&mut project.start(&package)).stdout),
        "hello\n"
    );
}
