//! What tools without our locks do to a repository. It goes to the disk and into the model at once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use ocirepo_tests::descriptor::{IMAGE_NAME, REF_NAME};

use super::names::NAMES;
use super::script::{Edit, Spelling};
use super::state::{Entry, Model};

/// A layout without images.
pub(super) fn make_layout(model: &mut Model<'_>, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir.join("blobs/sha256"))?;
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)?;
    write_index(model, dir)
}

pub(super) fn blob_path(dir: &Path, digest: &str) -> PathBuf {
    dir.join("blobs").join(digest.replacen(':', "/", 1))
}

/// Blobs are written, whole, whatever was there.
pub(super) fn write_blobs(model: &mut Model<'_>, dir: &Path, digests: &[String]) -> Result<()> {
    for digest in digests {
        fs::write(blob_path(dir, digest), &model.catalogue.blobs[digest])?;
    }
    model.bring(digests);
    Ok(())
}

/// Copies an image in, as one more entry; tells so.
pub(super) fn append(model: &mut Model<'_>, dir: &Path, thing: usize, spelling: Spelling) -> Result<String> {
    let catalogue = model.catalogue;
    let thing = &catalogue.things[thing];
    write_blobs(model, dir, &thing.brings)?;
    let (names, told) = annotations(spelling, &thing.manifest.digest);
    let text = format!(
        r#"{{"mediaType": "{}", "size": {}, "digest": "{}"{names}}}"#,
        thing.manifest.media_type,
        thing.manifest.bytes.len(),
        thing.manifest.digest,
    );
    model.entries.push(Entry::written(text, false));
    write_index(model, dir)?;
    Ok(format!("another tool copies {} in {told}", thing.label))
}

fn annotations(spelling: Spelling, digest: &str) -> (String, String) {
    let write = |names: &[(&str, &str)]| {
        let texts: Vec<String> = names.iter().map(|(key, value)| format!(r#""{key}": "{value}""#)).collect();
        (
            format!(r#", "annotations": {{"x": "1", {}}}"#, texts.join(", ")),
            format!("with {}", texts.join(", ")),
        )
    };
    match spelling {
        Spelling::Reference(n) => write(&[(REF_NAME, NAMES[n].full.unwrap_or(NAMES[n].tag))]),
        Spelling::Tag(n) => write(&[(REF_NAME, NAMES[n].tag)]),
        Spelling::Both(n) => match NAMES[n].full {
            Some(full) => write(&[(IMAGE_NAME, full), (REF_NAME, NAMES[n].tag)]),
            None => write(&[(REF_NAME, NAMES[n].tag)]),
        },
        Spelling::Nameless => (String::new(), "without a name".to_owned()),
        Spelling::Digest => write(&[(REF_NAME, digest)]),
    }
}

/// Edits index.json; tells how.
pub(super) fn edit(model: &mut Model<'_>, dir: &Path, edit: &Edit) -> Result<String> {
    let told = match edit {
        Edit::Append(thing, spelling) => return append(model, dir, *thing, *spelling),
        Edit::Reverse => {
            model.entries.reverse();
            "turns the order of the entries around".to_owned()
        }
        Edit::Drop(n) if *n < model.entries.len() => {
            let entry = model.entries.remove(*n);
            format!("takes entry {n} out ({})", entry.label())
        }
        Edit::Fields(n) if *n < model.entries.len() => {
            let count = model.top.len();
            model.top.insert(count / 2, (format!("x-top-{count}"), "1e2".to_owned()));
            let entry = &mut model.entries[*n];
            let text = entry.text.as_deref().unwrap_or_default();
            let text = text.replacen('{', &format!("{{\"x-field-{count}\": -0.10, "), 1);
            *entry = Entry::written(text, entry.is_strange);
            format!("gives entry {n} a field that nobody knows")
        }
        Edit::Drop(_) | Edit::Fields(_) => "writes index.json as it was".to_owned(),
        Edit::Strange(named) => {
            let (digest, names) = if *named {
                ("sha256:cafe", format!(r#", "annotations": {{"{REF_NAME}": "strange"}}"#))
            } else {
                ("blake9:cafe", String::new())
            };
            let text = format!(r#"{{"mediaType": "x/y", "digest": "{digest}", "size": -1{names}}}"#);
            model.entries.push(Entry::written(text, true));
            "adds an entry that cannot be used".to_owned()
        }
    };
    write_index(model, dir)?;
    Ok(format!("another tool {told}"))
}

/// Puts another tool's index.json in place.
fn write_index(model: &mut Model<'_>, dir: &Path) -> Result<()> {
    let next = dir.join("index.json.new");
    fs::write(&next, model.index().written_by_others())?;
    fs::rename(next, dir.join("index.json"))?;
    model.is_ours = false;
    Ok(())
}
