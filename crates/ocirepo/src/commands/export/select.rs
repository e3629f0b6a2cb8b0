//! What to export: the words on the command line, and those in a file.

use std::collections::BTreeSet;
use std::io::Read as _;

use anyhow::{Context as _, Result};
use ocirepo_store::Repository;
use ocirepo_store::index::Document;

use crate::exit::UsageError;

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
        let text = if path == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the list from standard input")?;
            text
        } else {
            std::fs::read_to_string(path).with_context(|| format!("cannot read the list {path}"))?
        };
        for (number, line) in text.lines().enumerate() {
            let text = line.split(" #").next().unwrap_or_default().trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let at = format!("{path}, line {}", number + 1);
            if text.contains(char::is_whitespace) {
                return Err(UsageError(format!("{at}: a line is one reference or pattern")).into());
            }
            queries.push(Query { text: text.to_owned(), listed: Some(at) });
        }
    }
    Ok(Some(queries))
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
        let found = find(repository, document, text);
        positions.extend(match listed {
            Some(listed) => found.with_context(|| listed.clone())?,
            None => found?,
        });
    }
    Ok(positions.into_iter().collect())
}

fn find(repository: &Repository, document: &Document, text: &str) -> Result<Vec<usize>> {
    if !text.contains(['*', '?', '[']) {
        return Ok(repository.resolve(document, text)?.positions);
    }
    // A name may have brackets in it, such as [::1]:5000/a.
    if let Ok(found) = repository.resolve(document, text) {
        return Ok(found.positions);
    }
    let pattern = glob::Pattern::new(text)
        .map_err(|error| UsageError(format!("{text} is neither a name nor a pattern: {error}")))?;
    Ok(repository.resolve_glob(document, &pattern)?)
}
