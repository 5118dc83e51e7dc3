//! `[paths]` over the paths of the layout: where things lie on the hosts.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::file_names::file_names;
use super::kinds::remote_path;
use super::problem::Problem;
use super::table::Table;
use super::value::Value;
use crate::core::desired::{Layout, Paths, Runtime};
use crate::core::forbidden;
use crate::core::names::RemotePath;

/// The folders that hold other things too. We set the owner and the mode of ours, which would break a host.
const SHARED: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/etc/kubernetes",
    "/etc/ssl",
    "/etc/ssl/certs",
    "/etc/ssl/private",
    "/etc/systemd",
    "/etc/systemd/system",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/sbin",
    "/var",
    "/var/lib",
    "/var/lib/kubelet",
    "/var/log",
    "/var/tmp",
];

/// Where the snap of Canonical Kubernetes has etcd's arguments.
pub(super) const SNAP_ARGUMENTS: &str = "/var/snap/k8s/common/args/etcd";

/// The paths, and the layout that is meant by them.
pub(super) fn paths(table: &mut Table, layout: Layout) -> (Paths, Layout) {
    let layout = match layout {
        Layout::Canonical if table.text_at("config") == Some(SNAP_ARGUMENTS) => Layout::CanonicalSnap,
        layout => layout,
    };
    let default = of_layout(layout);
    let declared = |found: &Option<Spanned<RemotePath>>| found.as_ref().map(Spanned::span);
    // What somebody else has set up lies where it lies: nothing of it is made, owned or replaced by us.
    let is_adopted = layout.is_adopted();
    let folder = if is_adopted { remote_path } else { readable_folder };
    let config = table.get_spanned("config", if is_adopted { remote_path } else { config_file });
    let data = table.get_spanned("data", folder);
    let certificates = table.get_spanned("certificates", folder);
    let binaries = table.get_spanned("binaries", folder);
    let spans = [declared(&config), declared(&data), declared(&certificates), declared(&binaries)];
    let names = ["config", "data", "certificates", "binaries"];
    let all_good = names.iter().zip(&spans).all(|(name, span)| span.is_some() || table.declares(name).is_none());
    let paths = Paths {
        config: config.map_or(default.config, Spanned::into_inner),
        data: data.map_or(default.data, Spanned::into_inner),
        certificates: certificates.map_or(default.certificates, Spanned::into_inner),
        service: table.get("service", service).unwrap_or(default.service),
        binaries: binaries.map_or(default.binaries, Spanned::into_inner),
        names: table.section("names", |table| file_names(table, layout)),
    };
    // The default in the place of a bad path would be compared with what the user meant.
    if all_good && !is_adopted {
        report_nested(table, &paths, spans);
    }
    (paths, layout)
}

/// Where each layout has its files, and the name of its unit.
fn of_layout(layout: Layout) -> Paths {
    let (config, data, certificates) = match layout {
        Layout::Default => ("/etc/etcd/etcd.yaml", "/var/lib/etcd", "/etc/etcd/pki"),
        Layout::Canonical => (
            "/var/snap/k8s/common/var/lib/etcd/etcd.yaml",
            "/var/snap/k8s/common/var/lib/etcd/data",
            "/etc/kubernetes/pki/etcd",
        ),
        Layout::CanonicalSnap => (SNAP_ARGUMENTS, "/var/snap/k8s/common/var/lib/etcd/data", "/etc/kubernetes/pki/etcd"),
        Layout::Kubeadm => ("/etc/kubernetes/manifests/etcd.yaml", "/var/lib/etcd", "/etc/kubernetes/pki/etcd"),
        Layout::Kubespray => ("/etc/etcd.env", "/var/lib/etcd", "/etc/ssl/etcd/ssl"),
        Layout::Etcdadm => ("/etc/etcd/etcd.env", "/var/lib/etcd", "/etc/etcd/pki"),
        Layout::Autobase => ("/etc/etcd/etcd.conf", "/var/lib/etcd", "/etc/etcd/tls"),
        Layout::Debian => ("/etc/default/etcd", "/var/lib/etcd/default", "/etc/etcd/pki"),
        Layout::Unit => ("/etc/systemd/system/etcd.service", "/var/lib/etcd", "/etc/etcd"),
    };
    Paths {
        config: RemotePath::new(config),
        data: RemotePath::new(data),
        certificates: RemotePath::new(certificates),
        service: match layout.runtime() {
            Runtime::Systemd => "etcd.service",
            Runtime::StaticPod => "kubelet.service",
        }
        .to_owned(),
        binaries: RemotePath::new("/opt/etcd"),
        names: BTreeMap::new(),
    }
}

/// A folder that only we use, and that is still there after a boot.
pub(super) fn own_folder(value: &Value) -> Result<RemotePath, Problem> {
    placed(value, &[volatile, shared])
}

