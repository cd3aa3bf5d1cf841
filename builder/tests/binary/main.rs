//! What executables and libraries say: read from files that a compiler made, from files that were damaged, and followed
//! through packages that are values.

#![allow(clippy::unwrap_used, clippy::panic)]

mod packages;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flavor::binary::{self, Binary, Elf, ElfKind, Foreign, Need, debug, runpath};

/// Runs the C compiler in a directory.
fn cc(directory: &Path, args: &[&str]) {
    let output = Command::new("cc")
        .args(args)
        .current_dir(directory)
        .output();
    let output =
        output.unwrap_or_else(|e| panic!("cc is needed for this test: apt-get install gcc: {e}"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn elf(path: &Path) -> Elf {
    match binary::read(fs::read(path).unwrap().as_slice()) {
        Ok(Some(Binary::Elf(elf))) => elf,
        other => panic!("{}: {other:?}", path.display()),
    }
}

/// A program and its library, whose code has to be changed when it is loaded.
fn compiled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("one.c"),
        "extern int x; int *where = &x; int one(void) { return x; } int x = 1;",
    )
    .unwrap();
    fs::write(
        dir.path().join("main.c"),
        "#include <stdio.h>\nint one(void); int main(void) { printf(\"%d\\n\", one()); return 7; }",
    )
    .unwrap();
    cc(
        dir.path(),
        &[
            "-shared",
            "-fno-pic",
            "-mcmodel=large",
            "-Wl,-z,notext",
            "-Wl,-soname,libone.so.1",
            "-o",
            "libone.so.1",
            "one.c",
        ],
    );
    cc(
        dir.path(),
        &[
            "-o",
            "main",
            "main.c",
            "libone.so.1",
            "-Wl,-z,execstack",
            "-Wl,-rpath,$ORIGIN/../lib:/opt/lib:",
            "-Wl,--enable-new-dtags",
        ],
    );
    dir
}

#[test]
fn what_a_compiler_made_is_read() {
    let dir = compiled();
    let main = elf(&dir.path().join("main"));
    assert_eq!(
        (main.machine.as_str(), main.bits, main.kind),
        (std::env::consts::ARCH, 64, ElfKind::Program)
    );
    assert!(
        main.interpreter
            .as_deref()
            .is_some_and(|path| path.starts_with("/lib")),
        "{main:?}"
    );
    assert_eq!(main.needed, ["libone.so.1", "libc.so.6"]);
    assert_eq!(main.runpath.unwrap(), ["$ORIGIN/../lib", "/opt/lib", ""]);
    assert!(main.rpath.is_empty() && main.executable_stack && !main.text_relocations);
    let start = |need: &&Need| need.symbol.as_deref() == Some("__libc_start_main");
    let need = main.versions.iter().find(start).unwrap();
    assert_eq!(need.library, "libc.so.6");
    assert!(need.version.starts_with("GLIBC_2."), "{need:?}");

    let one = elf(&dir.path().join("libone.so.1"));
    assert_eq!(
        (one.kind, one.soname.as_deref()),
        (ElfKind::Library, Some("libone.so.1"))
    );
    assert!(one.text_relocations && !one.executable_stack && one.interpreter.is_none());

    cc(dir.path(), &["-c", "-o", "one.o", "one.c"]);
    assert_eq!(elf(&dir.path().join("one.o")).kind, ElfKind::Other);
    cc(
        dir.path(),
        &[
            "-static",
            "-o",
            "static",
            "one.c",
            "-x",
            "c",
            "-",
            "-nostdlib",
            "-Wl,-e,one",
        ],
    );
    let fixed = elf(&dir.path().join("static"));
    assert_eq!(
        (fixed.kind, fixed.needed.len(), fixed.interpreter),
        (ElfKind::Program, 0, None)
    );
}

#[test]
fn a_run_path_is_set_where_no_header_is_to_spare() {
    let dir = compiled();
    let bytes = fs::read(dir.path().join("main")).unwrap();
    // Headers that nothing can be made of: the number of a type that is for systems of another kind.
    let mut full = bytes.clone();
    let table = usize::try_from(u64::from_le_bytes(full[32..40].try_into().unwrap())).unwrap();
    let count = usize::from(u16::from_le_bytes(full[56..58].try_into().unwrap()));
    for header in 0..count {
        let at = table + 56 * header;
        let kind = u32::from_le_bytes(full[at..at + 4].try_into().unwrap());
        if [4, 0x6474_e553].contains(&kind) {
            full[at..at + 4].copy_from_slice(&0x6fff_ffff_u32.to_le_bytes());
        }
    }
    let changed = runpath::set(&full, "$ORIGIN/../one:$ORIGIN/../lib").unwrap();
    // What was not there before stands in the padding.
    assert_eq!(changed.len(), full.len());
    for name in ["moved/bin", "moved/lib"] {
        fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    let program = dir.path().join("moved/bin/main");
    fs::write(&program, changed).unwrap();
    let library = dir.path().join("moved/lib/libone.so.1");
    fs::rename(dir.path().join("libone.so.1"), library).unwrap();
    make_executable(&program);
    let output = Command::new(&program).output().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(7), &b"1\n"[..])
    );
    let long = "x".repeat(5000);
    let refused = runpath::set(&full, &long).unwrap_err().to_string();
    assert!(refused.contains("no padding behind its names"), "{refused}");
}

