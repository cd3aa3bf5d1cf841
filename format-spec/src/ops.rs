//! Operation chains: how the stored bytes of a slot became what they are (SPEC.md 4.3).

use core::fmt;

use crate::json::{self, Reader, Value};

/// One step of a chain, as its code in the descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A tar stream.
    Tar,
    /// One gzip stream.
    Gzip,
    /// One bzip2 stream.
    Bzip2,
    /// One xz stream.
    Xz,
    /// Zstandard frames.
    Zstd,
}

impl Op {
    /// The step's byte in the descriptor.
    pub fn code(self) -> u8 {
        match self {
            Op::Tar => 0x01,
            Op::Gzip => 0x10,
            Op::Bzip2 => 0x13,
            Op::Xz => 0x16,
            Op::Zstd => 0x1b,
        }
    }

    /// The step with this code.
    pub fn from_code(code: u8) -> Option<Op> {
        [Op::Tar, Op::Gzip, Op::Bzip2, Op::Xz, Op::Zstd]
            .into_iter()
            .find(|op| op.code() == code)
    }

    /// The name used in chains such as `tar.zst`.
    pub fn name(self) -> &'static str {
        match self {
            Op::Tar => "tar",
            Op::Gzip => "gz",
            Op::Bzip2 => "bz2",
            Op::Xz => "xz",
            Op::Zstd => "zst",
        }
    }
}

/// What is wrong with a chain's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainFault {
    /// No step has this code.
    Unknown(u8),
    /// A byte that is not zero follows the end of the chain.
    AfterEnd,
}

/// The steps of a chain's number, first step first (M35).
pub fn decode(code: u64) -> Result<Vec<Op>, ChainFault> {
    let bytes = code.to_le_bytes();
    let mut steps = bytes.into_iter();
    let mut ops = Vec::new();
    for byte in steps.by_ref().take_while(|&byte| byte != 0) {
        ops.push(Op::from_code(byte).ok_or(ChainFault::Unknown(byte))?);
    }
    if steps.any(|byte| byte != 0) {
        Err(ChainFault::AfterEnd)
    } else {
        Ok(ops)
    }
}

/// The chain's number: step *i* in byte *i*. `None` for more than eight steps.
pub fn encode(ops: &[Op]) -> Option<u64> {
    let mut bytes = [0; 8];
    if ops.len() > bytes.len() {
        return None;
    }
    for (byte, op) in bytes.iter_mut().zip(ops) {
        *byte = op.code();
    }
    Some(u64::from_le_bytes(bytes))
}

/// The chains of the strict profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operations {
    /// One file, as it is.
    None,
    /// One file in Zstandard frames.
    Zstd,
    /// A tar stream, as it is.
    Tar,
    /// A tar stream in Zstandard frames that begin and end at entry boundaries.
    TarZst,
    /// A tar stream in one gzip stream, for the launchers of flavorpack.
    TarGz,
}

impl Operations {
    /// Every chain of the profile.
    pub const ALL: [Operations; 5] = [
        Operations::None,
        Operations::Zstd,
        Operations::Tar,
        Operations::TarZst,
        Operations::TarGz,
    ];

    /// The steps.
    pub fn steps(self) -> &'static [Op] {
        match self {
            Operations::None => &[],
            Operations::Zstd => &[Op::Zstd],
            Operations::Tar => &[Op::Tar],
            Operations::TarZst => &[Op::Tar, Op::Zstd],
            Operations::TarGz => &[Op::Tar, Op::Gzip],
        }
    }

    /// The number in the descriptor and in `operations_code`.
    pub fn code(self) -> u64 {
        encode(self.steps()).unwrap_or(0)
    }

    /// Whether the content is a tree rather than one file.
    pub fn is_tar(self) -> bool {
        self.steps().first() == Some(&Op::Tar)
    }

    /// Whether the stored bytes are Zstandard frames with a seek table.
    pub fn is_framed(self) -> bool {
        self.steps().last() == Some(&Op::Zstd)
    }

    /// The chain with this name.
    pub fn from_name(name: &str) -> Option<Operations> {
        Operations::ALL.into_iter().find(|ops| ops.name() == name)
    }

    /// Its name in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Operations::None => "none",
            Operations::Zstd => "zstd",
            Operations::Tar => "tar",
            Operations::TarZst => "tar.zst",
            Operations::TarGz => "tar.gz",
        }
    }
}

impl Value for Operations {
    fn read(reader: &mut Reader<'_>) -> Operations {
        reader.named("operations", Operations::None, Operations::from_name)
    }

    fn write(&self, out: &mut Vec<u8>) {
        json::write_string(self.name(), out);
    }
}

impl fmt::Display for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_spec() {
        assert_eq!(
            Operations::ALL.map(Operations::code),
            [0, 0x1b, 0x01, 0x1b01, 0x1001]
        );
    }

    #[test]
    fn decode_of_encode_is_the_identity() {
        for operations in Operations::ALL {
            assert_eq!(decode(operations.code()).as_deref(), Ok(operations.steps()));
        }
        assert_eq!(decode(0x0101_0101_0101_0101).map(|ops| ops.len()), Ok(8));
        assert_eq!(encode(&[Op::Tar; 9]), None);
    }

    #[test]
    fn unknown_steps_and_steps_after_the_end() {
        assert_eq!(decode(0x02), Err(ChainFault::Unknown(2)));
        assert_eq!(decode(0x01_0001), Err(ChainFault::AfterEnd));
        assert_eq!(decode(1 << 63), Err(ChainFault::AfterEnd));
    }
}
