//! Packages that must be accepted: the ordinary ones, and the edge of each rule from inside.

use serde_json::json;

use super::valid_tar::tree;
use super::{Catalog, about};
use crate::writer::frames::{self, FULL, Frames, Header};
use crate::writer::tar::{Entry, Tar};
use crate::writer::{Plan, Slot};

pub(super) fn add(catalog: &mut Catalog) {
    packages(catalog);
    documents(catalog);
    slots(catalog);
    compressed(catalog);
}

fn packages(catalog: &mut Catalog) {
    let mut ok = |name, requirements, comment, plan: Plan| {
        catalog.ok(about(name, requirements, "", comment), plan.bytes())
    };
    ok(
        "ok-no-slots",
        "M1 M2 M4 M10 M20 M22",
        "no slots: the trailer follows the empty table",
        Plan::new(),
    );
    ok(
        "ok-file-slot",
        "M30 M31",
        "one file",
        Plan::new().slot(Slot::file(0, "data", b"five!")),
    );
    ok(
        "ok-empty-file-slot",
        "M2",
        "a slot of no bytes between two others",
        Plan::new()
            .slot(Slot::file(0, "first", b"1"))
            .slot(Slot::file(1, "empty", b""))
            .slot(Slot::file(2, "third", b"333")),
    );
    let mut unaligned = Plan::new().slot(Slot::file(0, "data", b"odd"));
    unaligned.launcher.truncate(61);
    ok(
        "ok-unaligned-launcher",
        "M2",
        "the metadata begins at 61: only table and slots are aligned",
        unaligned,
    );
    let mut small = Plan::new();
    small.launcher.truncate(1);
    ok(
        "ok-small-launcher",
        "M2 M26",
        "a launcher of one byte: the verifier asks for its size and hash only",
        small,
    );
    let all = Plan::new()
        .slot(Slot::file(0, "config.txt", b"a file slot"))
        .slot(Slot::tar(1, "tree", &tree("tree")))
        .slot(Slot::tar_zst(2, "app", &Frames::of(&tree("app"))))
        .slot(Slot::zstd(3, "blob", &Frames::of(&[7; 1000])));
    ok(
        "ok-all-operations",
        "M35 M60",
        "file, tar, tar.zst and zstd",
        all,
    );
}

fn documents(catalog: &mut Catalog) {
    let mut ok = |name, requirements, comment, plan: Plan| {
        catalog.ok(about(name, requirements, "", comment), plan.bytes())
    };
    let full = Plan::new()
        .slot(Slot::file(0, "icon.png", b"not really a picture"))
        .set("", "commands", json!({ "repl": { "argv": ["/bin/sh", "-i"], "cwd": "{workenv}", "env": { "A": "b" } } }))
        .set("", "desktop", json!({ "icon": "icon.png", "terminal": true }))
        .set("/execution", "cwd", json!("{workenv}"))
        .set("/execution", "env", json!({ "PATH": "{workenv}/bin" }))
        .set("/package", "authors", json!(["One", "Two"]))
        .set("/package", "description", json!("quotes \" and \\, tab \t, bell \u{7}, delete \u{7f}, line \u{2028}, \u{1F980}"))
        .set("/package", "homepage", json!("https://example.org/"))
        .set("/package", "license", json!("MIT"))
        .set("", "policy", json!({
            "max_age_days": 30, "platforms": ["linux_amd64"], "refuse_root": true, "require_env": ["HOME"],
        }))
        .set("", "runtime", json!({ "env": {
            "unset": ["LD_*"], "pass": ["HOME"], "map": { "A": "B" }, "set": { "C": "d" },
        } }))
        .set("", "setup", json!([{ "argv": ["{workenv}/bin/setup"], "cwd": "{workenv}", "env": { "E": "f" } }]));
    ok(
        "ok-every-key",
        "M23 M24 M10",
        "every key that section 3.1 names; the policy's hash is in the index",
        full,
    );
    let mut dated = Plan::new().set("/build", "timestamp", json!("2024-02-29T23:59:59Z"));
    dated.timestamp = 1_709_251_199;
    ok("ok-timestamp", "M25", "a build time on a leap day", dated);
    let arm = Plan::new()
        .set("/launcher", "target", json!("windows_arm64"))
        .set("/build/platform", "os", json!("windows"))
        .set("/build/platform", "arch", json!("arm64"));
    ok(
        "ok-another-platform",
        "M25",
        "target and platform agree",
        arm,
    );
    ok(
        "ok-name-edge",
        "M26",
        "name and version of 64 bytes with every kind of character",
        Plan::new()
            .set("/package", "name", json!(format!("0{}", "a-_".repeat(21))))
            .set(
                "/package",
                "version",
                json!(format!("{}abc", "1.+_~-Z".repeat(8) + "01234")),
            ),
    );
    ok(
        "ok-two-blocks",
        "M20",
        "the text is longer than one stored block",
        with_text_of(65536),
    );
    ok(
        "ok-one-block-exactly",
        "M20",
        "the text is one stored block of 65535 bytes",
        with_text_of(65535),
    );
    ok(
        "ok-text-1-mib",
        "M21",
        "the text is exactly 1 MiB",
        with_text_of(1 << 20),
    );
}

