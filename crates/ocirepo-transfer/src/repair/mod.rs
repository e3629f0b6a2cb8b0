//! Repair: blobs that a repository has lost are brought back from anything that still has them.
//!
//! # What it promises
//! - Only blobs that are needed and are not as they should be come in, under the names that they have
//!   in the repository. No entry is added or changed: index.json is not touched.
//! - Nothing is believed of a source, neither its index nor its names. A copy that is damaged as well is
//!   told of, and the next source is asked; what is left of an archive that was cut short is used.
//! - A manifest that comes back may show that more is lost: every source is asked for that too, until
//!   nothing more comes back.
//! - What came back is read again where it lies.
//! - A rehearsal reads and proves the same, comes to the same, and leaves the repository as it is.
//!
//! Sources are opened one after the other, each only if the ones before have left something to be
//! desired, and all of them stay open: standard input is read once, and a later source may bring the
//! manifest that tells what an earlier one has.

mod opened;
mod parts;

use std::collections::BTreeSet;

use ocirepo_store::ingest::Ingest;
use ocirepo_store::verify::{Lost, Report, Verification};
use ocirepo_store::{Digest, ErrorKind, Progress};

use self::opened::{Brought, Opened};
use crate::error::{Error, Result};
use crate::import::open::open_as_far;
use crate::peek::Reading;
use crate::source::Source;

/// What a repair did, and what is left to do.
#[derive(Debug)]
#[non_exhaustive]
pub struct Repaired {
    /// What a verification finds now.
    pub report: Report,
    /// What came back, in the order in which it did.
    pub healed: Vec<Healed>,
    /// What no source had as it should be, by digest.
    pub lost: Vec<Lost>,
    /// Sources, and copies in them, that could not be used.
    pub warnings: Vec<String>,
}

/// A blob that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Healed {
    /// What had been wrong, where, and for whom.
    pub was: Lost,
    /// Where the good copy came from.
    pub source: String,
}

/// Verifies a repository, and brings back what it has lost from `sources`, asked in their order. `ingest`
/// is a session that heals ([`ocirepo_store::lock::Shared::heal`]), or one that rehearses it
/// ([`ocirepo_store::lock::Reading::rehearse_healing`]): then the answer is what it would be, and nothing
/// is changed.
///
/// # Errors
/// Those of a verification; when a source is not there; when the repository cannot be written. What came
/// back until then is good and stays. That a source is no good is no error.
pub fn repair(
    ingest: &Ingest<'_>,
    verification: &mut Verification<'_>,
    sources: &[Source],
    progress: &dyn Progress,
) -> Result<Repaired> {
    for source in sources {
        if let Source::Path(path) = source {
            std::fs::metadata(path).map_err(|error| Error::read(&source.to_string(), error))?;
        }
    }
    let report = verification.look(progress)?;
    ingest.trust(verification.sound());
    let result = Repaired { report, healed: Vec::new(), lost: Vec::new(), warnings: Vec::new() };
    let mut repair = Repair { ingest, verification, progress, asked: BTreeSet::new(), result };
    repair.with(&[], sources)?;
    let Repair { verification, mut result, .. } = repair;
    result.lost = verification.lost().to_vec();
    let is_lost = |healed: &Healed| result.lost.iter().any(|lost| lost.digest == healed.was.digest);
    result.healed.retain(|healed| !is_lost(healed));
    Ok(result)
}

/// A source by its number, or several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    One(usize),
    Together,
}

struct Repair<'r, 'v> {
    ingest: &'r Ingest<'r>,
    verification: &'r mut Verification<'v>,
    progress: &'r dyn Progress,
    /// Who was asked for what. Nobody is asked twice, unless it turns out that it has another size.
    asked: BTreeSet<(Asked, Digest, Vec<u64>)>,
    result: Repaired,
}

