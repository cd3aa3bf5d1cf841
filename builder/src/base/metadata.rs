//! The signed text of a base package, as far as reading and starting it take: checked types, nothing interpreted yet.
//!
//! Unknown keys are passed over, as the base format's readers do.

use psp_format::digest::Digest;
use serde_json::{Map, Value};

use super::fault::Fault;
use super::json;

type Object = Map<String, Value>;

/// What a base package says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// One line about it.
    pub description: Option<String>,
    /// `format`.
    pub format: String,
    /// What made the package.
    pub build: Build,
    /// The launcher, where the builder says anything about it.
    pub launcher: Option<Launcher>,
    /// The slots.
    pub slots: Vec<SlotText>,
    /// The command line, one text.
    pub command: String,
    /// Variables of the command.
    pub env: Vec<(String, String)>,
    /// Rules for the environment.
    pub rules: Rules,
    /// Directories that are made in the work environment: path and mode.
    pub directories: Vec<(String, Option<String>)>,
    /// Variables of `workenv`.
    pub workenv_env: Vec<(String, String)>,
    /// What is done once, before the first start.
    pub setup: Vec<Setup>,
    /// What the package asks of its host.
    pub policy: Option<Policy>,
}

/// What made the package, and when.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Build {
    /// Name of the builder.
    pub tool: String,
    /// Its version.
    pub tool_version: String,
    /// When, as written.
    pub timestamp: Option<String>,
}

/// The builder that a package names, because they write different things under the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    /// `flavor-rs`.
    Rust,
    /// `flavor-go`.
    Go,
    /// `flavor-python`.
    Python,
    /// Another one, or none.
    Other,
}

/// The launcher in front.
#[derive(Debug, Clone, PartialEq)]
pub struct Launcher {
    /// Its size.
    pub size: u64,
    /// Its digest, where the text of it is one.
    pub checksum: Option<Digest>,
}

/// A slot as the text has it.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotText {
    /// Its name.
    pub id: String,
    /// Where it goes.
    pub target: String,
    /// Stored bytes, as the builder says.
    pub size: u64,
    /// The digest, in whatever form.
    pub checksum: String,
    /// The operations.
    pub operations: String,
    /// What for.
    pub purpose: String,
    /// When.
    pub lifecycle: String,
    /// The mode, as octal digits.
    pub permissions: Option<String>,
}

/// `runtime.env`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// Patterns that are removed.
    pub unset: Vec<String>,
    /// Patterns that stay.
    pub pass: Vec<String>,
    /// Old and new names.
    pub map: Vec<(String, String)>,
    /// Names and values.
    pub set: Vec<(String, String)>,
}

/// One of `setup_commands`.
#[derive(Debug, Clone, PartialEq)]
pub enum Setup {
    /// Runs a command line.
    Execute {
        /// The command line.
        command: String,
    },
    /// Writes a file.
    WriteFile {
        /// Where.
        path: String,
        /// Its content.
        content: String,
        /// Its mode.
        mode: Option<String>,
    },
    /// Sets a mode.
    Chmod {
        /// Of what.
        path: String,
        /// The mode.
        mode: Option<String>,
    },
    /// Runs a command line for each file that a pattern matches.
    Each {
        /// The directory.
        path: String,
        /// The pattern of names.
        pattern: String,
        /// The command line.
        command: String,
    },
}

/// `policy`.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Where it starts; everywhere when empty.
    pub platforms: Vec<String>,
    /// Whether root may not start it.
    pub refuse_root: bool,
    /// Days that it starts for; 0 for ever.
    pub max_age_days: u64,
    /// Variables that have to be there.
    pub require_env: Vec<String>,
    /// SHA-256 of its two canonical texts: as it is, and with everything that is not ASCII escaped.
    pub digests: [Digest; 2],
}

