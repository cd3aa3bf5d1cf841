//! Whom a host trusts, seen from a package that starts on it. The numbers are those of the list of hostile cases.
#![allow(clippy::panic)]

mod common;
#[path = "common/etc.rs"]
mod etc;

use std::fs;
use std::os::unix::fs::{chown, symlink};

use common::{assert_refused, must};
use etc::{Etc, OTHER, USER, assert_started, fingerprint, mode, pem};
use psp_format::signature::PrivateKey;
use psp_format::succession;
use psp_format::verify::verify_bytes;

const REQUIRE: &str = r#"{"version":1,"trust":{"require_trusted_key":true}}"#;
const STORE: &str = "/etc/flavor/trusted-keys";

/// A host whose administrator asks for trusted keys.
fn requiring() -> Etc {
    let host = Etc::new();
    host.put_system("policy.json", REQUIRE);
    host
}

/// Everything in a package is signed anew, on a host without a store.
///
/// outcome: runs where the host asks for no trusted key; refused (125) where it does, with the fingerprint
/// layer: trust
/// message: is not trusted here, nobody is
#[test]
fn case_028_everything_is_signed_anew_without_a_store() {
    let host = Etc::new();
    let path = host.package("an attacker", |_| {});
    assert_started(&host.start(&path));
    host.put_user("policy.json", REQUIRE);
    let signer = fingerprint("an attacker");
    for _ in 0..2 {
        let parts = [&signer[..], "is not trusted here, nobody is", "policy.json"];
        assert_refused(&host.start(&path), 125, &parts);
    }
}

/// Everything in a package is signed anew, and the store has another key.
///
/// outcome: refused (125)
/// layer: trust
/// message: is not trusted here
#[test]
fn case_029_everything_is_signed_anew_and_the_store_has_another_key() {
    let host = requiring();
    host.put_system("trusted-keys/maker.pub", pem("test"));
    assert_started(&host.start(&host.package("test", |_| {})));
    let path = host.package("an attacker", |_| {});
    let signer = fingerprint("an attacker");
    assert_refused(&host.start(&path), 125, &[&signer, "is not trusted here"]);
}

