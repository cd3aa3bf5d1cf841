//! Real applications: the projects in `tests/apps`, packed by their recipes.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::project::{Project, flavor, text};

/// A package of one of them, and the tree that it unpacks to.
pub struct App {
    /// Where everything is.
    pub project: Project,
    /// The package.
    pub package: PathBuf,
    /// Its slots.
    pub tree: PathBuf,
}

impl App {
    /// The application of this name.
    pub fn pack(name: &str) -> App {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("apps")
            .join(name);
        let manifest = fs::read_to_string(directory.join("flavor.toml")).unwrap();
        let lines = manifest
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert!(
            lines.count() <= 15,
            "{name}: a manifest is at most fifteen lines"
        );
        let project = Project::new();
        // Building a project leaves files in it.
        let copy = project.path().join("source");
        let mut cp = Command::new("cp");
        succeed(cp.arg("-r").arg(&directory).arg(&copy));
        let package = project.path().join(format!("{name}.psp"));
        let mut pack = flavor();
        pack.args(["pack", "--no-cache", "--level", "3"]);
        pack.args(["--key-seed", "tests", "--manifest"]);
        succeed(
            pack.arg(copy.join("flavor.toml"))
                .arg("--output")
                .arg(&package),
        );
        let tree = project.path().join("tree");
        succeed(flavor().arg("extract-all").arg(&package).arg(&tree));
        App {
            project,
            package,
            tree,
        }
    }

    /// The package, with an empty environment but for its cache.
    pub fn start(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.package);
        command.args(args).env_clear();
        command.env("FLAVOR_CACHE", self.project.cache());
        command
    }

    /// A program of the unpacked tree, with an empty environment.
    pub fn unpacked(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.tree.join(program));
        command.args(args).env_clear();
        command
    }

    /// What the package answers to a GET for this path. It is a server that says its port on standard error.
    pub fn get(&self, path: &str) -> String {
        App::answer(self.start(&[]), path)
    }

    /// What the server that this command starts answers.
    pub fn answer(mut start: Command, path: &str) -> String {
        start.stderr(Stdio::piped()).stdout(Stdio::null());
        let mut server = start.spawn().unwrap();
        let mut port = String::new();
        let said = server.stderr.take().unwrap();
        BufReader::new(said).read_line(&mut port).unwrap();
        let port: u16 = port.trim().parse().unwrap_or_else(|_| panic!("{port}"));
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        answer
    }

    /// No file says where it was made: in no directory of a recipe or of the project, and nothing of these.
    pub fn says_nothing_of(&self, secrets: &[&str]) {
        let here = self.project.path().display().to_string();
        for secret in secrets.iter().chain(&["flavor-recipe-", &here]) {
            let mut grep = Command::new("grep");
            grep.args(["-rlF", "-e", secret]).arg(&self.tree);
            let found = grep.output().unwrap();
            assert_eq!(text(&found.stdout), "", "{secret} is packed");
        }
    }
}

/// Starts both, whose outcome must be the same. Returns standard output.
pub fn same(packed: &mut Command, unpacked: &mut Command) -> String {
    let (packed, unpacked) = (packed.output().unwrap(), unpacked.output().unwrap());
    let said = text(&packed.stderr);
    assert_eq!(packed.status.code(), unpacked.status.code(), "{said}");
    assert_eq!(text(&packed.stdout), text(&unpacked.stdout), "{said}");
    text(&packed.stdout).into_owned()
}

/// What a command that must succeed has said.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    output
}
