//! An `add -` whose archive comes slowly, so that it keeps the shared lock for as long as one likes.

use std::io::Write as _;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

use anyhow::ensure;
use ocirepo_tests::archive;
use ocirepo_tests::cli::{Ocirepo, Running};
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::ImageSpec;

use super::process::{Ended, Fate, follow};
use crate::outcome::Outcome;

/// An add that is given half of its archive, and the rest when one wants it to end.
#[derive(Debug)]
pub(super) struct SlowAdd {
    pub(super) running: Running,
    pub(super) name: String,
    pub(super) digest: String,
    start: Instant,
    rest: Sender<()>,
}

impl SlowAdd {
    /// Starts it; its name and its image are those of no other number.
    pub(super) fn start(ocirepo: &Ocirepo, number: u64) -> Self {
        let name = format!("docker.io/slow/app:slow{number}");
        let image = ImageSpec::seeded(&format!("slow {number}")).noise_layer(0, 60_000);
        let image = image.noise_layer(50_000 + number, 200_000).build();
        let mut bytes = archive::oci_archive(&[(&image, &[name.as_str()])], full_named).to_bytes();
        let second = bytes.split_off(bytes.len() / 2);
        let start = Instant::now();
        let (running, mut stdin) = ocirepo.spawn_with_pipe(&["add", "-", "--lock-timeout", "90"]);
        let (rest, wanted) = channel();
        // On a thread: one that queues for the lock reads nothing, and half an archive is more than a pipe holds.
        thread::spawn(move || {
            // One that ends before it has read everything is judged by its exit code.
            let half = stdin.write_all(&bytes).and_then(|()| stdin.flush());
            if half.is_ok() && wanted.recv().is_ok() {
                let _ = stdin.write_all(&second);
            }
        });
        Self { running, name, digest: image.digest().to_owned(), start, rest }
    }

    /// Gives it the rest, and waits until it has ended well.
    pub(super) fn finish(self) -> Outcome<Ended> {
        let Self { running, name, start, rest, .. } = self;
        let _ = rest.send(());
        let ended = follow(running, format!("add - ({name})"), start, Fate::Runs)?;
        ensure!(ended.code == Some(0), "{name} was not added: {}", ended.tell());
        Ok(ended)
    }
}
