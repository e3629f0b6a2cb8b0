//! Makes a repository, adds an image of one layer, and lists what is there.

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error;
use std::io::Read as _;

use ocirepo_store::image::Image;
use ocirepo_store::index::Entry;
use ocirepo_store::index::edit::Put;
use ocirepo_store::name::Name;
use ocirepo_store::{Algorithm, InitOptions, Repository, Settings};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    // A repository that is there already, whoever made it, is opened as it is.
    let (repository, _) = Repository::init(directory.path(), InitOptions::default(), Settings::default())?;

    // Under the shared lock no blob is swept. Others may add and remove meanwhile.
    let lock = repository.lock_shared()?;
    let ingest = lock.ingest()?;

    // A large blob is written piece by piece, in constant memory. This one is an empty tar.
    let mut writer = ingest.writer(Algorithm::Sha256)?;
    writer.push(&[0; 512])?;
    writer.push(&[0; 512])?;
    let staged = writer.finish()?;
    let layer = staged.digest().clone();
    ingest.keep(staged)?;

    // A small one comes from memory.
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
    );
    let config_digest = ingest.put_bytes(config.as_bytes())?;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"{CONFIG}","digest":"{config_digest}","size":{}}},"layers":[{{"mediaType":"{LAYER}","digest":"{layer}","size":1024}}]}}"#,
        config.len()
    );
    let digest = ingest.put_bytes(manifest.as_bytes())?;

    // All or nothing: the blobs are on the disk before index.json names the image.
    let entry = Entry::for_descriptor(MANIFEST, &digest, manifest.len() as u64, None);
    let name = Some(Name::parse("example:1")?);
    let committed = ingest.commit(&[Put { entry, name, replace: false }])?;
    println!("{} new blobs", committed.counts.new);
    drop(lock);

    // Reading takes no lock: index.json is replaced whole.
    let index = repository.index()?;
    for (position, entry) in index.entries().iter().enumerate() {
        let image = Image::of(&repository, entry);
        println!("{}: {} bytes, complete: {}", entry.label(position), image.total_size, image.is_complete);
    }

    // What is read of a blob is proven when its end is reached.
    let mut text = String::new();
    repository.read_blob(&config_digest, None)?.read_to_string(&mut text)?;
    println!("{text}");
    Ok(())
}
