//! `ocirepo add`

mod jobs;
mod report;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use ocirepo_store::name::Name;
use ocirepo_store::{Digest, Error as StoreError, Repository};
use ocirepo_transfer::{
    Error as TransferError, ImportOptions, Imported, Layers, PlatformPattern, Select, Source, Untagged,
    complete_waiting, import,
};

use crate::context::Context;
use crate::exit::{self, Code, UsageError};
use crate::options::word;
use jobs::Job;
use report::Report;

/// Add images from archives and layout directories
///
/// Each SOURCE is told by its content, not by its name: docker save archives of every era, podman,
/// skopeo, crane, kaniko, jib, Nix, Bazel, buildx, ctr and regctl archives, dir: folders, hauler and
/// zarf packages, OCI layout directories and tars with one image or many; plain or compressed with
/// gzip, zstd, xz or bzip2. `-` is standard input. A source is added as a whole or not at all;
/// sources before it stay added.
///
/// Volumes of a bundle that was split go in one at a time, in any order; what came waits until the
/// last has come. Add a damaged one again from a good copy. `ocirepo ls --pending` says what is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo add image.tar --ref docker.io/library/alpine:3.11
  ocirepo add bundle1.tar bundle2.tar.zst     # under the names in the archives
  docker save alpine:3.11 | ocirepo add -
  ocirepo add bundle.tar --dry-run            # what would come in
  ocirepo add bundle.tar --select alpine:3.11 --platform linux/arm64
  ocirepo add amd64.tar arm64.tar --ref app:1 --merge-platforms
  ocirepo add image.tar --layers reuse        # share layers with what is there
  ocirepo add /media/cdrom/b.003.tar          # one of several volumes
  ocirepo add -f list.txt --keep-going        # lines of SOURCE [REF]")]
pub(crate) struct Args {
    /// Archives and layout directories
    #[arg(required_unless_present = "list", value_name = "SOURCE")]
    sources: Vec<String>,
    /// Add the sources that a file lists, a line each, the name behind the source; - is standard input
    #[arg(short = 'f', long = "file", value_name = "LIST")]
    list: Option<String>,
    /// The name for the one image in the one source
    #[arg(long = "ref", value_name = "REFERENCE", conflicts_with = "list")]
    reference: Option<String>,
    /// Under the tag policy, take a tag from another image that has it
    #[arg(long)]
    replace: bool,
    /// Print what would come in, and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Go on after a source that cannot be added; exit code 5 in the end
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    images: ImageArgs,
    #[command(flatten)]
    layers: LayerArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which images")]
struct ImageArgs {
    /// Take this image only, with what refers to it: a reference, @N, or a digest; may be repeated
    #[arg(long, value_name = "REF|@N|DIGEST")]
    select: Vec<String>,
    /// What becomes of images without a name
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    untagged: UntaggedArg,
    /// Take these platforms only, such as linux/amd64,linux/arm64; changes the digest of what is cut
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    platform: Vec<PlatformPattern>,
    /// Refuse an image that lacks a platform it lists
    #[arg(long)]
    require_complete: bool,
    /// Join the image that has the name already, as another platform of it
    #[arg(long)]
    merge_platforms: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "How layers are stored")]
struct LayerArgs {
    /// keep; gzip or zstd, also with a level such as zstd:9; or reuse: the same layer that is there in
    /// another compression. All but keep may change the digest of an image
    #[arg(
        long,
        value_name = "HOW",
        default_value = "keep",
        hide_default_value = true,
        value_parser = word(&["keep", "gzip", "zstd", "reuse"], str::parse::<Layers>),
        hide_possible_values = true
    )]
    layers: Layers,
    /// Take layers that a docker archive leaves out from the repository, by their diffID
    #[arg(long)]
    allow_thin: bool,
    /// Unpack the layers of OCI images too, to see that they are what the config says
    #[arg(long = "verify-diffids")]
    verify_diff_ids: bool,
    /// Read the blobs that a bundle leaves to the repository, to see that they are sound
    #[arg(long)]
    verify_base: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum UntaggedArg {
    /// Add them; they go by their digest
    #[default]
    Keep,
    /// Leave them out
    Skip,
}

impl Args {
    fn options(&self) -> ImportOptions {
        ImportOptions {
            reference: None,
            replace: self.replace,
            select: self.images.select.iter().map(Select::new).collect(),
            untagged: match self.images.untagged {
                UntaggedArg::Keep => Untagged::Keep,
                UntaggedArg::Skip => Untagged::Skip,
            },
            platforms: self.images.platform.clone(),
            require_complete: self.images.require_complete,
            merge_platforms: self.images.merge_platforms,
            layers: self.layers.layers,
            allow_thin: self.layers.allow_thin,
            verify_diff_ids: self.layers.verify_diff_ids,
            verify_base: self.layers.verify_base,
        }
    }

