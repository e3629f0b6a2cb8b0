//! Pages of documentation, taken apart: fenced blocks, and the comments before them that say how to try them.
//!
//! A comment stands on lines of its own, is invisible to readers, and is about the next block:
//!
//! | comment | meaning |
//! | --- | --- |
//! | `<!-- session: COMMANDS -->` | bash lines to run before it; they must succeed |
//! | `<!-- not run: REASON -->` | it cannot be run in a test |
//! | `<!-- needs: PROGRAM… -->` | it is run where these programs are installed |
//! | `<!-- file: PATH -->` | it is the text of that file, from the root of the tree |

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

const MARKS: [&str; 4] = ["session", "not run", "needs", "file"];

/// A page, as lines.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it lies, from the root of the tree.
    pub name: String,
    /// Its text.
    pub lines: Vec<String>,
}

/// A fenced block of a page.
#[derive(Clone, Debug)]
pub struct Block {
    /// The word behind the fence, such as `console`.
    pub language: String,
    /// The lines between the fences.
    pub lines: Range<usize>,
    /// The comments before it, as `(word, text)`.
    pub marks: Vec<(&'static str, String)>,
}

impl Block {
    /// The text of the comment of that kind, if there is one.
    pub fn mark(&self, word: &str) -> Option<&str> {
        self.marks.iter().find(|(known, _)| *known == word).map(|(_, text)| text.as_str())
    }
}

/// The root of the tree.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the root")
}

/// Every page of the tree: those at its root, and all below `docs`.
pub fn pages() -> Vec<Page> {
    let mut paths = Vec::new();
    collect(root(), false, &mut paths);
    collect(&root().join("docs"), true, &mut paths);
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

fn collect(directory: &Path, deep: bool, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of the tree can be read") {
        let path = entry.expect("a directory of the tree can be read").path();
        if deep && path.is_dir() {
            collect(&path, deep, paths);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
}

impl Page {
    /// Reads one.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
        Self { name, lines: text.lines().map(str::to_owned).collect() }
    }

    /// Writes it back.
    pub fn write(&self) {
        fs::write(root().join(&self.name), self.lines.join("\n") + "\n").expect("a page can be written");
    }

    /// Its fenced blocks, in order. Panics over a comment or a fence without an end.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut marks = Vec::new();
        let mut at = 0;
        while let Some(line) = self.lines.get(at) {
            if let Some(language) = line.strip_prefix("```") {
                let end = self.find(at + 1, |line| line == "```");
                let (language, marks) = (language.to_owned(), std::mem::take(&mut marks));
                blocks.push(Block { language, lines: at + 1..end, marks });
                at = end;
            } else if let Some((word, _)) = mark(line) {
                let end = self.find(at, |line| line.ends_with("-->"));
                let text = self.lines[at..=end].join("\n");
                let text = mark(&text).map_or("", |(_, text)| text).trim_end_matches("-->").trim();
                marks.push((word, text.to_owned()));
                at = end;
            }
            at += 1;
        }
        blocks
    }

    fn find(&self, from: usize, is_end: impl Fn(&str) -> bool) -> usize {
        let end = self.lines[from..].iter().position(|line| is_end(line));
        from + end.unwrap_or_else(|| panic!("{}:{from} has no end", self.name))
    }
}

/// The word of a comment for us, and what comes after it.
fn mark(text: &str) -> Option<(&'static str, &str)> {
    let text = text.strip_prefix("<!-- ")?;
    MARKS.into_iter().find_map(|word| Some((word, text.strip_prefix(word)?.strip_prefix(':')?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_about_the_next_block_and_no_other() {
        let text = "a\n<!-- session:\nb\nc\n-->\n<!-- other: no -->\n<!-- not run: why -->\n\n```console\n$ d\n```\n```\n```";
        let page = Page { name: "page.md".to_owned(), lines: text.lines().map(str::to_owned).collect() };
        let [first, second] = &page.blocks()[..] else { panic!("two blocks") };
        assert_eq!((first.mark("session"), first.mark("not run")), (Some("b\nc"), Some("why")));
        assert_eq!(
            (first.language.as_str(), &page.lines[first.lines.clone()]),
            ("console", &["$ d".to_owned()][..])
        );
        assert!(second.marks.is_empty() && second.lines.is_empty());
    }
}