/// The same, which etcd must see.
fn readable_folder(value: &Value) -> Result<RemotePath, Problem> {
    placed(value, &[volatile, hidden, shared])
}

/// A file that etcd sees, in a folder that only we use.
fn config_file(value: &Value) -> Result<RemotePath, Problem> {
    placed(value, &[volatile, hidden, among_others])
}

/// A path that etcd sees, and that is still there after a boot.
pub(super) fn readable(value: &Value) -> Result<RemotePath, Problem> {
    placed(value, &[volatile, hidden])
}

/// Why nothing can be at a path, after the name of its key, and the words under the caret.
type Fault = fn(&RemotePath) -> Option<(String, String)>;

fn volatile(path: &RemotePath) -> Option<(String, String)> {
    let folder = forbidden::volatile(path)?;
    Some((format!("cannot be in {folder}"), "nothing is kept there for good".to_owned()))
}

fn hidden(path: &RemotePath) -> Option<(String, String)> {
    let (directive, folder) = forbidden::hidden(path)?;
    Some((format!("cannot be in {folder}"), format!("the unit hides it from etcd: {}", directive.line)))
}

fn shared(path: &RemotePath) -> Option<(String, String)> {
    let is_shared = SHARED.contains(&path.as_str());
    is_shared.then(|| ("must be a directory of its own".to_owned(), "a system directory".to_owned()))
}

fn among_others(path: &RemotePath) -> Option<(String, String)> {
    let folder = path.parent();
    let is_shared = folder.as_str() == "/" || SHARED.contains(&folder.as_str());
    is_shared.then(|| ("needs a directory of its own".to_owned(), format!("{folder} is used by other programs too")))
}

fn placed(value: &Value, faults: &[Fault]) -> Result<RemotePath, Problem> {
    let text = value.text()?;
    // Told before how it is spelt: a shorter spelling that is refused as well must not be what is told to write.
    let parts = text.split('/').filter(|part| !part.is_empty() && *part != ".");
    let shortest = RemotePath::new(format!("/{}", parts.collect::<Vec<_>>().join("/")));
    match faults.iter().find_map(|fault| fault(&shortest)) {
        Some((what, label)) if text.starts_with('/') => {
            Err(value.problem(format!("`{}` {what}", value.key())).label(label).hint(example(value)))
        }
        Some(_) | None => remote_path(value),
    }
}

/// One that is valid, whatever was declared.
fn example(value: &Value) -> String {
    let example = match value.key() {
        "config" => "/etc/etcd/etcd.yaml",
        "certificates" => "/etc/etcd/pki",
        "binaries" => "/opt/etcd",
        "preinstalled" => "/usr/bin",
        "directory" => "/var/backups/etcd",
        _ => "/var/lib/etcd",
    };
    format!("for example \"{example}\"")
}

/// The name of a systemd service that is no template.
fn service(value: &Value) -> Result<String, Problem> {
    let text = value.text()?;
    let stem = text.strip_suffix(".service");
    // systemd.unit(5): a unit's name is at most 255 characters of these; `@` makes a template, `\` an escape.
    let plain = |stem: &str| {
        !stem.is_empty()
            && !stem.starts_with(['.', '-'])
            && text.len() <= 255
            && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
    };
    match stem {
        Some(stem) if plain(stem) => Ok(text.to_owned()),
        Some(_) | None => Err(value
            .problem(format!("{text:?} is not a valid service unit name"))
            .hint("use a plain name that ends in .service: \"etcd.service\"")),
    }
}

/// Nothing may lie inside data, certificates or binaries: what is kept there is owned, replaced and removed as a whole.
fn report_nested(table: &mut Table, paths: &Paths, spans: [Option<Range<usize>>; 4]) {
    let all = [
        ("config", &paths.config),
        ("data", &paths.data),
        ("certificates", &paths.certificates),
        ("binaries", &paths.binaries),
    ];
    for (inner, (inner_name, inner_path)) in all.iter().enumerate() {
        for (outer, (outer_name, outer_path)) in all.iter().enumerate().skip(1) {
            let same = inner_path == outer_path;
            // Two equal paths are told once.
            if inner == outer || (same && inner > outer) || !inner_path.is_within(outer_path) {
                continue;
            }
            let summary = match same {
                true => format!("`{inner_name}` and `{outer_name}` are the same path"),
                false => format!("`{inner_name}` is inside `{outer_name}`"),
            };
            let here = spans[inner].clone().or(spans[outer].clone()).unwrap_or(table.span());
            let mut problem = Problem::new(here.clone(), summary)
                .hint(format!("`{inner_name}` is {inner_path}, and `{outer_name}` is {outer_path}"));
            if let Some(there) = spans[outer].clone().filter(|there| *there != here) {
                problem = problem.related(there, *outer_name);
            }
            table.report(problem);
        }
    }
}