    fn jobs(&self) -> Result<Vec<Job>> {
        let several = self.sources.len() > 1;
        if self.reference.is_some() && several && !self.images.merge_platforms {
            let reason = "--ref names one image, so it takes one SOURCE, or --merge-platforms";
            return Err(UsageError(reason.to_owned()).into());
        }
        let name = self.reference.as_deref().map(Name::parse).transpose()?;
        let mut jobs: Vec<Job> = self
            .sources
            .iter()
            .map(|source| Job { source: source.clone(), name: name.clone(), listed: None })
            .collect();
        if let Some(list) = &self.list {
            jobs.extend(jobs::read_list(list)?);
        }
        if jobs.iter().filter(|job| job.source == "-").count()
            > usize::from(self.list.as_deref() != Some("-"))
        {
            return Err(UsageError("standard input can be read once only".to_owned()).into());
        }
        Ok(jobs)
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    let jobs = args.jobs()?;
    let repository = context.open()?;
    if let (Some(text), Some(Job { name: Some(name), .. })) = (&args.reference, jobs.first()) {
        let policy = repository.current_policy()?;
        super::tag::warn_of_bare_tag(name, text, policy, context);
    }
    let mut report = Report::new(args.dry_run, context);
    let mut outcome = Ok(Code::Ok);
    let mut stuck = BTreeSet::new();
    for job in &jobs {
        let added = add(&repository, job, args, context);
        let added = match &job.listed {
            Some(listed) => added.context(listed.clone()),
            None => added,
        };
        match added {
            Ok(imported) => {
                let waits = imported.pending.as_ref().is_some_and(|pending| !pending.needed.is_empty());
                report.take(&job.source, imported)?;
                if !args.dry_run && !waits {
                    for imported in complete(&repository, &mut stuck, context) {
                        report.take(&job.source, imported)?;
                    }
                }
            }
            Err(error) if args.keep_going => {
                exit::tell(&error, context);
                report.fail(&job.source, &error);
            }
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    let failed = report.finish(jobs.len())?;
    if failed > 0 { Ok(Code::SomeFailed) } else { outcome }
}

fn add(repository: &Repository, job: &Job, args: &Args, context: &Context) -> Result<Imported> {
    let reporter = context.reporter();
    let source = Source::parse(&job.source);
    let options = ImportOptions { reference: job.name.clone(), ..args.options() };
    if args.dry_run {
        let lock = repository.lock_reading()?;
        return Ok(import(lock.rehearse(&std::env::temp_dir()), &source, &options, &reporter)?);
    }
    // The lock is let go between sources, so that a waiting sweep gets its turn.
    let lock = repository.lock_shared()?;
    Ok(import(lock.ingest()?, &source, &options, &reporter)?)
}

/// Completes bundles that waited for what has just come. Why one cannot be completed is no failure of
/// the source; `stuck` are those of which that was said.
fn complete(repository: &Repository, stuck: &mut BTreeSet<Digest>, context: &Context) -> Vec<Imported> {
    let mut completed = Vec::new();
    for waiting in repository.pendings().unwrap_or_default() {
        // Not with the options of the source: those say nothing about a bundle that came before.
        let complete = || -> Result<Option<Imported>> {
            let lock = repository.lock_shared()?;
            let options = ImportOptions::default();
            Ok(complete_waiting(&lock, waiting.id(), &options, &context.reporter())?)
        };
        match complete() {
            Ok(imported) => completed.extend(imported),
            Err(error) if stuck.insert(waiting.id().clone()) => {
                context.warn(&why_not(waiting.id(), &error));
            }
            Err(_) => {}
        }
    }
    completed
}

/// Why a bundle that has everything it needs waits on.
fn why_not(bundle: &Digest, error: &anyhow::Error) -> String {
    let cause = error.downcast_ref::<TransferError>();
    match cause {
        Some(TransferError::Store(StoreError::NameHeld { name, held, digest })) => format!(
            "bundle {bundle} has everything it needs; completing it would move {name} from {held} to {digest}: add \
             one of its volumes again for that, or give it up with `ocirepo rm --pending {bundle}`"
        ),
        Some(TransferError::WaitingDamaged { .. }) => format!("{error:#}"),
        _ => format!("bundle {bundle} is all there, and waits on: {error:#}"),
    }
}
