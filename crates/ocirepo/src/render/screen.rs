//! Where results go: how wide that is, and whether it has colours.

use std::io::{self, IsTerminal};

use anstyle::{AnsiColor, Style};

use crate::options::Color;
use crate::terminal;

/// Standard output, as far as it matters for what is written there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Screen {
    /// How many columns a terminal has; in a pipe nothing is too wide.
    pub(crate) width: Option<usize>,
    pub(crate) color: bool,
}

impl Screen {
    /// Looks at standard output.
    pub(crate) fn stdout(color: Color) -> Self {
        let out = io::stdout();
        let size = terminal_size::terminal_size_of(&out);
        let width = size.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0);
        Self { width, color: wants_color(color, out.is_terminal()) }
    }
}

/// Whether there shall be colours. Unless it was said outright, only a terminal that is not dumb has
/// them, and nobody who sets `NO_COLOR`.
pub(crate) fn wants_color(choice: Color, is_terminal: bool) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => is_terminal && !is_set("NO_COLOR") && !terminal::is_dumb(),
    }
}

/// How a text looks where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Look {
    #[default]
    Plain,
    /// What the eye may pass over.
    Dim,
    /// What may be wanting.
    Doubtful,
    /// What is broken.
    Bad,
}

/// A piece of text with its look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    pub(super) text: String,
    look: Look,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, look: Look) -> Self {
        Self { text: text.into(), look }
    }

    /// A text in the look of this one.
    pub(super) fn paint(&self, text: &str, screen: Screen) -> String {
        let style = match self.look {
            Look::Plain => return text.to_owned(),
            Look::Dim => Style::new().dimmed(),
            Look::Doubtful => AnsiColor::Yellow.on_default(),
            Look::Bad => AnsiColor::Red.on_default(),
        };
        if screen.color && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// The text, safe for a terminal.
    pub(super) fn show(&self, screen: Screen) -> String {
        self.paint(&super::safe(&self.text), screen)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text, Look::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Look::Plain)
    }
}
