//! What the pages show is what happens: every command of a `console` block is run, and what is shown of its output
//! is compared. What cannot be run says why on its page, and is listed.
//!
//! With `OCIREPO_BLESS=1` (`cargo xtask docs`) pages are corrected instead: what they show becomes what happened.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::process::Command;

use ocirepo_tests::pages::{Block, Page, pages, root};
use ocirepo_tests::session::{judge, mended, prompt, run, steps};
use ocirepo_tests::tools;

fn is_blessing() -> bool {
    env::var_os("OCIREPO_BLESS").is_some()
}

/// Why a block is not run, if so.
fn skipped(block: &Block) -> Option<String> {
    if let Some(reason) = block.mark("not run") {
        return Some(format!("not run: {reason}"));
    }
    let mut programs = block.mark("needs").unwrap_or_default().split_whitespace();
    let missing = programs.find(|program| !is_there(program))?;
    Some(format!("skipped: {missing} is not here, or cannot run"))
}

/// A program may be installed where it has no rights to run.
fn is_there(program: &str) -> bool {
    let store = tempfile::tempdir().expect("a temporary directory can be made");
    let at = |name: &str| store.path().join(name).display().to_string();
    let own = ["--root", &at("root"), "--runroot", &at("run"), "--storage-driver", "vfs", "images"];
    let works = || Command::new(program).args(own).output().is_ok_and(|output| output.status.success());
    tools::find(program).is_some() && (program != "podman" || works())
}

/// Runs the session of a page and returns what is wrong. What is not run is said.
fn try_page(mut page: Page) -> Vec<String> {
    let mut all = Vec::new();
    for block in page.blocks().iter().filter(|block| block.language == "console") {
        match skipped(block) {
            Some(why) => tools::say(&format!("docs: {}:{}: {why}", page.name, block.lines.start)),
            None => all.extend(steps(&page, block)),
        }
    }
    if all.is_empty() {
        return Vec::new();
    }
    let said = run(&all);
    let tried =
        all.iter().zip(&said).filter_map(|(step, said)| Some((step, said, judge(&page, step, said)?)));
    let wrong: Vec<_> = tried.collect();
    if is_blessing() {
        // From the end, so that the lines above stay where they are.
        for (step, said, _) in wrong.iter().rev().filter(|(step, ..)| !step.shown.is_empty()) {
            let lines = mended(&page.lines[step.shown.clone()], &said.lines);
            page.lines.splice(step.shown.clone(), lines);
        }
        page.write();
    }
    wrong.into_iter().map(|(.., wrong)| wrong).collect()
}

#[test]
fn every_command_on_a_page_does_what_the_page_shows() {
    let wrong: Vec<_> = std::thread::scope(|scope| {
        let tried: Vec<_> = pages().into_iter().map(|page| scope.spawn(|| try_page(page))).collect();
        tried.into_iter().flat_map(|page| page.join().unwrap()).collect()
    });
    let cure = "if a page is out of date, `cargo xtask docs` corrects what it shows";
    assert!(is_blessing() || wrong.is_empty(), "{}\n{cure}", wrong.join("\n"));
}

#[test]
fn commands_stand_in_console_blocks_and_nowhere_else() {
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.language != "console") {
            let command = page.lines[block.lines.clone()].iter().find(|line| prompt(line).is_some());
            assert_eq!(command, None, "{}:{}: ```console has it run", page.name, block.lines.start);
        }
    }
}

#[test]
fn files_on_a_page_are_the_files_of_the_tree() {
    for mut page in pages() {
        for block in page.blocks().iter().rev() {
            let Some(path) = block.mark("file") else { continue };
            let text = fs::read_to_string(root().join(path)).unwrap();
            let lines = text.lines().map(str::to_owned);
            if is_blessing() {
                page.lines.splice(block.lines.clone(), lines);
                page.write();
            } else {
                let shown = &page.lines[block.lines.clone()];
                assert!(
                    lines.eq(shown.iter().cloned()),
                    "{} shows an old {path}: `cargo xtask docs`",
                    page.name
                );
            }
        }
    }
}

#[test]
fn every_xtask_that_a_page_names_exists() {
    let source = fs::read_to_string(root().join("xtask/src/main.rs")).unwrap();
    for page in pages() {
        let text = page.lines.join("\n");
        for named in text.split("cargo xtask ").skip(1) {
            let task: String = named.chars().take_while(char::is_ascii_lowercase).collect();
            let Some(first) = task.chars().next() else { continue };
            let variant = format!("\n    {}{}", first.to_ascii_uppercase(), &task[1..]);
            assert!(source.contains(&variant), "{}: there is no `cargo xtask {task}`", page.name);
        }
    }
}

#[test]
fn links_between_pages_lead_to_files() {
    let mut lost = BTreeSet::new();
    for page in pages() {
        let directory = root().join(&page.name).parent().unwrap().to_owned();
        for link in page.lines.join("\n").split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !directory.join(target).exists() {
                lost.insert(format!("{}: {target}", page.name));
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}
