//! `.ocirepo/config.json`: the ref policy and the version of our own files.

use serde::{Deserialize, Serialize};

use crate::disk::{self, Dir, Owner};
use crate::error::{Error, Result};
use crate::name::{InvalidRefPolicy, RefPolicy};

const CONFIG: &str = "config.json";
const MAX_CONFIG_SIZE: u64 = 1 << 20;

/// The version of `.ocirepo/` that this program writes.
const FORMAT_VERSION: u64 = 1;

/// What a repository has on record about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Config {
    /// The ref policy; while a conversion is under way, the one it leads to.
    pub(crate) policy: RefPolicy,
    /// Whether a conversion to `policy` was begun and not finished.
    pub(crate) converting: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    format_version: u64,
    ref_policy: String,
    /// Present while index.json is being converted; whoever finds it finishes the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    converting_to: Option<String>,
}

impl Config {
    /// Reads the record; `None` when there is none.
    pub(crate) fn read(dir: &Dir) -> Result<Option<Self>> {
        let Some((bytes, _)) = dir.read(CONFIG, MAX_CONFIG_SIZE)? else { return Ok(None) };
        let path = || dir.path().join(CONFIG);
        let damaged = |reason: String| Error::Damaged { path: path(), reason };
        let file: File = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if file.format_version != FORMAT_VERSION {
            return Err(Error::UnsupportedVersion { path: path(), found: file.format_version.to_string() });
        }
        let policy = file.converting_to.as_deref().unwrap_or(&file.ref_policy).parse();
        let policy = policy.map_err(|error: InvalidRefPolicy| damaged(error.to_string()))?;
        Ok(Some(Self { policy, converting: file.converting_to.is_some() }))
    }

    /// Records that all of index.json follows `policy`.
    pub(crate) fn write(dir: &Dir, policy: RefPolicy, owner: Owner) -> Result<()> {
        Self::write_file(dir, policy, None, owner)
    }

    /// Records that index.json is about to be converted from one policy to another.
    pub(crate) fn write_converting(dir: &Dir, from: RefPolicy, to: RefPolicy, owner: Owner) -> Result<()> {
        Self::write_file(dir, from, Some(to), owner)
    }

    fn write_file(
        dir: &Dir,
        policy: RefPolicy,
        converting_to: Option<RefPolicy>,
        owner: Owner,
    ) -> Result<()> {
        let file = File {
            format_version: FORMAT_VERSION,
            ref_policy: policy.as_str().to_owned(),
            converting_to: converting_to.map(|policy| policy.as_str().to_owned()),
        };
        let mut bytes = serde_json::to_vec(&file).expect("strings and numbers always have a JSON form");
        bytes.push(b'\n');
        disk::replace(dir, CONFIG, &bytes, owner)?;
        dir.sync()
    }
}