#[test]
fn a_run_path_is_set_and_the_program_runs() {
    let dir = compiled();
    let bytes = fs::read(dir.path().join("main")).unwrap();
    // Longer than what it had, so that there is no room where it stood.
    let path = format!("$ORIGIN/{}/../lib", "x".repeat(300));
    let changed = runpath::set(&bytes, &path).unwrap();
    fs::create_dir_all(dir.path().join("moved/bin")).unwrap();
    let short = runpath::set(&bytes, "$ORIGIN/../lib").unwrap();
    let program = dir.path().join("moved/bin/main");
    fs::write(&program, short).unwrap();
    fs::create_dir_all(dir.path().join("moved/lib")).unwrap();
    fs::rename(
        dir.path().join("libone.so.1"),
        dir.path().join("moved/lib/libone.so.1"),
    )
    .unwrap();
    make_executable(&program);
    let output = Command::new(&program).output().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(7), &b"1\n"[..])
    );
    match binary::read(changed.as_slice()) {
        Ok(Some(Binary::Elf(elf))) => assert_eq!(elf.runpath.unwrap(), [path]),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        runpath::set(b"#!/bin/sh\n", "x"),
        Err(runpath::RunPathError::NotDynamic)
    );
}

#[test]
fn without_debugging_information_a_program_and_its_library_are_what_they_were() {
    let dir = compiled();
    let one = "int one(void) { return 1; } static int hidden_from_loaders(void) { return one(); } int two(void) { return hidden_from_loaders(); }";
    fs::write(dir.path().join("one.c"), one).unwrap();
    let library = ["-g", "-O0", "-shared", "-fPIC", "-Wl,-soname,libone.so.1"];
    cc(
        dir.path(),
        &[&library[..], &["-o", "libone.so.1", "one.c"]].concat(),
    );
    let program = ["-g", "-o", "main", "main.c", "libone.so.1"];
    cc(
        dir.path(),
        &[&program[..], &["-Wl,-rpath,$ORIGIN"]].concat(),
    );
    for name in ["main", "libone.so.1"] {
        let path = dir.path().join(name);
        let before = fs::read(&path).unwrap();
        let after = debug::stripped(&before).unwrap();
        let has = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|it| it == word);
        assert!(has(&before, b"one.c") || has(&before, b"main.c"));
        for word in [&b"one.c"[..], b"main.c", b"hidden_from_loaders", b".debug"] {
            assert!(
                !has(&after, word),
                "{name}: {}",
                String::from_utf8_lossy(word)
            );
        }
        assert_eq!(debug::stripped(&after), None);
        fs::write(&path, &after).unwrap();
        assert!(Command::new("strip").arg(&path).status().unwrap().success());
        let by_binutils = fs::read(&path).unwrap().len();
        assert!(
            after.len() <= by_binutils + 256,
            "{} {by_binutils}",
            after.len()
        );
        fs::write(&path, after).unwrap();
    }
    let output = Command::new(dir.path().join("main")).output().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(7), &b"1\n"[..])
    );
    // Linkers go by the headers that were written.
    cc(dir.path(), &["-o", "again", "main.c", "libone.so.1"]);

    assert_eq!(debug::stripped(b"#!/bin/sh\n"), None);
    // Whatever the headers say, nothing breaks.
    let bytes = fs::read(dir.path().join("again")).unwrap();
    let mut numbers = Numbers(7);
    for _ in 0..20_000 {
        let mut damaged = bytes.clone();
        let headers = damaged.len() - 64 * 30;
        for _ in 0..3 {
            let at = match numbers.next(2) {
                0 => numbers.next(64),
                _ => headers + numbers.next(64 * 30),
            };
            damaged[at] = u8::try_from(numbers.next(256)).unwrap();
        }
        debug::stripped(&damaged);
    }
}

