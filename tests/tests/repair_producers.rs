//! Whatever an image came in heals all of it: every blob that adding an archive gave is damaged at once, and comes back
//! from that archive as a file, packed, from a pipe, and as a folder.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;

use ocirepo_tests::checker::check;
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::compress::Packing;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::producers::{self, Sample};
use ocirepo_tests::states::Tree;
use ocirepo_tests::tarball::Kind;

#[track_caller]
fn heals(sample: &Sample) {
    let bytes = sample.tarball().to_bytes();
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    ocirepo.run_with_stdin(&["add", "-"], bytes.clone()).ok();
    let before = Tree::of(ocirepo.dir()).without_own();
    let layout = Layout::open(ocirepo.dir());
    let each = |repair: &dyn Fn() -> Output| {
        for blob in layout.blobs() {
            // An empty blob has no bit to flip.
            if layout.read_blob(&blob).is_empty() { layout.delete(&blob) } else { layout.corrupt(&blob) }
        }
        repair().ok();
        Tree::of(ocirepo.dir()).without_own().assert_is(&before);
        check(ocirepo.dir()).assert_sound();
    };
    let file = |name: &str, bytes: &[u8]| {
        let path = ocirepo.scratch(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (plain, packed) = (file("archive", &bytes), file("packed", &Packing::Zstd.pack(&bytes)));
    each(&|| ocirepo.run(&["verify", "--repair-from", &plain]));
    each(&|| ocirepo.run(&["verify", "--repair-from", &packed]));
    each(&|| ocirepo.run_with_stdin(&["verify", "--repair-from", "-"], bytes.clone()));
    if !sample.tarball().members.iter().any(|member| matches!(member.kind, Kind::Hardlink(_))) {
        let folder = ocirepo.scratch("folder");
        sample.tarball().unpack(&folder);
        each(&|| ocirepo.run(&["verify", "--repair-from", folder.to_str().unwrap()]));
    }
}

macro_rules! producers {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                heals(&producers::$name());
            }
        )*
    };
}

ocirepo_tests::each_producer!(producers);
