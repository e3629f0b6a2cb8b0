//! Garbage collection beside that of umoci, and beside the least that it takes.

use anyhow::Result;

use super::super::bar::Bar;
use super::super::context::Context;
use super::super::data::store::Store;
use super::super::job::{Contender, Job, Manner, Role, holds_blobs};

pub(super) fn jobs(context: &Context) -> Result<Vec<Job>> {
    context.data.stores().iter().map(|images| job(context, *images)).collect()
}

fn job(context: &Context, images: usize) -> Result<Job> {
    let store = context.data.store(images)?;
    let commands = &context.commands;
    let umoci = commands.peer("umoci", "umoci gc", |commands, place| {
        let mut command = commands.peers.command("umoci")?;
        command.args(["gc", "--layout"]).arg(place.out());
        Ok(command)
    });
    let bare = Contender::new(Role::Limit, "bare", "bare sweep: no locks, checks or fsync", |place| {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.args(["bench", "bare-gc"]).arg(place.out());
        Ok(command)
    });
    let title = format!("Collect the garbage of {images} images, {} blobs", store.blobs());
    let job = Job::new(title, Manner::WritesAhead)
        .with(on_copies(ours(context), &store))
        .with(umoci.map(|umoci| on_copies(umoci, &store)))
        .with(on_copies(bare, &store));
    // The seconds are those of a machine on which the bare sweep takes 0.32 and 2.6 s.
    let of: &[_] = &["bare"];
    let job = match images {
        10_000 => job.bar(Bar::Seconds(0.35)).bar(Bar::Within { of, times: 1.1, plus: 0.0 }),
        50_000 => job.bar(Bar::Seconds(2.0)).bar(Bar::Within { of, times: 0.77, plus: 0.0 }),
        _ => job,
    };
    Ok(job.bar(Bar::Memory { mib: 120.0 }))
}

/// `ocirepo gc`
pub(super) fn ours(context: &Context) -> Contender {
    context.commands.ours("ocirepo gc", |commands, place| commands.ocirepo(&place.out(), ["gc"]))
}

/// Each run has a copy of the store, and must leave what is needed and nothing else.
pub(super) fn on_copies(contender: Contender, store: &Store) -> Contender {
    let (live, store) = (store.live, store.clone());
    contender
        .prepared(move |place| store.copy(&place.out()))
        .checked(move |place| holds_blobs(&place.out(), live))
}
