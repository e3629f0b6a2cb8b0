//! The commands of a page, run by bash as a reader would, in order, in one scratch directory.
//!
//! - Prompts: `$ `, or `far$ ` for a directory of that name, which stands for another machine; `> ` goes on.
//! - `/media`, `/mnt`, `/srv` and `/var/lib` are below the scratch directory. `$FIXTURES` holds the archives of [`fixtures`].
//! - stdout and stderr come together, as on a terminal. A command succeeds, unless what is shown has an `error:`.
//! - Where output is shown it is compared. `…` in a line stands for any text, on a line of its own for any lines.
//! - `cargo xtask` is not run, but the task and its options must exist; `cargo run … --example` runs the example.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::archive::docker_save;
use crate::cli::Ocirepo;
use crate::fixtures::fixture;
use crate::image::ImageSpec;
use crate::pages::{Block, Page};
use crate::tarball::Tarball;

/// One command of a page.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its line on the page, from 0.
    pub line: usize,
    /// The lines of the page with what it should say.
    pub shown: Range<usize>,
    machine: String,
    command: String,
    is_setup: bool,
}

/// Places of the reader's machine that are below the scratch directory.
const PLACES: [&str; 4] = ["/media", "/mnt", "/srv", "/var/lib"];

/// What a command did.
#[derive(Clone, Debug)]
pub struct Said {
    /// All that it wrote, line by line.
    pub lines: Vec<String>,
    /// Its exit code.
    pub code: i32,
}

/// The commands of a block, and those that set it up.
pub fn steps(page: &Page, block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines.clone() {
        let text = page.lines[line].as_str();
        if let Some((machine, command)) = prompt(text) {
            let (machine, command) = (machine.to_owned(), command.to_owned());
            steps.push(Step { line, shown: line + 1..line + 1, machine, command, is_setup: false });
            continue;
        }
        let Some(step) = steps.last_mut() else { panic!("{}:{}: no prompt", page.name, line + 1) };
        match text.strip_prefix("> ").filter(|_| step.shown.is_empty()) {
            Some(more) => {
                step.command = format!("{}\n{more}", step.command);
                step.shown = line + 1..line + 1;
            }
            None => step.shown.end = line + 1,
        }
        // An empty line before the next prompt is for the eye.
        let blank = |line: &usize| page.lines[*line].is_empty();
        if page.lines.get(line + 1).is_some_and(|next| prompt(next).is_some()) && blank(&line) {
            step.shown.end = line;
        }
    }
    if let (Some(first), Some(setup)) = (steps.first().cloned(), block.mark("session")) {
        steps.insert(0, Step { command: setup.to_owned(), shown: 0..0, is_setup: true, ..first });
    }
    steps
}

/// The machine and the command of a line, if it begins with a prompt.
pub fn prompt(line: &str) -> Option<(&str, &str)> {
    let (machine, command) = line.split_once("$ ")?;
    machine.bytes().all(|byte| byte.is_ascii_lowercase()).then_some((machine, command))
}

/// Runs the commands one after the other and returns what each of them did.
pub fn run(steps: &[Step]) -> Vec<Said> {
    let bash = Ocirepo::with_program("/bin/bash");
    let scratch = bash.scratch("");
    let scratch = scratch.to_str().expect("test paths are UTF-8").trim_end_matches('/').to_owned();
    furnish(Path::new(&scratch));
    let path = std::env::var("PATH").unwrap_or_default();
    let bash =
        bash.env("PATH", &format!("{scratch}/bin:{path}")).env("FIXTURES", &format!("{scratch}/fixtures"));
    let storage = format!("{scratch}/storage.conf");
    let output = bash.env("CONTAINERS_STORAGE_CONF", &storage).run(&["-c", &script(steps, &scratch)]);
    let output = output.stdout.replace(&scratch, "");
    // What a command wrote, then its exit code, in turn.
    let pieces: Vec<&str> = output.split('\x1e').collect();
    let said = pieces.chunks_exact(2).map(|piece| Said {
        lines: piece[0].lines().map(|line| line.trim_end().to_owned()).collect(),
        code: piece[1].parse().expect("the script prints an exit code"),
    });
    let said: Vec<_> = said.collect();
    assert_eq!(said.len(), steps.len(), "the session broke off:\n{output}");
    said
}

