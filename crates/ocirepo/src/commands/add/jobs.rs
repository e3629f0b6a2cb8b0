//! What to add: the sources on the command line, and those that a file lists.

use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context as _, Result};
use ocirepo_store::name::Name;

use crate::exit::UsageError;

/// One source, and the name for its image.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) source: String,
    pub(super) name: Option<Name>,
    /// Where it was listed, for messages: `list.txt, line 3`.
    pub(super) listed: Option<String>,
}

/// The largest list, in bytes: that of some hundred thousand sources.
const MAX_LIST: u64 = 64 << 20;

fn read_bounded(reader: impl Read) -> io::Result<String> {
    let mut text = String::new();
    reader.take(MAX_LIST + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Reads a list of `SOURCE [REF]` lines; `-` is standard input. Nothing is added when a line is wrong.
pub(super) fn read_list(path: &str) -> Result<Vec<Job>> {
    let text = if path == "-" {
        read_bounded(io::stdin().lock()).context("cannot read the list from standard input")?
    } else {
        match File::open(path).and_then(read_bounded) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let reason =
                    format!("{path} is no list, because it is no text; without -f it is added as an archive");
                return Err(UsageError(reason).into());
            }
            text => text.with_context(|| format!("cannot read the list {path}"))?,
        }
    };
    if text.len() as u64 > MAX_LIST {
        return Err(UsageError(format!("{path}: the list is more than {} MiB", MAX_LIST >> 20)).into());
    }
    let mut jobs = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = format!("{path}, line {}", number + 1);
        let fail = |reason: String| UsageError(format!("{at}: {reason}"));
        if let Some((source, name)) = split(line).map_err(fail)? {
            let name = name.map(Name::parse).transpose().map_err(|error| fail(error.to_string()))?;
            jobs.push(Job { source: source.to_owned(), name, listed: Some(at) });
        }
    }
    Ok(jobs)
}

/// The source and the name in a line; `None` for a line that is empty or a comment.
fn split(line: &str) -> Result<Option<(&str, Option<&str>)>, String> {
    // A tab says that there is a path in front of it, which may have spaces in it.
    let has_tab = line.contains('\t');
    let line = if has_tab { line.trim_start() } else { line.split(" #").next().unwrap_or_default().trim() };
    if line.trim().is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let mut fields: Vec<&str> = match has_tab {
        true => line.split('\t').map(str::trim).filter(|field| !field.is_empty()).collect(),
        false => line.split_whitespace().collect(),
    };
    match (fields.len(), fields.pop()) {
        (1, Some(source)) => Ok(Some((source, None))),
        (2, name) => Ok(Some((fields[0], name))),
        _ => Err("it has more than SOURCE and REF; put a tab between them if a path has spaces".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_source_and_maybe_a_name() {
        assert_eq!(split("  a.tar \n"), Ok(Some(("a.tar", None))));
        assert_eq!(split("a.tar  alpine:3.11"), Ok(Some(("a.tar", Some("alpine:3.11")))));
        assert_eq!(split("my images/a.tar\talpine:3.11"), Ok(Some(("my images/a.tar", Some("alpine:3.11")))));
        assert_eq!(split("my images/a.tar\t"), Ok(Some(("my images/a.tar", None))));
        assert_eq!(split("a.tar alpine:3.11  # the base"), Ok(Some(("a.tar", Some("alpine:3.11")))));
        assert_eq!(split("# a.tar"), Ok(None));
        assert_eq!(split("   "), Ok(None));
        assert!(split("my images/a.tar alpine:3.11").is_err());
    }
}
