//! Other people's tools: which there are, which version, and how to start them.
//!
//! A tool is looked for in the root of another Debian first, if one is given, and then in `PATH`. Out of another root
//! it runs with the loader and the libraries of that root, which needs no mounts and no privileges.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use ocirepo_tests::tools;

/// What is looked for: the name of the program, how it is asked for its version, and the package it is in.
const TOOLS: &[(&str, &[&str], &str)] = &[
    ("skopeo", &["--version"], "skopeo"),
    ("umoci", &["--version"], "umoci"),
    ("oras", &["version"], "oras, of Debian testing and newer: --peers-root"),
    ("crane", &["version"], "crane, of Debian testing and newer: --peers-root"),
    ("podman", &["--version"], "podman"),
    ("containerd", &["--version"], "containerd"),
    ("ctr", &["--version"], "containerd"),
    ("openssl", &["version"], "openssl"),
    ("tar", &["--version"], "tar"),
    ("gunzip", &["--version"], "gzip"),
    ("pigz", &["--version"], "pigz"),
    ("zstd", &["--version"], "zstd"),
];

/// What is taken from another root if it is there: peers that need nothing but themselves.
const FROM_ROOT: &[&str] = &["skopeo", "umoci", "oras", "crane", "containerd", "ctr"];

/// The tools of this machine.
#[derive(Debug)]
pub(super) struct Peers {
    found: BTreeMap<&'static str, Tool>,
}

#[derive(Debug)]
struct Tool {
    /// The program and words before its arguments.
    start: Vec<PathBuf>,
    version: String,
}

impl Peers {
    /// Looks for all tools.
    pub(super) fn find(root: Option<&Path>) -> Result<Self> {
        let mut found = BTreeMap::new();
        for (name, version, _) in TOOLS {
            let elsewhere = match root {
                Some(root) if FROM_ROOT.contains(name) => start_in(root, name)?,
                _ => None,
            };
            let Some(start) = elsewhere.or_else(|| tools::find(name).map(|program| vec![program])) else {
                continue;
            };
            let version = version_of(&start, version)?;
            found.insert(*name, Tool { start, version });
        }
        Ok(Self { found })
    }

    /// Whether there is one of that name. Shells are always there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.found.contains_key(name)
    }

    /// A command line of a tool, to be continued.
    pub(super) fn command(&self, name: &str) -> Result<Command> {
        let tool = self.found.get(name).with_context(|| format!("{name} is not there"))?;
        let mut command = Command::new(&tool.start[0]);
        command.args(&tool.start[1..]);
        Ok(command)
    }

    /// The same as text for a shell.
    pub(super) fn shell_words(&self, name: &str) -> Result<String> {
        let tool = self.found.get(name).with_context(|| format!("{name} is not there"))?;
        let quoted = |word: &PathBuf| format!("'{}'", word.display());
        Ok(tool.start.iter().map(quoted).collect::<Vec<_>>().join(" "))
    }

    /// Name and version of what there is.
    pub(super) fn versions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.found.iter().map(|(name, tool)| (*name, tool.version.as_str()))
    }

    /// Name and package of what is not there.
    pub(super) fn absent(&self) -> impl Iterator<Item = (&str, &str)> {
        let absent = TOOLS.iter().filter(|(name, ..)| !self.has(name));
        absent.map(|(name, _, package)| (*name, *package))
    }
}

/// How to start a program of another root, if it is there.
fn start_in(root: &Path, name: &str) -> Result<Option<Vec<PathBuf>>> {
    let program = root.join("usr/bin").join(name);
    if !program.exists() {
        return Ok(None);
    }
    let listing = |directory: &str| fs::read_dir(root.join(directory)).into_iter().flatten().flatten();
    let libraries = listing("usr/lib").map(|entry| entry.path()).find(|path| path.join("libc.so.6").exists());
    let loader = ["usr/lib64", "usr/lib"].into_iter().flat_map(listing).map(|entry| entry.path());
    let loader = loader
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")));
    let (Some(libraries), Some(loader)) = (libraries, loader) else {
        bail!("{}: no C library of Debian is there", root.display());
    };
    // The loader may be an absolute link, which would lead out of that root.
    let loader = match fs::read_link(&loader) {
        Ok(target) if target.is_absolute() => root.join(target.strip_prefix("/")?),
        _ => loader,
    };
    Ok(Some(vec![loader, "--library-path".into(), libraries, program]))
}

fn version_of(start: &[PathBuf], arguments: &[&str]) -> Result<String> {
    let output = Command::new(&start[0]).args(&start[1..]).args(arguments).output();
    let output = output.with_context(|| format!("cannot start {}", start[0].display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(version_in(&text).unwrap_or("of an unknown version").to_owned())
}

/// The first word that begins with a digit, or with `v` and a digit, and has a dot.
fn version_in(text: &str) -> Option<&str> {
    let words = text.split_whitespace().map(|word| word.trim_matches([',', ';', '(', ')']));
    let number = |word: &&str| {
        word.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit()) && word.contains('.')
    };
    words.into_iter().find(number).map(|word| word.trim_start_matches('v'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_say() {
        assert_eq!(version_in("skopeo version 1.22.0"), Some("1.22.0"));
        assert_eq!(version_in("ctr github.com/containerd/containerd 1.6.20~ds1"), Some("1.6.20~ds1"));
        assert_eq!(version_in("*** Zstandard CLI (64-bit) v1.5.4, by Yann"), Some("1.5.4"));
        assert_eq!(version_in("tar (GNU tar) 1.34\nCopyright"), Some("1.34"));
        assert_eq!(version_in("none"), None);
    }

    #[test]
    fn another_root_lends_its_loader_and_its_libraries() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        for directory in ["usr/bin", "usr/lib/some-linux-gnu", "usr/lib64"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        assert_eq!(start_in(root, "oras").unwrap(), None);
        fs::write(root.join("usr/bin/oras"), "").unwrap();
        assert!(start_in(root, "oras").is_err());
        fs::write(root.join("usr/lib/some-linux-gnu/libc.so.6"), "").unwrap();
        fs::write(root.join("usr/lib64/ld-linux-some.so.2"), "").unwrap();
        let start = start_in(root, "oras").unwrap().unwrap();
        assert_eq!(start[0], root.join("usr/lib64/ld-linux-some.so.2"));
        assert_eq!(start[2], root.join("usr/lib/some-linux-gnu"));
        assert_eq!(start[3], root.join("usr/bin/oras"));
    }
}