fn make_executable(path: &PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A sequence that is the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(below).unwrap()).unwrap()
    }
}

#[test]
fn damaged_files_are_errors_and_nothing_worse() {
    let dir = compiled();
    let files = ["main", "libone.so.1"].map(|name| fs::read(dir.path().join(name)).unwrap());
    let files = [
        files[0].clone(),
        files[1].clone(),
        pe(),
        mach_o(),
        universal(),
    ];
    let mut errors = 0_usize;
    let mut look = |bytes: &[u8]| {
        let whole = binary::read(bytes);
        errors += usize::from(whole.is_err());
        // Read in pieces, as a file is, it says the same.
        let pieces = object::read::ReadCache::new(std::io::Cursor::new(bytes));
        if let Ok(Some(binary)) = &whole {
            assert!(binary.summary().len() < 4096);
        }
        assert_eq!(binary::read(&pieces).is_ok(), whole.is_ok());
    };
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    for file in &files {
        for length in (0..file.len().min(2048)).chain((2048..file.len()).step_by(97)) {
            look(&file[..length]);
        }
        // The headers, where everything else is found from, byte by byte; then anywhere, a few at a time.
        for at in 0..file.len().min(1024) {
            for value in [0x00, 0x7f, 0x80, 0xff, file[at] ^ 1] {
                let mut bytes = file.clone();
                bytes[at] = value;
                look(&bytes);
            }
        }
        for _ in 0..3000 {
            let mut bytes = file.clone();
            for _ in 0..=numbers.next(8) {
                let at = numbers.next(bytes.len());
                bytes[at] = u8::try_from(numbers.next(256)).unwrap();
            }
            look(&bytes);
        }
    }
    assert!(errors > 1000, "{errors}");
}

/// A program for Windows on x86-64 that imports from `KERNEL32.dll`.
fn pe() -> Vec<u8> {
    let mut out = vec![0; 0x400];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x40_u32.to_le_bytes());
    put(0x40, b"PE\0\0");
    put(0x44, &0x8664_u16.to_le_bytes());
    put(0x46, &1_u16.to_le_bytes());
    put(0x54, &240_u16.to_le_bytes());
    put(0x58, &0x20b_u16.to_le_bytes());
    put(0x58 + 108, &16_u32.to_le_bytes());
    // The second data directory: the import table.
    put(0x58 + 112 + 8, &0x1000_u32.to_le_bytes());
    put(0x58 + 112 + 12, &40_u32.to_le_bytes());
    put(0x148, b".idata");
    put(0x148 + 8, &0x200_u32.to_le_bytes());
    put(0x148 + 12, &0x1000_u32.to_le_bytes());
    put(0x148 + 16, &0x200_u32.to_le_bytes());
    put(0x148 + 20, &0x200_u32.to_le_bytes());
    put(0x200, &0x1080_u32.to_le_bytes());
    put(0x200 + 12, &0x1060_u32.to_le_bytes());
    put(0x200 + 16, &0x1080_u32.to_le_bytes());
    put(0x260, b"KERNEL32.dll\0");
    out
}

