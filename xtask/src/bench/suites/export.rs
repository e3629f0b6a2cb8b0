//! Images out of a repository, into archives.

use std::path::Path;

use anyhow::Result;

use super::super::bar::Bar;
use super::super::context::Context;
use super::super::data::{Big, files, images::BIG_NAME};
use super::super::job::{Job, Manner};
use super::commands::sh;
use super::yardsticks::{self, CAT, OPENSSL, cat, openssl};

pub(super) fn jobs(context: &Context) -> Result<Vec<Job>> {
    let big = context.data.big()?;
    Ok(vec![hybrid(context, &big)?, docker(context, &big)?])
}

fn hybrid(context: &Context, big: &Big) -> Result<Job> {
    let commands = &context.commands;
    let (repository, layout) = (context.repository("gzip", &big.gzip)?, big.gzip.clone());
    let blobs = yardsticks::blobs(&big.gzip)?;
    let least = files::size(&big.gzip)?;
    let ours = commands.ours("ocirepo export", {
        let repository = repository.clone();
        move |commands, place| {
            commands.ocirepo(&repository, [Path::new("export"), Path::new("-o"), &place.out()])
        }
    });
    let tar = commands.limit("tar", "tar", "tar cf, of a layout", {
        let layout = layout.clone();
        move |commands, place| {
            let mut command = commands.peers.command("tar")?;
            command.arg("cf").arg(place.out()).arg("-C").arg(&layout).arg(".");
            Ok(command)
        }
    });
    let skopeo = commands.peer("skopeo", "skopeo copy oci: oci-archive:", move |commands, place| {
        let (from, to) =
            (format!("oci:{}:1", layout.display()), format!("oci-archive:{}:1", place.out().display()));
        commands.skopeo(place, &[], &from, &to)
    });
    Ok(Job::new("Export an image with gzip layers as a hybrid, verified", Manner::Writes)
        .reads(repository.join("blobs"))
        .reads(&big.gzip)
        .with(ours.gives_bytes(least))
        .with(skopeo.map(|skopeo| skopeo.gives_bytes(least)))
        .with(tar)
        .with(openssl(commands, blobs.clone()))
        .with(cat(blobs))
        .bar(Bar::Faster { than: "regctl", times: 1.3 })
        .bar(Bar::Within { of: &["tar", OPENSSL], times: 1.2, plus: 0.0 }))
}

fn docker(context: &Context, big: &Big) -> Result<Job> {
    let commands = &context.commands;
    let (repository, layout) = (context.repository("gzip", &big.gzip)?, big.gzip.clone());
    let layers = yardsticks::blobs(&big.gzip)?[..8].to_vec();
    let least = files::size(&big.raw)?;
    let ours = commands.ours("ocirepo export --type docker", {
        let repository = repository.clone();
        move |commands, place| {
            let mut command = commands.ocirepo(&repository, ["export", "--type", "docker", "-o"]);
            command.arg(place.out());
            command
        }
    });
    let skopeo = commands.peer("skopeo", "skopeo copy oci: docker-archive:", move |commands, place| {
        let from = format!("oci:{}:1", layout.display());
        commands.skopeo(place, &[], &from, &format!("docker-archive:{}:{BIG_NAME}", place.out().display()))
    });
    let pigz = commands.limit(CAT, "pigz", "pigz -dc > FILE", move |commands, place| {
        let script = format!("{} -dc \"$@\" > \"$0\"", commands.peers.shell_words("pigz")?);
        Ok(sh(&script, [&place.out()].into_iter().chain(&layers)))
    });
    // The documents of a docker archive differ a little from those of a layout.
    let least = least - 10_000;
    Ok(Job::new("Export gzip layers as a docker archive with uncompressed layers", Manner::Writes)
        .reads(repository.join("blobs"))
        .reads(&big.gzip)
        .with(ours.gives_bytes(least))
        .with(skopeo.map(|skopeo| skopeo.gives_bytes(least)))
        .with(pigz)
        .bar(Bar::Faster { than: "skopeo", times: 3.0 }))
}
