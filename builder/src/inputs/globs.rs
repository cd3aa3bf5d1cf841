//! `include` and `exclude`.
//!
//! A glob is matched against the whole path below the source, as bytes; `*` and `?` stop at slashes, `**` does not. A
//! glob that matches a directory stands for the directory and all that lies below it, for `include` as for `exclude`,
//! and `exclude` wins. A directory that only leads to something selected is kept as its parent.

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

use super::error::InputError;
use super::names;

/// Compiled `include` and `exclude` globs.
#[derive(Debug, Clone)]
pub struct Filter {
    /// `None` selects everything; it is what `**` comes to, without matching a hundred thousand paths.
    include: Option<Globs>,
    exclude: Globs,
}

#[derive(Debug, Clone)]
struct Globs {
    written: Vec<String>,
    set: GlobSet,
}

impl Filter {
    /// Compiles globs as they stand in a manifest. A `./` before one and a slash after it change nothing.
    ///
    /// # Errors
    ///
    /// [`InputError::BadGlob`] for the first that does not compile.
    pub fn new<S: AsRef<str>>(include: &[S], exclude: &[S]) -> Result<Self, InputError> {
        let globs = Globs::new(include)?;
        let everything = include.iter().any(|glob| glob.as_ref() == "**");
        Ok(Self {
            include: (!everything).then_some(globs),
            exclude: Globs::new(exclude)?,
        })
    }

    /// Whether the globs leave nothing out, whatever the source.
    pub fn selects_everything(&self) -> bool {
        self.include.is_none() && self.exclude.set.is_empty()
    }

    /// Whether the globs select `path`, a path below the source.
    pub fn selects(&self, path: &[u8]) -> bool {
        let mut selection = Selection::new(self);
        !selection.excludes_tree(path) && selection.includes(path)
    }
}

impl Globs {
    fn new<S: AsRef<str>>(written: &[S]) -> Result<Self, InputError> {
        let written: Vec<String> = written.iter().map(|glob| glob.as_ref().into()).collect();
        let mut set = GlobSetBuilder::new();
        for glob in &written {
            let plain = glob.strip_prefix("./").unwrap_or(glob);
            let plain = plain.strip_suffix('/').unwrap_or(plain);
            let bad = |reason: String| InputError::BadGlob {
                glob: glob.clone(),
                reason,
            };
            if plain.is_empty() || plain.starts_with('/') {
                return Err(bad("it must be a path below the source".into()));
            }
            let compiled = GlobBuilder::new(plain).literal_separator(true).build();
            set.add(compiled.map_err(|error| bad(error.kind().to_string()))?);
        }
        let set = set.build().map_err(|error| InputError::BadGlob {
            glob: written.join(" "),
            reason: error.kind().to_string(),
        })?;
        Ok(Self { written, set })
    }
}

/// One use of a filter on one source, which remembers what the `include` globs have matched.
pub(super) struct Selection<'a> {
    filter: &'a Filter,
    matched: Vec<bool>,
    scratch: Vec<usize>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(filter: &'a Filter) -> Self {
        let globs = filter
            .include
            .as_ref()
            .map_or(0, |globs| globs.written.len());
        Self {
            filter,
            matched: vec![false; globs],
            scratch: Vec::new(),
        }
    }

    /// Whether an `exclude` glob matches `path` itself. What lies below an excluded directory need not be asked for.
    pub(super) fn excludes(&self, path: &[u8]) -> bool {
        self.filter
            .exclude
            .set
            .is_match_candidate(&Candidate::from_bytes(path))
    }

    /// Whether an `exclude` glob matches `path` or a directory above it.
    pub(super) fn excludes_tree(&self, path: &[u8]) -> bool {
        names::with_ancestors(path).any(|above| self.excludes(above))
    }

    /// Whether an `include` glob matches `path`, which is not excluded, or a directory above it.
    pub(super) fn includes(&mut self, path: &[u8]) -> bool {
        let Some(include) = &self.filter.include else {
            return true;
        };
        let mut included = false;
        for above in names::with_ancestors(path) {
            include
                .set
                .matches_candidate_into(&Candidate::from_bytes(above), &mut self.scratch);
            for glob in &self.scratch {
                self.matched[*glob] = true;
                included = true;
            }
        }
        included
    }

    /// The first `include` glob that has matched nothing.
    pub(super) fn unmatched(&self) -> Option<&str> {
        let first = self.matched.iter().position(|matched| !matched)?;
        Some(self.filter.include.as_ref()?.written.get(first)?)
    }
}
