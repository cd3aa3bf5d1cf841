//! `[python]`, and `[tool.flavor]` of flavorpack's Python projects, which becomes it.

use flavor::manifest::{Entry, EntryPoint, Recipe, Requirement, Runtime};

use super::*;

const PYTHON: &str = r#"
[project]
name = "My-App"
version = "1.0"
[project.scripts]
My-App = "my_app.cli:main"
[tool.flavor]
package_name = "my-app"
[tool.flavor.build]
dependencies = ["../lib"]
[tool.flavor.execution.runtime.env]
unset = ["X"]
isolated = true
[tool.flavor.policy]
refuse_root = true
"#;

fn refused_python(text: &str) -> (String, String) {
    let dir = directory(&[("pyproject.toml", text)]);
    let error = manifest::load(&dir.path().join("pyproject.toml")).expect_err(text);
    (without(&error.to_string(), dir.path()), error.help())
}

#[test]
fn a_python_project_of_flavorpack_is_the_recipe_with_its_dependencies() {
    let dir = directory(&[("pyproject.toml", PYTHON)]);
    let project = manifest::load(&dir.path().join("pyproject.toml")).unwrap();
    assert_eq!(project.package.name, "my-app");
    let Some(Recipe::Python(python)) = project.recipe else {
        panic!("{:?}", project.recipe);
    };
    let sources = [".", "../lib"].map(|path| Requirement::Project(dir.path().join(path)));
    assert_eq!(python.sources, sources);
    let point = EntryPoint::Function {
        module: "my_app.cli".into(),
        function: "main".into(),
    };
    assert_eq!(python.entries, [Entry { name: None, point }]);
    assert_eq!(
        project.command.args,
        ["-s", "{workenv}/app/bin/my-app"].map(str::to_owned)
    );
}

#[test]
fn the_environment_is_isolated_unless_the_project_says_otherwise() {
    let unset = |text: &str| {
        let dir = directory(&[("pyproject.toml", text)]);
        let project = manifest::load(&dir.path().join("pyproject.toml")).unwrap();
        project.env.unset
    };
    let isolated = [
        "PYTHONPATH",
        "UV_PROJECT_ENVIRONMENT",
        "PYTHONHOME",
        "UV_CACHE_DIR",
        "VIRTUAL_ENV",
        "X",
        "PYTHON*",
    ];
    assert_eq!(unset(PYTHON), isolated);
    assert_eq!(
        unset(&PYTHON.replace("isolated = true", "isolated = false")),
        ["X", "PYTHON*"]
    );
}

#[test]
fn the_recipe_takes_name_version_and_commands_of_its_project() {
    let toml = "[project]\nname = \"My.App\"\nversion = \"2.0\"\n[project.scripts]\na = \"m:f\"\nmy-app = \"m:C.g\"\n";
    let dir = directory(&[
        ("pyproject.toml", toml),
        ("flavor.toml", "[python]\nproject = \".\"\nstrip = []\n"),
    ]);
    let project = manifest::load(&dir.path().join("flavor.toml")).unwrap();
    let package = &project.package;
    assert_eq!(
        (package.name.as_str(), package.version.as_str()),
        ("my-app", "2.0")
    );
    assert_eq!(project.command.args, ["-s", "{workenv}/app/bin/my-app"]);
    let names: Vec<&String> = project.commands.keys().collect();
    assert_eq!(names, ["a", "my-app"]);
    assert_eq!(project.env.unset, ["PYTHON*"]);
    let targets: Vec<&str> = project
        .slots
        .iter()
        .map(|slot| slot.target.as_str())
        .collect();
    assert_eq!(targets, ["rt", "app"]);
    let Some(Recipe::Python(python)) = project.recipe else {
        panic!("{:?}", project.recipe);
    };
    assert_eq!((python.runtime, python.strip.len()), (Runtime::Found, 0));
}

