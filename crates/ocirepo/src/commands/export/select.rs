//! What to export: the words on the command line, and those in a file.

use std::collections::BTreeSet;
use std::io::Read;

use anyhow::{Context as _, Result};
use ocirepo_store::Repository;
use ocirepo_store::index::Document;

use crate::commands::look;
use crate::exit::UsageError;

/// The largest list, in bytes: that of some hundred thousand names.
const MAX_LIST: u64 = 64 << 20;

/// What some editors begin a file with.
const MARK: char = '\u{feff}';

/// One reference or pattern, and where it was listed.
#[derive(Debug)]
pub(super) struct Query {
    text: String,
    listed: Option<String>,
}

/// Everything that was asked for; nothing stands for every image.
pub(super) fn read(references: &[String], list: Option<&str>) -> Result<Option<Vec<Query>>> {
    if references.is_empty() && list.is_none() {
        return Ok(None);
    }
    let mut queries: Vec<Query> =
        references.iter().map(|text| Query { text: text.clone(), listed: None }).collect();
    if let Some(path) = list {
        let before = queries.len();
        let text = read_list(path)?;
        for (number, line) in text.lines().enumerate() {
            let text = line.split(" #").next().unwrap_or_default().trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let at = format!("{}, line {}", named(path), number + 1);
            if text.contains(char::is_whitespace) {
                return Err(UsageError(format!("{at}: a line is one reference or pattern")).into());
            }
            queries.push(Query { text: text.to_owned(), listed: Some(at) });
        }
        if queries.len() == before {
            return Err(UsageError(format!("{}: the list is empty", named(path))).into());
        }
    }
    Ok(Some(queries))
}

/// The text of a list, without the mark that some editors put at the beginning of a file.
fn read_list(path: &str) -> Result<String> {
    let context = || format!("cannot read the list {}", named(path));
    let bytes = if path == "-" {
        read_bounded(std::io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(read_bounded)
    };
    let bytes = bytes.with_context(context)?;
    if bytes.len() as u64 > MAX_LIST {
        let reason = format!("{}: the list is more than {} MiB", named(path), MAX_LIST >> 20);
        return Err(UsageError(reason).into());
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let Some(mut text) = text else {
        let reason = format!(
            "{}: the list is not plain text; PowerShell writes UTF-16, which has to be made UTF-8",
            named(path)
        );
        return Err(UsageError(reason).into());
    };
    if text.starts_with(MARK) {
        text.drain(..MARK.len_utf8());
    }
    Ok(text)
}

fn read_bounded(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_LIST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn named(path: &str) -> &str {
    if path == "-" { "standard input" } else { path }
}

/// The positions of the entries that are meant, each once.
pub(super) fn positions(
    repository: &Repository,
    document: &Document,
    queries: &Option<Vec<Query>>,
) -> Result<Vec<usize>> {
    let Some(queries) = queries else { return Ok((0..document.entries().len()).collect()) };
    let mut positions = BTreeSet::new();
    for Query { text, listed } in queries {
        let found = look::entries_of(repository, document, text);
        positions.extend(match listed {
            Some(listed) => found.with_context(|| listed.clone())?,
            None => found?,
        });
    }
    Ok(positions.into_iter().collect())
}
