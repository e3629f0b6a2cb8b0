//! Imports an archive of `docker save` into a repository, and exports a bundle that every runtime loads.

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error;

use ocirepo_store::{InitOptions, OutputFile, Repository, Settings, Silent};
use ocirepo_transfer::{ExportOptions, ImportOptions, Source, import, plan_export};

const ARCHIVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/hello.tar");

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let images = directory.path().join("images");
    let (repository, _) = Repository::init(&images, InitOptions::default(), Settings::default())?;

    // What the archive is, is told by its content. It comes in as a whole or not at all.
    let lock = repository.lock_shared()?;
    let imported = import(lock.ingest()?, &Source::parse(ARCHIVE), &ImportOptions::default(), &Silent)?;
    for image in &imported.images {
        println!("added {} {}", image.reference.as_deref().unwrap_or("<none>"), image.digest);
    }
    drop(lock);

    // Everything is settled before the first byte is written; blobs stay while the lock is held.
    let lock = repository.lock_reading()?;
    let index = lock.index()?;
    let all: Vec<usize> = (0..index.entries().len()).collect();
    let export = plan_export(&lock, &index, &all, &ExportOptions::default(), &Silent)?;
    println!(
        "{} images, {} blobs, {:?} bytes",
        export.images.len(),
        export.blobs.len(),
        export.sizes(&Silent)?
    );

    // The file gets its name when all of it is on the disk.
    let bundle = directory.path().join("bundle.tar");
    export.write::<_, Box<dyn Error>>(
        None,
        &Silent,
        &mut |_| Ok((OutputFile::create(&bundle)?, bundle.display().to_string())),
        &mut |_, file| Ok(file.commit()?),
    )?;
    println!("wrote {} bytes", bundle.metadata()?.len());
    Ok(())
}