/// Index fields of a package with this change, behind a checksum that fits.
fn with_index(bytes: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let start = out.len() - 8196;
    let index = &mut out[start..start + 8192];
    change(index);
    index[4..8].fill(0);
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in index.iter() {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    index[4..8].copy_from_slice(&(b << 16 | a).to_le_bytes());
    out
}

/// The index names the fingerprint of a trusted key beside another key.
///
/// outcome: refused (125)
/// layer: layout
/// message: is not what the signed metadata implies
#[test]
fn case_030_the_fingerprint_of_a_trusted_key_before_another_key() {
    let host = requiring();
    host.put_system("trusted-keys/maker.pub", pem("test"));
    let path = host.package("an attacker", |_| {});
    let good = must(fs::read(&path));
    let same = with_index(&good, |_| {});
    assert_eq!(same, good, "the checksum is made as it should be");
    let forged = with_index(&good, |index| {
        index[1376..1440].copy_from_slice(fingerprint("test").as_bytes());
    });
    let path = host.write("forged.psp", &forged);
    assert_refused(
        &host.start(&path),
        125,
        &["is not what the signed metadata implies"],
    );
}

/// A trusted key stands in the index, the signature is of another key.
///
/// outcome: refused (125), whatever the environment says and with no store too
/// layer: signature
/// message: the signature does not match
#[test]
fn case_031_a_trusted_key_and_the_signature_of_another() {
    let host = requiring();
    host.put_system("trusted-keys/maker.pub", pem("test"));
    let good = must(fs::read(host.package("test", |_| {})));
    let package = must(verify_bytes(&good));
    let signature = PrivateKey::from_text_seed("an attacker").sign(package.text());
    let forged = with_index(&good, |index| index[128..192].copy_from_slice(&signature));
    let path = host.write("forged.psp", &forged);
    let parts = ["the signature does not match"];
    assert_refused(&host.start(&path), 125, &parts);
    for level in ["none", "minimal", "relaxed", "standard"] {
        let refused = host.start_with(&path, "FLAVOR_VALIDATION", level);
        assert_refused(&refused, 125, &parts);
    }
    host.clear_system();
    assert_refused(&host.start(&path), 125, &parts);
}

/// A trusted key is required, and the store is missing, empty, unreadable or a file.
///
/// outcome: refused (125), warm too
/// layer: trust
/// message: is not trusted here, nobody is
#[test]
fn case_032_a_required_key_and_no_store() {
    let host = requiring();
    let path = host.package("test", |_| {});
    let nobody = "is not trusted here, nobody is";
    assert_refused(&host.start(&path), 125, &[nobody]);
    must(fs::create_dir(host.system("trusted-keys")));
    assert_refused(&host.start(&path), 125, &[nobody]);
    host.put_system("trusted-keys/maker.txt", pem("test"));
    assert_refused(&host.start(&path), 125, &[nobody]);
    let key = host.put_system("trusted-keys/maker.pub", pem("test"));
    assert_started(&host.start(&path));
    // From here on everything is in the cache.
    mode(&key, 0o600);
    let unreadable = format!("{STORE}/maker.pub: Permission denied");
    assert_refused(
        &host.start(&path),
        125,
        &[nobody, "cannot read", &unreadable],
    );
    mode(&key, 0o644);
    mode(&host.system("trusted-keys"), 0o700);
    let unreadable = format!("cannot read {STORE}: Permission denied");
    assert_refused(&host.start(&path), 125, &[nobody, &unreadable]);
    must(fs::remove_dir_all(host.system("trusted-keys")));
    host.put_system("trusted-keys", pem("test"));
    assert_refused(&host.start(&path), 125, &[nobody, "Not a directory"]);
    // The user's own store does not count where the administrator asks.
    host.put_user("trusted-keys/maker.pub", pem("test"));
    assert_refused(&host.start(&path), 125, &[nobody]);
    host.put_system("policy.json", "{\"version\":1}");
    host.put_user("policy.json", REQUIRE);
    assert_started(&host.start(&path));
}

/// The store holds an RSA key, two keys, DER, hex, UTF-16, a byte order mark, 10 MB, a link to /dev/zero, a FIFO.
///
/// outcome: refused (125), and the file is named; a good key beside it counts
/// layer: trust
/// message: no PEM block of a public key | more behind its first key | a byte order mark | is too large | is not a regular file
#[test]
fn case_033_what_is_no_file_of_a_key_counts_for_nothing() {
    let host = requiring();
    let path = host.package("test", |_| {});
    let store = host.system("trusted-keys");
    let name = store.join("bad.pub");
    let good = pem("test");
    let rsa = good.replace("PUBLIC KEY", "RSA PUBLIC KEY");
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hex = fingerprint("test");
    let (two, large) = ([&good[..], &pem("b")].concat(), vec![b'x'; 10 << 20]);
    let bom = [b"\xef\xbb\xbf", good.as_bytes()].concat();
    let package = [b"# Package: x\n", good.as_bytes()].concat();
    let files: [(&[u8], &str); 8] = [
        (rsa.as_bytes(), "no PEM block of a public key"),
        (two.as_bytes(), "more behind its first key"),
        (
            b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00",
            "no PEM",
        ),
        (hex.as_bytes(), "no PEM"),
        (&bom, "a byte order mark"),
        (&utf16, "no PEM"),
        (&large, "is too large"),
        (&package, "almost"),
    ];
    for (text, part) in files {
        host.put_system("trusted-keys/bad.pub", text);
        assert_refused(&host.start(&path), 125, &["bad.pub", part]);
    }
    let remove = || must(fs::remove_file(&name));
    remove();
    must(symlink("/dev/zero", &name));
    assert_refused(&host.start(&path), 125, &["bad.pub is not a regular file"]);
    remove();
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o644));
    must(rustix::fs::mknodat(rustix::fs::CWD, &name, fifo, mode, 0));
    assert_refused(&host.start(&path), 125, &["bad.pub is not a regular file"]);
    // A good key beside it counts.
    let key = host.put_system("trusted-keys/good.pub", good.replace('\n', "\r\n"));
    assert_started(&host.start(&path));
    must(fs::remove_file(key));
    remove();
    must(fs::create_dir(&name));
    assert_refused(&host.start(&path), 125, &["bad.pub is not a regular file"]);
    must(fs::remove_dir(&name));
    must(symlink("nothing", &name));
    assert_refused(&host.start(&path), 125, &["nobody is"]);
    remove();
    // Configuration is often made of links.
    host.put_system("keys/good", &good);
    must(symlink("../keys/good", &name));
    assert_started(&host.start(&path));
}

/// The store, a key, the policy or their directory can be written by others or belongs to another user.
///
/// outcome: refused (125)
/// layer: trust | policy
/// message: can be changed by others
#[test]
fn case_034_what_others_can_write_is_not_believed() {
    let host = requiring();
    let path = host.package("test", |_| {});
    let key = host.put_system("trusted-keys/maker.pub", pem("test"));
    let policy = host.system("policy.json");
    assert_started(&host.start(&path));
    for file in [
        &key,
        &host.system("trusted-keys"),
        &policy,
        &host.system(""),
    ] {
        let before = must(fs::metadata(file)).permissions();
        for bad in [0o777, 0o757, 0o775] {
            mode(file, bad);
            let fact = format!("can be changed by others (owner 0, mode {bad:04o})");
            assert_refused(&host.start(&path), 125, &[&fact]);
        }
        must(fs::set_permissions(file, before));
        for owner in [USER, OTHER] {
            must(chown(file, Some(owner), None));
            let fact = format!("can be changed by others (owner {owner}, mode");
            assert_refused(&host.start(&path), 125, &[&fact]);
        }
        must(chown(file, Some(0), None));
        assert_started(&host.start(&path));
    }
    // The user's own, where there is no policy of the system.
    host.clear_system();
    let key = host.put_user("trusted-keys/maker.pub", pem("test"));
    let policy = host.put_user("policy.json", REQUIRE);
    assert_started(&host.start(&path));
    for file in [&key, &host.user("trusted-keys"), &policy, &host.user("")] {
        must(chown(file, Some(OTHER), None));
        let fact = format!("can be changed by others (owner {OTHER}, mode");
        assert_refused(&host.start(&path), 125, &[&fact]);
        must(chown(file, Some(0), None));
        assert_started(&host.start(&path));
        must(chown(file, Some(USER), None));
    }
}

