//! Archives into a repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::super::bar::Bar;
use super::super::context::{Context, without_settings};
use super::super::data::Big;
use super::super::job::{Contender, Job, Manner, Place};
use super::commands::{Commands, sh};
use super::yardsticks::{self, CAT, OPENSSL, OPENSSL_2, cat, openssl, openssl_2};
use crate::shell;

/// Eight layers, a config and a manifest.
pub(super) const BLOBS_OF_BIG: usize = 10;
const MEMORY: Bar = Bar::Memory { mib: 40.0 };

pub(super) fn jobs(context: &Context) -> Result<Vec<Job>> {
    let big = context.data.big()?;
    Ok(vec![
        docker(context, &big)?,
        oci(context, &big)?,
        pipe(context, &big),
        apps_oci(context)?,
        apps_docker(context)?,
        gzip(context, &big),
        zstd(context, &big),
        again_layout(context, &big),
        again_archive(context, &big),
    ])
}

fn docker(context: &Context, big: &Big) -> Result<Job> {
    let commands = &context.commands;
    let raw = yardsticks::blobs(&big.raw)?;
    let job = Job::new("Add a docker archive, layers kept", Manner::Writes)
        .reads(&big.docker)
        .reads(&big.raw)
        .with(ours(commands, &big.docker, &[]).gives_blobs(BLOBS_OF_BIG))
        .with(skopeo(commands, "docker-archive", &big.docker, UNCOMPRESSED))
        .with(ctr(commands, &big.docker).filter(|_| !context.quick))
        .with(podman(context, &big.docker))
        .with(openssl(commands, raw.clone()))
        .with(openssl_2(commands, raw))
        .with(cat(vec![big.docker.clone()]));
    Ok(job
        .bar(Bar::Faster { than: "skopeo", times: 1.4 })
        .bar(Bar::Within { of: &[CAT, OPENSSL_2], times: 1.25, plus: 0.0 })
        .bar(MEMORY))
}

fn oci(context: &Context, big: &Big) -> Result<Job> {
    let commands = &context.commands;
    let blobs = yardsticks::blobs(&big.gzip)?;
    let job = Job::new("Add an OCI archive, gzip layers, from a file", Manner::Writes)
        .reads(&big.oci)
        .reads(&big.gzip)
        .with(ours(commands, &big.oci, &[]).gives_blobs(BLOBS_OF_BIG))
        .with(oras(commands, &big.oci))
        .with(skopeo(commands, "oci-archive", &big.oci, &[]))
        .with(openssl_2(commands, blobs))
        .with(cat(vec![big.oci.clone()]));
    Ok(job
        .bar(Bar::Faster { than: "oras", times: 1.1 })
        .bar(Bar::Faster { than: "skopeo", times: 3.5 })
        .bar(MEMORY))
}

fn pipe(context: &Context, big: &Big) -> Job {
    let commands = &context.commands;
    let file = big.oci.clone();
    let ours = commands.ours_into_new("cat FILE \\| ocirepo add -", move |commands, place| {
        let (ocirepo, out) = (&commands.ocirepo, place.out());
        let mut command = sh("cat \"$0\" | \"$1\" -C \"$2\" -q add -", [&file, ocirepo, &out]);
        without_settings(&mut command);
        command
    });
    Job::new("Add an OCI archive, gzip layers, from a pipe", Manner::Writes)
        .reads(&big.oci)
        .with(ours.gives_blobs(BLOBS_OF_BIG))
        .with(openssl(commands, vec![big.oci.clone()]))
        .with(cat(vec![big.oci.clone()]))
        .bar(Bar::Within { of: &[OPENSSL, CAT], times: 1.3, plus: 0.0 })
        .bar(MEMORY)
}

fn apps_oci(context: &Context) -> Result<Job> {
    let (apps, commands) = (context.data.apps()?, &context.commands);
    let files = apps.oci.clone();
    let oras = commands.peer("oras", "oras cp, five times", move |commands, place| {
        let oras = commands.peers.shell_words("oras")?;
        let one = format!("{oras} cp --no-tty --from-oci-layout \"$f:1\" --to-oci-layout \"$0:${{f##*/}}\"");
        Ok(each(&one, place, &files))
    });
    let job = Job::new("Add five images with one base, OCI archives", Manner::Writes)
        .with(ours_many(commands, &apps.oci).gives_blobs(apps.blobs))
        .with(oras.map(|oras| oras.gives_blobs(apps.blobs)))
        .with(
            skopeo_many(commands, "oci-archive", ":1", "", &apps.oci)
                .map(|skopeo| skopeo.gives_blobs(apps.blobs)),
        )
        .with(cat(apps.oci.clone()));
    let job = apps.oci.iter().fold(job, |job, file| job.reads(file));
    Ok(job.bar(Bar::Faster { than: "oras", times: 1.1 }).bar(MEMORY))
}