impl Metadata {
    /// Reads the signed text.
    pub fn read(text: &[u8]) -> Result<Metadata, Fault> {
        let document = json::read(text)?;
        let top = At::new(&document, "")?;
        if top.has("profile") {
            return Err(Fault::StrictText);
        }
        let package = top.object("package")?;
        let execution = top.object("execution")?;
        let command = execution.string("command")?;
        if command.is_empty() {
            return Err(execution.fault("command", "empty"));
        }
        let runtime = top.maybe("runtime")?;
        let rules = match &runtime {
            Some(runtime) => runtime.maybe("env")?.map(|env| rules(&env)).transpose()?,
            None => None,
        };
        let workenv = top.maybe("workenv")?;
        let (mut directories, mut workenv_env) = (Vec::new(), Vec::new());
        if let Some(workenv) = &workenv {
            for directory in workenv.objects("directories")? {
                let mode = directory.text("mode")?;
                directories.push((directory.string("path")?, mode));
            }
            workenv_env = workenv.pairs("env")?;
        }
        let mut slots = Vec::new();
        if !matches!(top.get("slots"), Some(Value::Array(_))) {
            return Err(top.fault("slots", "a list is expected"));
        }
        for slot in top.objects("slots")? {
            slots.push(slot_text(&slot)?);
        }
        Ok(Metadata {
            name: package.string("name")?,
            version: package.string("version")?,
            description: package.text("description")?,
            format: top.text("format")?.unwrap_or_default(),
            build: top.maybe("build")?.map_or(Ok(Build::default()), |build| {
                Ok(Build {
                    tool: build.text("tool")?.unwrap_or_default(),
                    tool_version: build.text("tool_version")?.unwrap_or_default(),
                    timestamp: build.text("timestamp")?,
                })
            })?,
            launcher: top
                .maybe("launcher")?
                .map(|launcher| {
                    Ok(Launcher {
                        size: launcher.number("size")?,
                        checksum: digest(&launcher.string("checksum")?),
                    })
                })
                .transpose()?,
            slots,
            command,
            env: execution.pairs("env")?,
            rules: rules.unwrap_or_default(),
            directories,
            workenv_env,
            setup: setup(&top)?,
            policy: top.maybe("policy")?.map(|p| policy(&p)).transpose()?,
        })
    }

    /// The builder that is named.
    pub fn builder(&self) -> Builder {
        match self.build.tool.as_str() {
            "flavor-rs" => Builder::Rust,
            "flavor-go" => Builder::Go,
            "flavor-python" => Builder::Python,
            _ => Builder::Other,
        }
    }
}

/// A full digest. The Python builder writes its launcher's with the prefix twice.
pub(super) fn digest(text: &str) -> Option<Digest> {
    let digits = text.strip_prefix("sha256:")?;
    Digest::from_hex(digits.strip_prefix("sha256:").unwrap_or(digits))
}

fn slot_text(slot: &At<'_>) -> Result<SlotText, Fault> {
    Ok(SlotText {
        id: slot.string("id")?,
        target: slot.text("target")?.unwrap_or_default(),
        size: slot.number("size")?,
        checksum: slot.text("checksum")?.unwrap_or_default(),
        operations: slot.text("operations")?.unwrap_or_default(),
        purpose: slot.text("purpose")?.unwrap_or_default(),
        lifecycle: slot.text("lifecycle")?.unwrap_or_default(),
        permissions: slot.text("permissions")?,
    })
}

fn rules(env: &At<'_>) -> Result<Rules, Fault> {
    Ok(Rules {
        unset: env.strings("unset")?,
        pass: env.strings("pass")?,
        map: env.pairs("map")?,
        set: env.pairs("set")?,
    })
}

fn policy(policy: &At<'_>) -> Result<Policy, Fault> {
    let canonical = Value::Object(policy.object.clone()).to_string();
    let escaped: String = canonical
        .chars()
        .map(|c| {
            let mut units = [0; 2];
            match c {
                ' '..='~' => c.to_string(),
                _ => c
                    .encode_utf16(&mut units)
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}"))
                    .collect(),
            }
        })
        .collect();
    Ok(Policy {
        platforms: policy.strings("platforms")?,
        refuse_root: policy.flag("refuse_root")?,
        max_age_days: match policy.get("max_age_days") {
            None | Some(Value::Null) => 0,
            Some(_) => policy.number("max_age_days")?,
        },
        require_env: policy.strings("require_env")?,
        digests: [&canonical, &escaped].map(|text| Digest::of(text.as_bytes())),
    })
}

fn setup(top: &At<'_>) -> Result<Vec<Setup>, Fault> {
    let mut out = Vec::new();
    for (nth, item) in top.items("setup_commands")?.iter().enumerate() {
        let path = format!("setup_commands[{nth}]");
        // The Go builder takes a plain text for a command line.
        if let Value::String(command) = item {
            let command = command.clone();
            out.push(Setup::Execute { command });
            continue;
        }
        let item = At::new(item, &path)?;
        out.push(match item.string("type")?.as_str() {
            "execute" => Setup::Execute {
                command: item.string("command")?,
            },
            "write_file" => Setup::WriteFile {
                path: item.string("path")?,
                content: item.string("content")?,
                mode: item.text("mode")?,
            },
            "chmod" => Setup::Chmod {
                path: item.string("path")?,
                mode: item.text("mode")?,
            },
            "enumerate_and_execute" => {
                let each = item.object("enumerate")?;
                Setup::Each {
                    path: each.string("path")?,
                    pattern: each.string("pattern")?,
                    command: item.string("command")?,
                }
            }
            _ => return Err(item.fault("type", "not one of the four that there are")),
        });
    }
    Ok(out)
}

/// An object, and where it stands.
struct At<'v> {
    object: &'v Object,
    path: String,
}

