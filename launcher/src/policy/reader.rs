//! A reader of small JSON documents that people write: white space and any order of keys, and no more than that.
//!
//! Strings are printable ASCII without escapes, numbers whole and not negative: nothing else has a meaning in a policy, so
//! anything else is a mistake. A key that stands there twice is one, too. What may be nested is decided by whoever reads,
//! so depth needs no limit. The reader keeps its first fault, and finds nothing behind it.

/// Most members of one object: each is compared with all before it.
const MAX_MEMBERS: usize = 1024;

/// Where a text is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// Offset in the text.
    pub(super) at: usize,
    /// What is wrong there.
    pub(super) what: &'static str,
}

/// A text that is being read.
pub(super) struct Reader<'t> {
    /// What has not been read; nothing after a fault.
    rest: &'t [u8],
    size: usize,
    /// Where the last value or key began.
    mark: usize,
    fault: Option<Fault>,
}

/// Reads a whole text.
pub(super) fn read(text: &[u8], value: &mut dyn FnMut(&mut Reader<'_>)) -> Result<(), Fault> {
    let mut reader = Reader {
        rest: text,
        size: text.len(),
        mark: 0,
        fault: None,
    };
    value(&mut reader);
    reader.begin();
    if !reader.rest.is_empty() {
        reader.reject("expected nothing more");
    }
    reader.fault.map_or(Ok(()), Err)
}

impl<'t> Reader<'t> {
    /// Makes what was read last a fault.
    #[inline(never)]
    pub(super) fn reject(&mut self, what: &'static str) {
        let at = self.mark;
        self.fault.get_or_insert(Fault { at, what });
        self.rest = b"";
    }

    /// Goes to the next token, and marks its place.
    fn begin(&mut self) {
        while let Some((b' ' | b'\t' | b'\n' | b'\r', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
        self.mark = self.size.saturating_sub(self.rest.len());
    }

    /// Reads a token if it is next.
    #[inline(never)]
    fn take(&mut self, token: &[u8]) -> bool {
        self.begin();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn need(&mut self, token: &[u8], what: &'static str) {
        if !self.take(token) {
            self.reject(what);
        }
    }

    /// Calls `member` for each member of a list or object, and reads what stands around them.
    #[inline(never)]
    fn members(&mut self, close: &[u8], member: &mut dyn FnMut(&mut Self)) {
        if self.take(close) {
            return;
        }
        while self.fault.is_none() {
            member(self);
            if self.take(close) {
                return;
            }
            self.need(b",", "expected a comma, or the end of the list or object");
        }
    }

    /// Reads a list; `item` reads each of its values.
    pub(super) fn list(&mut self, item: &mut dyn FnMut(&mut Self)) {
        self.need(b"[", "expected a list");
        self.members(b"]", item);
    }

    /// Reads an object; `member` reads the value of each key. The mark is the key's, until it does.
    pub(super) fn object(&mut self, member: &mut dyn FnMut(&mut Self, &'t str)) {
        self.need(b"{", "expected an object");
        let mut keys: Vec<&str> = Vec::new();
        self.members(b"}", &mut |reader| {
            let key = reader.string();
            let mark = reader.mark;
            if keys.contains(&key) {
                reader.reject("this key stands here twice");
            }
            if keys.len() >= MAX_MEMBERS {
                reader.reject("too many keys");
            }
            keys.push(key);
            reader.need(b":", "expected a colon");
            reader.mark = mark;
            member(reader, key);
        });
    }

    /// Reads a string.
    #[inline(never)]
    pub(super) fn string(&mut self) -> &'t str {
        self.need(b"\"", "expected a string");
        let mark = self.mark;
        let plain = |c: &&u8| matches!(**c, b' '..=b'~') && !matches!(**c, b'"' | b'\\');
        let length = self.rest.iter().take_while(plain).count();
        let (text, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        self.rest = rest;
        if !self.rest.starts_with(b"\"") {
            self.mark = self.size.saturating_sub(self.rest.len());
            self.reject("expected plain ASCII text and a quotation mark");
        }
        self.take(b"\"");
        self.mark = mark;
        core::str::from_utf8(text).unwrap_or_default()
    }

    /// Reads a whole number.
    #[inline(never)]
    pub(super) fn number(&mut self) -> u64 {
        self.begin();
        let digits = self.rest.iter().take_while(|c| c.is_ascii_digit()).count();
        let (text, rest) = self.rest.split_at_checked(digits).unwrap_or_default();
        self.rest = rest;
        let text = core::str::from_utf8(text).unwrap_or_default();
        let is_part = matches!(self.rest.first(), Some(b'.' | b'e' | b'E'));
        let is_padded = digits > 1 && text.starts_with('0');
        match text.parse() {
            Ok(number) if !is_part && !is_padded => number,
            _ => {
                self.reject("expected a whole number");
                0
            }
        }
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&mut self) -> bool {
        let value = self.take(b"true");
        if !value {
            self.need(b"false", "expected true or false");
        }
        value
    }
}