fn apps_docker(context: &Context) -> Result<Job> {
    let (apps, commands) = (context.data.apps()?, &context.commands);
    let skopeo = skopeo_many(commands, "docker-archive", "", UNCOMPRESSED[0], &apps.docker);
    let job = Job::new("Add five images with one base, docker archives", Manner::Writes)
        .with(ours_many(commands, &apps.docker).gives_blobs(apps.blobs))
        .with(skopeo.map(|skopeo| skopeo.gives_blobs(apps.blobs)))
        .with(openssl(commands, apps.docker.clone()));
    let job = apps.docker.iter().fold(job, |job, file| job.reads(file));
    Ok(job.bar(Bar::Faster { than: "skopeo", times: 1.4 }).bar(MEMORY))
}

fn gzip(context: &Context, big: &Big) -> Job {
    let commands = &context.commands;
    Job::new("Add a docker archive, layers compressed with gzip", Manner::Writes)
        .reads(&big.docker)
        .with(ours(commands, &big.docker, &["--layers", "gzip"]).gives_blobs(BLOBS_OF_BIG))
        .with(skopeo(commands, "docker-archive", &big.docker, &[]))
        .bar(Bar::Faster { than: "skopeo", times: 1.2 })
        .bar(Bar::Faster { than: "skopeo", times: 2.0 })
        .bar(Bar::Larger { than: "skopeo", percent: 3.0 })
}

fn zstd(context: &Context, big: &Big) -> Job {
    let commands = &context.commands;
    Job::new("Add a docker archive, layers compressed with zstd", Manner::Writes)
        .reads(&big.docker)
        .with(ours(commands, &big.docker, &["--layers", "zstd"]).gives_blobs(BLOBS_OF_BIG))
        .with(skopeo(commands, "docker-archive", &big.docker, &["--dest-compress-format", "zstd"]))
        .bar(Bar::Faster { than: "skopeo", times: 1.5 })
        .bar(Bar::Larger { than: "skopeo", percent: 2.0 })
}

fn again_layout(context: &Context, big: &Big) -> Job {
    let commands = &context.commands;
    let layout = big.gzip.clone();
    let oras = oras(commands, &big.gzip).map(|oras| {
        let (commands, layout) = (commands.clone(), layout.clone());
        oras.prepared(move |place| shell::quiet(&mut commands.oras(&layout, &place.out())?))
    });
    let skopeo = skopeo(commands, "oci", &big.gzip, &[]).map(|skopeo| {
        let (commands, from) = (commands.clone(), format!("oci:{}:1", layout.display()));
        skopeo.prepared(move |place| {
            shell::quiet(&mut commands.skopeo(
                place,
                &[],
                &from,
                &format!("oci:{}:1", place.out().display()),
            )?)
        })
    });
    Job::new("Add a layout again, every blob is there", Manner::Writes)
        .reads(&big.gzip)
        .with(ours_again(commands, &big.gzip))
        .with(oras)
        .with(skopeo)
        .bar(Bar::Seconds(0.03))
}

fn again_archive(context: &Context, big: &Big) -> Job {
    let commands = &context.commands;
    Job::new("Add an OCI archive again, every blob is there", Manner::Writes)
        .reads(&big.oci)
        .with(ours_again(commands, &big.oci))
        .with(openssl(commands, vec![big.oci.clone()]))
        .bar(Bar::Seconds(0.1))
}

const UNCOMPRESSED: &[&str] = &["--dest-oci-accept-uncompressed-layers"];

fn ours(commands: &Commands, source: &Path, options: &'static [&'static str]) -> Contender {
    let label = ["ocirepo add"].iter().chain(options).copied().collect::<Vec<_>>().join(" ");
    let source = source.to_owned();
    commands.ours_into_new(label, move |commands, place| commands.add(&place.out(), &source, options))
}

