//! JSON spelled the way Go spells it, which is what digests of docker's documents rest on.
//!
//! Values are put together as text. A text that is kept as it came is made compact and otherwise
//! keeps its spelling, escapes and numbers included.

use std::fmt::Write as _;

/// A text as a JSON string.
pub(crate) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || is_unsafe_in_html(c) => push_code(&mut out, c),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A JSON text without the space between its parts.
pub(crate) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut is_inside, mut is_escaped) = (false, false);
    for c in json.chars() {
        if !is_inside && c.is_ascii_whitespace() {
            continue;
        }
        if is_escaped {
            is_escaped = false;
        } else if c == '"' {
            is_inside = !is_inside;
        } else {
            is_escaped = is_inside && c == '\\';
        }
        if is_unsafe_in_html(c) {
            push_code(&mut out, c);
        } else {
            out.push(c);
        }
    }
    out
}

/// A list of values.
pub(crate) fn list<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> String {
    let mut out = String::from("[");
    for value in values {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(value.as_ref());
    }
    out.push(']');
    out
}

/// An object of names and values, in the order in which they come.
pub(crate) fn object<N: AsRef<str>, V: AsRef<str>>(members: impl IntoIterator<Item = (N, V)>) -> String {
    let mut out = String::from("{");
    for (name, value) in members {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&string(name.as_ref()));
        out.push(':');
        out.push_str(value.as_ref());
    }
    out.push('}');
    out
}

/// Go spells out what could end a script in a web page.
const fn is_unsafe_in_html(c: char) -> bool {
    matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}

fn push_code(out: &mut String, c: char) {
    write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        for (text, json) in [
            ("", r#""""#),
            ("a/b 'c' \u{7f} ü 日本 😀", "\"a/b 'c' \u{7f} ü 日本 😀\""),
            ("\"\\\n\r\t", r#""\"\\\n\r\t""#),
            ("\u{8}\u{c}\u{0}\u{1f}", r#""\u0008\u000c\u0000\u001f""#),
            ("<a> && \u{2028}\u{2029}", r#""\u003ca\u003e \u0026\u0026 \u2028\u2029""#),
        ] {
            assert_eq!(string(text), json);
        }
    }

    #[test]
    fn raw_values_lose_space_and_nothing_else() {
        for (raw, compacted) in [
            ("{ \"a\" :\t[ 1.50e+2 ,\r\n -0 ] }", r#"{"a":[1.50e+2,-0]}"#),
            (r#"[ "a  b" , "\" , \\" , "\\" , 1 ]"#, r#"["a  b","\" , \\","\\",1]"#),
            (r#""\u00e9 \/ \u003C ü <&>""#, r#""\u00e9 \/ \u003C ü \u003c\u0026\u003e""#),
            ("\"\u{2028}\"", r#""\u2028""#),
            (" null ", "null"),
        ] {
            assert_eq!(compact(raw), compacted);
        }
    }

    #[test]
    fn lists_and_objects_have_commas_between() {
        assert_eq!(list(Vec::<String>::new()), "[]");
        assert_eq!(list(["1", "2"]), "[1,2]");
        assert_eq!(object(Vec::<(String, String)>::new()), "{}");
        assert_eq!(object([("a<", "1"), ("b", "{}")]), r#"{"a\u003c":1,"b":{}}"#);
    }
}
