//! The launcher images by target.
//!
//! They are made before this crate is compiled (see `build.rs` and `scripts/stubs`) and are part of the `flavor`
//! executable, so that packing needs no compiler and no download.

include!(concat!(env!("OUT_DIR"), "/stubs.rs"));

/// A launcher as it stands at the front of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stub {
    /// The target it runs on, such as `linux_amd64`.
    pub target: &'static str,
    /// The C library it is linked with, statically: `musl` where `scripts/stubs` made it, `glibc` where `cargo build`
    /// had to.
    pub libc: &'static str,
    /// The executable file.
    pub bytes: &'static [u8],
}

/// Every stub that this `flavor` carries, sorted by target; at most one for a target.
pub fn all() -> &'static [Stub] {
    STUBS
}

/// The stub for `target`, if this `flavor` carries it.
pub fn for_target(target: &str) -> Option<&'static Stub> {
    STUBS.iter().find(|stub| stub.target == target)
}

/// The target that this `flavor` itself runs on: the one to pack for when none is named.
///
/// On Linux its stub is always there.
pub fn host_target() -> &'static str {
    HOST_TARGET
}

/// Checks that `bytes` are an executable for `target` and not a whole package.
///
/// # Errors
///
/// What is wrong with them.
pub fn check(bytes: &[u8], target: &str) -> Result<(), &'static str> {
    use goblin::elf::header::{EM_AARCH64, EM_X86_64};
    let machine = match target {
        "linux_amd64" => EM_X86_64,
        "linux_arm64" => EM_AARCH64,
        _ => return Err("launchers for this target are not supported yet"),
    };
    let header = goblin::elf::Elf::parse_header(bytes).map_err(|_| "not an ELF executable")?;
    if bytes.ends_with(&psp_format::layout::MAGIC_END) {
        return Err("a whole package, not the launcher alone");
    }
    if header.e_machine != machine {
        return Err("an executable for another processor");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PT_INTERP: u32 = 3;

    /// Reads a little-endian number of `N` bytes at `offset`.
    fn number<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
        bytes.get(offset..)?.first_chunk().copied()
    }

    /// ELF machine and program header types of a 64-bit little-endian executable.
    fn elf_facts(bytes: &[u8]) -> Option<(u16, Vec<u32>)> {
        if !bytes.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let machine = u16::from_le_bytes(number(bytes, 18)?);
        let table = usize::try_from(u64::from_le_bytes(number(bytes, 32)?)).ok()?;
        let entry_size = usize::from(u16::from_le_bytes(number(bytes, 54)?));
        let entries = usize::from(u16::from_le_bytes(number(bytes, 56)?));
        let types = (0..entries)
            .map(|entry| {
                Some(u32::from_le_bytes(number(
                    bytes,
                    table + entry * entry_size,
                )?))
            })
            .collect::<Option<_>>()?;
        Some((machine, types))
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_hosts_own_stub_is_there() {
        assert!(
            for_target(host_target()).is_some(),
            "no stub for {}",
            host_target()
        );
    }

    #[test]
    fn every_linux_stub_is_a_static_executable_of_its_machine() {
        for stub in all()
            .iter()
            .filter(|stub| stub.target.starts_with("linux_"))
        {
            let machine = match stub.target {
                "linux_amd64" => 62,
                "linux_arm64" => 183,
                other => unreachable!("no machine number for {other}"),
            };
            let facts = elf_facts(stub.bytes);
            assert_eq!(
                facts.as_ref().map(|(machine, _)| *machine),
                Some(machine),
                "{}",
                stub.target
            );
            let interpreter = facts.is_some_and(|(_, types)| types.contains(&PT_INTERP));
            assert!(
                !interpreter,
                "the stub for {} asks for a dynamic loader",
                stub.target
            );
        }
    }

    #[test]
    fn stubs_are_sorted_and_named_once() {
        assert!(all().windows(2).all(|pair| pair[0].target < pair[1].target));
        assert!(
            all()
                .iter()
                .all(|stub| matches!(stub.libc, "musl" | "glibc"))
        );
    }

    #[test]
    fn an_unknown_target_has_no_stub() {
        assert_eq!(for_target("plan9_mips"), None);
    }
}
