//! Whether etcd runs on a host, and whether it runs what lies on disk.

use crate::core::cluster::version;
use crate::core::content::{self, adopted, layout, runtime};
use crate::core::desired::{Binaries, Desired, Place};
use crate::core::names::{HostName, Version};
use crate::core::observed::{File, Host, ServiceState};

pub fn is_stopped(host: &Host) -> bool {
    let idle = matches!(host.service.state, ServiceState::Inactive | ServiceState::Failed);
    host.process.is_none() && !host.service.enabled && idle
}

/// Whether the running process shows other files than the declared certificates, or may: it was started with another
/// etcd.yaml, or with one that names others. What is put at the declared paths is shown once it has restarted.
pub fn shows_other_files(desired: &Desired, name: &HostName, host: &Host) -> bool {
    let process = host.process.as_ref();
    if let Some(with) = process.and_then(|process| process.started_with.as_ref()) {
        let mut files = adopted::identity(desired, name).into_iter().filter(|(setting, _)| setting.ends_with("-file"));
        return files.any(|(setting, path)| with.value(setting) != Some(path.as_str()));
    }
    let is_foreign = process.is_some_and(|process| process.foreign_config);
    is_foreign || host.text_of(File::Config).is_some_and(|text| !content::names_declared_pairs(desired, name, text))
}

/// Whether a crash would bring up what no process has tried: what systemd would start is not what runs. A process that
/// runs another program or another configuration file than declared would come up as it is, until the unit says otherwise.
pub fn is_untried(desired: &Desired, host: &Host) -> bool {
    let Some(process) = &host.process else { return false };
    if let Some(with) = &process.started_with {
        let is_another = process.executable_replaced || another_image(desired, host).is_some();
        return is_another || with.written_since || unread_setting(desired, host).is_some();
    }
    let definition = runtime::definition(desired);
    let changed = unloaded(desired, host);
    changed.contains(&definition) || process.executable_replaced || (!changed.is_empty() && !process.foreign_config)
}

/// The files that lie there otherwise than the process has loaded them.
fn unloaded(desired: &Desired, host: &Host) -> Vec<File> {
    let differs = |file: &File| {
        let loaded = host.process.as_ref().and_then(|process| process.loaded.get(file));
        let (Some(loaded), Some(fact)) = (loaded, host.files.get(file)) else { return false };
        let alike = |text: &str| runtime::runs_alike(desired, *file, *loaded, text);
        fact.digest != *loaded && !fact.text.as_deref().is_some_and(alike)
    };
    runtime::loaded_at_start(desired).iter().copied().filter(differs).collect()
}

/// A setting that the file of somebody else's service says otherwise than the process was started with.
fn unread_setting(desired: &Desired, host: &Host) -> Option<String> {
    let with = host.process.as_ref()?.started_with.as_ref()?;
    let said = adopted::read(desired, host.text_of(File::Settings)?).ok()?;
    said.into_iter().find(|(name, value)| with.value(name) != Some(value.as_str())).map(|(name, _)| name)
}

/// The version that runs in a pod, and the one that its manifest says.
fn another_image(desired: &Desired, host: &Host) -> Option<(Version, Version)> {
    let (running, starts) = (host.answer()?.version, version::on_disk(desired, host));
    (desired.binaries == Binaries::Image && running != starts).then_some((running, starts))
}

/// What the running process has not loaded, and where in cluster.toml that is declared; `None` when it runs what lies on
/// disk, or does not run at all.
pub fn stale(desired: &Desired, host: &Host) -> Option<(String, Place<'static>)> {
    let process = host.process.as_ref()?;
    let executable = desired.binaries_folder_of(version::on_disk(desired, host)).join("etcd");
    // Which program somebody else's service starts is theirs.
    if process.executable != executable && process.started_with.is_none() {
        return Some((format!("etcd is running from {}, not {executable}", process.executable), Place::Version));
    }
    if process.foreign_config {
        return Some(("etcd was started with a different configuration file".to_owned(), Place::PathsConfig));
    }
    if process.executable_replaced {
        return Some((format!("{executable} was replaced since etcd started"), Place::Version));
    }
    if let Some((running, starts)) = another_image(desired, host) {
        return Some((format!("etcd {running} still runs, and its manifest is for {starts}"), Place::Version));
    }
    if let Some(with) = &process.started_with {
        let path = &desired.paths.config;
        if with.written_since {
            return Some((format!("{path} was written after etcd had started"), Place::Etcd));
        }
        let setting = unread_setting(desired, host)?;
        return Some((format!("etcd is still running with another `{setting}` than {path} says"), Place::Etcd));
    }
    let changed = unloaded(desired, host);
    let declared = match changed.first()? {
        File::Config => Place::Etcd,
        File::Trust => Place::Ca,
        _ => Place::PathsService,
    };
    let word = |file| layout::row(file).word;
    let words: Vec<_> = changed.into_iter().map(|file| word(file).strip_prefix("the ").unwrap_or(word(file))).collect();
    Some((format!("etcd is still running with the old {}", words.join(" and ")), declared))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::{Digest, RemotePath};
    use crate::laws::sample;

    fn healthy() -> (Desired, Host) {
        let desired = sample::desired(1);
        let host = sample::healthy(&desired).host(&sample::name(0)).expect("it is there").clone();
        (desired, host)
    }

    fn with_config(mut host: Host, text: &str) -> Host {
        let fact = host.files.get_mut(&File::Config).expect("it has one");
        (fact.text, fact.digest) = (Some(text.to_owned()), Digest::of(text));
        host
    }

    /// What is put where etcd does not look is not shown before it restarts, and not waited for.
    #[test]
    fn certificates_at_another_place_are_shown_after_a_restart() {
        let (mut desired, host) = healthy();
        assert!(!shows_other_files(&desired, &sample::name(0), &host));
        let text = host
            .text_of(File::Config)
            .expect("it is text")
            .replace("-file: /etc", "-file: \"/etc")
            .replace(".crt\n", ".crt\"\n");
        assert!(
            !shows_other_files(
                &desired,
                &sample::name(0),
                &with_config(host.clone(), &text.replace(".key\n", ".key\"\n"))
            ),
            "quoted"
        );
        let mut foreign = host.clone();
        foreign.process.as_mut().expect("it runs").foreign_config = true;
        assert!(shows_other_files(&desired, &sample::name(0), &foreign));
        desired.paths.certificates = RemotePath::new("/srv/pki");
        assert!(shows_other_files(&desired, &sample::name(0), &host));
    }

    /// Another program or another etcd.yaml than the declared one comes up again as it is.
    #[test]
    fn only_what_a_crash_would_bring_up_anew_is_untried() {
        let (mut desired, host) = healthy();
        assert!(!is_untried(&desired, &host));
        assert!(is_untried(&desired, &with_config(host.clone(), "name: x\n")));
        let mut foreign = with_config(host.clone(), "name: x\n");
        foreign.process.as_mut().expect("it runs").foreign_config = true;
        assert!(!is_untried(&desired, &foreign));
        foreign.files.get_mut(&File::Unit).expect("it has one").digest = Digest::of("another");
        assert!(is_untried(&desired, &foreign));
        desired.paths.binaries = RemotePath::new("/usr/local/lib/etcd");
        assert!(stale(&desired, &host).is_some() && !is_untried(&desired, &host));
    }
}
