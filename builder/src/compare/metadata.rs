//! Two metadata documents, key by key.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Difference, Part};
use crate::printer::escape;

/// What follows from the launcher's bytes.
const OF_LAUNCHER: [&str; 2] = ["checksum", "size"];
/// What follows from a slot's bytes, and from its place among others.
const OF_SLOT: [&str; 5] = ["checksum", "offset", "original_size", "size", "slot"];

/// The keys whose values differ. Both texts were verified, so both are documents.
pub(super) fn differences(a: &[u8], b: &[u8]) -> Vec<Difference> {
    let mut found = Vec::new();
    if a == b {
        return found;
    }
    let read = |text| serde_json::from_slice(text).unwrap_or(Value::Null);
    let (mut a, mut b): (Value, Value) = (read(a), read(b));
    let slots = (take_slots(&mut a), take_slots(&mut b));
    for document in [&mut a, &mut b] {
        if let Some(Value::Object(launcher)) = document.get_mut("launcher") {
            OF_LAUNCHER.iter().for_each(|key| {
                launcher.remove(*key);
            });
        }
    }
    walk("", Some(&a), Some(&b), &mut found);
    compare_slots(&slots.0, &slots.1, &mut found);
    found
}

/// The slots with their ids, without what follows from their bytes.
fn take_slots(document: &mut Value) -> Vec<(String, Value)> {
    let slots = document.as_object_mut().and_then(|top| top.remove("slots"));
    let Some(Value::Array(slots)) = slots else {
        return Vec::new();
    };
    let slot = |mut slot: Value| {
        let id = slot.get("id").and_then(Value::as_str).unwrap_or_default();
        let id = id.to_owned();
        if let Some(fields) = slot.as_object_mut() {
            OF_SLOT.iter().for_each(|key| {
                fields.remove(*key);
            });
        }
        (id, slot)
    };
    slots.into_iter().map(slot).collect()
}

/// Slots that only one package has are told as such, elsewhere.
fn compare_slots(a: &[(String, Value)], b: &[(String, Value)], found: &mut Vec<Difference>) {
    let common = |slots: &[(String, Value)], others: &[(String, Value)]| -> Vec<String> {
        let ids = slots.iter().map(|(id, _)| id);
        let both = ids.filter(|id| others.iter().any(|(other, _)| other == *id));
        both.cloned().collect()
    };
    let (order_a, order_b) = (common(a, b), common(b, a));
    if order_a != order_b {
        let shown = |ids: Vec<String>| Some(escape(&ids.join(", ")));
        let (a, b) = (shown(order_a), shown(order_b));
        found.push(Difference::new(Part::Metadata, "order of slots", a, b));
    }
    for (id, slot) in a {
        if let Some((_, other)) = b.iter().find(|(other, _)| other == id) {
            walk(&format!("slots[{id}]"), Some(slot), Some(other), found);
        }
    }
}

fn walk(at: &str, a: Option<&Value>, b: Option<&Value>, found: &mut Vec<Difference>) {
    if a == b {
        return;
    }
    match (a, b) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            for key in keys(a, b) {
                let below = match at {
                    "" => key.clone(),
                    at => format!("{at}.{key}"),
                };
                walk(&below, a.get(key), b.get(key), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for nth in 0..a.len().max(b.len()) {
                walk(&format!("{at}[{nth}]"), a.get(nth), b.get(nth), found);
            }
        }
        _ => {
            let shown = |value: Option<&Value>| value.map(|value| escape(&value.to_string()));
            let (a, b) = (shown(a), shown(b));
            found.push(Difference::new(Part::Metadata, &escape(at), a, b));
        }
    }
}

fn keys<'a>(a: &'a Map<String, Value>, b: &'a Map<String, Value>) -> BTreeSet<&'a String> {
    a.keys().chain(b.keys()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(a: &str, b: &str) -> Vec<String> {
        let found = differences(a.as_bytes(), b.as_bytes());
        found.iter().map(Difference::text).collect()
    }

    #[test]
    fn every_key_is_named() {
        let a = r#"{"build":{"t":"1"},"l":[1,2],"only":true}"#;
        let b = r#"{"build":{"t":"2"},"l":[1,3,4]}"#;
        assert_eq!(
            texts(a, b),
            [
                "metadata: build.t: \"1\" | \"2\"",
                "metadata: l[1]: 2 | 3",
                "metadata: l[2]: nothing | 4",
                "metadata: only: true | nothing",
            ]
        );
        assert!(texts(a, a).is_empty());
    }

    #[test]
    fn slots_are_known_by_their_ids() {
        let a = r#"{"slots":[{"id":"x","mode":1,"size":1},{"id":"y","offset":9},{"id":"z"}]}"#;
        let b = r#"{"slots":[{"id":"y","offset":1},{"id":"x","mode":2,"size":2}]}"#;
        assert_eq!(
            texts(a, b),
            [
                "metadata: order of slots: x, y | y, x",
                "metadata: slots[x].mode: 1 | 2",
            ]
        );
    }

    #[test]
    fn what_follows_from_bytes_is_left_to_those() {
        let a = r#"{"launcher":{"checksum":"1","size":1,"tool":"a"}}"#;
        let b = r#"{"launcher":{"checksum":"2","size":2,"tool":"a"}}"#;
        assert!(texts(a, b).is_empty());
    }
}