/// A program for macOS on arm64 that imports from `libSystem`.
fn mach_o() -> Vec<u8> {
    let name = b"/usr/lib/libSystem.B.dylib\0\0\0\0\0\0";
    let size = u32::try_from(24 + name.len()).unwrap();
    let words = [
        0xfeed_facf_u32,
        0x0100_000c,
        0,
        2,
        1,
        size,
        0,
        0,
        0xc,
        size,
        24,
        0,
        0,
        0,
    ];
    let mut out: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    out.extend(name);
    out
}

/// The same for two processors in one file.
fn universal() -> Vec<u8> {
    let part = mach_o();
    let size = u32::try_from(part.len()).unwrap();
    let words = [
        0xcafe_babe_u32,
        2,
        0x0100_000c,
        0,
        64,
        size,
        2,
        0x0100_0007,
        0,
        64 + size,
        size,
        2,
    ];
    let mut out: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    out.resize(64, 0);
    out.extend(&part);
    let mut other = part;
    other[4..8].copy_from_slice(&0x0100_0007_u32.to_le_bytes());
    out.extend(other);
    out
}

#[test]
fn programs_of_other_systems_are_known() {
    let foreign = |architectures: &[&str], import: &str| Foreign {
        architectures: architectures.iter().map(|&name| name.to_owned()).collect(),
        imports: vec![import.to_owned()],
    };
    let windows = Binary::Pe(foreign(&["x86_64"], "KERNEL32.dll"));
    assert_eq!(binary::read(pe().as_slice()), Ok(Some(windows.clone())));
    let mac = Binary::MachO(foreign(&["aarch64"], "/usr/lib/libSystem.B.dylib"));
    assert_eq!(binary::read(mach_o().as_slice()), Ok(Some(mac.clone())));
    let both = Binary::MachO(foreign(
        &["aarch64", "x86_64"],
        "/usr/lib/libSystem.B.dylib",
    ));
    assert_eq!(binary::read(universal().as_slice()), Ok(Some(both.clone())));
    assert!(windows.is_for("windows_amd64") && !windows.is_for("linux_amd64"));
    assert!(
        both.is_for("darwin_amd64") && both.is_for("darwin_arm64") && !mac.is_for("darwin_amd64")
    );

    for none in [
        &b""[..],
        b"\x7fEL",
        b"#!/bin/sh\n",
        b"MZ and then something else",
        // A class of Java 8.
        b"\xca\xfe\xba\xbe\0\0\0\x34\0\x10",
    ] {
        assert_eq!(binary::read(none), Ok(None), "{none:?}");
    }
}

/// A library that needs one very long name, many times over.
fn greedy(times: usize) -> Vec<u8> {
    let words =
        |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let mut names = vec![b'a'; 100_000];
    names.push(0);
    let (strings, at) = (0xb0_u64, 0xb0 + u64::try_from(names.len()).unwrap());
    let mut dynamic = words(&[5, strings, 10, 100_001]);
    (0..times).for_each(|_| dynamic.extend(words(&[1, 0])));
    dynamic.extend(words(&[0, 0]));
    let size = u64::try_from(dynamic.len()).unwrap();
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // A library for x86-64 with two program headers.
    out.extend(words(&[0x1_003e_0003, 0, 64, 0, 0x38_0040_0000_0000, 2]));
    let everything = at + size;
    out.extend(words(&[
        0x4_0000_0001,
        0,
        0,
        0,
        everything,
        everything,
        0x1000,
    ]));
    out.extend(words(&[0x4_0000_0002, at, at, at, size, size, 8]));
    out.extend(names);
    out.extend(dynamic);
    out
}

#[test]
fn a_file_cannot_take_more_memory_than_it_has_bytes() {
    match binary::read(greedy(3).as_slice()) {
        // A name is cut where no real one is that long.
        Ok(Some(Binary::Elf(elf))) => {
            assert_eq!(
                elf.needed.iter().map(String::len).collect::<Vec<_>>(),
                [4096; 3]
            );
        }
        other => panic!("{other:?}"),
    }
    let error = binary::read(greedy(4000).as_slice()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "damaged ELF file: it names more than it has room for"
    );
}
