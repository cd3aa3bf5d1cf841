//! JSON that means one thing only: no name twice in an object, nothing behind the document, UTF-8.
//!
//! The base format's readers differ in all three, so that one signed text could be two packages.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::fault::Fault;

/// Reads a document.
pub fn read(text: &[u8]) -> Result<Value, Fault> {
    let json = |error: serde_json::Error| Fault::Json {
        detail: error.to_string(),
    };
    // Nesting is limited to 128 levels by the parser.
    serde_json::from_slice(text)
        .map(|Once(value)| value)
        .map_err(json)
}

/// Whether the document has the key that only metadata of a profile has.
pub fn mentions_profile(text: &[u8]) -> bool {
    match read(text) {
        Ok(value) => value.get("profile").is_some(),
        // Not readable by either reader: the strict one's reason is the better one where it could be its own.
        Err(_) => String::from_utf8_lossy(text).contains("\"profile\""),
    }
}

/// A value in which no object has a name twice.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Once, D::Error> {
        from.deserialize_any(OnceVisitor).map(Once)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Once(item)) = from.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Once(value))) = from.next_entry::<String, Once>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!(
                    "{name:?} stands twice in an object"
                )));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_means_one_thing() {
        let good = br#" {"a":[1,-2,0.5,true,null,"x",{}],"b":{"a":1}} "#;
        let plain: Option<Value> = serde_json::from_slice(good).ok();
        assert_eq!(read(good).ok(), plain);
        for (text, reason) in [
            (&br#"{"a":1,"a":1}"#[..], "\"a\" stands twice"),
            (br#"{"x":[{"b":1,"b":2}]}"#, "\"b\" stands twice"),
            (br#"{"\u0061":1,"a":2}"#, "\"a\" stands twice"),
            (br#"{} {}"#, "trailing characters"),
            (b"{}\0", "trailing characters"),
            (b"{\"a\":\"\xff\"}", "unicode"),
            (b"", "EOF"),
        ] {
            let fault = read(text).map_err(|fault| fault.to_string());
            assert!(
                fault.as_ref().is_err_and(|text| text.contains(reason)),
                "{fault:?}"
            );
        }
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert!(read(&deep).is_err());
    }
}
