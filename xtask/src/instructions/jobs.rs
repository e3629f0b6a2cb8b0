//! The jobs whose instructions are counted.

use anyhow::Result;

use super::count::Count;
use super::stage::Stage;
use Unit::{Command, GzipMegabyte, Image, RawMegabyte};

/// A command that has to stay cheap.
pub(super) struct Job {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    /// Prepares the command and gives its words.
    command: fn(&Stage<'_>) -> Result<String>,
    /// The file that it is given through a pipe.
    input: Option<&'static str>,
}

/// What the instructions of a job are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// The whole command, on the large stage: what it takes has nothing to do with the size of the data.
    Command,
    /// 1,000,000 bytes of layers that are not compressed.
    RawMegabyte,
    /// 1,000,000 bytes of layers that are compressed.
    GzipMegabyte,
    /// An image, or an entry of index.json: they come to the same here.
    Image,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::RawMegabyte | Self::GzipMegabyte => "MB",
            Self::Image => "image",
        }
    }

    /// How much of a count is of no interest: it may be there in one run and not in the other, since names and hash
    /// tables are random, and threads wait for each other as it happens.
    pub(super) fn slack(self) -> u64 {
        match self {
            // One more copy of every byte is 1,000,000 for each MB.
            Self::Command | Self::RawMegabyte | Self::GzipMegabyte => 20_000,
            Self::Image => 100,
        }
    }

    fn amount(self, stage: &Stage<'_>) -> u64 {
        match self {
            Self::Command => 0,
            Self::RawMegabyte => stage.raw_bytes,
            Self::GzipMegabyte => stage.gzip_bytes,
            Self::Image => stage.images,
        }
    }

    fn size(self) -> u64 {
        match self {
            Self::RawMegabyte | Self::GzipMegabyte => 1_000_000,
            Self::Command | Self::Image => 1,
        }
    }
}

/// `docker.tar` has raw layers and `oci.tar` the same with gzip, as `layout` has them; `docker` and `oci` are
/// repositories with what these hold, and `many` is one of many small images.
pub(super) const JOBS: &[Job] = &[
    Job::new("start-up", Command, |_| Ok("--version".into())),
    Job::new("add docker archive", RawMegabyte, |stage| {
        Ok(format!("-C {} add docker.tar", stage.repository()?))
    }),
    Job::new("add docker archive, --layers gzip", RawMegabyte, |stage| {
        Ok(format!("-C {} add docker.tar --layers gzip", stage.repository()?))
    }),
    Job::new("add docker archive, --layers zstd", RawMegabyte, |stage| {
        Ok(format!("-C {} add docker.tar --layers zstd", stage.repository()?))
    }),
    Job::new("add docker archive again", RawMegabyte, |_| Ok("-C docker add docker.tar".into())),
    Job::new("add OCI archive", GzipMegabyte, |stage| Ok(format!("-C {} add oci.tar", stage.repository()?))),
    Job::new("add OCI archive from a pipe", GzipMegabyte, |stage| {
        Ok(format!("-C {} add -", stage.repository()?))
    })
    .reading("oci.tar"),
    Job::new("add OCI archive again", Command, |_| Ok("-C oci add oci.tar".into())),
    Job::new("add layout again", Command, |_| Ok("-C oci add layout".into())),
    Job::new("add to many", Image, |stage| {
        Ok(format!("-C many add one.tar --ref registry.example/team/one:{}", stage.number()))
    }),
    Job::new("export", GzipMegabyte, |stage| Ok(format!("-C oci export -o {}.tar", stage.number()))),
    Job::new("export --type docker", RawMegabyte, |stage| {
        Ok(format!("-C oci export --type docker -o {}.tar", stage.number()))
    }),
    Job::new("export --type dir", GzipMegabyte, |stage| {
        Ok(format!("-C oci export --type dir -o {}", stage.repository()?))
    }),
    Job::new("verify", GzipMegabyte, |_| Ok("-C oci verify".into())),
    Job::new("gc --dry-run", Image, |_| Ok("-C many gc --dry-run".into())),
    Job::new("ls", Image, |_| Ok("-C many ls".into())),
    Job::new("ls --names", Image, |_| Ok("-C many ls --names".into())),
    Job::new("tag", Image, |stage| {
        Ok(format!("-C many tag @0 registry.example/team/tag:{}", stage.number()))
    }),
    Job::new("rm", Image, |_| Ok("-C many rm @0".into())),
];

impl Job {
    const fn new(name: &'static str, unit: Unit, command: fn(&Stage<'_>) -> Result<String>) -> Self {
        Self { name, unit, command, input: None }
    }

    const fn reading(self, file: &'static str) -> Self {
        Self { input: Some(file), ..self }
    }

    /// Counts it once.
    pub(super) fn count(&self, small: &Stage<'_>, large: &Stage<'_>) -> Result<Count> {
        let count = |stage: &Stage<'_>| stage.count(&(self.command)(stage)?, self.input);
        let all = count(large)?;
        if self.unit == Command {
            return Ok(all);
        }
        let (start, work) = (count(small)?, self.unit.amount(large) - self.unit.amount(small));
        let each = |large: u64, small: u64| large.saturating_sub(small) * self.unit.size() / work;
        Ok(Count { hashing: each(all.hashing, start.hashing), rest: each(all.rest, start.rest) })
    }
}

/// What a job was found to take, for each unit.
pub(super) struct Figure {
    pub(super) job: &'static Job,
    pub(super) count: Count,
    /// How far the counts of several rounds lie apart.
    pub(super) apart: Count,
}

impl Figure {
    /// The median of several rounds, for each part.
    pub(super) fn median(job: &'static Job, counts: &[Count]) -> Self {
        let sorted = |part: fn(&Count) -> u64| {
            let mut parts: Vec<_> = counts.iter().map(part).collect();
            parts.sort_unstable();
            parts
        };
        let (hashing, rest) = (sorted(|count| count.hashing), sorted(|count| count.rest));
        let middle = |sorted: &[u64]| sorted[sorted.len() / 2];
        let apart = |sorted: &[u64]| sorted[sorted.len() - 1] - sorted[0];
        Self {
            job,
            count: Count { hashing: middle(&hashing), rest: middle(&rest) },
            apart: Count { hashing: apart(&hashing), rest: apart(&rest) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_round_does_not_move_a_figure() {
        let counts = [(5, 70), (900, 60), (4, 80)].map(|(hashing, rest)| Count { hashing, rest });
        let figure = Figure::median(&JOBS[0], &counts);
        assert_eq!(figure.count, Count { hashing: 5, rest: 70 });
        assert_eq!(figure.apart, Count { hashing: 896, rest: 20 });
    }
}
