//! The types through which docker passed a `json` of version 1, as tables.
//!
//! The order of members is the order in which they are written, and [`Kind`] and [`Empty`] say how.
//! These are the types of docker 20.10 to 24; those of 1.10 and later only lack members that came
//! after. With docker 25, histories got `author` behind `created_by`, and a `created` that is not
//! there was no longer made up: images with either got other IDs from then on. What is here gives
//! the IDs of all dockers before.

use super::record::{Empty, Field, Kind};

/// What is known of the `json` of a layer.
pub(crate) const V1_IMAGE: &[Field] = &[
    Field("id", Kind::Text, Empty::Omitted),
    Field("parent", Kind::Text, Empty::Omitted),
    Field("comment", Kind::Text, Empty::Omitted),
    Field("created", Kind::Time, Empty::Written),
    Field("container", Kind::Text, Empty::Omitted),
    Field("container_config", Kind::Record(CONTAINER), Empty::Written),
    Field("docker_version", Kind::Text, Empty::Omitted),
    Field("author", Kind::Text, Empty::Omitted),
    Field("config", Kind::RecordIfAny(CONTAINER), Empty::Omitted),
    Field("architecture", Kind::Text, Empty::Omitted),
    Field("variant", Kind::Text, Empty::Omitted),
    Field("os", Kind::Text, Empty::Omitted),
    Field("Size", Kind::Integer, Empty::Omitted),
];

/// How a container is to be run.
const CONTAINER: &[Field] = &[
    Field("Hostname", Kind::Text, Empty::Written),
    Field("Domainname", Kind::Text, Empty::Written),
    Field("User", Kind::Text, Empty::Written),
    Field("AttachStdin", Kind::Flag, Empty::Written),
    Field("AttachStdout", Kind::Flag, Empty::Written),
    Field("AttachStderr", Kind::Flag, Empty::Written),
    Field("ExposedPorts", Kind::Set, Empty::Omitted),
    Field("Tty", Kind::Flag, Empty::Written),
    Field("OpenStdin", Kind::Flag, Empty::Written),
    Field("StdinOnce", Kind::Flag, Empty::Written),
    Field("Env", Kind::Texts, Empty::Written),
    Field("Cmd", Kind::TextOrTexts, Empty::Written),
    Field("Healthcheck", Kind::RecordIfAny(HEALTHCHECK), Empty::Omitted),
    Field("ArgsEscaped", Kind::Flag, Empty::Omitted),
    Field("Image", Kind::Text, Empty::Written),
    Field("Volumes", Kind::Set, Empty::Written),
    Field("WorkingDir", Kind::Text, Empty::Written),
    Field("Entrypoint", Kind::TextOrTexts, Empty::Written),
    Field("NetworkDisabled", Kind::Flag, Empty::Omitted),
    Field("MacAddress", Kind::Text, Empty::Omitted),
    Field("OnBuild", Kind::Texts, Empty::Written),
    Field("Labels", Kind::Labels, Empty::Written),
    Field("StopSignal", Kind::Text, Empty::Omitted),
    Field("StopTimeout", Kind::IntegerIfAny, Empty::Omitted),
    Field("Shell", Kind::TextOrTexts, Empty::Omitted),
];

const HEALTHCHECK: &[Field] = &[
    Field("Test", Kind::Texts, Empty::Omitted),
    Field("Interval", Kind::Integer, Empty::Omitted),
    Field("Timeout", Kind::Integer, Empty::Omitted),
    Field("StartPeriod", Kind::Integer, Empty::Omitted),
    Field("Retries", Kind::Integer, Empty::Omitted),
];
