//! Structured data, `[id name="value"]...`: where it ends and what is in it.
//!
//! Nothing is made: a value keeps its escapes, and `unescaped` gives the pieces that it is without them. Whether a
//! frame's brackets are structured data at all is the header's business.

/// Bytes of the well-formed elements in a row that `bytes` begins with.
pub fn len(bytes: &[u8]) -> usize {
    elements(bytes).map(|element| element.len).sum()
}

/// The elements that `sd` begins with, up to the first that is not well-formed.
pub fn elements(sd: &[u8]) -> Elements<'_> {
    Elements { rest: sd }
}

/// The pieces that a value is without its escapes.
pub fn unescaped(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let start = is_escape(rest) as usize;
        // An escaped byte begins its piece, so that it does not escape the next.
        let mut end = start + 1;
        while end < rest.len() && !is_escape(&rest[end..]) {
            end += 1;
        }
        let piece = &rest[start..end];
        rest = &rest[end..];
        Some(piece)
    })
}

/// Whether one of the three escapes stands at the start; any other backslash is a backslash.
fn is_escape(bytes: &[u8]) -> bool {
    matches!(bytes, [b'\\', b'"' | b'\\' | b']', ..])
}

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    pub id: &'a [u8],
    pub params: Params<'a>,
    /// Bytes from `[` to `]`.
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let element = element(self.rest)?;
        self.rest = &self.rest[element.len..];
        Some(element)
    }
}

/// The parameters of an element: name, and value with its escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Params<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let (name, value, len) = param(self.rest)?;
        self.rest = &self.rest[len..];
        Some((name, value))
    }
}

/// The well-formed element that `bytes` begins with.
//= https://www.rfc-editor.org/rfc/rfc5424#section-6.3
fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let inner = bytes.strip_prefix(b"[")?;
    let id = sd_name(inner)?;
    let params = &inner[id.len()..];
    let mut len = 0;
    while let Some((_, _, param)) = param(&params[len..]) {
        len += param;
    }
    if params.get(len) != Some(&b']') {
        return None;
    }
    Some(Element { id, params: Params { rest: &params[..len] }, len: 1 + id.len() + len + 1 })
}

/// The ` name="value"` that `bytes` begins with, and its length.
fn param(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let name = sd_name(bytes.strip_prefix(b" ")?)?;
    let start = 1 + name.len() + 2;
    if bytes.get(start - 2..start)? != b"=\"" {
        return None;
    }
    let mut at = start;
    loop {
        match bytes.get(at)? {
            b'"' => return Some((name, &bytes[start..at], at + 1)),
            b']' => return None,
            b'\\' if is_escape(&bytes[at..]) => at += 2,
            _ => at += 1,
        }
    }
}

/// An SD-NAME; senders write longer ones than the 32 bytes of RFC 5424.
fn sd_name(bytes: &[u8]) -> Option<&[u8]> {
    let is_name = |byte: &&u8| byte.is_ascii_graphic() && !matches!(**byte, b'=' | b']' | b'"');
    match bytes.iter().take_while(is_name).count() {
        0 => None,
        len => Some(&bytes[..len]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_structured_data() {
        let sd = br#"[a][b c="d\"e" f=""][g h="i"#;
        let read: Vec<_> =
            elements(sd).map(|element| (element.id, element.params.collect::<Vec<_>>())).collect();
        let params: Vec<(&[u8], &[u8])> = vec![(b"c", br#"d\"e"#), (b"f", b"")];
        assert_eq!(read, [(b"a".as_slice(), vec![]), (b"b", params)]);
    }

    #[test]
    fn three_escapes() {
        for (value, expected) in [
            ("", ""),
            ("plain", "plain"),
            (r#"a\]b\"c\"#, r#"a]b"c\"#),
            (r#"\"\"\]"#, r#"""]"#),
            (r#"\n"#, r#"\n"#),
            (r#"C:\dir\"#, r#"C:\dir\"#),
        ] {
            assert_eq!(
                unescaped(value.as_bytes()).collect::<Vec<_>>().concat(),
                expected.as_bytes(),
                "{value}"
            );
        }
    }
}
