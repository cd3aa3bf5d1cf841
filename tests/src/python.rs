//! Python projects that build without a network.

use crate::project::Project;

/// Writes a project of one module below `directory`, which is empty or ends in a slash. `tool` follows on `[project]` with
/// its name and version.
pub fn write_project(project: &Project, directory: &str, name: &str, code: &str, tool: &str) {
    let write = |file: &str, text: &str| {
        project.file(&format!("{directory}{file}"), 0o644, text.as_bytes());
    };
    let described = format!(
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
         [project]\nname = \"{name}\"\nversion = \"1.0\"\n{tool}"
    );
    write("pyproject.toml", &described);
    write("backend.py", &BACKEND.replace("NAME", name));
    write(&format!("{name}.py"), code);
}

/// The least that pip builds a wheel with: of the module, and of extension modules beside it.
const BACKEND: &str = r#"
import os, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    info = "NAME-1.0.dist-info/"
    files = {
        info + "METADATA": "Metadata-Version: 2.1\nName: NAME\nVersion: 1.0\n",
        info + "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    modules = ["NAME.py", *sorted(n for n in os.listdir() if n.endswith((".so", ".pyd")))]
    files[info + "RECORD"] = "".join(f"{n},,\n" for n in [*modules, *files, info + "RECORD"])
    with zipfile.ZipFile(os.path.join(directory, "NAME-1.0-py3-none-any.whl"), "w") as wheel:
        for name in modules:
            wheel.write(name)
        for name, text in files.items():
            wheel.writestr(name, text)
    return "NAME-1.0-py3-none-any.whl"
"#;
