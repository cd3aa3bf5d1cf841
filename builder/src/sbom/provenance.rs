//! How a package came about, as an in-toto statement (<https://in-toto.io/Statement/v1>) with a predicate of SLSA
//! (<https://slsa.dev/spec/v1.0/provenance>).
//!
//! The statement lies in the package, whose signature covers it, so it cannot have the package's digest: what it is about are
//! the other slots, by the digests of their stored bytes, which metadata has, too. Of the machine that built, nothing is in it.

use psp_format::digest::Digest;
use psp_format::instant;
use psp_format::metadata::{Metadata, Slot};
use serde_json::{Map, Value, json};

use super::Inventory;
use super::cyclonedx::text;

/// What the parameters of the statement mean: this module.
const BUILD_TYPE: &str = "urn:flavor:build-type:pack:1";
/// Who built: this program, wherever it ran. Whoever signs the package answers for where that was.
const BUILDER: &str = "urn:flavor:builder:pack";

/// What is known before anything is stored.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The manifest's file name, and SHA-256 of its text.
    pub manifest: (String, Digest),
    /// What is inside.
    pub inventory: Inventory,
    /// Whether flavorpack's launchers are to start the package.
    pub for_flavorpack: bool,
    /// `SOURCE_DATE_EPOCH`.
    pub build_time: Option<u64>,
}

impl Facts {
    /// The statement on these slots of the package that has this metadata.
    pub fn statement(&self, metadata: &Metadata, slots: &[Slot]) -> Vec<u8> {
        let about = |slot: &Slot| {
            let digest = json!({ "sha256": slot.checksum.0.to_string() });
            json!({ "name": slot.id, "digest": digest })
        };
        let subject: Vec<Value> = slots.iter().map(about).collect();
        let mut run = json!({
            "builder": {
                "id": BUILDER,
                "version": { "flavor": env!("CARGO_PKG_VERSION") },
            },
        });
        if let (Some(time), Some(fields)) = (self.build_time, run.as_object_mut()) {
            let time = instant::to_text(time);
            fields.insert(
                "metadata".into(),
                json!({ "finishedOn": time, "startedOn": time }),
            );
        }
        text(&json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subject,
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": self.parameters(metadata),
                    "internalParameters": {},
                    "resolvedDependencies": self.resolved(metadata),
                },
                "runDetails": run,
            },
        }))
    }

    /// What the person building has chosen.
    fn parameters(&self, metadata: &Metadata) -> Value {
        let mut out = Map::new();
        let package = json!({ "name": metadata.package.name, "version": metadata.package.version });
        out.insert("package".into(), package);
        out.insert("target".into(), metadata.launcher.target.as_str().into());
        let (name, digest) = &self.manifest;
        let digest = json!({ "sha256": digest.to_string() });
        out.insert("manifest".into(), json!({ "name": name, "digest": digest }));
        if self.for_flavorpack {
            out.insert("compat".into(), "flavorpack".into());
        }
        Value::Object(out)
    }

    /// The launcher, and every component that has a package URL, with the digest of what its registry gives out, where that is
    /// known.
    fn resolved(&self, metadata: &Metadata) -> Vec<Value> {
        let launcher = &metadata.launcher;
        let mut out = vec![json!({
            "name": "launcher",
            "digest": { "sha256": launcher.checksum.0.to_string() },
            "annotations": { "tool": launcher.tool, "toolVersion": launcher.tool_version },
        })];
        for (_, component) in self.inventory.components() {
            let Some(purl) = &component.purl else {
                continue;
            };
            out.push(match &component.hash {
                Some((algorithm, digest)) => {
                    let algorithm = algorithm.to_lowercase().replace('-', "");
                    let mut digests = Map::new();
                    // Go's digest of a module is none of a file: in-toto calls it so.
                    let name = match component.ecosystem {
                        "golang" => "dirHash".into(),
                        _ => algorithm,
                    };
                    digests.insert(name, digest.as_str().into());
                    json!({ "uri": purl, "digest": digests })
                }
                None => json!({ "uri": purl }),
            });
        }
        out
    }
}
