//! Every byte hashed: of a repository, which no peer does, and of an archive.

use std::path::Path;

use anyhow::Result;

use super::super::bar::Bar;
use super::super::context::Context;
use super::super::job::{Job, Manner};
use super::yardsticks::{self, OPENSSL_2, openssl, openssl_2};

pub(super) fn jobs(context: &Context) -> Result<Vec<Job>> {
    Ok(vec![repository(context)?, archive(context)?])
}

fn repository(context: &Context) -> Result<Job> {
    let (big, commands) = (context.data.big()?, &context.commands);
    let repository = context.repository("gzip", &big.gzip)?;
    let blobs = yardsticks::blobs(&repository)?;
    let job = Job::new("Verify an image with gzip layers", Manner::Reads)
        .reads(repository.join("blobs"))
        .with(commands.ours("ocirepo verify", move |commands, _| commands.ocirepo(&repository, ["verify"])))
        .with(openssl(commands, blobs.clone()))
        .with(openssl_2(commands, blobs));
    Ok(job.bar(Bar::Within { of: &[OPENSSL_2], times: 1.1, plus: 0.0 }))
}

/// crane hashes what is in a docker archive as well, for half a minute.
fn archive(context: &Context) -> Result<Job> {
    let (big, commands) = (context.data.big()?, &context.commands);
    let raw = yardsticks::blobs(&big.raw)?;
    let crane = commands.peer("crane", "crane validate --tarball", {
        let file = big.docker.clone();
        move |commands, _| {
            let mut command = commands.peers.command("crane")?;
            command.args(["validate", "--tarball"]).arg(&file);
            Ok(command)
        }
    });
    let file = big.docker.clone();
    Ok(Job::new("Verify a docker archive where it lies", Manner::Reads)
        .reads(&big.docker)
        .reads(&big.raw)
        .with(commands.ours("ocirepo verify FILE", move |commands, place| {
            commands.ocirepo(&place.dir, [Path::new("verify"), &file])
        }))
        .with(crane.filter(|_| !context.quick))
        .with(openssl(commands, raw.clone()))
        .with(openssl_2(commands, raw)))
}
