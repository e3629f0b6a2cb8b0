//! `ocirepo inventory`

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ocirepo_store::{Digest, OutputFile, Repository};
use ocirepo_transfer::{Holdings, Source, write_inventory};
use serde_json::json;

use crate::context::Context;
use crate::exit::Code;
use crate::options::Format;
use crate::render;

/// List the blobs of the repository, for `export --have` on the other side
///
/// One blob a line: its digest and its size in bytes, sorted. Only what images need is listed, and
/// only if it is there at its right size.
///
/// SOURCE may be another repository, a bundle or another image layout in a file, or an inventory.
/// Of a bundle, what it holds is listed, and not what it requires.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo inventory -o have.txt            # on the receiving side, to be carried back
  ocirepo export --have have.txt -o delta.tar
  ocirepo inventory bundle.tar
  ocirepo inventory --format json | jq .bytes")]
pub(crate) struct Args {
    /// What to list instead of the repository; - is standard input
    source: Option<PathBuf>,
    /// The file to write; - is standard output
    #[arg(short, long, value_name = "FILE|-", default_value = "-")]
    output: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    context.check_output(&args.output)?;
    let holdings = match &args.source {
        None => {
            let repository = context.open()?;
            context.reporter().during("marking manifests", || Holdings::of_repository(&repository))?
        }
        Some(path) => read(path, context)?,
    };
    let blobs: Vec<(Digest, u64)> = holdings.blobs.into_iter().collect();
    let bytes = blobs.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
    let mut text = Vec::new();
    if context.format == Format::Json {
        let list: Vec<_> =
            blobs.iter().map(|(digest, size)| json!({ "digest": digest.as_str(), "size": size })).collect();
        let value = json!({ "blobs": list, "count": blobs.len(), "bytes": bytes });
        serde_json::to_writer_pretty(&mut text, &value)?;
        text.push(b'\n');
    } else {
        write_inventory(&blobs, &mut text)?;
    }
    if args.output.as_os_str() == "-" {
        return write(&mut io::stdout().lock(), &text).context("cannot write to standard output");
    }
    let mut file = OutputFile::create(&args.output)?.removed_by(context.stop());
    let code = write(&mut file, &text).with_context(|| format!("cannot write {}", args.output.display()))?;
    file.commit()?;
    let count = render::count(blobs.len() as u64, "blob");
    context.say(&format!(
        "{count}, {}, in {}",
        render::size(bytes),
        render::safe(&args.output.display().to_string())
    ));
    Ok(code)
}

fn write(out: &mut impl Write, text: &[u8]) -> io::Result<Code> {
    let mut out = BufWriter::new(out);
    out.write_all(text)?;
    out.flush()?;
    Ok(Code::Ok)
}

/// What a path holds. A repository is opened as this verb opens its own.
pub(crate) fn read(path: &Path, context: &Context) -> Result<Holdings> {
    if path.is_dir() {
        return Ok(Holdings::of_repository(&Repository::open(path, context.settings())?)?);
    }
    Ok(Holdings::read(&Source::parse(path), &context.reporter())?)
}