impl Repair<'_, '_> {
    /// Repairs with what is open, and with more sources as long as something is lost.
    fn with(&mut self, opened: &[&Opened<'_>], more: &[Source]) -> Result<()> {
        self.exhaust(opened)?;
        let Some((next, more)) = more.split_first().filter(|_| !self.verification.lost().is_empty()) else {
            return Ok(());
        };
        // What comes of the work that follows is not what comes of opening a source.
        let mut done = None;
        let reading = Reading(self.progress);
        let found = open_as_far(self.ingest, next, &reading, |content, _, progress, whole| {
            let next = Opened::new(self.ingest, content, progress, whole, &mut self.result.warnings)?;
            let opened: Vec<&Opened<'_>> = opened.iter().copied().chain([&next]).collect();
            done = Some(self.with(&opened, more));
            Ok(())
        });
        match (done, found) {
            (Some(done), _) => done,
            (None, Err(error)) if is_of_source(&error) => {
                self.result.warnings.push(error.with_cause());
                self.with(opened, more)
            }
            (None, found) => found,
        }
    }

    /// Asks everything that is open, until nothing more comes back.
    fn exhaust(&mut self, opened: &[&Opened<'_>]) -> Result<()> {
        loop {
            let mut came_back = false;
            for (number, source) in opened.iter().enumerate() {
                let wanted = self.not_asked(Asked::One(number));
                let brought = source.bring(&wanted, &mut self.result.warnings)?;
                came_back |= self.take(wanted, brought)?;
            }
            let wanted = self.not_asked_together(opened);
            let brought = wanted.iter().map(|lost| parts::join(opened, self.ingest, lost));
            let brought = brought.collect::<Result<Vec<_>>>()?;
            came_back |= self.take(wanted, brought)?;
            if !came_back {
                return Ok(());
            }
        }
    }

    /// What is lost and was not asked for there, as of now.
    fn not_asked(&mut self, whom: Asked) -> Vec<Lost> {
        let asked = &mut self.asked;
        let lost = self.verification.lost().iter();
        lost.filter(|lost| asked.insert((whom, lost.digest.clone(), lost.sizes.clone()))).cloned().collect()
    }

    /// What is lost and lies in parts, all of which are in what is open.
    fn not_asked_together(&mut self, opened: &[&Opened<'_>]) -> Vec<Lost> {
        let asked = &mut self.asked;
        let whom = Asked::Together;
        let lost = self.verification.lost().iter().filter(|lost| parts::are_there(opened, lost));
        lost.filter(|lost| asked.insert((whom, lost.digest.clone(), lost.sizes.clone()))).cloned().collect()
    }

    /// Puts in place what was brought, and looks again. Says whether anything came back.
    fn take(&mut self, wanted: Vec<Lost>, brought: Vec<Brought>) -> Result<bool> {
        let mut healed = Vec::new();
        for (was, brought) in wanted.into_iter().zip(brought) {
            match brought {
                Brought::Absent => {}
                Brought::Bad(reason) => self.result.warnings.push(reason),
                Brought::Good(_) if self.ingest.is_blocked(&was.digest)? => {
                    let place = was.path.display();
                    self.result.warnings.push(format!("a directory is in the place of a blob: {place}"));
                }
                Brought::Good(source) => healed.push(Healed { was, source }),
            }
        }
        if healed.is_empty() {
            return Ok(false);
        }
        let digests: Vec<Digest> = healed.iter().map(|healed| healed.was.digest.clone()).collect();
        self.ingest.put_in_place(&digests)?;
        self.result.healed.extend(healed);
        self.result.report = self.verification.look_through(self.ingest, self.progress)?;
        self.ingest.trust(self.verification.sound());
        Ok(true)
    }
}

/// Whether an error is about a source, so that the others may be asked, rather than about the
/// repository that is repaired.
fn is_of_source(error: &Error) -> bool {
    match error {
        Error::Store(error) => error.kind() == ErrorKind::Corrupt,
        _ => true,
    }
}
