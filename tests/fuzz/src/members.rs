//! JSON cut up as text, to see whether anything that should be untouched was rewritten. The text
//! must be known to be JSON.

/// The members of an object in order: the name, and the value as it is spelled.
pub(crate) fn of_object(text: &str) -> Vec<(String, &str)> {
    parts(text, '{')
        .into_iter()
        .map(|part| {
            let (name, value) = part.split_at(end_of_string(part));
            let name = serde_json::from_str(name.trim()).expect("the name of a member is a string");
            let value = value.trim_start().strip_prefix(':').expect("a colon follows the name");
            (name, value.trim())
        })
        .collect()
}

/// The items of a list in order, as they are spelled.
pub(crate) fn of_list(text: &str) -> Vec<&str> {
    parts(text, '[')
}

/// What stands between the commas of the outermost level.
fn parts(text: &str, open: char) -> Vec<&str> {
    let inner = text.trim().strip_prefix(open).expect("it is an object or a list");
    let inner = &inner[..inner.len() - 1];
    let (mut parts, mut start, mut depth, mut at) = (Vec::new(), 0, 0, 0);
    let bytes = inner.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at += end_of_string(&inner[at..]) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(inner[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    let last = inner[start..].trim();
    if !last.is_empty() {
        parts.push(last);
    }
    parts
}

/// Where the first string of a text ends, its closing quote included.
fn end_of_string(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = text.find('"').expect("there is a string") + 1;
    while bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}