const TEXT: &str = "a text without NUL is expected";

impl<'v> At<'v> {
    fn new(value: &'v Value, path: &str) -> Result<At<'v>, Fault> {
        match value {
            Value::Object(object) => Ok(At {
                object,
                path: path.to_owned(),
            }),
            _ => Err(Fault::Value {
                path: path.to_owned(),
                problem: "an object is expected",
            }),
        }
    }

    fn has(&self, key: &str) -> bool {
        self.object.contains_key(key)
    }

    fn get(&self, key: &str) -> Option<&'v Value> {
        self.object.get(key)
    }

    fn at(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    fn fault(&self, key: &str, problem: &'static str) -> Fault {
        Fault::Value {
            path: self.at(key),
            problem,
        }
    }

    fn object(&self, key: &str) -> Result<At<'v>, Fault> {
        let value = self.get(key).unwrap_or(&Value::Null);
        At::new(value, &self.at(key))
    }

    fn maybe(&self, key: &str) -> Result<Option<At<'v>>, Fault> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.object(key).map(Some),
        }
    }

    /// No text of the metadata may hold a NUL: names, paths and arguments end there.
    fn text(&self, key: &str) -> Result<Option<String>, Fault> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text.clone())),
            Some(_) => Err(self.fault(key, TEXT)),
        }
    }

    fn string(&self, key: &str) -> Result<String, Fault> {
        self.text(key)?.ok_or_else(|| self.fault(key, TEXT))
    }

    fn number(&self, key: &str) -> Result<u64, Fault> {
        self.get(key)
            .and_then(Value::as_u64)
            .ok_or_else(|| self.fault(key, "a number from 0 on is expected"))
    }

    fn flag(&self, key: &str) -> Result<bool, Fault> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.fault(key, "true or false is expected")),
        }
    }

    fn items(&self, key: &str) -> Result<&'v [Value], Fault> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.fault(key, "a list is expected")),
        }
    }

    fn objects(&self, key: &str) -> Result<Vec<At<'v>>, Fault> {
        let items = self.items(key)?.iter().enumerate();
        items
            .map(|(nth, item)| At::new(item, &format!("{}[{nth}]", self.at(key))))
            .collect()
    }

    fn strings(&self, key: &str) -> Result<Vec<String>, Fault> {
        let text = |item: &Value| match item {
            Value::String(text) if !text.contains('\0') => Ok(text.clone()),
            _ => Err(self.fault(key, "a list of texts is expected")),
        };
        self.items(key)?.iter().map(text).collect()
    }

    fn pairs(&self, key: &str) -> Result<Vec<(String, String)>, Fault> {
        let Some(map) = self.maybe(key)? else {
            return Ok(Vec::new());
        };
        let pair = |name: &String| {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(map.fault(name, "not the name of a variable"));
            }
            Ok((name.clone(), map.string(name)?))
        };
        map.object.keys().map(pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_document_and_what_it_lacks() {
        let small = r#"{"format":"","package":{"name":"","version":""},"slots":[],"execution":{"command":"x"}}"#;
        let read = Metadata::read(small.as_bytes());
        assert!(read.is_ok_and(|metadata| metadata.builder() == Builder::Other));
        for (from, to, path) in [
            (r#""name":"""#, r#""name":1"#, "package.name"),
            (r#""name":"""#, r#""name":"a\u0000b""#, "package.name"),
            (r#""slots":[],"#, "", "slots"),
            (r#""slots":[],"#, r#""slots":[1],"#, "slots[0]"),
            (
                r#""slots":[],"#,
                r#""slots":[{"id":"a","size":-1}],"#,
                "slots[0].size",
            ),
            (r#""command":"x""#, r#""command":"""#, "execution.command"),
            (
                r#""slots":[],"#,
                r#""slots":[],"profile":1,"#,
                "strict profile",
            ),
            (
                r#""slots":[],"#,
                r#""slots":[],"setup_commands":[{"type":"rm"}],"#,
                "setup_commands[0].type",
            ),
        ] {
            let text = small.replace(from, to);
            let fault = Metadata::read(text.as_bytes()).map_err(|fault| fault.to_string());
            assert!(
                fault.as_ref().is_err_and(|text| text.contains(path)),
                "{fault:?}"
            );
        }
    }

    #[test]
    fn the_prefix_twice() {
        let hex = Digest::of(b"").to_string();
        for prefix in ["sha256:", "sha256:sha256:"] {
            assert_eq!(digest(&format!("{prefix}{hex}")), Some(Digest::of(b"")));
        }
        for other in [
            hex.clone(),
            format!("sha256:sha256:sha256:{hex}"),
            "sha256:".into(),
        ] {
            assert_eq!(digest(&other), None);
        }
    }
}