/// A package whose metadata text has exactly this size.
pub(super) fn with_text_of(size: usize) -> Plan {
    let base = Plan::new()
        .set("/package", "description", json!(""))
        .parts()
        .text
        .len();
    Plan::new().set("/package", "description", json!("d".repeat(size - base)))
}

fn slots(catalog: &mut Catalog) {
    catalog.ok(
        about(
            "ok-slot-id-123",
            "M32",
            "98",
            "ids that a writer avoids and a reader accepts",
        ),
        Plan::new()
            .slot(Slot::file(123, "a", b"descriptor begins with 7B"))
            .slot(Slot::file(35615, "b", b"descriptor begins with 1F 8B"))
            .slot(Slot::file(u64::MAX, "c", b"the largest number"))
            .bytes(),
    );
    let mut ok = |name, requirements, comment, plan: Plan| {
        catalog.ok(about(name, requirements, "", comment), plan.bytes())
    };
    let lifecycles = [
        "cached",
        "runtime",
        "startup",
        "volatile",
        "temporary",
        "init",
        "lazy",
        "config",
        "platform",
        "dev",
        "attestation",
    ];
    let purposes = [
        "payload", "data", "runtime", "code", "tool", "config", "media",
    ];
    let mut plan = Plan::new();
    for (number, lifecycle) in lifecycles.into_iter().enumerate() {
        let mut slot = Slot::file(
            u64::try_from(number).unwrap(),
            lifecycle,
            lifecycle.as_bytes(),
        );
        slot.lifecycle = lifecycle.to_string();
        slot.purpose = purposes[number % purposes.len()].to_string();
        plan = plan.slot(slot);
    }
    ok(
        "ok-lifecycles",
        "M30 M10",
        "every lifecycle and purpose; the attestation's digest is in the index",
        plan,
    );
    let mutable = Slot {
        mutable: true,
        mode: 0o777,
        ..Slot::file(0, "db", b"data")
    };
    ok(
        "ok-mutable",
        "M36",
        "a file that the application may change, mode 0777",
        Plan::new().slot(mutable),
    );
    let many = (0..100).fold(Plan::new(), |plan, number| {
        plan.slot(Slot::file(number, &format!("s{number}"), b"x"))
    });
    ok("ok-100-slots", "M33", "a hundred slots", many);
    let long =
        Slot::file(0, &"i".repeat(64), b"x").at(&vec!["t".repeat(255); 16].join("/")[..4095]);
    ok(
        "ok-target-4095",
        "M40 M41",
        "a target of 4095 bytes in components of 255, an id of 64",
        Plan::new().slot(long),
    );
    let deep = Slot::file(0, "deep", b"x").at(&vec!["d"; 128].join("/"));
    ok(
        "ok-target-128-deep",
        "M40",
        "a target of 128 components",
        Plan::new().slot(deep),
    );
    let utf8 = Slot::file(0, "name", b"x").at("dir/\u{e9}\u{1F980} name\nwith newline");
    ok(
        "ok-target-utf8",
        "M41",
        "a target that is not ASCII and holds a newline",
        Plan::new().slot(utf8),
    );
    let gz = Slot {
        original_size: 1024,
        ..Slot::tar(0, "old", &gzip(&[0; 1024]))
            .at(".")
            .operation("tar.gz", 0x1001)
    };
    ok(
        "ok-tar-gz",
        "M35",
        "a tar.gz slot (an empty archive) is a strict slot",
        Plan::new().slot(gz),
    );
    catalog.skip_in_second_reader();
}

