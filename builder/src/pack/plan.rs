//! What goes into a package: the manifest's text turned into metadata, the sources read into lists of entries.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use psp_format::digest::{Checksum, Digest};
use psp_format::encode::quote_command;
use psp_format::instant;
use psp_format::metadata::{
    Build, Command, Desktop, EnvRules, Execution, FORMAT, Launcher, Lifecycle, Map, Metadata,
    PROFILE, Package, Platform, Policy, Purpose, RESERVED_PREFIX, Runtime,
};
use psp_format::path::{is_within, parent};

use super::compat;
use super::compress::Method;
use super::documents;
use super::host::{self, Concern};
use super::share::Shared;
use super::{Options, PackError, workenv};
use crate::inputs::{self, DEFAULT_TIME, FileKind, Filter, InputError, Kind, Source, Times};
use crate::manifest::{self, Compression, Project, Reading, SlotModes, SlotTimes};
use crate::sbom::provenance::Facts;

/// Something about a slot that is no error, but that the person building should know of.
#[derive(Debug, Clone)]
pub struct Note {
    /// The slot's id.
    pub slot: String,
    /// What is to be known.
    pub note: Remark,
}

/// What a note says.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Remark {
    /// The source was changed on its way.
    #[error(transparent)]
    Input(#[from] inputs::Note),
    /// Some hosts will not like it.
    #[error(transparent)]
    Concern(#[from] Concern),
}

/// Everything that is known before anything is compressed.
pub(super) struct Plan {
    /// The metadata, still without slots.
    pub metadata: Metadata,
    /// The slots, in the order of the table.
    pub slots: Vec<PlannedSlot>,
    /// What the statement of provenance says, whose slot is the last one then; it is made when the others are stored.
    pub provenance: Option<Facts>,
    /// Time of the directories that we make.
    pub mtime: u64,
    /// For the person.
    pub notes: Vec<Note>,
}

/// A slot with its content.
pub(super) struct PlannedSlot {
    pub id: String,
    pub target: String,
    pub lifecycle: Lifecycle,
    pub purpose: Purpose,
    pub mode: Option<u32>,
    pub mutable: bool,
    pub method: Method,
    pub source: Source,
}

impl PlannedSlot {
    /// Bytes of content.
    pub(super) fn content_size(&self) -> u64 {
        match &self.source {
            Source::Tree(tree) => super::stream::tree_size(tree, &self.target),
            Source::File(file) => file.size,
        }
    }

    /// Where an entry of its tree lies below the work environment.
    pub(super) fn below(&self, path: &[u8]) -> Vec<u8> {
        below(&self.target, path)
    }

    /// Every path below the work environment, with the size of what is a file.
    pub(super) fn sizes(&self) -> Vec<(Vec<u8>, u64)> {
        match &self.source {
            Source::File(file) => vec![(self.target.clone().into_bytes(), file.size)],
            Source::Tree(tree) => {
                let entries = tree.entries.iter();
                let size = |kind: &Kind| match kind {
                    Kind::File { size, .. } => *size,
                    _ => 0,
                };
                entries
                    .map(|entry| (self.below(&entry.path), size(&entry.kind)))
                    .collect()
            }
        }
    }
}

/// Id of the slot that holds the icon of `[desktop]`.
const ICON: &str = "_icon";

/// Plans one package of a run that writes these files.
pub(super) fn plan(
    project: &Project,
    options: &Options,
    outputs: &[&Path],
    shared: &mut Shared,
) -> Result<Plan, PackError> {
    let mtime = options.source_date.unwrap_or(DEFAULT_TIME);
    let (mut slots, mut notes) = (Vec::new(), Vec::new());
    for slot in &project.slots {
        if slot.is_for(&options.target) {
            let read = || read_slot(slot, outputs, mtime);
            let (source, of_slot) = shared.read(slot, mtime, read)?;
            notes.extend(of_slot);
            slots.push(planned(slot, options, source));
        }
    }
    arrange(project, &mut slots, mtime, &mut notes)?;
    if let Some(icon) = project
        .desktop
        .as_ref()
        .and_then(|desktop| desktop.icon.as_ref())
    {
        slots.push(icon_slot(icon, mtime)?);
    }
    check_paths(&slots)?;
    if options.for_flavorpack {
        compat::fit(project, &mut slots)?;
    }
    let exists = |path: &[u8]| slots.iter().any(|slot| holds(slot, path));
    project.check_commands(&options.target, exists)?;
    let (found, telling) = host::check(project, &slots, &options.target)?;
    notes.extend(found);
    let provenance = documents::add(project, options, &mut slots, &telling)?;
    if provenance.is_some() {
        // Once more, with theirs.
        check_paths(&slots)?;
    }
    Ok(Plan {
        metadata: metadata(project, options),
        slots,
        provenance,
        mtime,
        notes,
    })
}

/// Puts archives and what the manifest describes itself in their places.
fn arrange(
    project: &Project,
    slots: &mut Vec<PlannedSlot>,
    mtime: u64,
    notes: &mut Vec<Note>,
) -> Result<(), PackError> {
    let stated = project.slots.iter().filter_map(|slot| match &slot.reading {
        Reading::AtRoot { stated } => Some((slot.id.as_str(), stated.as_str())),
        _ => None,
    });
    let stated: BTreeMap<&str, &str> = stated.collect();
    for slot in workenv::place_archives(slots, &stated)? {
        let target = stated
            .get(slot.as_str())
            .copied()
            .unwrap_or_default()
            .into();
        let note = Remark::Input(inputs::Note::AtRoot { target });
        notes.push(Note { slot, note });
    }
    workenv::add_made(slots, &project.made, &project.package, mtime)
}

/// The content of a slot, and what is to be said about it.
fn read_slot(
    slot: &manifest::Slot,
    outputs: &[&Path],
    mtime: u64,
) -> Result<(Source, Vec<Note>), PackError> {
    let of_slot = |error| PackError::Input {
        slot: slot.id.clone(),
        error,
    };
    let filter = Filter::new(&slot.include, &slot.exclude).map_err(of_slot)?;
    for output in outputs {
        check_output(slot, &filter, output)?;
    }
    let times = match slot.times {
        SlotTimes::Normalise => Times::Normalise(mtime),
        SlotTimes::Keep => Times::Keep,
    };
    let kind = match &slot.reading {
        Reading::ByName => FileKind::ByName,
        Reading::File => FileKind::Plain,
        Reading::Decompressed => FileKind::Compressed,
        Reading::AtRoot { .. } => FileKind::Archive,
    };
    let mut input = inputs::read_as(&slot.source, &filter, times, kind).map_err(of_slot)?;
    if slot.modes == SlotModes::Normalise {
        normalise_modes(&mut input.source, slot.source.is_dir());
    }
    if matches!(input.source, Source::Tree(_)) && slot.permissions.is_some() {
        return Err(PackError::Permissions {
            slot: slot.id.clone(),
            source_path: slot.source.clone(),
        });
    }
    let notes = input.notes.into_iter().map(|note| Note {
        slot: slot.id.clone(),
        note: note.into(),
    });
    Ok((input.source, notes.collect()))
}

fn planned(slot: &manifest::Slot, options: &Options, source: Source) -> PlannedSlot {
    let method = match slot.compression {
        Compression::None => Method::None,
        Compression::Zstd { level } => Method::Zstd(options.level.unwrap_or(i32::from(level))),
    };
    PlannedSlot {
        id: slot.id.clone(),
        target: slot.target.clone(),
        lifecycle: slot.lifecycle,
        purpose: slot.purpose,
        mode: slot.permissions,
        mutable: slot.mutable,
        method,
        source,
    }
}

/// Gives group and others what the owner has, but for writing: the umask of a checkout is not in the package. What an
/// archive records depends on nobody's umask, and stays.
fn normalise_modes(source: &mut Source, is_directory: bool) {
    let normal = |mode: u32| mode & 0o700 | (mode & 0o500) >> 3 | (mode & 0o500) >> 6;
    match source {
        Source::File(file) => file.mode = normal(file.mode),
        Source::Tree(_) if !is_directory => {}
        Source::Tree(tree) => {
            for entry in &mut tree.entries {
                if matches!(entry.kind, Kind::File { .. } | Kind::Directory) {
                    entry.mode = normal(entry.mode);
                }
            }
        }
    }
}

/// A package that a slot takes in would be another one the next time.
fn check_output(slot: &manifest::Slot, filter: &Filter, output: &Path) -> Result<(), PackError> {
    let source = std::fs::canonicalize(&slot.source);
    let (Ok(source), Some(name)) = (source, output.file_name()) else {
        // A source that is not there is an error of its own, when it is read.
        return Ok(());
    };
    let directory = resolved(super::directory_of(output));
    match directory.join(name).strip_prefix(&source) {
        Ok(inside) if source.is_dir() && filter.selects(inside.as_os_str().as_encoded_bytes()) => {
            Err(PackError::OutputInside {
                slot: slot.id.clone(),
                output: output.to_path_buf(),
            })
        }
        _ => Ok(()),
    }
}

/// The path with its links resolved as far as it exists: the directory of a first package does not yet.
fn resolved(directory: &Path) -> PathBuf {
    match (
        std::fs::canonicalize(directory),
        directory.parent(),
        directory.file_name(),
    ) {
        (Ok(directory), _, _) => directory,
        (Err(_), Some(parent), Some(name)) if parent.as_os_str().is_empty() => {
            resolved(Path::new(".")).join(name)
        }
        (Err(_), Some(parent), Some(name)) => resolved(parent).join(name),
        (Err(_), _, _) => directory.to_path_buf(),
    }
}

fn icon_slot(icon: &Path, mtime: u64) -> Result<PlannedSlot, PackError> {
    let of_icon = |error| PackError::Input {
        slot: ICON.into(),
        error,
    };
    let everything = Filter::new(&["**"], &[]).map_err(of_icon)?;
    let input = inputs::read(icon, &everything, Times::Normalise(mtime)).map_err(of_icon)?;
    let extension = icon.extension().and_then(|e| e.to_str()).unwrap_or("png");
    match input.source {
        source @ Source::File(_) => Ok(PlannedSlot {
            id: ICON.into(),
            target: format!("{ICON}.{extension}"),
            lifecycle: Lifecycle::Lazy,
            purpose: Purpose::Media,
            mode: Some(0o644),
            mutable: false,
            method: Method::Zstd(19),
            source,
        }),
        Source::Tree(_) => Err(of_icon(InputError::NotASource {
            path: icon.to_path_buf(),
            what: "a directory or archive",
        })),
    }
}

/// Where slots lie inside each other, no path may come from two of them, but for directories. None may be one of the
/// launcher's; targets have been checked, so that can only be in a slot at `.`.
fn check_paths(slots: &[PlannedSlot]) -> Result<(), PackError> {
    for slot in slots.iter().filter(|slot| slot.target == ".") {
        let reserved = |path: &Vec<u8>| path.starts_with(RESERVED_PREFIX.as_bytes());
        let found = paths(slot).into_iter().map(|(path, _)| path).find(reserved);
        if let Some(path) = found {
            let slot = slot.id.clone();
            return Err(PackError::ReservedPath { slot, path });
        }
    }
    let root = |slot: &PlannedSlot| match slot.target.as_str() {
        "." => Vec::new(),
        target => target.as_bytes().to_vec(),
    };
    let nested = |slot: &&PlannedSlot| {
        slots.iter().any(|other| {
            other.id != slot.id
                && (is_within(&root(slot), &root(other)) || is_within(&root(other), &root(slot)))
        })
    };
    let mut seen: HashMap<Vec<u8>, (&str, bool)> = HashMap::new();
    for slot in slots.iter().filter(nested) {
        for (path, is_directory) in paths(slot) {
            let before = seen.insert(path.clone(), (&slot.id, is_directory));
            if let Some((first, was_directory)) = before
                && first != slot.id
                && !(is_directory && was_directory)
            {
                let (first, second) = (first.to_owned(), slot.id.clone());
                return Err(PackError::SamePath {
                    first,
                    second,
                    path,
                });
            }
        }
    }
    Ok(())
}

/// Every path of a slot below the work environment, and whether it is a directory. Directories above the target count.
fn paths(slot: &PlannedSlot) -> Vec<(Vec<u8>, bool)> {
    let mut out = Vec::new();
    let mut above = parent(slot.target.as_bytes());
    while !above.is_empty() {
        out.push((above.to_vec(), true));
        above = parent(above);
    }
    match &slot.source {
        Source::File(_) => out.push((slot.target.clone().into_bytes(), false)),
        Source::Tree(tree) => {
            if slot.target != "." {
                out.push((slot.target.clone().into_bytes(), true));
            }
            out.extend(tree.entries.iter().map(|entry| {
                let is_directory = matches!(entry.kind, Kind::Directory);
                (below(&slot.target, &entry.path), is_directory)
            }));
        }
    }
    out
}

/// Whether a slot holds a file or link at this path below the work environment.
fn holds(slot: &PlannedSlot, path: &[u8]) -> bool {
    match &slot.source {
        Source::File(_) => slot.target.as_bytes() == path,
        Source::Tree(tree) => tree.entries.iter().any(|entry| {
            !matches!(entry.kind, Kind::Directory) && below(&slot.target, &entry.path) == path
        }),
    }
}

fn below(target: &str, path: &[u8]) -> Vec<u8> {
    match target {
        "." => path.to_vec(),
        target => [target.as_bytes(), b"/", path].concat(),
    }
}

fn metadata(project: &Project, options: &Options) -> Metadata {
    let (os, arch) = options
        .target
        .split_once('_')
        .unwrap_or((&options.target, ""));
    let package = &project.package;
    let argv = project.command.argv();
    Metadata {
        build: Build {
            platform: Platform {
                arch: arch.into(),
                os: os.into(),
            },
            timestamp: instant::to_text(options.source_date.unwrap_or(0)),
            tool: "flavor".into(),
            tool_version: env!("CARGO_PKG_VERSION").into(),
        },
        commands: project
            .commands
            .iter()
            .map(|(name, c)| (name.clone(), command(c)))
            .collect(),
        desktop: project.desktop.as_ref().map(|desktop| Desktop {
            icon: desktop.icon.as_ref().map(|_| ICON.into()),
            terminal: desktop.terminal,
        }),
        execution: Execution {
            command: quote_command(&argv),
            argv,
            cwd: project.command.cwd.clone(),
            env: map(&project.command.env),
        },
        format: FORMAT.into(),
        launcher: Launcher {
            capabilities: Vec::new(),
            checksum: Checksum(Digest::of(&options.launcher.bytes)),
            size: options.launcher.bytes.len() as u64,
            target: options.target.clone(),
            tool: options.launcher.tool.clone(),
            tool_version: options.launcher.tool_version.clone(),
        },
        package: Package {
            authors: package.authors.clone(),
            description: package.description.clone(),
            homepage: package.homepage.clone(),
            license: package.license.clone(),
            name: package.name.clone(),
            version: package.version.clone(),
        },
        policy: project.policy.as_ref().map(|policy| Policy {
            max_age_days: policy.max_age_days.into(),
            platforms: policy.platforms.clone(),
            refuse_root: policy.refuse_root,
            require_env: policy.require_env.clone(),
        }),
        profile: PROFILE.into(),
        runtime: runtime(&project.env),
        setup: project.setup.iter().map(command).collect(),
        slots: Vec::new(),
    }
}

fn command(command: &manifest::Command) -> Command {
    Command {
        argv: command.argv(),
        cwd: command.cwd.clone(),
        env: map(&command.env),
    }
}

fn map(pairs: &BTreeMap<String, String>) -> Map<String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn runtime(rules: &manifest::EnvRules) -> Option<Runtime> {
    let env = EnvRules {
        map: map(&rules.map),
        pass: rules.pass.clone(),
        set: map(&rules.set),
        unset: rules.unset.clone(),
    };
    (env != EnvRules::default()).then_some(Runtime { env })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::{Content, Entry, Tree};

    #[test]
    fn modes_do_not_depend_on_a_umask() {
        let entry = |kind, mode| Entry {
            path: b"a".to_vec(),
            kind,
            mode,
            mtime: 0,
        };
        let file = |mode| {
            let content = Content::bytes(Vec::new());
            entry(Kind::File { size: 0, content }, mode)
        };
        let modes = |entries: Vec<Entry>, is_directory| {
            let mut source = Source::Tree(Tree { entries });
            normalise_modes(&mut source, is_directory);
            match source {
                Source::Tree(tree) => tree.entries.iter().map(|entry| entry.mode).collect(),
                Source::File(_) => Vec::new(),
            }
        };
        for (before, after) in [
            (0o600, 0o644),
            (0o640, 0o644),
            (0o664, 0o644),
            (0o666, 0o644),
            (0o700, 0o755),
            (0o775, 0o755),
            (0o444, 0o444),
            (0o500, 0o555),
            (0o200, 0o200),
            (0o077, 0),
        ] {
            let directory = entry(Kind::Directory, before);
            assert_eq!(modes(vec![file(before), directory], true), [after; 2]);
            assert_eq!(modes(vec![file(before)], false), [before], "an archive");
        }
        let target = b"b".to_vec();
        let links = vec![
            entry(
                Kind::Symlink {
                    target: target.clone(),
                },
                0o777,
            ),
            entry(Kind::HardLink { to: target }, 0),
        ];
        assert_eq!(modes(links, true), [0o777, 0]);
    }
}
