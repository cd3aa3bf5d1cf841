//! The caller as the launcher's library wants to know it: the environment, and who this is.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use psp_launcher::plan::Snapshot;
use psp_launcher::sys;

/// The strings that a [`Snapshot`] borrows.
pub(super) struct Caller {
    command: CString,
    args: Vec<CString>,
    vars: Vec<CString>,
}

impl Caller {
    /// This process, about to start `command` with these arguments.
    pub(super) fn starting(command: &OsStr, args: &[OsString]) -> Caller {
        let vars = std::env::vars_os().filter_map(|(name, value)| {
            let pair = [name.into_vec(), b"=".to_vec(), value.into_vec()].concat();
            CString::new(pair).ok()
        });
        Caller {
            command: c_string(command),
            args: args.iter().map(|arg| c_string(arg)).collect(),
            vars: vars.collect(),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            command: &self.command,
            args: borrowed(&self.args),
            vars: borrowed(&self.vars),
            uid: sys::effective_uid(),
        }
    }
}

/// Arguments come from the kernel as C strings, so none holds a NUL.
fn c_string(text: &OsStr) -> CString {
    CString::new(text.as_bytes()).unwrap_or_default()
}

fn borrowed(strings: &[CString]) -> Vec<&CStr> {
    strings.iter().map(CString::as_c_str).collect()
}
