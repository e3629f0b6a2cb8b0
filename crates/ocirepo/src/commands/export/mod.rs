//! `ocirepo export`

mod dir;
mod output;
mod select;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use ocirepo_store::Progress;
use ocirepo_store::name::RefPolicy;
use ocirepo_transfer::{
    ArchiveType, Encoding, Export, ExportOptions, Have, LayerForm, PlatformPattern, plan_export,
};
use serde_json::json;

use crate::context::Context;
use crate::exit::{Code, UsageError};
use crate::options::{Format, word};
use crate::render;
use output::{Output, Written};

/// Write images to an archive that other tools load
///
/// Without a REFERENCE, every image is exported. What is about an image, such as its signatures, goes
/// along. The same images always give the same bytes.
///
/// A hybrid is an OCI layout and a docker archive in one file: docker, podman, containerd, k3s and
/// skopeo load it without ocirepo.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo export -o images.tar                          # everything
  ocirepo export alpine:3.11 'registry.corp/app/*' -o app.tar
  ocirepo export -f list.txt -o bundle.tar --sums
  ocirepo export alpine:3.11 -o - | docker load
  ocirepo export --have inventory.txt -o delta.tar      # without what the receiver has
  ocirepo export --volume-size 4.7GB -o dvd.tar         # dvd.001.tar, dvd.002.tar …
  ocirepo export app:2 --type docker -o app.tar
  ocirepo export 'registry.corp/*' --type dir -o /media/usb/images
  ocirepo export --platform linux/arm64 -o arm.tar")]
pub(crate) struct Args {
    /// Names, digests, @N, or patterns over names with * ? and [...]
    #[arg(value_name = "REFERENCE|GLOB")]
    references: Vec<String>,
    /// Export what a file lists, a REFERENCE or GLOB on each line; - is standard input
    #[arg(short = 'f', long = "file", value_name = "LIST")]
    list: Option<String>,
    /// The file to write, or for --type dir the repository; - is standard output
    #[arg(
        short,
        long,
        value_name = "FILE|-|DIR",
        required_unless_present = "dry_run",
        default_value = "",
        hide_default_value = true,
        // That of paths takes no default of nothing, which a dry run writes to.
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    output: PathBuf,
    /// What to write
    #[arg(long = "type", value_enum, value_name = "TYPE", default_value_t)]
    archive: TypeArg,
    /// Only show what would be exported
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Take these platforms only, such as linux/amd64,linux/arm64; changes the digest of what is cut
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    platform: Vec<PlatformPattern>,
    /// Let an image into a hybrid that lists platforms the repository does not have
    #[arg(long)]
    keep_index: bool,
    /// Whether what is about an image goes along
    #[arg(long, value_enum, value_name = "WHICH", default_value_t)]
    referrers: Referrers,
    /// What ref.name holds in an oci archive or a new dir [default: what it holds in the repository]
    #[arg(long, value_enum, value_name = "WHAT")]
    names: Option<Names>,
    /// How layers are compressed in a docker archive: raw, gzip or zstd, also with a level such as zstd:9
    #[arg(long, value_name = "HOW", value_parser = word(&["raw", "gzip", "zstd"], parse_layers), hide_possible_values = true)]
    layers: Option<LayerForm>,
    /// Compress the archive: none, gzip or zstd, also with a level
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = word(&["none", "gzip", "zstd"], parse_compress), hide_possible_values = true)]
    compress: Compress,
    /// Leave out what the receiver has: an inventory, a repository or a bundle; may be repeated
    #[arg(long, value_name = "FILE|REPO|BUNDLE")]
    have: Vec<PathBuf>,
    /// Split the bundle into files of at most this size, such as 4.7GB or 4GiB: b.001.tar, b.002.tar …
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    volume_size: Option<u64>,
    /// For --type dir, share the files with this repository by hard links, where that can be done
    #[arg(long)]
    link: bool,
    /// For --type dir, under the tag policy, take a tag from another image that has it
    #[arg(long)]
    replace: bool,
    /// Write the checksum too, beside the archive, as sha256sum does
    #[arg(long)]
    sums: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum TypeArg {
    /// An OCI layout and a docker archive in one
    #[default]
    Hybrid,
    /// An OCI layout
    Oci,
    /// A docker archive
    Docker,
    /// A docker archive that docker before 1.10 reads too
    DockerLegacy,
    /// A repository, new or not: what it has is shared
    Dir,
}

impl TypeArg {
    fn archive(self) -> ArchiveType {
        match self {
            Self::Hybrid => ArchiveType::Hybrid,
            Self::Oci | Self::Dir => ArchiveType::Oci,
            Self::Docker => ArchiveType::Docker,
            Self::DockerLegacy => ArchiveType::DockerLegacy,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Oci => "oci",
            Self::Docker => "docker",
            Self::DockerLegacy => "docker-legacy",
            Self::Dir => "dir",
        }
    }

