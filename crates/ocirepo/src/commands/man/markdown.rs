//! Verbs and options in Markdown, from the words of the command line.

use clap::{Arg, ArgAction, Command};

use super::parts;

/// Every verb of a command that was built with its options and examples, under headings of the third level, and then
/// what all of them take.
pub(super) fn reference(command: &Command) -> String {
    let mut out = String::new();
    for verb in command.get_subcommands() {
        section(verb, 3, &mut out);
    }
    out.push_str("### Global options\n\nBefore or after the verb.\n\n");
    table(command.get_arguments().filter(|arg| arg.is_global_set()), &mut out);
    out
}

fn section(command: &Command, level: usize, out: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    out.push_str(&format!("{} `{name}`\n\n", "#".repeat(level)));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        let about = text(&about.to_string());
        let (first, rest) = about.split_once("\n\n").unwrap_or((&about, ""));
        out.push_str(format!("{}.\n\n{rest}", first.trim_end_matches('.')).trim_end());
        out.push_str("\n\n");
    }
    let usage = command.clone().render_usage().to_string();
    out.push_str(&format!("```text\n{}\n```\n\n", usage.trim_start_matches("Usage: ").trim()));
    table(command.get_arguments().filter(|arg| !arg.is_global_set()), out);
    for (title, lines) in parts(command) {
        out.push_str(&format!("{title}:\n\n```text\n{}\n```\n\n", lines.join("\n")));
    }
    for nested in command.get_subcommands() {
        section(nested, level + 1, out);
    }
}

fn table<'a>(arguments: impl Iterator<Item = &'a Arg>, out: &mut String) {
    let told = |arg: &&Arg| {
        !arg.is_hide_set()
            && !matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::Version)
    };
    let rows: Vec<_> = arguments.filter(told).map(row).collect();
    if !rows.is_empty() {
        out.push_str(&format!("| | |\n| --- | --- |\n{}\n", rows.concat()));
    }
}

fn row(arg: &Arg) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(arg.get_short().map(|short| format!("-{short}")));
    words.extend(arg.get_long().map(|long| format!("--{long}")));
    let mut words = words.join(", ");
    let takes_value = arg.get_action().takes_values();
    if let Some(values) = arg.get_value_names().filter(|_| takes_value) {
        let values: Vec<_> = values.iter().map(|value| value.as_str()).collect();
        words = format!("{words} {}", values.join(" ")).trim_start().to_owned();
    }
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string);
    let mut cell = vec![text(&help.unwrap_or_default())];
    for value in arg
        .get_possible_values()
        .iter()
        .filter(|value| takes_value && !arg.is_hide_possible_values_set() && !value.is_hide_set())
    {
        let help = value.get_help().map(|help| format!(": {}", text(&help.to_string())));
        cell.push(format!("`{}`{}", value.get_name(), help.unwrap_or_default()));
    }
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if takes_value && !default.concat().is_empty() && !arg.is_hide_default_value_set() {
        cell.push(format!("Default: `{}`", default.join(" ")));
    }
    cell.extend(arg.get_env().map(|name| format!("Environment: `{}`", name.to_string_lossy())));
    let cell = cell.join("<br>").replace("\n\n", "<br>").replace('\n', " ");
    format!("| `{}` | {} |\n", words.replace('|', "\\|"), cell.replace('|', "\\|"))
}

/// A text of help, in which nothing but what stands between backquotes is markup.
fn text(help: &str) -> String {
    let mut out = Vec::new();
    for (at, part) in help.split('`').enumerate() {
        let is_code = at % 2 == 1;
        out.push(if is_code { part.to_owned() } else { escaped(part) });
    }
    out.join("`")
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "*_<[]\\".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::options::Cli;

    #[test]
    fn text_is_no_markup_but_between_backquotes() {
        assert_eq!(text("a * of `b_*` <c> [d]"), "a \\* of `b_*` \\<c> \\[d\\]");
    }

    #[test]
    fn every_verb_and_option_is_told() {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let reference = reference(&command);
        for verb in command.get_subcommands() {
            assert!(
                reference.contains(&format!("### `ocirepo {}`\n", verb.get_name())),
                "{}",
                verb.get_name()
            );
            for arg in verb.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let option = arg.get_long().map(|long| format!("--{long}"));
                let option = option.filter(|option| option != "--help" && option != "--version");
                assert!(option.as_ref().is_none_or(|option| reference.contains(option)), "{option:?}");
            }
        }
    }

    /// The command lines of ocirepo in a line of examples.
    fn command_lines(line: &str) -> Vec<Vec<String>> {
        let mut lines = vec![vec![String::new()]];
        let mut quoted = false;
        for c in line.split(" #").next().unwrap_or_default().chars() {
            let words = lines.last_mut().expect("there is always one");
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                '|' | '&' | '>' | '<' if !quoted => lines.push(vec![String::new()]),
                c => words.last_mut().expect("there is always one").push(c),
            }
        }
        for words in &mut lines {
            words.retain(|word| !word.is_empty());
        }
        lines.retain(|words| words.first().is_some_and(|word| word == "ocirepo"));
        lines
    }

    #[test]
    fn every_example_of_the_help_is_a_command_line() {
        let mut command = Cli::command();
        command.build();
        let mut tried = 0;
        for command in std::iter::once(&command).chain(command.get_subcommands()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for words in help.lines().flat_map(command_lines) {
                if let Err(error) = Cli::try_parse_from(&words) {
                    panic!("{}: {error}", words.join(" "));
                }
                tried += 1;
            }
        }
        assert!(tried > command.get_subcommands().count(), "only {tried} examples");
    }
}
