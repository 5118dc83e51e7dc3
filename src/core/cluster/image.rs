//! Whether a node has the image that a manifest names.

use crate::core::content::form;
use crate::core::guard::{Guard, upheld};
use crate::core::observed::{File, Host};

/// The image in this text of the manifest, where the node has not got it.
pub fn missing(host: &Host, text: &str) -> Option<String> {
    let image = |text: &str| form::pod(text).ok()?.image;
    let wanted = image(text).filter(|wanted| host.text_of(File::Settings).and_then(image).as_ref() != Some(wanted))?;
    (!upheld(Guard::ImageBeforeUpgrade, has(host, &wanted))).then_some(wanted)
}

pub fn has(host: &Host, image: &str) -> bool {
    let images = host.kubelet.as_ref().map(|kubelet| &kubelet.images);
    images.is_some_and(|images| images.contains(image))
}
