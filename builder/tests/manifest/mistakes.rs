//! Every mistake that a manifest can hold, with the message that it gets.

use super::*;

/// Each case replaces the first text by the second in the least manifest, or adds it where the first is empty.
#[test]
fn mistakes_are_named_with_their_line() {
    let cases = [
        // The document.
        (
            "version = \"1.0\"",
            "version = 1.0.0",
            "flavor.toml:4: not valid TOML: ",
            "text values stand in quotes; see https://toml.io",
        ),
        (
            "",
            "[package]\n",
            "flavor.toml:12: not valid TOML: duplicate key",
            "text values",
        ),
        // Keys.
        (
            "source = ",
            "srouce = ",
            "flavor.toml:8: unknown key `srouce` in [[slot]]",
            "did you mean `source`? [[slot]] knows id, source, target, include, exclude, \
             lifecycle, purpose, platforms, compression, mutable, permissions, times, modes",
        ),
        (
            "",
            "zebra = 1\naardvark = 2\n",
            "flavor.toml:12: unknown key `zebra` in [command]",
            "[command] knows exec, args, env, cwd",
        ),
        (
            "",
            "[slots]\n",
            "flavor.toml:12: unknown key `slots` in the manifest",
            "did you mean `slot`? the manifest knows package, slot, command, ",
        ),
        (
            "source = \"build\"",
            "source = \"x\"\ncompression = { methd = \"none\" }",
            "flavor.toml:9: unknown key `methd` in [slot.compression]",
            "did you mean `method`? [slot.compression] knows method, level",
        ),
        (
            "",
            "[native]\nbinary = \"x\"\n[python]\nrequirements = [\"x\"]\nmodule = \"x\"\n",
            "flavor.toml:14: [python] beside a `binary` in [native]: a package has one recipe",
            "keep one of them, and describe the rest with a `[[slot]]`",
        ),
        (
            "",
            "[native]\nbinaries = [\"x\"]\n",
            "flavor.toml:13: unknown key `binaries` in [native]",
            "[native] knows binary, bundle-libraries, glibc-floor",
        ),
        (
            "",
            "[native]\nglibc-floor = 2.28\n",
            "flavor.toml:13: `glibc-floor` in [native] must be text in quotes, but is 2.28",
            "write it like `glibc-floor = \"...\"`",
        ),
        (
            "",
            "[native]\nglibc-floor = \"GLIBC_2.28\"\n",
            "flavor.toml:13: `glibc-floor` in [native] must be a version of glibc in quotes, but is \"GLIBC_2.28\"",
            "write it like `glibc-floor = \"2.28\"`",
        ),
        (
            "",
            "[native]\nbundle-libraries = true\n",
            "flavor.toml:13: `bundle-libraries` in [native] must be absent without `binary`, but is true",
            "write it like `binary = \"target/release/app\"`",
        ),
        (
            "",
            "[native]\nbinary = []\n",
            "flavor.toml:13: `binary` in [native] must be a program, or a list of some, but is an empty list",
            "write it like `binary = \"target/release/app\"`",
        ),
        (
            "",
            "[native]\nbinary = [\"a/x\", \"b/x\"]\n",
            "flavor.toml:13: `binary` in [native] must be a list of programs with different names, but is a list",
            "write it like `binary = [\"app\"]`",
        ),
        // What must be there.
        (
            "version = \"1.0\"",
            "",
            "flavor.toml:2: [package] has no `version`",
            "add `version = \"1.0.0\"`",
        ),
        (
            "id = \"files\"",
            "",
            "flavor.toml:6: [[slot]] has no `id`",
            "add `id = \"app\"`",
        ),
        (
            "exec = ",
            "cwd = ",
            "flavor.toml:10: [command] has no `exec`",
            "add `exec = \"{workenv}/",
        ),
        (
            "[command]",
            "[commands.x]",
            "flavor.toml: there is no default command",
            "add `[command]` with `exec = \"{workenv}/...\"`, the program to start",
        ),
        // Types.
        (
            "\"1.0\"",
            "1.5",
            "flavor.toml:4: `version` in [package] must be text in quotes, but is 1.5",
            "write it like `version = \"...\"`",
        ),
        (
            "\"build\"",
            "\"build\"\nmutable = \"yes\"",
            "flavor.toml:9: `mutable` in [[slot]] must be true or false, but is \"yes\"",
            "write it like `mutable = true`",
        ),
        (
            "",
            "args = \"-m app\"\n",
            "flavor.toml:12: `args` in [command] must be a list, but is \"-m app\"",
            "write it like `args = [\"...\"]`",
        ),
        (
            "",
            "args = [\n  \"a\",\n  1,\n]\n",
            "flavor.toml:14: `args` in [command] must be a list of texts, but is 1",
            "write it like `args = [\"...\"]`",
        ),
        (
            "",
            "env = [\"A=1\"]\n",
            "flavor.toml:12: `env` in [command] must be a table, but is a list",
            "write it like `[command.env]`",
        ),
        (
            "[[slot]]",
            "[slot]",
            "flavor.toml:6: `slot` in the manifest must be a list of tables, but is a table",
            "write it like `[[slot]]`",
        ),
        (
            "\"app\"",
            "\"a\\u0000\"",
            "flavor.toml:3: `name` in [package] must be text without NUL, but is \"a\\u0000\"",
            "write it like `name = \"...\"`",
        ),
        // Values.
        (
            "\"app\"",
            "\"My App\"",
            "flavor.toml:3: `name` in [package] must be 1 to 64 of a-z, 0-9, `_`, `-`, \
             a letter or digit first, but is \"My App\"",
            "write it like `name = \"my-app\"`",
        ),
        (
            "\"1.0\"",
            "\"v 1\"",
            "flavor.toml:4: `version` in [package] must be 1 to 64 letters, digits, ",
            "write it like `version = \"1.0.0\"`",
        ),
        (
            "\"files\"",
            "\"../files\"",
            "flavor.toml:7: `id` in [[slot]] must be 1 to 64 letters, digits, `.`, `_`, `-`, \
             a letter, digit or `_` first, but is \"../files\"",
            "write it like `id = \"app\"`",
        ),
        (
            "\"build\"",
            "\"\"",
            "flavor.toml:8: `source` in [[slot]] must be a path, but is \"\"",
            "write it like `source = \"build/app\"`",
        ),
        (
            "\"build\"",
            "\"build\"\ntarget = \"a/../b\"",
            "flavor.toml:9: `target` in [[slot]] is \"a/../b\", no path inside a package: \
             a component '..'",
            "paths inside a package are relative and plain: `lib/app`, without `..` or `.`",
        ),
        (
            "\"build\"",
            "\"build\"\ntarget = \".flavor/x\"",
            "flavor.toml:9: `target` in [[slot]] must be a path that does not begin with \
             `.flavor`, which the launcher keeps for itself, but is \".flavor/x\"",
            "write it like `target = \"app\"`",
        ),
        (
            "\"build\"",
            "\"build\"\ninclude = [\"a\",\n  \"b[\"]",
            "flavor.toml:10: `include` in [[slot]]: glob `b[` is not valid: \
             unclosed character class; missing ']'",
            "globs know",
        ),
        (
            "\"build\"",
            "\"build\"\ninclude = []",
            "flavor.toml:9: `include` in [[slot]] must be a list of at least one glob, \
             but is an empty list",
            "write it like `include = [\"**\"]`",
        ),
        (
            "\"build\"",
            "\"build\"\nlifecycle = \"cache\"",
            "flavor.toml:9: `lifecycle` in [[slot]] must be one of cached, runtime, startup, \
             volatile, temporary, init, lazy, config, platform, dev, attestation, but is \"cache\"",
            "write it like `lifecycle = \"cached\"`",
        ),
        (
            "\"build\"",
            "\"build\"\npurpose = 1",
            "flavor.toml:9: `purpose` in [[slot]] must be one of payload, data, runtime, code, \
             tool, config, media, but is 1",
            "write it like `purpose = \"payload\"`",
        ),
        (
            "\"build\"",
            "\"build\"\nplatforms = [\"linux_x64\"]",
            "flavor.toml:9: `platforms` in [[slot]] must be one of linux_amd64, linux_arm64, ",
            "write it like `platforms = [\"linux_",
        ),
        (
            "\"build\"",
            "\"build\"\ntimes = \"normal\"",
            "flavor.toml:9: `times` in [[slot]] must be one of normalise, keep, but is \"normal\"",
            "write it like `times = \"normalise\"`",
        ),
        (
            "\"build\"",
            "\"build\"\ncompression = { method = \"gzip\" }",
            "flavor.toml:9: `method` in [slot.compression] must be one of zstd, none, \
             but is \"gzip\"",
            "write it like `method = \"zstd\"`",
        ),
        (
            "\"build\"",
            "\"build\"\ncompression = { level = 23 }",
            "flavor.toml:9: `level` in [slot.compression] must be an integer from 1 to 22, \
             but is 23",
            "write it like `level = 22`",
        ),
        (
            "\"build\"",
            "\"build\"\ncompression = { method = \"none\", level = 3 }",
            "flavor.toml:9: `level` in [slot.compression] must be absent, since nothing is \
             compressed, but is 3",
            "write it like `method = \"none\"`",
        ),
        (
            "\"build\"",
            "\"build\"\npermissions = 755",
            "flavor.toml:9: `permissions` in [[slot]] must be octal digits in quotes, \
             at most \"0777\", but is 755",
            "write it like `permissions = \"0755\"`",
        ),
        (
            "\"build\"",
            "\"build\"\npermissions = \"4755\"",
            "flavor.toml:9: `permissions` in [[slot]] must be octal digits in quotes, \
             at most \"0777\", but is \"4755\"",
            "write it like",
        ),
        (
            "\"{workenv}/files/run\"",
            "\"files/run\"",
            "flavor.toml:11: `exec` in [command] must be a path that begins with `{workenv}/` \
             or `/`, but is \"files/run\"",
            "write it like `exec = \"{workenv}/bin/app\"`",
        ),
        (
            "\"{workenv}/files/run\"",
            "\"{workenv}/files/../run\"",
            "flavor.toml:11: `exec` in [command] is \"{workenv}/files/../run\", no path inside \
             a package: a component '..'",
            "paths inside",
        ),
        (
            "",
            "[commands.\"a/b\"]\nexec = \"/bin/sh\"\n",
            "flavor.toml:12: `a/b` in [commands] is not the name of a command: 1 to 64 letters, \
             digits, `.`, `_`, `-`",
            "write it like `[commands.serve]`",
        ),
        (
            "",
            "[env]\nset = { \"A=B\" = \"secret\" }\n",
            "flavor.toml:13: `A=B` in [env.set] is not the name of a variable",
            "write it like `NAME = \"value\"`",
        ),
        (
            "",
            "[env]\nunset = [\"A\", \"\"]\n",
            "flavor.toml:13: `unset` in [env] must be a list of names of variables, but is \"\"",
            "write it like `unset = [\"NAME\"]`",
        ),
        (
            "",
            "[env]\nmap = { A = \"\" }\n",
            "flavor.toml:13: `A` in [env.map] must be the name of a variable, but is \"\"",
            "write it like `A = \"NAME\"`",
        ),
        (
            "",
            "[policy]\nrequire_env = [\"Ä\"]\n",
            "flavor.toml:13: `require_env` in [policy] must be a list of ASCII names, \
             but is \"Ä\"",
            "write it like `require_env = [\"HOME\"]`",
        ),
        (
            "",
            "[policy]\nmax_age_days = -1\n",
            "flavor.toml:13: `max_age_days` in [policy] must be an integer from 0 to 36525, \
             but is -1",
            "write it like `max_age_days = 36525`",
        ),
        (
            "",
            "[desktop]\nicon = \"\"\n",
            "flavor.toml:13: `icon` in [desktop] must be the path of an image, but is \"\"",
            "write it like `icon = \"icon.png\"`",
        ),
        (
            "",
            "[sign]\nkey = \"cmd: \"\n",
            "flavor.toml:13: `key` in [sign] must be a PEM file, `env:NAME` or `cmd:PROGRAM`, \
             but is \"cmd: \"",
            "write it like `key = \"env:FLAVOR_SIGNING_KEY\"`",
        ),
        // Between sections.
        (
            "",
            "[[slot]]\nid = \"files\"\nsource = \"y\"\ntarget = \"y\"\n",
            "flavor.toml:12: two slots have the id `files`: this one and that of line 6",
            "give one of them another `id`",
        ),
        (
            "",
            "[[slot]]\nid = \"other\"\nsource = \"y\"\ntarget = \"files\"\n",
            "flavor.toml:12: two slots have the target `files`: this one and that of line 6",
            "give one of them another `target`, or each `platforms` that the other does not have",
        ),
        (
            "",
            "[[slot]]\nid = \"other\"\nsource = \"y\"\ntarget = \"files\"\nplatforms = [\"linux_arm64\"]\n",
            "flavor.toml:12: two slots have the target `files`: this one and that of line 6",
            "give one of them another `target`, or each `platforms` that the other does not have",
        ),
        (
            "",
            "[[slot]]\nid = \"a\"\nsource = \"y\"\nlifecycle = \"attestation\"\n\
             [[slot]]\nid = \"b\"\nsource = \"y\"\nlifecycle = \"attestation\"\n",
            "flavor.toml:16: two slots have the lifecycle `attestation`: \
             this one and that of line 12",
            "a package has one attestation; merge them",
        ),
        (
            "{workenv}/files/run",
            "{workenv}/filesystem/run",
            "flavor.toml:11: [command] starts `{workenv}/filesystem/run`, a command that no slot \
             provides",
            "the slots are at {workenv}/files",
        ),
        (
            "",
            "[commands.x]\nexec = \"{workenv}/x\"\n",
            "flavor.toml:13: [commands.x] starts `{workenv}/x`, a command that no slot provides",
            "the slots are at {workenv}/files",
        ),
        (
            "",
            "[[setup]]\nexec = \"{workenv}/x\"\n",
            "flavor.toml:13: [[setup]] starts `{workenv}/x`, a command that no slot provides",
            "the slots are at {workenv}/files",
        ),
        (
            "source = \"build\"",
            "source = \"build\"\nlifecycle = \"lazy\"",
            "flavor.toml:12: [command] starts `{workenv}/files/run` in the slot `files`, which is \
             not there then (lifecycle lazy)",
            "move it to another slot",
        ),
        (
            "source = \"build\"",
            "source = \"build\"\nlifecycle = \"init\"",
            "flavor.toml:12: [command] starts `{workenv}/files/run` in the slot `files`, which is \
             not there then (lifecycle init)",
            "move it to another slot",
        ),
        (
            "",
            "[[slot]]\nid = \"tmp\"\nsource = \"y\"\nlifecycle = \"temporary\"\n\
             [[setup]]\nexec = \"{workenv}/tmp/x\"\n",
            "flavor.toml:17: [[setup]] starts `{workenv}/tmp/x` in the slot `tmp`, which is not \
             there then (lifecycle temporary)",
            "move it to another slot",
        ),
        (
            "[[slot]]\nid = \"files\"\nsource = \"build\"\n",
            "",
            "flavor.toml:8: [command] starts `{workenv}/files/run`, a command that no slot \
             provides",
            "add a `[[slot]]` that holds it",
        ),
    ];
    for (from, to, message, help) in cases {
        let text = match from {
            "" => format!("{LEAST}{to}"),
            _ => LEAST.replacen(from, to, 1),
        };
        let found = refused(&text);
        assert!(
            found.0.starts_with(message),
            "{to}\nfound:    {}\nexpected: {message}",
            found.0
        );
        assert!(
            found.1.starts_with(help),
            "{to}\nfound:    {}\nexpected: {help}",
            found.1
        );
        assert!(!found.0.contains('\n') && !found.1.contains('\n'));
    }
}
