//! Completion scripts and manual pages are good ones, and know every verb and option that `--help` knows.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::tools;

/// The verbs that `--help` lists.
fn verbs(ocirepo: &Ocirepo) -> Vec<String> {
    let help = ocirepo.run(&["--help"]).ok().stdout;
    let (_, listed) = help.split_once("Commands:\n").expect("there is a list of verbs");
    let lines = listed.lines().take_while(|line| line.starts_with("  "));
    // What is indented further goes on with the line above.
    let verbs =
        lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let verbs: Vec<_> = verbs.filter(|verb| *verb != "help").map(str::to_owned).collect();
    assert!(verbs.len() > 10 && verbs.iter().any(|verb| verb == "export"), "{help}");
    verbs
}

/// The long options that the help of a verb lists.
fn options(ocirepo: &Ocirepo, verb: &str) -> Vec<String> {
    let help = ocirepo.run(&[verb, "--help"]).ok().stdout;
    let help = help.split("Examples:").next().unwrap_or_default();
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let options = lines.filter_map(|line| line.split([' ', '=', ',']).find(|word| word.starts_with("--")));
    let options: Vec<_> = options.map(|option| option.trim_end_matches('.').to_owned()).collect();
    assert!(options.iter().any(|option| option == "--repo"), "{verb}: {help}");
    options
}

#[test]
fn every_completion_script_is_sound_and_names_every_verb_and_option() {
    let ocirepo = Ocirepo::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = ocirepo.run(&["completion", shell]).ok().stdout;
        for verb in verbs(&ocirepo) {
            assert!(script.contains(&verb), "{shell}: {verb}");
            for option in options(&ocirepo, &verb) {
                // fish has them as `-l repo`.
                let spelled = if shell == "fish" { format!("-l {}", &option[2..]) } else { option };
                assert!(script.contains(&spelled), "{shell}: {verb} {spelled}");
            }
        }
        let path = ocirepo.scratch(shell);
        fs::write(&path, script).unwrap();
        if let Some(program) = tools::tool(shell) {
            tools::run(&program, &["-n", path.to_str().unwrap()]);
        }
    }
}

#[test]
fn bash_completes_verbs_options_and_their_words() {
    let Some(bash) = tools::tool("bash") else { return };
    let ocirepo = Ocirepo::new();
    let path = ocirepo.scratch("completion");
    fs::write(&path, ocirepo.run(&["completion", "bash"]).ok().stdout).unwrap();
    let complete = |words: &[&str]| {
        let last = words.len() - 1;
        let script = format!(
            ". {}; COMP_WORDS=({}); COMP_CWORD={last}; _ocirepo ocirepo '{}' '{}'; echo \"${{COMPREPLY[*]}}\"",
            path.display(),
            words.join(" "),
            words[last],
            words[last - 1]
        );
        tools::run(&bash, &["-c", &script]).trim().to_owned()
    };
    assert_eq!(complete(&["ocirepo", "ex"]), "export");
    assert_eq!(complete(&["ocirepo", "export", "--volume"]), "--volume-size");
    assert_eq!(complete(&["ocirepo", "export", "--type", "hy"]), "hybrid");
    // Words that may have more behind them, such as zstd:9, are completed as far as they are known.
    assert_eq!(complete(&["ocirepo", "add", "--layers", "r"]), "reuse");
    assert_eq!(complete(&["ocirepo", "export", "--compress", "z"]), "zstd");
    assert_eq!(complete(&["ocirepo", "config", "ref-policy", "t"]), "tag");
}

#[test]
fn every_verb_has_a_manual_page_that_renders_and_names_every_option() {
    let ocirepo = Ocirepo::new();
    let pages = ocirepo.scratch("man1");
    ocirepo.run(&["man", "-o", pages.to_str().unwrap()]).ok();
    let top = fs::read_to_string(pages.join("ocirepo.1")).unwrap();
    assert_eq!(ocirepo.run(&["man"]).ok().stdout, top, "what is printed is the first page");
    let mut written = vec![pages.join("ocirepo.1")];
    for verb in verbs(&ocirepo) {
        assert!(plain(&top).contains(&format!("ocirepo-{verb}(1)")), "{verb} is not in the first page");
        let path = pages.join(format!("ocirepo-{verb}.1"));
        let page = plain(&fs::read_to_string(&path).unwrap());
        for option in options(&ocirepo, &verb) {
            assert!(page.contains(&option), "{}: {option}", path.display());
        }
        assert!(page.contains(".SH EXAMPLES"), "{}", path.display());
        assert!(page.contains(&format!("\nocirepo {verb} [OPTIONS]")), "{}", path.display());
        written.push(path);
    }
    render(&written);
}

/// A page without the escapes of roff.
fn plain(page: &str) -> String {
    ["\\fB", "\\fI", "\\fR"].iter().fold(page.replace("\\-", "-"), |page, font| page.replace(font, ""))
}

/// Pages are such that the programs for them have nothing to say about them.
fn render(pages: &[PathBuf]) {
    let lints: [(&str, &[&str]); 2] = [
        ("man", &["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]),
        ("mandoc", &["-T", "lint", "-W", "error"]),
    ];
    for (name, arguments) in lints {
        let Some(program) = tools::tool(name) else { continue };
        for page in pages {
            let output =
                Command::new(&program).args(arguments).arg(page).output().expect("it can be started");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{name} says of {}: {said}", page.display());
        }
    }
}
