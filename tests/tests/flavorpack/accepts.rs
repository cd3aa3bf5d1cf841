//! Its tools accept every kind of package that we write.

use psp_testkit::project::text;

use crate::tool::{Bench, Launcher, PROJECT};

#[test]
fn every_reading_verb_of_its_tool_accepts_every_package_of_ours() {
    let more = [
        ("plain", String::new()),
        (
            "policy and more commands",
            "[commands.second]\nexec = \"{workenv}/app/bin/run.sh\"\n[policy]\nplatforms = [\"linux_amd64\"]\n\
             [env]\nset = { A = \"b\" }\n[desktop]\nterminal = true\n"
                .to_owned(),
        ),
        (
            "setup",
            "[[setup]]\nexec = \"/bin/sh\"\nargs = [\"-c\", \"true\"]\n".to_owned(),
        ),
    ];
    for (kind, added) in more {
        let bench = Bench::new();
        bench.file("more.toml", 0o644, format!("{PROJECT}{added}").as_bytes());
        let manifest = ["--manifest", "more.toml"];
        let packed = bench.pack(None, &manifest, "p.psp");
        assert!(packed.status.success(), "{kind}: {}", text(&packed.stderr));
        accepted(&bench, kind);
    }
    let bench = Bench::new();
    let packed = bench.pack(Some(Launcher::Go), &["--compat", "flavorpack"], "p.psp");
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    accepted(&bench, "compat");
    let keygen = bench.ours(&["keygen", "--name", "second"]);
    assert!(keygen.status.success(), "{}", text(&keygen.stderr));
    let signed = bench.ours(&["sign", "--add", "--private-key", "second.key", "p.psp"]);
    assert!(signed.status.success(), "{}", text(&signed.stderr));
    accepted(&bench, "two signers");
}

fn accepted(bench: &Bench, kind: &str) {
    for args in [
        &["verify", "p.psp"][..],
        &["inspect", "p.psp"],
        &["inspect", "--json", "p.psp"],
        &["extract", "--force", "p.psp", "0", "slot"],
        &["extract-all", "--force", "p.psp", "slots"],
        &["trust", "verify", "p.psp"],
        &["policy", "check", "p.psp"],
    ] {
        let output = bench.theirs(args);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{kind}, {args:?}: {said}");
    }
}
