//! Other people's tools as witnesses: what a script has left is a layout to them too.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use ocirepo_store::Repository;
use ocirepo_tests::tools::tool;

use super::compare::{addressable, content};
use super::run::settings;

/// The tools that are installed here.
#[derive(Debug)]
pub(super) struct Witnesses {
    skopeo: Option<PathBuf>,
    umoci: Option<PathBuf>,
}

impl Witnesses {
    /// Looks for them, and says who is not here.
    pub(super) fn find() -> Self {
        Self { skopeo: tool("skopeo"), umoci: tool("umoci") }
    }

    /// Has them read a repository in which nothing is damaged. Tells how often one did.
    pub(super) fn read(&self, dir: &Path) -> Result<u64> {
        let repository = Repository::open(dir, settings())?;
        let named = addressable(&repository)?;
        let path = dir.display();
        let mut asked = 0;
        if let Some(umoci) = &self.umoci {
            let listed = ask(umoci, &["ls", "--layout", &path.to_string()])?;
            let listed = String::from_utf8_lossy(&listed).into_owned();
            if let Some((name, _)) = named.iter().find(|(name, _)| !listed.lines().any(|line| line == name)) {
                bail!("umoci does not list {name}:\n{listed}");
            }
            asked += 1;
        }
        if let Some(skopeo) = &self.skopeo {
            for (name, digest) in named.iter().take(2) {
                let manifest = ask(skopeo, &["inspect", "--raw", &format!("oci:{path}:{name}")])?;
                if manifest != content(&repository, digest)? {
                    bail!("skopeo reads another manifest under {name} than {digest}");
                }
                asked += 1;
            }
        }
        Ok(asked)
    }
}

fn ask(program: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program).args(args).output()?;
    if !output.status.success() {
        bail!("{} {}: {}", program.display(), args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}
