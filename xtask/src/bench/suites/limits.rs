//! What the machine can do, with tools that everybody knows.

use anyhow::Result;

use super::super::context::Context;
use super::super::job::{Contender, Job, Manner, Role};
use super::commands::sh;
use super::yardsticks::{self, cat, openssl, openssl_2};

pub(super) fn jobs(context: &Context) -> Result<Vec<Job>> {
    Ok(vec![bytes(context)?, inflate(context)?, compress(context)?])
}

fn bytes(context: &Context) -> Result<Job> {
    let (big, commands) = (context.data.big()?, &context.commands);
    let raw = yardsticks::blobs(&big.raw)?;
    let file = big.docker.clone();
    let cp = Contender::new(Role::Limit, "cp", "cp", move |place| {
        Ok(sh("cp \"$0\" \"$1\"", [&file, &place.out()]))
    });
    let layout = big.raw.clone();
    Ok(Job::new("Hash and copy the image, layers uncompressed", Manner::Writes)
        .reads(&big.docker)
        .reads(&big.raw)
        .with(openssl(commands, raw.clone()))
        .with(openssl_2(commands, raw.clone()))
        .with(cat(raw))
        .with(cp)
        .with(commands.limit("tar", "tar", "tar cf", move |commands, place| {
            let mut command = commands.peers.command("tar")?;
            command.arg("cf").arg(place.out()).arg("-C").arg(&layout).arg(".");
            Ok(command)
        })))
}

fn inflate(context: &Context) -> Result<Job> {
    let (big, commands) = (context.data.big()?, &context.commands);
    let gzip = yardsticks::blobs(&big.gzip)?[..8].to_vec();
    let of_layers = |tool: &'static str, label: &str| {
        let layers = gzip.clone();
        commands.limit(tool, tool, label, move |commands, _| {
            let mut command = commands.peers.command(tool)?;
            command.arg("-dc").args(&layers);
            Ok(command)
        })
    };
    Ok(Job::new("Inflate its gzip layers, to nowhere", Manner::Reads)
        .reads(&big.gzip)
        .with(of_layers("gunzip", "gunzip -dc"))
        .with(of_layers("pigz", "pigz -dc")))
}

fn compress(context: &Context) -> Result<Job> {
    let (big, commands) = (context.data.big()?, &context.commands);
    let to_file = |key: &'static str, tool: &'static str, options: &'static str| {
        let file = big.docker.clone();
        commands.limit(key, tool, format!("{tool} {options}"), move |commands, place| {
            let tool = commands.peers.shell_words(tool)?;
            Ok(sh(&format!("{tool} {options} -c \"$0\" > \"$1\""), [&file, &place.out()]))
        })
    };
    let mut job = Job::new("Compress it", Manner::Writes).reads(&big.docker);
    job = job.with(to_file("zstd -1", "zstd", "-q -1 -T2"));
    if !context.quick {
        job = job.with(to_file("zstd -3", "zstd", "-q -3 -T2"));
        job = job.with(to_file("pigz -1", "pigz", "-1")).with(to_file("pigz -6", "pigz", "-6"));
    }
    Ok(job)
}
