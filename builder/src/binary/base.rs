//! The base set: libraries that a package leaves to its host.
//!
//! Two reasons count. The library is a part of something that the host has in one piece (the C library with its loader),
//! or it speaks to something of the host that must be of the same kind (a driver, a display server, a sound daemon, the
//! caches of the installed fonts). What is merely common is bundled: hosts have it in other versions.

use serde::Serialize;

/// Why a library is left to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// A part of the C library: all parts are of one version, and belong to the loader that starts the program.
    Libc,
    /// In front of a graphics driver, which comes with the host's kernel and hardware.
    Graphics,
    /// The display: shared with the graphics driver, which holds its objects in common with the program.
    Display,
    /// Sound: configuration and plugins of the host.
    Sound,
    /// Fonts: reads the host's configuration and caches, whose layout changes with its version.
    Fonts,
}

impl Base {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Base::Libc => "C library",
            Base::Graphics => "graphics",
            Base::Display => "display",
            Base::Sound => "sound",
            Base::Fonts => "fonts",
        }
    }
}

/// The base set, sorted by reason. The loader itself, `ld-linux*`, also belongs to it, and so does musl.
pub const BASE: &[(&str, Base)] = &[
    ("libBrokenLocale.so.1", Base::Libc),
    ("libanl.so.1", Base::Libc),
    ("libc.so.6", Base::Libc),
    ("libc_malloc_debug.so.0", Base::Libc),
    ("libdl.so.2", Base::Libc),
    ("libm.so.6", Base::Libc),
    ("libmvec.so.1", Base::Libc),
    ("libnss_compat.so.2", Base::Libc),
    ("libnss_dns.so.2", Base::Libc),
    ("libnss_files.so.2", Base::Libc),
    ("libpthread.so.0", Base::Libc),
    ("libresolv.so.2", Base::Libc),
    ("librt.so.1", Base::Libc),
    ("libthread_db.so.1", Base::Libc),
    ("libutil.so.1", Base::Libc),
    ("libEGL.so.1", Base::Graphics),
    ("libGL.so.1", Base::Graphics),
    ("libGLESv2.so.2", Base::Graphics),
    ("libGLX.so.0", Base::Graphics),
    ("libGLdispatch.so.0", Base::Graphics),
    ("libOpenCL.so.1", Base::Graphics),
    ("libOpenGL.so.0", Base::Graphics),
    ("libcuda.so.1", Base::Graphics),
    ("libdrm.so.2", Base::Graphics),
    ("libgbm.so.1", Base::Graphics),
    ("libnvidia-ml.so.1", Base::Graphics),
    ("libvulkan.so.1", Base::Graphics),
    ("libX11-xcb.so.1", Base::Display),
    ("libX11.so.6", Base::Display),
    ("libwayland-client.so.0", Base::Display),
    ("libwayland-egl.so.1", Base::Display),
    ("libxcb.so.1", Base::Display),
    ("libasound.so.2", Base::Sound),
    ("libfontconfig.so.1", Base::Fonts),
    ("libfreetype.so.6", Base::Fonts),
];

/// Why this library is left to the host, where it is.
pub fn base(name: &str) -> Option<Base> {
    // The loader, and the one file that is all of musl.
    let is_libc = |start| name.starts_with(start);
    if ["ld-linux", "ld64.so", "ld-musl-", "libc.musl-"]
        .into_iter()
        .any(is_libc)
    {
        return Some(Base::Libc);
    }
    let found = BASE.iter().find(|(known, _)| *known == name);
    found.map(|(_, why)| *why)
}
