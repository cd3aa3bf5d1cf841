//! Objects with free keys: a sorted list of pairs.
//!
//! The standard library's map is 10 KB of every package, for a few dozen keys that arrive sorted (M23) and are only read.

use std::vec;

/// Values by name, in the order of the bytes of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map<V>(Vec<(String, V)>);

impl<V> Map<V> {
    /// A map without values.
    pub const fn new() -> Map<V> {
        Map(Vec::new())
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.get_key_value(name).map(|(_, value)| value)
    }

    /// The value of this name, with the name.
    pub fn get_key_value(&self, name: &str) -> Option<(&str, &V)> {
        self.iter().find(|(key, _)| *key == name)
    }

    /// The names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(key, _)| key)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Sets the value of a name, and returns the one that it had.
    pub fn insert(&mut self, name: String, value: V) -> Option<V> {
        let at = self.0.partition_point(|(key, _)| *key < name);
        match self.0.get_mut(at) {
            Some((key, old)) if *key == name => Some(core::mem::replace(old, value)),
            _ => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }

    /// Appends a value, unless its name does not come after all others.
    pub(crate) fn push(&mut self, name: String, value: V) -> bool {
        let is_next = self.0.last().is_none_or(|(last, _)| *last < name);
        if is_next {
            self.0.push((name, value));
        }
        is_next
    }
}

impl<V> Default for Map<V> {
    fn default() -> Map<V> {
        Map::new()
    }
}

impl<V> IntoIterator for Map<V> {
    type Item = (String, V);
    type IntoIter = vec::IntoIter<(String, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<V> FromIterator<(String, V)> for Map<V> {
    fn from_iter<I: IntoIterator<Item = (String, V)>>(pairs: I) -> Map<V> {
        let mut map = Map::new();
        for (name, value) in pairs {
            map.insert(name, value);
        }
        map
    }
}

impl<V, const N: usize> From<[(String, V); N]> for Map<V> {
    fn from(pairs: [(String, V); N]) -> Map<V> {
        pairs.into_iter().collect()
    }
}

#[cfg(feature = "serde")]
impl<V: serde::Serialize> serde::Serialize for Map<V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_whatever_the_order_of_insertion() {
        let mut map = Map::from([("b".to_owned(), 2), ("a".to_owned(), 1)]);
        assert_eq!(map.insert("b".to_owned(), 3), Some(2));
        assert_eq!(map.insert("ab".to_owned(), 4), None);
        assert_eq!(
            map.iter().collect::<Vec<_>>(),
            [("a", &1), ("ab", &4), ("b", &3)]
        );
        assert_eq!((map.get("ab"), map.get("c")), (Some(&4), None));
        assert!(!map.push("b".to_owned(), 0), "there already");
        assert!(!map.push("a".to_owned(), 0), "not at its place");
        assert!(map.push("c".to_owned(), 5));
        assert_eq!(map.len(), 4);
    }
}