/// Adds what is there already.
fn ours_again(commands: &Commands, source: &Path) -> Contender {
    let (before, source_before) = (commands.clone(), source.to_owned());
    ours(commands, source, &[]).gives_blobs(BLOBS_OF_BIG).prepared(move |place| {
        before.init(&place.out())?;
        shell::quiet(&mut before.add(&place.out(), &source_before, &[]))
    })
}

fn ours_many(commands: &Commands, sources: &[PathBuf]) -> Contender {
    let sources = sources.to_vec();
    commands.ours_into_new("ocirepo add, all five", move |commands, place| {
        let mut command = commands.ocirepo(&place.out(), ["add"]);
        command.args(&sources);
        command
    })
}

fn oras(commands: &Commands, from: &Path) -> Option<Contender> {
    let from = from.to_owned();
    let oras = commands.peer("oras", "oras cp", move |commands, place| commands.oras(&from, &place.out()))?;
    Some(oras.gives_blobs(BLOBS_OF_BIG))
}

fn skopeo(
    commands: &Commands,
    transport: &str,
    from: &Path,
    options: &'static [&'static str],
) -> Option<Contender> {
    let tag = if transport == "docker-archive" { "" } else { ":1" };
    let from = format!("{transport}:{}{tag}", from.display());
    let label = ["skopeo copy"].iter().chain(options).copied().collect::<Vec<_>>().join(" ");
    let skopeo = commands.peer("skopeo", label, move |commands, place| {
        commands.skopeo(place, options, &from, &format!("oci:{}:1", place.out().display()))
    })?;
    Some(skopeo.gives_blobs(BLOBS_OF_BIG))
}

fn skopeo_many(
    commands: &Commands,
    transport: &'static str,
    tag: &'static str,
    option: &'static str,
    files: &[PathBuf],
) -> Option<Contender> {
    let files = files.to_vec();
    let label = ["skopeo copy", option].join(" ");
    commands.peer("skopeo", format!("{}, five times", label.trim_end()), move |commands, place| {
        let skopeo = commands.peers.shell_words("skopeo")?;
        let copy = format!("{skopeo} --insecure-policy --tmpdir \"$TMPDIR\" copy -q {option}");
        Ok(each(&format!("{copy} \"{transport}:$f{tag}\" \"oci:$0:${{f##*/}}\""), place, &files))
    })
}

/// A command for each file `$f`, into the layout `$0`.
fn each(command: &str, place: &Place, files: &[PathBuf]) -> Command {
    let out = place.out();
    let words = [&out].into_iter().chain(files);
    sh(&format!("for f; do {command} || exit 1; done"), words)
}

/// containerd's own store, which keeps blobs as well. Its daemon is started for the one import and ends with it, so that
/// its time and memory count.
fn ctr(commands: &Commands, file: &Path) -> Option<Contender> {
    let file = file.to_owned();
    if !commands.peers.has("containerd") {
        return None;
    }
    let ctr = commands.peer("ctr", "ctr images import --no-unpack, with its daemon", move |commands, place| {
        let daemon = commands.peers.shell_words("containerd")?;
        let ctr = commands.peers.shell_words("ctr")?;
        let script = [
            format!("{daemon} --log-level error --config $0/config.toml --root $0/out --state $0/state -a $0/socket &"),
            "trap 'kill $!; wait $!' EXIT".into(),
            "until [ -S $0/socket ]; do kill -0 $! || exit 1; sleep 0.01; done".into(),
            format!("{ctr} --address $0/socket images import --no-unpack $1"),
        ];
        Ok(sh(&format!("IFS=\n{}", script.join("\n")), [&place.dir, &file]))
    })?;
    Some(ctr.prepared(|place| {
        let config = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
        Ok(fs::write(place.dir.join("config.toml"), config)?)
    }))
}

/// podman stores the files of layers and not the layers: another job, but what people use. It takes minutes.
fn podman(context: &Context, file: &Path) -> Option<Contender> {
    if context.quick {
        return None;
    }
    let file = file.to_owned();
    context.commands.peer("podman", "podman load, unpacks", move |commands, place| {
        let mut command = commands.peers.command("podman")?;
        command.arg("--root").arg(place.out()).arg("--runroot").arg(place.dir.join("run"));
        command.args(["--storage-driver", "overlay", "load", "-q", "-i"]).arg(&file);
        Ok(command)
    })
}
