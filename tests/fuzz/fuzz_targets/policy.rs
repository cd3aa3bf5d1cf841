//! A host's policy: nothing panics, and what is read means the same to a general library.

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_launcher::policy::host;
use serde_json::Value;

fuzz_target!(|text: &[u8]| {
    let Ok(policy) = host::read(text) else {
        return;
    };
    let general: Value = serde_json::from_slice(text).expect("what is read is JSON");
    assert_eq!(general["version"], 1);
    let flag = |section: &str, key: &str| general[section][key] == true;
    assert_eq!(
        policy.require_trusted_key,
        flag("trust", "require_trusted_key")
    );
    assert_eq!(policy.refuse_root, flag("execution", "refuse_root"));
    assert_eq!(
        policy.refuse_downgrade,
        flag("execution", "refuse_downgrade")
    );
    assert_eq!(policy.require_sbom, flag("attestation", "require_sbom"));
    let days = general["execution"]["max_age_days"].as_u64();
    assert_eq!(policy.max_age_days, days.unwrap_or(0));
    let size = |value: &Value| {
        let list = value.as_array().map(Vec::len);
        list.or(value.as_object().map(|object| object.len()))
            .unwrap_or(0)
    };
    let execution = &general["execution"];
    assert_eq!(
        policy.allow_platforms.len(),
        size(&execution["allow_platforms"])
    );
    assert_eq!(
        policy.minimum_versions.len(),
        size(&execution["minimum_version"])
    );
    assert_eq!(
        policy.required_signers.len(),
        size(&general["trust"]["required_signers"])
    );
    assert_eq!(policy.enforcement.len(), size(&general["enforcement"]));
});
