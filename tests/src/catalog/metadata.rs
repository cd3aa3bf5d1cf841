//! The metadata as a text (SPEC.md, M23). Every text here is signed by the usual signer and fits the layout.

use serde_json::json;

use super::{Catalog, about};
use crate::writer::{Plan, Slot};

pub(super) fn add(catalog: &mut Catalog) {
    not_metadata(catalog);
    text_form(catalog);
    duplicates(catalog);
    numbers(catalog);
}

pub(super) fn plan() -> Plan {
    Plan::new().slot(Slot::file(0, "data", b"content"))
}

pub(super) fn refused(
    catalog: &mut Catalog,
    name: &str,
    requirement: &str,
    cases: &str,
    comment: &str,
    plan: Plan,
) {
    catalog.plan("layout", about(name, requirement, cases, comment), plan);
}

fn not_metadata(catalog: &mut Catalog) {
    for (name, text, comment) in [
        ("json-null", "null", "the text is null"),
        ("json-array", "[]", "the text is an array"),
        ("json-string", "\"PSPF/2025\"", "the text is a string"),
        ("json-number", "2025", "the text is a number"),
        (
            "json-empty-object",
            "{}",
            "the text is an object without keys",
        ),
        ("json-space", " ", "the text is a space"),
        ("json-nul", "\0", "the text is a NUL"),
        (
            "json-truncated",
            "{\"build\":{\"platform\":",
            "the text ends in the middle",
        ),
    ] {
        let plan = Plan::new().text(move |whole| *whole = text.as_bytes().to_vec());
        refused(catalog, name, "M23", "101", comment, plan);
    }
}

fn text_form(catalog: &mut Catalog) {
    let mut text = |name, cases, comment, edit: fn(&mut Vec<u8>)| {
        refused(catalog, name, "M23", cases, comment, plan().text(edit))
    };
    text("json-bom", "102", "a byte order mark", |text| {
        drop(text.splice(..0, *b"\xEF\xBB\xBF"))
    });
    text(
        "json-newline-after",
        "102",
        "a newline after the text",
        |text| text.push(b'\n'),
    );
    text("json-nul-after", "102", "a NUL after the text", |text| {
        text.push(0)
    });
    text(
        "json-second-text",
        "102",
        "another object after the text",
        |text| text.extend_from_slice(b"{}"),
    );
    text(
        "json-space-before",
        "102",
        "a space before the text",
        |text| text.insert(0, b' '),
    );
    text(
        "json-trailing-comma",
        "102",
        "a comma after the last item",
        |text| {
            let argv = b"\"],\"command\":";
            let end = text.windows(argv.len()).position(|part| part == argv);
            text.insert(end.expect("argv ends with a string") + 1, b',');
        },
    );
    let mut replace = |name, cases, comment, from, to: &'static [u8]| {
        refused(
            catalog,
            name,
            "M23",
            cases,
            comment,
            plan().replace(from, to),
        );
    };
    replace(
        "json-space-inside",
        "102",
        "a space after a colon",
        "\"name\":\"demo\"",
        b"\"name\": \"demo\"",
    );
    replace(
        "json-comment",
        "102",
        "a comment",
        "\"name\":\"demo\"",
        b"\"name\":/**/\"demo\"",
    );
    replace(
        "json-single-quotes",
        "102",
        "single quotes",
        "\"demo\"",
        b"'demo'",
    );
    replace(
        "json-utf8-invalid",
        "102",
        "a byte that is not UTF-8",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"psp\xFF\"",
    );
    replace(
        "json-utf8-overlong",
        "102",
        "an overlong encoding of /",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"psp\xC0\xAF\"",
    );
    replace(
        "json-utf8-surrogate",
        "102",
        "a surrogate encoded in UTF-8",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"psp\xED\xA0\x80\"",
    );
    replace(
        "json-lone-surrogate",
        "102",
        "an escaped surrogate without its partner",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"\\ud800\"",
    );
    replace(
        "json-surrogate-pair",
        "102",
        "a pair of escapes for what needs none",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"\\ud83e\\udd80\"",
    );
    replace(
        "json-control-raw",
        "102",
        "a control character without an escape",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"a\x01\"",
    );
    replace(
        "json-newline-raw",
        "102",
        "a newline in a string without an escape",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"a\nb\"",
    );
    replace(
        "json-escaped-letter",
        "103",
        "an escape for a letter",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"\\u0070sp\"",
    );
    replace(
        "json-escaped-slash",
        "102",
        "an escape for a slash",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"a\\/b\"",
    );
    replace(
        "json-escape-upper-hex",
        "102",
        "upper-case hex in an escape",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"a\\u001F\"",
    );
    replace(
        "json-escape-long-newline",
        "102",
        "\\u000a where \\n is the form",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"a\\u000a\"",
    );
    replace(
        "json-escape-delete",
        "102",
        "an escape for U+007F",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"a\\u007f\"",
    );
    replace(
        "json-escape-unknown",
        "102",
        "an escape that JSON does not have",
        "\"tool\":\"psp-testkit\"",
        b"\"tool\":\"a\\x41\"",
    );
    let deep = |levels: usize| {
        plan().text(move |text| {
            let nested = [
                b"{\"a\":",
                "[".repeat(levels).as_bytes(),
                "]".repeat(levels).as_bytes(),
                b",",
            ]
            .concat();
            drop(text.splice(..1, nested));
        })
    };
    refused(
        catalog,
        "json-deep-200",
        "M23",
        "104",
        "an unknown key 200 levels deep",
        deep(200),
    );
    refused(
        catalog,
        "json-deep-100000",
        "M23",
        "104",
        "an unknown key 100000 levels deep",
        deep(100_000),
    );
    let keys = plan().text(|text| {
        let keys: String = (0..100_000).map(|key| format!("\"{key:06}\":0,")).collect();
        drop(text.splice(1..1, keys[..1_000_000].bytes()));
    });
    refused(
        catalog,
        "json-many-keys",
        "M23",
        "104",
        "a hundred thousand unknown keys",
        keys,
    );
}

