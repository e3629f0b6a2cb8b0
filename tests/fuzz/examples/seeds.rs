//! Writes the seeds anew: `cargo run --manifest-path tests/fuzz/Cargo.toml --example seeds`.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for seed in ocirepo_fuzz::seeds() {
        let directory = root.join(seed.target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(seed.name), seed.bytes)?;
    }
    Ok(())
}
