//! The jobs, by what they are about. The bars are those of the project's own aims.

mod add;
pub(super) mod commands;
mod copy;
mod export;
mod gc;
mod growth;
mod index;
mod limits;
mod start;
mod verify;
mod yardsticks;

use anyhow::Result;
use clap::ValueEnum;

use super::context::Context;
use super::job::Job;

/// A group of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Suite {
    /// What the machine can do: hash, copy, tar, inflate, compress
    Limits,
    /// Archives into a repository
    Add,
    /// Images into archives
    Export,
    /// From one repository into another
    Copy,
    /// Garbage collection
    Gc,
    /// Names among tens of thousands of others
    Index,
    /// Every byte hashed
    Verify,
    /// How time and memory grow with what there is
    Growth,
    /// How long it takes to do nothing
    Start,
}

impl Suite {
    pub(super) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// As it is called on the command line and in the markers of the document.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::Add => "add",
            Self::Export => "export",
            Self::Copy => "copy",
            Self::Gc => "gc",
            Self::Index => "index",
            Self::Verify => "verify",
            Self::Growth => "growth",
            Self::Start => "start",
        }
    }

    /// Makes what data they need, and the jobs.
    pub(super) fn jobs(self, context: &Context) -> Result<Vec<Job>> {
        match self {
            Self::Limits => limits::jobs(context),
            Self::Add => add::jobs(context),
            Self::Export => export::jobs(context),
            Self::Copy => copy::jobs(context),
            Self::Gc => gc::jobs(context),
            Self::Index => index::jobs(context),
            Self::Verify => verify::jobs(context),
            Self::Growth => growth::jobs(context),
            Self::Start => start::jobs(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;

    #[test]
    fn every_suite_has_its_section_in_the_document() {
        let text = std::fs::read_to_string(shell::root().join("docs/benchmarks.md")).unwrap();
        for suite in Suite::all() {
            let (begin, end) =
                (format!("<!-- {}:begin -->", suite.name()), format!("<!-- {}:end -->", suite.name()));
            assert!(text.contains(&begin) && text.contains(&end), "{suite:?}");
            assert_eq!(suite.to_possible_value().unwrap().get_name(), suite.name());
        }
    }
}
