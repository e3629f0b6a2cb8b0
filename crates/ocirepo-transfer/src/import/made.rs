//! Everything that the images of docker archives are made of, brought into a session for whoever wants
//! some of it: layers, configs, and the manifests that an import would make.
//!
//! Each image is made by itself. Of one that cannot be made, the layers that are sound come in all the
//! same.

use super::carrier::Carrier;
use super::layers::{Known, Layering};
use super::oci::Graph;
use super::options::Layers;
use super::plan::Images;
use super::recognise::Described;
use super::{docker, v1};
use crate::error::Error;

/// Makes the images that come without manifests. Gives what could not be made.
pub(crate) fn make(carrier: &Carrier<'_>, described: Described) -> Vec<Error> {
    if described.items.is_empty() && !described.is_v1 {
        return Vec::new();
    }
    let images = match Images::read(&mut Graph::new(carrier), described) {
        Ok((images, _)) => images,
        Err(error) => return vec![error],
    };
    let known = Known::new(carrier.repository());
    let layering = Layering { policy: Layers::Keep, allow_thin: false, known };
    let mut errors = Vec::new();
    for image in &images.docker {
        if let Err(error) = docker::import(carrier, std::slice::from_ref(image), &layering) {
            errors.push(error);
            errors.extend(docker::salvage(carrier, image, &layering).err());
        }
    }
    for image in &images.v1 {
        errors.extend(v1::import(carrier, std::slice::from_ref(image), &layering).err());
    }
    errors
}