#[test]
fn mistakes_in_the_recipe_are_named() {
    let package = "[package]\nname = \"a\"\nversion = \"1\"\n[python]\n";
    for (keys, message) in [
        ("module = \"m\"", "[python] has no `project`"),
        ("project = \".\"", "[python] has no `entry-point`"),
        (
            "project = \".\"\nmodule = \"a b\"",
            "`module` in [python] must be the name of a module",
        ),
        (
            "project = \".\"\nentry-point = \"m:f();x\"",
            "`entry-point` in [python] must be `module:function`",
        ),
        (
            "project = \".\"\nentry-point = \"m:f\"\nmodule = \"m\"",
            "`module` in [python] must be absent beside `entry-point`",
        ),
        (
            "requirements = [\"--index-url=x\"]\nmodule = \"m\"",
            "`requirements` in [python] must be a list of requirements",
        ),
        (
            "project = \".\"\nmodule = \"m\"\nruntime = \"\"",
            "`runtime` in [python] must be a version",
        ),
        ("projet = \".\"", "unknown key `projet` in [python]"),
    ] {
        let dir = directory(&[("flavor.toml", &format!("{package}{keys}\n"))]);
        let error = manifest::load(&dir.path().join("flavor.toml")).expect_err(keys);
        let found = without(&error.to_string(), dir.path());
        assert!(found.contains(message), "{found}\ninstead of {message}");
    }
}

#[test]
fn a_project_that_builds_with_either_tool_says_its_name_once() {
    let ours = r#"
[[tool.flavor.slot]]
id = "site"
source = "build/site"
[tool.flavor.command]
exec = "{workenv}/site/run"
"#;
    let text = format!("{PYTHON}{ours}").replace("version = ", "description = \"d\"\nversion = ");
    let dir = directory(&[("pyproject.toml", &text)]);
    let project = manifest::load(&dir.path().join("pyproject.toml")).unwrap();
    assert_eq!(
        (
            project.package.name.as_str(),
            project.package.version.as_str()
        ),
        ("my-app", "1.0")
    );
    assert_eq!(project.package.description.as_deref(), Some("d"));
    assert_eq!(project.env.unset.last().map(String::as_str), Some("X"));
    assert!(project.policy.unwrap().refuse_root);
    // Sections of ours win, and unknown keys are known of both.
    let own = "[tool.flavor.package]\nname = \"own\"\nversion = \"2\"\n[tool.flavor.env]\nset = { A = \"1\" }\n";
    fs::write(dir.path().join("pyproject.toml"), format!("{text}{own}")).unwrap();
    let project = manifest::load(&dir.path().join("pyproject.toml")).unwrap();
    assert_eq!(
        (project.package.name.as_str(), project.env.unset.len()),
        ("own", 0)
    );
    let (found, help) = refused_python(&text.replace("package_name =", "solt = 1\npackage_name ="));
    assert!(
        found.contains("unknown key `solt` in [tool.flavor]"),
        "{found}"
    );
    assert!(help.contains("did you mean `slot`?"), "{help}");
}

#[test]
fn mistakes_in_a_python_project_of_flavorpack_are_named() {
    for (from, to, message) in [
        (
            "package_name = \"my-app\"",
            "package_name = \"My App\"",
            "`package_name` in [tool.flavor] must be 1 to 64",
        ),
        (
            "package_name = \"my-app\"",
            "metadata = { package_name = \"M\" }",
            "`package_name` in [tool.flavor.metadata] must be",
        ),
        (
            "version = \"1.0\"",
            "dynamic = [\"version\"]",
            "[project] has no `version`",
        ),
        (
            "My-App = ",
            "other = ",
            "[tool.flavor] has no `entry_point`",
        ),
        (
            "my_app.cli:main",
            "my_app.cli",
            "`My-App` in [project.scripts] must be `module:function`",
        ),
        (
            "dependencies = ",
            "dependancies = ",
            "unknown key `dependancies` in [tool.flavor.build]",
        ),
        (
            "isolated = true",
            "isolated = 1",
            "`isolated` in [tool.flavor.execution.runtime.env] must be true or false",
        ),
        (
            "unset = [",
            "unste = [",
            "unknown key `unste` in [tool.flavor.execution.runtime.env]",
        ),
        (
            "refuse_root = true",
            "refuse_root = 1",
            "`refuse_root` in [tool.flavor.policy] must be true or false",
        ),
        (
            "package_name = ",
            "entry_pint = 1\npackage_name = ",
            "unknown key `entry_pint` in [tool.flavor]",
        ),
    ] {
        assert!(PYTHON.contains(from), "{from}");
        let (found, _) = refused_python(&PYTHON.replace(from, to));
        assert!(found.contains(message), "{found}\ninstead of {message}");
    }
}