    fn is_docker(self) -> bool {
        matches!(self, Self::Docker | Self::DockerLegacy)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Referrers {
    /// Signatures, attestations and the like go along
    #[default]
    All,
    /// They stay behind
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Names {
    /// The whole reference
    Full,
    /// The tag alone
    Tag,
}

/// How the archive as a whole is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Compress(Option<Encoding>);

fn parse_compress(text: &str) -> Result<Compress, String> {
    match text {
        "none" => Ok(Compress(None)),
        text => text.parse().map(|encoding| Compress(Some(encoding))).map_err(|error| format!("{error}")),
    }
}

/// GB are powers of 1000, GiB of 1024.
fn parse_size(text: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize = text.parse().map_err(|_| "a size looks like 4.7GB, 700MB or 4GiB")?;
    Ok(size.as_u64())
}

fn parse_layers(text: &str) -> Result<LayerForm, String> {
    match text {
        "raw" => Ok(LayerForm::Raw),
        text => text.parse().map(LayerForm::Encoded).map_err(|error| format!("{error}")),
    }
}

impl Args {
    fn options(&self, progress: &dyn Progress) -> Result<ExportOptions> {
        let mut have = None::<Have>;
        for path in &self.have {
            let read = Have::read(path, progress)?;
            match &mut have {
                Some(have) => have.extend(read),
                None => have = Some(read),
            }
        }
        Ok(ExportOptions {
            archive: if self.is_partial() { ArchiveType::Oci } else { self.archive.archive() },
            referrers: self.referrers == Referrers::All,
            platforms: self.platform.clone(),
            keep_index: self.keep_index,
            names: names(self),
            layers: self.layers.unwrap_or_default(),
            have,
            volume_size: self.volume_size,
        })
    }

    /// Whether the archive goes to standard output.
    pub(crate) fn is_to_stdout(&self) -> bool {
        output::is_stdout(&self.output)
    }

    /// Whether no file of it holds everything. manifest.json would promise what is not there.
    fn is_partial(&self) -> bool {
        !self.have.is_empty() || self.volume_size.is_some()
    }

    /// What does not go together.
    fn check(&self) -> Result<(), UsageError> {
        let is_stdout = output::is_stdout(&self.output);
        let is_dir = self.archive == TypeArg::Dir;
        let is_layout = is_dir || self.archive == TypeArg::Oci;
        let piped = self.have.iter().filter(|path| path.as_os_str() == "-").count()
            + usize::from(self.list.as_deref() == Some("-"));
        let wrong = [
            (
                self.output.as_os_str().is_empty() && !self.dry_run,
                "-o has no name behind it: name a file, a directory for --type dir, or - for standard output",
            ),
            (piped > 1, "only one list can come from standard input: -f and --have name a file otherwise"),
            ((self.link || self.replace) && !is_dir, "--link and --replace are for --type dir"),
            (is_dir && is_stdout, "--type dir writes a directory: name one with -o"),
            (
                is_dir && (self.sums || self.compress.0.is_some() || !self.have.is_empty()),
                "--type dir writes no archive, so there is no --sums, --compress or --have; what is there is shared",
            ),
            (
                self.layers.is_some() && !self.archive.is_docker(),
                "--layers is for --type docker: in an image layout layers stay as they are, so that digests do",
            ),
            (
                self.archive == TypeArg::DockerLegacy
                    && self.layers.is_some_and(|layers| layers != LayerForm::Raw),
                "docker before 1.10 reads layers that are not compressed: leave --layers out",
            ),
            (
                self.names.is_some() && !is_layout && !self.is_partial(),
                "--names is for --type oci and dir: runtimes need the names of a hybrid as they are",
            ),
            (
                !self.have.is_empty() && self.archive.is_docker(),
                "--have leaves blobs out, and a docker archive needs them all",
            ),
            (
                self.volume_size.is_some()
                    && (is_stdout || is_dir || self.archive.is_docker() || self.compress.0.is_some()),
                "--volume-size splits a bundle into files that are layouts of their own: it goes with neither -o -, \
                 --compress, --type dir nor a docker archive",
            ),
            (
                self.sums && is_stdout,
                "--sums writes a file beside the archive, so the archive has to be a file",
            ),
            (
                is_stdout && !self.dry_run && std::io::IsTerminal::is_terminal(&std::io::stdout()),
                "an archive is not written to a terminal; redirect standard output, or name a file with -o",
            ),
        ];
        match wrong.into_iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, reason)) => Err(UsageError(reason.to_owned())),
            None => Ok(()),
        }
    }
}

