//! What a config says of how an image runs. Read leniently: what is not as it should be is absent.

use std::collections::BTreeMap;

use ocirepo_store::graph::{Class, Documents, Loaded, is_image_config};
use ocirepo_store::image::Manifest;
use serde::Serialize;
use serde_json::{Map, Value};

/// How an image runs.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Runtime {
    pub(super) created: Option<String>,
    pub(super) author: Option<String>,
    pub(super) os: Option<String>,
    pub(super) architecture: Option<String>,
    pub(super) variant: Option<String>,
    pub(super) user: Option<String>,
    pub(super) working_dir: Option<String>,
    pub(super) entrypoint: Vec<String>,
    pub(super) cmd: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) exposed_ports: Vec<String>,
    pub(super) volumes: Vec<String>,
    pub(super) stop_signal: Option<String>,
}

impl Runtime {
    /// Reads the config of a manifest; `None` for what is no image, and when it cannot be read.
    pub(super) fn of(documents: &dyn Documents, manifest: &Manifest) -> Option<Self> {
        let config = manifest.config.as_ref()?;
        if !is_image_config(&config.media_type) {
            return None;
        }
        let Loaded::Content(bytes) = super::load(documents, config, Class::Data) else { return None };
        serde_json::from_slice(&bytes).ok().map(|value: Value| Self::read(&value))
    }

    fn read(value: &Value) -> Self {
        let none = Map::new();
        let run = value.get("config").and_then(Value::as_object).unwrap_or(&none);
        let keys = |name: &str| run.get(name).and_then(Value::as_object).into_iter().flat_map(Map::keys);
        let labels = run.get("Labels").and_then(Value::as_object).into_iter().flatten();
        Self {
            created: text(value.get("created")),
            author: text(value.get("author")),
            os: text(value.get("os")),
            architecture: text(value.get("architecture")),
            variant: text(value.get("variant")),
            user: text(run.get("User")),
            working_dir: text(run.get("WorkingDir")),
            entrypoint: list(run.get("Entrypoint")),
            cmd: list(run.get("Cmd")),
            env: list(run.get("Env")),
            labels: labels.filter_map(|(key, value)| Some((key.clone(), text(Some(value))?))).collect(),
            exposed_ports: keys("ExposedPorts").cloned().collect(),
            volumes: keys("Volumes").cloned().collect(),
            stop_signal: text(run.get("StopSignal")),
        }
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn list(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}
