//! Whether the commands can be started, found out before the package is written.

use std::path::Path;
use std::process::Command;

use super::super::RecipeError;
use super::super::program::run;
use crate::manifest::{EntryPoint, Python};

/// Imports what each command starts in the staged tree.
///
/// # Errors
///
/// [`RecipeError::NoEntry`] with the last line that the interpreter said.
pub(super) fn entries(python: &Python, rt: &Path) -> Result<(), RecipeError> {
    for entry in &python.entries {
        let (shown, code) = match &entry.point {
            EntryPoint::Function { module, function } => (
                format!("{module}:{function}"),
                format!(
                    "import operator, {module} as m; assert callable(operator.attrgetter({function:?})(m)), 'not callable'"
                ),
            ),
            // A module that is run does its work when it is imported.
            EntryPoint::Module(module) => (
                module.clone(),
                format!(
                    "import importlib.util as u; s = u.find_spec({module:?}); assert s, 'no module named {module}'; \
                     assert s.submodule_search_locations is None or u.find_spec({main:?}), '{main} is missing'",
                    main = format!("{module}.__main__"),
                ),
            ),
        };
        let mut command = Command::new(rt.join("bin/python3"));
        command
            .args(["-s", "-B", "-c", &code])
            .current_dir(rt)
            .env_clear();
        run("python3", &mut command).map_err(|error| match error {
            RecipeError::Program { said, .. } => RecipeError::NoEntry {
                entry: shown,
                said: said.lines().last().unwrap_or_default().to_owned(),
            },
            other => other,
        })?;
    }
    Ok(())
}