fn names(args: &Args) -> Option<RefPolicy> {
    args.names.map(|names| match names {
        Names::Full => RefPolicy::Full,
        Names::Tag => RefPolicy::Tag,
    })
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    args.check()?;
    context.check_output(&args.output)?;
    let queries = select::read(&args.references, args.list.as_deref())?;
    let reporter = context.reporter();
    let options = args.options(&reporter)?;
    let repository = context.open()?;
    let lock = repository.lock_reading()?;
    let document = lock.index()?;
    let wanted = select::positions(&lock, &document, &queries)?;
    if args.archive == TypeArg::Dir {
        return dir::run(args, context, &lock, &document, &wanted, &options);
    }
    if args.output.is_dir() {
        let path = args.output.display();
        let reason = format!("{path} is a directory; --type dir copies images into a repository");
        return Err(UsageError(reason).into());
    }
    let export = plan_export(&lock, &document, &wanted, &options, &reporter)?;
    for warning in &export.warnings {
        context.warn(warning);
    }
    let output = Output {
        path: &args.output,
        compress: args.compress.0,
        sums: args.sums,
        is_split: args.volume_size.is_some(),
    };
    let written = if args.dry_run {
        planned(&export, &output, &reporter)?
    } else {
        output::write(&export, &output, &reporter, context.stop())?
    };
    warn_of_name(&output, context);
    if !args.dry_run && !output::is_stdout(output.path) {
        warn_of_leftovers(&output, written.len(), context);
    }
    report(args, &export, &written, context)?;
    Ok(Code::Ok)
}

/// What would be written; how large it gets compressed is not known.
fn planned(export: &Export<'_>, output: &Output<'_>, progress: &dyn Progress) -> Result<Vec<Written>> {
    let sizes = (1..).zip(export.sizes(progress)?);
    Ok(sizes.map(|(number, bytes)| Written { path: output.file(number), bytes, sha256: None }).collect())
}

/// Tools go by names, k3s for one.
fn warn_of_name(output: &Output<'_>, context: &Context) {
    const ENDINGS: [(&str, &str); 4] =
        [(".gz", "gzip"), (".tgz", "gzip"), (".zst", "zstd"), (".tzst", "zstd")];
    let name = output.path.to_string_lossy();
    let said = ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, compression)| *compression);
    let is = output.compress.map(Encoding::as_str);
    let Some(said) = said.filter(|said| Some(*said) != is) else { return };
    let is = is.map_or_else(|| "not compressed".to_owned(), |is| format!("compressed with {is}"));
    context
        .warn(&format!("{name} is {is}, whatever its name says; `--compress {said}` is what goes with it"));
}

/// What an earlier export left is easily taken for a part of this one.
fn warn_of_leftovers(output: &Output<'_>, volumes: usize, context: &Context) {
    let next = output.file(u32::try_from(volumes).unwrap_or(u32::MAX).saturating_add(1));
    let left = [(output.is_split, next), (!output.sums, output.sums_path())];
    for (_, path) in left.iter().filter(|(is_left, path)| *is_left && path.exists()) {
        context.warn(&format!("{} is there from another export and no part of this one", path.display()));
    }
}

fn report(args: &Args, export: &Export<'_>, written: &[Written], context: &Context) -> Result<()> {
    let bytes: u64 = export.blobs.values().sum();
    let required = export.toc.as_ref().map(|toc| toc.required.as_slice()).unwrap_or_default();
    let required_bytes: u64 = required.iter().map(|blob| blob.size).sum();
    // Standard output may be the archive itself.
    let is_free = args.dry_run || !output::is_stdout(&args.output);
    if context.format == Format::Json {
        let images: Vec<_> = export
            .images
            .iter()
            .map(|image| {
                let digest = image.digest.as_str();
                json!({ "reference": image.reference, "digest": digest, "artifact": image.is_artifact })
            })
            .collect();
        let files: Vec<_> = written
            .iter()
            .map(|file| {
                json!({ "path": file.path.display().to_string(), "bytes": file.bytes, "sha256": file.sha256 })
            })
            .collect();
        let value = json!({
            "dryRun": args.dry_run,
            "output": args.output.display().to_string(),
            "type": if args.is_partial() { "oci" } else { args.archive.name() },
            "bundle": export.toc.as_ref().map(|toc| toc.id.as_str()),
            "images": images,
            "blobs": { "count": export.blobs.len(), "bytes": bytes },
            "required": { "count": required.len(), "bytes": required_bytes },
            "bytes": written.iter().map(|file| file.bytes).sum::<u64>(),
            "files": files,
            "warnings": export.warnings,
        });
        if is_free {
            render::json(&value)?;
        }
        return Ok(());
    }
    let say = |line: &str| {
        if is_free {
            return render::line(line);
        }
        context.say(line);
        Ok(())
    };
    let would = if args.dry_run { "would export" } else { "exported" };
    for image in &export.images {
        let name = render::name(image.reference.as_deref());
        say(&render::safe(&format!("{would} {name} {}", image.digest)))?;
    }
    let left_out = match required.len() as u64 {
        0 => String::new(),
        count => format!(
            "; {} ({}) are left to the receiver",
            render::count(count, "blob"),
            render::size(required_bytes)
        ),
    };
    for file in written {
        let path = match file.path.as_os_str().is_empty() {
            true => "the archive".into(),
            false if output::is_stdout(&file.path) => "standard output".into(),
            false => file.path.display().to_string(),
        };
        context.say(&format!("{path}: {}", render::size(file.bytes)));
    }
    let count = render::count(export.blobs.len() as u64, "blob");
    context.say(&format!("{count} ({}){left_out}", render::size(bytes)));
    Ok(())
}
