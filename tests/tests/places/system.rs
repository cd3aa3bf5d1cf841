//! The system's store.

use std::fs;
use std::path::Path;

use psp_format::verify::verify_bytes;
use psp_launcher::store::{Candidate, HookError, Hooks, Store};
use psp_testkit::host::{Host, NOBODY, SOMEBODY};

use super::{teller, twice};

struct Quiet;

impl Hooks for Quiet {
    fn waiting(&self) {}

    fn progress(&self, _: u64, _: u64) {}

    fn setup(&self, _: &Path) -> Result<(), HookError> {
        Ok(())
    }
}

/// Fills the system's store of a host, as an image is built.
fn fill_system_store(host: &Host, package: &Path) {
    let candidate = Candidate {
        path: host.path("/var/lib/flavor"),
        origin: "test",
    };
    let bytes = fs::read(package).unwrap();
    let store = Store::open(&[candidate], 0).unwrap().durable();
    let verified = verify_bytes(&bytes).unwrap();
    store.ensure(&verified, &bytes.as_slice(), &Quiet).unwrap();
    host.sh("chmod 755 /var/lib/flavor");
}

#[test]
fn a_read_only_root_with_a_system_store() {
    let project = teller();
    let package = project.pack();
    let host = Host::new(
        &package,
        "cat /proc/sys/kernel/random/boot_id >/srv/boot
        mount --bind /srv/boot /proc/sys/kernel/random/boot_id",
    );
    fill_system_store(&host, &package);
    host.sh("for place in /var/lib /tmp /var/tmp /root /home; do mount -o remount,ro $place; done");
    for uid in [0, SOMEBODY, NOBODY] {
        for _boot in 0..2 {
            assert_eq!(twice(&host, uid, &[("HOME", "/root")]), "/var/lib/flavor");
            assert_eq!(twice(&host, uid, &[]), "/var/lib/flavor");
            host.sh("cat /proc/sys/kernel/random/uuid >/srv/boot");
        }
    }
    // It comes before what the environment names: nothing is unpacked twice.
    let vars = [("FLAVOR_CACHE", "/srv/c")];
    assert_eq!(twice(&host, 0, &vars), "/var/lib/flavor");
    assert!(!host.path("/srv/c").exists());
    // Damaged, it is left as it is, and the user's own takes its place.
    host.sh("mount -o remount,rw /var/lib; rm -r /var/lib/flavor/slots/*/app");
    assert_eq!(twice(&host, 0, &vars), "/srv/c");
    assert_eq!(host.sh("ls /var/lib/flavor/slots/*/"), "");
}

#[test]
fn a_system_store_that_others_can_change_is_passed_by() {
    let project = teller();
    let package = project.pack();
    for change in [
        "chmod 777 .",
        "chmod 775 .",
        "chown 65534 .",
        "chmod 777 slots",
        "chmod 777 ready",
        "chown 65534 envs",
    ] {
        let host = Host::new(&package, "");
        fill_system_store(&host, &package);
        assert_eq!(twice(&host, SOMEBODY, &[]), "/var/lib/flavor");
        host.sh(&format!("cd /var/lib/flavor; {change}"));
        assert_eq!(
            twice(&host, SOMEBODY, &[]),
            "/var/tmp/flavor-65533",
            "{change}"
        );
    }
}
