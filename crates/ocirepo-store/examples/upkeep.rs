//! Verifies a repository, removes an image from it, and sweeps what no other image needs.

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error;

use ocirepo_store::index::Entry;
use ocirepo_store::index::edit::Put;
use ocirepo_store::name::Name;
use ocirepo_store::remove::{self, Selection};
use ocirepo_store::verify::{self, verify};
use ocirepo_store::{InitOptions, Repository, Settings, Silent, gc};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (repository, _) = Repository::init(directory.path(), InitOptions::default(), Settings::default())?;
    add(&repository, "keep:1", r#"{"schemaVersion":2,"layers":[]}"#)?;
    add(&repository, "drop:1", r#"{"schemaVersion":2,"layers":[],"annotations":{}}"#)?;

    // Every finding is in the report, with the images that it breaks; errors are only for what stops the work.
    let report = verify(&repository, &verify::Options::default(), &Silent)?;
    println!("{} blobs verified, errors: {}", report.blobs, report.has_errors());

    // Names are matched as docker reads them. Blobs stay until they are swept.
    let selection = Selection { queries: vec!["drop:1".to_owned()], ..Selection::default() };
    let lock = repository.lock_shared()?;
    for removal in remove::remove(&lock, &selection)?.removals {
        println!("removed {}", removal.label);
    }
    // A sweep waits for everybody who holds a lock, and so would we for ourselves.
    drop(lock);

    // A plan can be looked at, and changes nothing.
    let plan = gc::plan(&repository, &gc::Options::default(), &Silent)?;
    println!("{} blobs would go, refused: {}", plan.garbage_amount().blobs, plan.is_refused());
    let (plan, swept) = gc::collect(&repository, &gc::Options::default(), &Silent)?;
    println!("{} blobs swept, {} kept", swept.blobs.blobs, plan.kept.blobs);
    Ok(())
}

/// Adds an image of nothing but a manifest.
fn add(repository: &Repository, name: &str, manifest: &str) -> Result<(), ocirepo_store::Error> {
    let lock = repository.lock_shared()?;
    let ingest = lock.ingest()?;
    let digest = ingest.put_bytes(manifest.as_bytes())?;
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let entry = Entry::for_descriptor(media_type, &digest, manifest.len() as u64, None);
    ingest.commit(&[Put { entry, name: Some(Name::parse(name)?), replace: false }])?;
    Ok(())
}