fn script(steps: &[Step], scratch: &str) -> String {
    let mut script = String::from(
        "exec 2>&1; set -o pipefail; declare -A at; now=-; code=0\n\
         on() { [ \"$1\" = \"$now\" ] || { at[_$now]=$PWD; now=$1; cd \"${at[_$1]:-$2}\" || exit; }; }\n",
    );
    for Step { machine, command, .. } in steps {
        let place = if machine.is_empty() { "repo" } else { machine };
        let command = below(command, scratch).replace('\'', r"'\''");
        // `(exit …)` gives the command the `$?` that a person would have.
        writeln!(script, "mkdir -p {scratch}/{place}; on '{machine}' {scratch}/{place}")
            .expect("a string takes it");
        writeln!(script, "(exit $code); eval '{command}'\ncode=$?; printf '\\x1e%d\\x1e' $code")
            .expect("a string takes it");
    }
    script
}

/// A command with the places of the page below the scratch directory.
fn below(command: &str, scratch: &str) -> String {
    let mut text = String::new();
    let mut rest = command;
    while let Some(at) = PLACES.iter().filter_map(|place| rest.find(place)).min() {
        let (before, place) = rest.split_at(at);
        text.push_str(before);
        if !text.ends_with(|before: char| before.is_alphanumeric() || "./_-".contains(before)) {
            text.push_str(scratch);
        }
        text.push('/');
        rest = &place[1..];
    }
    text + rest
}

/// Puts what commands need into the scratch directory: programs, archives, places.
fn furnish(scratch: &Path) {
    for name in ["bin", "fixtures", "media/usb", "mnt", "srv"] {
        fs::create_dir_all(scratch.join(name)).expect("a directory can be made");
    }
    let ocirepo = Ocirepo::new();
    let built = ocirepo.program().parent().expect("a program lies in a directory").display().to_string();
    // Progress that a slow machine would print is no part of what is shown.
    program(scratch, "ocirepo", &format!("exec '{}' --progress none \"$@\"", ocirepo.program().display()));
    program(scratch, "cargo", &CARGO.replace("BUILT", &built));
    let at = |name: &str| scratch.join(name).display().to_string();
    let storage = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
        at("graph"),
        at("run")
    );
    fs::write(scratch.join("storage.conf"), storage).expect("a file can be written");
    fs::copy(fixture("hello.tar"), scratch.join("fixtures/hello.tar")).expect("the fixture can be copied");
    for (name, tarball) in fixtures() {
        fs::write(scratch.join("fixtures").join(name), tarball.to_bytes()).expect("a file can be written");
    }
}

const CARGO: &str = r#"case "$*" in
"xtask "*)
    help=$('BUILT/xtask' "$2" --help) || exit
    for word; do case $word in --*) printf '%s' "$help" | grep -q -e "$word" || { echo "no option $word"; exit 2; } ;; esac; done ;;
"run "*"--example "*) for last; do :; done; exec "BUILT/examples/$last" ;;
*) echo "cargo $* is not run here"; exit 2 ;;
esac"#;

fn program(scratch: &Path, name: &str, text: &str) {
    let path = scratch.join("bin").join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a file can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is our own file");
}