/// A key is removed from the store, or revoked, after a package has started.
///
/// outcome: refused (125), warm too
/// layer: trust
/// message: is revoked on this host
#[test]
fn case_036_a_key_that_is_gone_or_revoked() {
    let host = requiring();
    let path = host.package("test", |_| {});
    let key = host.put_system("trusted-keys/maker.pub", pem("test"));
    assert_started(&host.start(&path));
    must(fs::remove_file(key));
    assert_refused(&host.start(&path), 125, &["nobody is"]);
    host.put_system("trusted-keys/maker.pub", pem("test"));
    let signer = fingerprint("test");
    let list = format!("# stolen\n{}\n{signer} # in May\n", fingerprint("other"));
    let revoked = format!("the key of its signer {signer} is revoked on this host");
    let lists = [host.system("revoked-keys"), host.user("revoked-keys")];
    for file in lists {
        let owner = if file.starts_with(host.system("")) {
            0
        } else {
            USER
        };
        etc::put(&file, &list, owner);
        assert_refused(&host.start(&path), 125, &[&revoked]);
        etc::put(&file, "# nobody\n", owner);
        assert_started(&host.start(&path));
        // A list that cannot be read may name anybody.
        etc::put(&file, "nobody\n", owner);
        assert_refused(&host.start(&path), 125, &["revoked-keys, line 1, column 1"]);
        must(fs::remove_file(&file));
    }
    // Revoked is revoked, also where nothing has to be trusted.
    host.clear_system();
    assert_started(&host.start(&path));
    host.put_user("revoked-keys", &list);
    assert_refused(&host.start(&path), 125, &[&revoked]);
    mode(&host.user("revoked-keys"), 0o666);
    assert_refused(&host.start(&path), 125, &["can be changed by others"]);
}

/// A key that is trusted for some packages signs another one.
///
/// outcome: refused (125)
/// layer: trust
/// message: is not trusted for this package
#[test]
fn case_037_a_key_for_other_packages_only() {
    let host = requiring();
    let scoped = format!("# Name: maker\n# Packages: acme-*\n{}", pem("test"));
    host.put_system("trusted-keys/maker.pub", scoped);
    let named = |name: &str| host.package("test", |m| m.package.name = name.into());
    assert_started(&host.start(&named("acme-tool")));
    let fact = format!("is not trusted for this package ({STORE}/maker.pub)");
    assert_refused(&host.start(&named("tool")), 125, &[&fact]);
    assert_refused(&host.start(&named("acme")), 125, &[&fact]);
}

#[test]
fn keys_expire() {
    let host = requiring();
    let path = host.package("test", |_| {});
    let until = |date: &str| format!("# Expires: {date}\n{}", pem("test"));
    host.put_system("trusted-keys/maker.pub", until("2999-12-31"));
    assert_started(&host.start(&path));
    host.put_system("trusted-keys/maker.pub", until("2020-01-31"));
    let fact = format!("was trusted until 2020-01-31T23:59:59Z only ({STORE}/maker.pub)");
    assert_refused(&host.start(&path), 125, &[&fact]);
}

#[test]
fn keys_continue_others() {
    let host = requiring();
    host.put_system(
        "trusted-keys/old.pub",
        format!("# Packages: demo\n# Expires: 2020-01-31\n{}", pem("old")),
    );
    let path = host.package("new", |_| {});
    assert_refused(&host.start(&path), 125, &["is not trusted here"]);
    let link = |old: &str, new: &str| {
        let new = PrivateKey::from_text_seed(new).public_key();
        succession::write(&PrivateKey::from_text_seed(old), &new)
    };
    // Somebody else cannot say that.
    let forged = link("somebody", "new");
    host.put_system("trusted-keys/new.succession", &forged);
    assert_refused(&host.start(&path), 125, &["is not trusted here"]);
    host.put_system("trusted-keys/new.succession", link("old", "new"));
    assert_started(&host.start(&path));
    let other = host.package("new", |m| m.package.name = "other".into());
    assert_refused(
        &host.start(&other),
        125,
        &["is not trusted for this package"],
    );
    host.put_system("revoked-keys", fingerprint("old"));
    let path = host.package("new", |_| {});
    let fact = format!("continues a key that is revoked, {}", fingerprint("old"));
    assert_refused(&host.start(&path), 125, &[&fact]);
    host.put_system("trusted-keys/new.succession", "broken");
    assert_refused(&host.start(&path), 125, &["new.succession"]);
}
