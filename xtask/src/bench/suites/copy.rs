//! From one repository into another.

use anyhow::Result;

use super::super::bar::Bar;
use super::super::context::Context;
use super::super::data::Big;
use super::super::job::{Contender, Job, Manner, Role};
use super::add::BLOBS_OF_BIG;
use super::commands::sh;
use super::yardsticks::{self, OPENSSL_2, openssl_2};

pub(super) fn jobs(context: &Context) -> Result<Vec<Job>> {
    let big = context.data.big()?;
    Ok(vec![bytes(context, &big, Way::Add)?, bytes(context, &big, Way::Export)?, link(context, &big)?])
}

/// ocirepo copies from either end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Add,
    Export,
    Link,
}

fn bytes(context: &Context, big: &Big, way: Way) -> Result<Job> {
    let commands = &context.commands;
    let oras = commands.peer("oras", "oras cp", {
        let from = big.gzip.clone();
        move |commands, place| commands.oras(&from, &place.out())
    });
    let skopeo = commands.peer("skopeo", "skopeo copy", {
        let from = format!("oci:{}:1", big.gzip.display());
        move |commands, place| commands.skopeo(place, &[], &from, &format!("oci:{}:1", place.out().display()))
    });
    let from = big.gzip.clone();
    let cp = Contender::new(Role::Limit, "cp", "cp -a", move |place| {
        Ok(sh("cp -a \"$0\" \"$1\"", [&from, &place.out()]))
    });
    let title = match way {
        Way::Add => "Copy an image from one repository into another, by add, verified",
        _ => "Copy an image from one repository into another, by export, verified",
    };
    Ok(job(context, big, way, title)?
        .with(oras.map(|oras| oras.gives_blobs(BLOBS_OF_BIG)))
        .with(skopeo.map(|skopeo| skopeo.gives_blobs(BLOBS_OF_BIG)))
        .with(openssl_2(commands, yardsticks::blobs(&big.gzip)?))
        .with(cp)
        .bar(Bar::Faster { than: "oras", times: 1.1 }))
}

fn link(context: &Context, big: &Big) -> Result<Job> {
    let from = big.gzip.clone();
    let cp = Contender::new(Role::Limit, "cp", "cp -al, unverified", move |place| {
        Ok(sh("cp -al \"$0\" \"$1\"", [&from, &place.out()]))
    });
    Ok(job(context, big, Way::Link, "Copy an image by hard links, verified")?
        .with(openssl_2(&context.commands, yardsticks::blobs(&big.gzip)?))
        .with(cp)
        .bar(Bar::Within { of: &[OPENSSL_2], times: 1.0, plus: 0.05 }))
}

/// The job with ocirepo alone.
fn job(context: &Context, big: &Big, way: Way, title: &str) -> Result<Job> {
    let repository = context.repository("gzip", &big.gzip)?;
    let from = repository.clone();
    let ours = match way {
        Way::Add => context
            .commands
            .ours_into_new("ocirepo add DIR", move |commands, place| commands.add(&place.out(), &from, &[])),
        Way::Export | Way::Link => {
            let options: &[_] = if way == Way::Link { &["--link"] } else { &[] };
            let label =
                ["ocirepo export --type dir"].iter().chain(options).copied().collect::<Vec<_>>().join(" ");
            context.commands.ours(label, move |commands, place| {
                let mut command = commands.ocirepo(&from, ["export", "--type", "dir"]);
                command.args(options).arg("-o").arg(place.out());
                command
            })
        }
    };
    Ok(Job::new(title, Manner::Writes)
        .reads(repository.join("blobs"))
        .reads(&big.gzip)
        .with(ours.gives_blobs(BLOBS_OF_BIG)))
}