fn gzip(content: &[u8]) -> Vec<u8> {
    crate::writer::member::stored(content)
}

fn compressed(catalog: &mut Catalog) {
    let mut ok = |name, requirements, comment, slot: Slot| {
        catalog.ok(
            about(name, requirements, "", comment),
            Plan::new().slot(slot).bytes(),
        );
    };
    ok(
        "ok-zstd",
        "M60 M63",
        "a file in one frame",
        Slot::zstd(0, "data", &Frames::of(b"content")),
    );
    let several = Frames::new().run(b"one").run(b"two").run(b"three");
    ok(
        "ok-zstd-frames",
        "M60 M61",
        "a file in three short frames",
        Slot::zstd(0, "data", &several),
    );
    ok(
        "ok-zstd-full",
        "M61",
        "a file of exactly one full frame",
        Slot::zstd(0, "data", &Frames::of(&vec![0; FULL])),
    );
    ok(
        "ok-zstd-two-frames",
        "M61",
        "a full frame and one byte",
        Slot::zstd(0, "data", &Frames::of(&vec![0; FULL + 1])),
    );
    let content = vec![b'w'; 1 << 20];
    let window = frames::frame_with(
        Header {
            window: Some(frames::window(23)),
            sized: false,
            ..Header::default()
        },
        &content,
    );
    ok(
        "ok-zstd-window-8-mib",
        "M63",
        "a window of 8 MiB, no content size in the frame",
        Slot::zstd(0, "data", &Frames::new().frame(window, content.len())),
    );
    let content = vec![b's'; 8 << 20];
    let single = frames::frame_with(
        Header {
            window: None,
            ..Header::default()
        },
        &content,
    );
    ok(
        "ok-zstd-single-segment",
        "M63",
        "a single segment of 8 MiB: the content is the window",
        Slot::zstd(0, "data", &Frames::new().frame(single, content.len())),
    );
    ok(
        "ok-tar-zst",
        "M62",
        "an archive in one frame",
        Slot::tar_zst(0, "app", &Frames::of(&tree("app"))),
    );
    let tar = Tar::new()
        .entry(&Entry::directory("app"))
        .entry(&Entry::file("app/a", b"a"))
        .entry(&Entry::file(
            format!("app/{}", "b".repeat(200)),
            vec![0; 5000],
        ))
        .entry(&Entry::file("app/c", b"c"));
    let boundaries = tar.boundaries().to_vec();
    ok(
        "ok-tar-zst-runs",
        "M62",
        "every entry is a run of its own, one with its PAX header",
        Slot::tar_zst(0, "app", &Frames::cut(&tar.end(), &boundaries)),
    );
    let tar = Tar::new()
        .entry(&Entry::directory("app"))
        .entry(&Entry::file("app/a", b"small"))
        .entry(&Entry::file("app/big", vec![0; 2 * FULL + 12345]))
        .entry(&Entry::file("app/c", b"after"));
    let boundaries = tar.boundaries().to_vec();
    ok(
        "ok-tar-zst-crossing",
        "M61 M62",
        "a file of two full frames and a rest; the frames cut it anywhere",
        Slot::tar_zst(0, "app", &Frames::cut(&tar.end(), &boundaries[2..])),
    );
    // Directory, header and content are 16 MiB together, and the end is in the frame that follows.
    let tar = Tar::new()
        .entry(&Entry::directory("app"))
        .entry(&Entry::file("app/a", vec![0; FULL - 1024]));
    ok(
        "ok-tar-zst-full-then-end",
        "M62",
        "a full frame ends with an entry; what follows belongs to its run",
        Slot::tar_zst(0, "app", &Frames::of(&tar.end())),
    );
    let tree = tree("app");
    let real = zstd::bulk::compress(&tree, 19).expect("memory is enough");
    ok(
        "ok-tar-zst-compressed",
        "M63",
        "a frame with compressed blocks, from the zstd library at level 19",
        Slot::tar_zst(0, "app", &Frames::new().frame(real, tree.len())),
    );
    catalog.skip_in_second_reader();
}
