//! Another content under a descriptor of a document, everything else untouched.
//!
//! Recompressing a layer changes one descriptor of a manifest. The rest of that manifest is not
//! ours to judge, so it keeps its text: order, unknown members and number spelling.

use serde_json::value::RawValue;

use crate::digest::Digest;
use crate::index::json::{self, Object};

/// What a descriptor is to describe from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The media type of the new content.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Annotations that describe the bytes of one encoding of a layer, and lie about any other.
/// They stand on the layer, or for its whole image on the manifest's own descriptor in an index.
const OF_THE_ENCODING: [&str; 6] = [
    "containerd.io/snapshot/stargz/",
    "containerd.io/snapshot/overlaybd/",
    "containerd.io/snapshot/nydus-",
    "io.github.containers.zstd-chunked.",
    "io.github.containers.compression.",
    "io.containers.estargz.",
];

impl Replacement {
    /// The descriptor `text` with the new content. What it embeds or where it could be fetched from
    /// belongs to the old content and goes.
    ///
    /// # Errors
    /// What is wrong, when `text` is no object.
    pub(crate) fn apply(&self, text: &str) -> Result<Box<RawValue>, String> {
        let mut object = Object::parse(text).map_err(|_| "the descriptor is not an object".to_owned())?;
        object.set("mediaType", json::quote(&self.media_type));
        object.set("digest", json::quote(self.digest.as_str()));
        object.set("size", json::raw(self.size.to_string()));
        object.remove("data");
        object.remove("urls");
        if let Some(annotations) = object.get("annotations").and_then(|text| Object::parse(text.get()).ok()) {
            let mut kept = annotations.clone();
            for (key, _) in annotations.members() {
                if OF_THE_ENCODING.iter().any(|prefix| key.starts_with(prefix)) {
                    kept.remove(key);
                }
            }
            if kept.is_empty() {
                object.remove("annotations");
            } else {
                object.set("annotations", kept.to_raw());
            }
        }
        Ok(object.to_raw())
    }
}

/// The image manifest `bytes` with other layers: where `layers` has a replacement, the layer at that
/// position gets it.
///
/// # Errors
/// What is wrong, when it is no manifest with that many layers.
pub fn with_layers(bytes: &[u8], layers: &[Option<Replacement>]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut manifest = Object::parse(text).map_err(|_| "it is not a JSON object".to_owned())?;
    let list = manifest.get("layers").map_or("[]", RawValue::get);
    let old: Vec<&RawValue> =
        serde_json::from_str(list).map_err(|_| "its layers are not a list".to_owned())?;
    if old.len() != layers.len() {
        return Err(format!("it has {} layers, not {}", old.len(), layers.len()));
    }
    let mut new = String::from("[");
    for (position, (raw, replacement)) in old.into_iter().zip(layers).enumerate() {
        if position > 0 {
            new.push(',');
        }
        match replacement {
            Some(replacement) => new.push_str(replacement.apply(raw.get())?.get()),
            None => new.push_str(raw.get()),
        }
    }
    new.push(']');
    manifest.set("layers", json::raw(new));
    Ok(manifest.to_raw().get().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_layer_that_changes_is_written_anew() {
        let manifest = r#"{"x": 1.0,"layers":[{"digest":"a" },{"mediaType":"m","digest":"b","size":1,"urls":["u"],
            "annotations":{"containerd.io/snapshot/stargz/toc.digest":"t","keep":"k"}}],"config":{ }}"#;
        let replacement = Replacement { media_type: "n".to_owned(), digest: Digest::sha256(b"new"), size: 7 };
        let out = with_layers(manifest.as_bytes(), &[None, Some(replacement.clone())]).unwrap();
        let expected = format!(
            r#"{{"x":1.0,"layers":[{{"digest":"a" }},{{"mediaType":"n","digest":"{}","size":7,"annotations":{{"keep":"k"}}}}],"config":{{ }}}}"#,
            replacement.digest
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert!(with_layers(manifest.as_bytes(), &[None]).is_err());
        assert!(with_layers(b"[]", &[]).is_err());
    }

    #[test]
    fn an_image_of_another_encoding_is_not_announced_as_the_old_one() {
        let child = r#"{"mediaType":"m","digest":"a","size":1,"annotations":{
            "io.github.containers.compression.zstd":"true","keep":"k",
            "containerd.io/snapshot/overlaybd/blob-digest":"d","containerd.io/snapshot/nydus-blob":"true",
            "containerd.io/snapshot/other":"o"},"platform":{"os":"linux","architecture":"amd64"}}"#;
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{child}]}}"#);
        let index = crate::index::Document::parse(index.as_bytes()).unwrap();
        let content = Replacement { media_type: "n".to_owned(), digest: Digest::sha256(b"new"), size: 7 };
        let replaced = index.entries()[0].with_content(&content).unwrap();
        let expected = format!(
            r#"{{"mediaType":"n","digest":"{}","size":7,"annotations":{{"keep":"k","containerd.io/snapshot/other":"o"}},"platform":{{"os":"linux","architecture":"amd64"}}}}"#,
            content.digest
        );
        assert_eq!(replaced.json(), expected);
    }
}