fn duplicates(catalog: &mut Catalog) {
    let mut replace = |name, comment, from, to: &'static [u8]| {
        refused(
            catalog,
            name,
            "M23",
            "103",
            comment,
            plan().replace(from, to),
        );
    };
    replace(
        "key-duplicate-top",
        "a key twice, same value",
        "\"profile\":\"strict/1\"",
        b"\"profile\":\"strict/1\",\"profile\":\"strict/1\"",
    );
    replace(
        "key-duplicate-nested",
        "a key of an inner object twice",
        "\"name\":\"demo\"",
        b"\"name\":\"demo\",\"name\":\"demo\"",
    );
    replace(
        "key-duplicate-slot",
        "a key of a slot record twice",
        "\"id\":\"data\"",
        b"\"id\":\"data\",\"id\":\"data\"",
    );
    replace(
        "key-duplicate-escaped",
        "a key twice, once with an escape",
        "\"name\":\"demo\"",
        b"\"nam\\u0065\":\"demo\",\"name\":\"demo\"",
    );
    replace(
        "key-case-variant",
        "Name beside name",
        "\"name\":\"demo\"",
        b"\"Name\":\"other\",\"name\":\"demo\"",
    );
    replace(
        "key-order",
        "two keys exchanged",
        "\"name\":\"demo\",\"version\":\"1.0\"",
        b"\"version\":\"1.0\",\"name\":\"demo\"",
    );
    let moved = plan()
        .replace("\"format\":\"PSPF/2025\",", "")
        .replace("{", "{\"format\":\"PSPF/2025\",");
    refused(
        catalog,
        "key-order-top",
        "M23",
        "103",
        "`format` stands first",
        moved,
    );
    let mut unknown = |name, comment, parent, key| {
        refused(
            catalog,
            name,
            "M23",
            "103",
            comment,
            plan().set(parent, key, json!("x")),
        );
    };
    unknown(
        "key-unknown-top",
        "a key that 3.1 does not name",
        "",
        "extra",
    );
    unknown(
        "key-unknown-build",
        "`host` is a key of the base format only",
        "/build",
        "host",
    );
    unknown(
        "key-unknown-platform",
        "an unknown key in build.platform",
        "/build/platform",
        "libc",
    );
    unknown(
        "key-unknown-launcher",
        "an unknown key in launcher",
        "/launcher",
        "path",
    );
    unknown(
        "key-unknown-package",
        "an unknown key in package",
        "/package",
        "vendor",
    );
    unknown(
        "key-unknown-execution",
        "`args` is a key of the base format only",
        "/execution",
        "args",
    );
    unknown(
        "key-unknown-slot",
        "`permissions` is a key of the base format only",
        "/slots/0",
        "permissions",
    );
    refused(
        catalog,
        "key-unknown-runtime",
        "M23",
        "103",
        "an unknown key in runtime",
        plan().set(
            "",
            "runtime",
            json!({ "env": { "set": { "A": "b" } }, "x": "y" }),
        ),
    );
    refused(
        catalog,
        "key-unknown-command",
        "M23",
        "103",
        "`command` has no place in commands",
        plan().set(
            "",
            "commands",
            json!({ "x": { "argv": ["/bin/sh"], "command": "/bin/sh" } }),
        ),
    );
}

fn numbers(catalog: &mut Catalog) {
    for (name, text, comment) in [
        ("number-fraction", "\"size\":7.0", "a fraction"),
        ("number-exponent", "\"size\":7e0", "an exponent"),
        (
            "number-overflow",
            "\"size\":1e999",
            "a number beyond every type",
        ),
        ("number-2-64", "\"size\":18446744073709551616", "2^64"),
        ("number-negative", "\"size\":-1", "a sign"),
        ("number-minus-zero", "\"size\":-0", "a sign before zero"),
        ("number-plus", "\"size\":+7", "a plus sign"),
        ("number-leading-zero", "\"size\":07", "a leading zero"),
        ("number-hex", "\"size\":0x7", "hexadecimal"),
        ("number-nan", "\"size\":NaN", "not a number"),
        ("number-string", "\"size\":\"7\"", "a string"),
    ] {
        refused(
            catalog,
            name,
            "M23",
            "104",
            comment,
            plan().replace("\"size\":7", text),
        );
    }
}