/// The archives of `docker save` that pages take for those of their readers: a base of 8 MB, two releases of an
/// application on it, and one image for each of two platforms.
pub fn fixtures() -> [(&'static str, Tarball); 5] {
    let base = ImageSpec::new().noise_layer(12, 8_000_000);
    let app = |release: &str| base.clone().layer(Tarball::new().file("app", format!("release {release}\n")));
    let save = |spec: ImageSpec, name: &str| docker_save(&[(&spec.build(), &[name])]);
    let platform = |platform: &str| save(ImageSpec::seeded(platform).platform(platform), "app:1");
    [
        ("base.tar", save(base.clone(), "docker.io/library/base:12")),
        ("app.tar", save(app("1"), "registry.corp/team/app:1")),
        ("app2.tar", save(app("2"), "registry.corp/team/app:2")),
        ("amd64.tar", platform("linux/amd64")),
        ("arm64.tar", platform("linux/arm64")),
    ]
}

/// What is wrong with what a command did, if anything.
pub fn judge(page: &Page, step: &Step, said: &Said) -> Option<String> {
    let shown = &page.lines[step.shown.clone()];
    let fails = shown.iter().any(|line| line.starts_with("error"));
    let wrong = if fails == (said.code == 0) {
        format!("exit code {}", said.code)
    } else if !shown.is_empty() && !fits(shown, &said.lines) {
        format!("the page shows\n{}", shown.join("\n"))
    } else {
        return None;
    };
    let what = if step.is_setup { " (set up)" } else { "" };
    Some(format!(
        "{}:{}: `{}`{what}: {wrong}\n--- it says\n{}\n",
        page.name,
        step.line + 1,
        step.command,
        said.lines.join("\n")
    ))
}

/// What a page should show: what was said, with the placeholders that still fit.
pub fn mended(shown: &[String], said: &[String]) -> Vec<String> {
    let placeholder =
        |line: &String| shown.iter().find(|shown| *shown != "…" && line_fits(shown, line)).cloned();
    said.iter().map(|line| placeholder(line).unwrap_or_else(|| line.clone())).collect()
}

fn fits(shown: &[String], said: &[String]) -> bool {
    match shown.split_first() {
        None => said.is_empty(),
        Some((first, rest)) if first == "…" => (0..=said.len()).any(|skipped| fits(rest, &said[skipped..])),
        Some((first, rest)) => {
            said.split_first().is_some_and(|(line, others)| line_fits(first, line) && fits(rest, others))
        }
    }
}

fn line_fits(shown: &str, said: &str) -> bool {
    let Some((first, rest)) = shown.split_once('…') else { return shown == said };
    let Some(said) = said.strip_prefix(first) else { return false };
    said.char_indices().map(|(at, _)| at).chain([said.len()]).any(|at| line_fits(rest, &said[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> (Page, Vec<Step>) {
        let lines = format!("```console\n{text}\n```").lines().map(str::to_owned).collect();
        let page = Page { name: "page.md".to_owned(), lines };
        let steps = steps(&page, &page.blocks()[0]);
        (page, steps)
    }

    /// What is wrong with a page.
    fn complaints(text: &str) -> Vec<String> {
        let (page, steps) = page(text);
        steps.iter().zip(run(&steps)).filter_map(|(step, said)| judge(&page, step, &said)).collect()
    }

    #[test]
    fn what_a_page_shows_is_held_against_what_commands_say() {
        assert_eq!(
            complaints("$ echo a; echo b >&2\na\nb\n\n$ seq 9\n1\n…\n8\n9\n$ echo a-b-c\na-…-c"),
            [""; 0]
        );
        for (wrong, text) in [
            ("$ echo a\nb", "the page shows"),
            ("$ echo a\na\nb", "the page shows"),
            ("$ seq 9\n1\n…\n8", "the page shows"),
            ("$ echo a-b-c\na-…-d", "the page shows"),
            ("$ false", "exit code 1"),
            ("$ echo error: no\nerror: no", "exit code 0"),
            ("$ cargo xtask nothing", "exit code 2"),
            ("$ cargo xtask test --nothing", "no option --nothing"),
        ] {
            let complaints = complaints(wrong);
            assert!(matches!(&complaints[..], [one] if one.contains(text)), "{wrong}: {complaints:?}");
        }
    }

    #[test]
    fn a_session_goes_on_where_it_was_on_each_machine() {
        let text = "$ x=1; mkdir d; cd d\nnear$ mkdir n; cd n\n$ echo $x $(basename $PWD)\n1 d\nnear$ pwd\n/near/n\n\
                    $ (echo error: >&2; exit 7)\nerror:\n$ echo $?\n7\n$ touch /media/usb/f\n\
                    $ for i in 1 2; do\n>     ls /media/usb\n> done\nf\nf";
        assert_eq!(complaints(text), [""; 0]);
    }

    #[test]
    fn what_is_mended_fits_and_keeps_its_placeholders() {
        let shown = ["took … s", "old"].map(str::to_owned);
        let said = ["took 3 s", "new"].map(str::to_owned);
        assert_eq!(mended(&shown, &said), ["took … s", "new"]);
    }
}
