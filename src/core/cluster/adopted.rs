//! A service that somebody else has set up: whether it is the member that is declared, and whether a change of its settings
//! would reach it.
//!
//! Nothing on a host is touched where one of these stands in the way. What quorate does not do in such a layout is told
//! by the rule that would do it elsewhere.

use crate::core::cluster::{bare, staged, trust, version};
use crate::core::code::Code;
use crate::core::content::form::{self, Form};
use crate::core::content::{Initial, adopted, layout, runtime};
use crate::core::desired::{Binaries, Desired, Place, Runtime};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, RemotePath};
use crate::core::observed::{DataDirectory, File, Host, Observed, Role, StartedWith};
use crate::core::plan::ruling::Blocked;

/// What keeps quorate from everything on this host.
pub fn obstacles(desired: &Desired, name: &HostName, host: &Host) -> Vec<Blocked> {
    if !desired.cluster.layout.is_adopted() {
        return Vec::new();
    }
    let text = host.text_of(File::Settings);
    let said = match text.map(|text| adopted::read(desired, text)) {
        Some(Err(why)) => return vec![unreadable(desired, name, &why.to_string())],
        Some(Ok(said)) => said,
        None => Default::default(),
    };
    let with = host.process.as_ref().and_then(|process| process.started_with.as_ref());
    let takes_them = with.and_then(|with| takes_no_settings(desired, name, with));
    let is = |setting: &str| match with {
        Some(with) => with.value(setting).map(str::to_owned),
        None => said.get(setting).cloned(),
    };
    // What is neither there nor runs is told as that.
    if with.is_none() && text.is_none() {
        return kubelet(desired, name, host).or_else(|| no_manifest(desired, name, host)).into_iter().collect();
    }
    let differing = adopted::identity(desired, name).into_iter().find_map(|(setting, declared)| {
        let is = is(setting);
        let is_so = is.as_deref().is_some_and(|is| is.split(',').any(|one| one == declared));
        // Variables of the unit itself may say what a file does not.
        let is_unknown = with.is_none() && is.is_none();
        (!is_so && !is_unknown).then(|| differs(desired, name, setting, is.as_deref(), &declared))
    });
    let [trust, peer_trust] = ["trusted-ca-file", "peer-trusted-ca-file"].map(is);
    let two_authorities = (trust != peer_trust && peer_trust.is_some()).then(|| {
        let what = format!("etcd on {name} trusts one CA for clients and another for peers, and [ca] declares one");
        Blocked::new(Code::NotInLayout, what).on(name).hint("give both the same file").declared_at(Place::Ca)
    });
    let program = another_version(desired, name, host).or_else(|| another_program(desired, name, host));
    let pod = text.filter(|_| differing.is_none()).and_then(|text| kept_outside(desired, name, text));
    let urls = is("listen-metrics-urls");
    let is_elsewhere =
        |urls: &String| !urls.split(',').any(|url| url.ends_with(&format!(":{}", desired.ports.metrics)));
    let metrics = urls.filter(is_elsewhere).map(|urls| {
        let declared = format!("port {}", desired.ports.metrics);
        differs(desired, name, "listen-metrics-urls", Some(&urls), &declared)
    });
    let kubelet = kubelet(desired, name, host);
    let log = is("wal-dir").and_then(|folder| apart(desired, name, &RemotePath::new(folder)));
    let found = [takes_them, differing, log, metrics, two_authorities, program, kubelet, pod];
    found.into_iter().flatten().collect()
}

fn unreadable(desired: &Desired, name: &HostName, why: &str) -> Blocked {
    let what = format!("{} on {name} cannot be read without a guess: {why}", desired.paths.config);
    let hint = match desired.cluster.runtime {
        Runtime::Systemd => "write that setting plainly, as systemd and etcd read it, and restart nothing for it",
        Runtime::StaticPod => "write it as kubeadm does: one Pod, and etcd's flags one a line in `command`",
    };
    Blocked::new(Code::SettingsUnreadable, what).on(name).hint(hint).declared_at(Place::PathsConfig)
}

/// The file that is declared is not where this etcd has its settings from: a change there would not reach it.
fn takes_no_settings(desired: &Desired, name: &HostName, with: &StartedWith) -> Option<Blocked> {
    let path = &desired.paths.config;
    let why = match with {
        _ if with.value("config-file").is_some() && adopted::form(desired) != Some(Form::Yaml) => {
            "it was started with a configuration file, beside which etcd reads no other setting"
        }
        StartedWith { reads_declared_file: false, .. } => {
            "its unit does not read that file, or reads another one after it"
        }
        _ => return None,
    };
    let what = format!("etcd on {name} does not have its settings from {path}: {why}");
    let hint =
        "set `config` in [paths], or `layout` in [cluster], to how it is; `quorate status --from-live HOST` shows it";
    Some(Blocked::new(Code::NotInLayout, what).on(name).hint(hint).declared_at(Place::PathsConfig))
}

fn differs(desired: &Desired, name: &HostName, setting: &str, is: Option<&str>, declared: &str) -> Blocked {
    let layout = desired.cluster.layout.name();
    let is = is.map_or_else(|| "is not set".to_owned(), |is| format!("is {is}"));
    let what = format!("`{setting}` of etcd on {name} {is}, and cluster.toml declares {declared}");
    let hint = format!(
        "declare what is there: in the layout {layout} quorate changes neither names nor addresses, nor where files are"
    );
    let place = match setting {
        "data-dir" => Place::PathsData,
        "name" => Place::Node(name),
        "advertise-client-urls" => Place::ClientPort,
        "initial-advertise-peer-urls" => Place::PeerPort,
        "listen-metrics-urls" => Place::MetricsPort,
        _ => Place::PathsCertificates,
    };
    Blocked::new(Code::NotInLayout, what).on(name).hint(hint).declared_at(place)
}

/// A log in a folder of its own: quorate would take the member for one that has lost its log.
fn apart(desired: &Desired, name: &HostName, folder: &RemotePath) -> Option<Blocked> {
    let usual = desired.paths.data.join("member/wal");
    if folder.as_str().is_empty() || *folder == usual || upheld(Guard::LogIsWithData, false) {
        return None;
    }
    let what = format!("etcd on {name} has its log in {folder} (`wal-dir`): quorate keeps a log in {usual} only");
    let hint = "keep this cluster with the tool that set it up: quorate would look for its log in vain";
    Some(Blocked::new(Code::NotInLayout, what).on(name).hint(hint).declared_at(Place::PathsData))
}

/// What is known of the declared folder says nothing of what its next start brings.
fn another_program(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    // What an image has in which folder is its own affair.
    let process = host.process.as_ref().filter(|_| desired.binaries != Binaries::Image)?;
    let declared = desired.binaries_folder().join("etcd");
    let is = process.executable.parent();
    let what = format!("etcd on {name} was started from {is}, and cluster.toml declares {declared}");
    let hint = format!("set `preinstalled = \"{is}\"` in [etcd.archive], or the folder of a link that leads there");
    let blocked = Blocked::new(Code::NotInLayout, what).on(name).hint(hint).declared_at(Place::ArchivePreinstalled);
    (process.executable != declared).then_some(blocked)
}

/// Somebody has put another version there while etcd runs: its next start would be an upgrade that nobody has prepared.
fn another_version(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let installed = version::on_disk(desired, host);
    // Of a pod that does not run, its manifest says what would.
    let Some(running) = host.answer().map(|answer| answer.version) else {
        let declared = desired.cluster.version;
        let what = format!("the manifest of etcd on {name} is for {installed}, and cluster.toml declares {declared}");
        let hint = format!(
            "put the image back (in {}), or finish the upgrade with the tool that has begun it and set `version` in [cluster]",
            desired.paths.config
        );
        let blocked = Blocked::new(Code::NotInLayout, what).on(name).hint(hint).declared_at(Place::Version);
        // One that an upgrade has not come to yet starts as what it was; and within a minor version there is a way back.
        let is_another = version::of_cluster(installed) > version::of_cluster(declared);
        let is_another = desired.binaries == Binaries::Image && is_another;
        return (is_another && !upheld(Guard::NoUpgradeByRestart, false)).then_some(blocked);
    };
    let is_known = !host.installed.is_empty() || desired.binaries == Binaries::Image;
    // What is declared comes in turn, with all that goes before an upgrade.
    let is_declared = installed == desired.cluster.version;
    if installed == running || is_declared || !is_known || upheld(Guard::NoUpgradeByRestart, false) {
        return None;
    }
    let what =
        format!("etcd {running} runs on {name}, and its next start brings {installed}, which was installed since");
    let hint = format!(
        "to upgrade to it, set `version = \"{installed}\"` in [cluster]: `quorate apply` restarts one member after the other; else \
         put {running} back"
    );
    Some(Blocked::new(Code::NotInLayout, what).on(name).hint(hint).declared_at(Place::Version))
}

/// What keeps the kubelet from running etcd by the declared manifest.
fn kubelet(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let kubelet = host.kubelet.as_ref().filter(|_| !upheld(Guard::KubeletRunsIt, false))?;
    let folder = desired.paths.config_folder();
    if let Some(other) = kubelet.manifests.as_ref().filter(|manifests| **manifests != folder) {
        let what = format!("the kubelet on {name} runs the static pods of {other}, and cluster.toml declares {folder}");
        let hint = "set `config` in [paths] to the manifest in that folder";
        return Some(Blocked::new(Code::NotInLayout, what).on(name).hint(hint).declared_at(Place::PathsConfig));
    }
    if let Some(socket) = &kubelet.deaf_runtime {
        let what = format!("etcd on {name} could not start again: no container runtime listens at {socket}");
        let hint =
            "start the container runtime on the host (containerd, CRI-O), without which the kubelet does nothing";
        return Some(Blocked::new(Code::CannotStart, what).on(name).hint(hint).declared_at(Place::PathsService));
    }
    let service = &desired.paths.service;
    let what = format!("etcd on {name} could not start again: its kubelet ({service}) does not run");
    let log = runtime::log_of_kubelet(desired);
    let hint = format!("`systemctl start {service}` on the host; `{log}` says why it has ended");
    let blocked = Blocked::new(Code::CannotStart, what).on(name).hint(hint).declared_at(Place::PathsService);
    (!kubelet.runs).then_some(blocked)
}

/// Why the manifest of a static pod is not changed: told before any other is.
pub fn irreplaceable(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let kubelet = host.kubelet.as_ref().filter(|_| !upheld(Guard::KubeletRunsIt, false))?;
    let path = &desired.paths.config;
    let what = format!("{path} on {name} is not changed: {}", kubelet.fixed.as_ref()?);
    let hint = "quorate replaces a manifest by one rename, from a folder that the kubelet does not read: change what stands in its way, or make \
         the change by hand on every member";
    Some(Blocked::new(Code::SettingsUnreadable, what).on(name).hint(hint).declared_at(Place::PathsConfig))
}

/// Nobody runs a pod without one. Where its data is gone, too, that is told instead: a manifest would start it without.
fn no_manifest(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let path = &desired.paths.config;
    let what = format!("etcd on {name} is not started: its manifest {path} is not there");
    let hint = format!(
        "put it back: {}.previous is the one before its last change; on another member lies one to copy, with the name and \
         addresses of this one",
        layout::aside_of_manifest(desired)
    );
    let blocked = Blocked::new(Code::NotInLayout, what).on(name).hint(hint).declared_at(Place::PathsConfig);
    (desired.cluster.runtime == Runtime::StaticPod && host.data == DataDirectory::Member).then_some(blocked)
}

/// Data or certificates that the pod has from another place of the host than quorate looks at, or not from the host at all.
fn kept_outside(desired: &Desired, name: &HostName, text: &str) -> Option<Blocked> {
    let is_pod = desired.cluster.runtime == Runtime::StaticPod && !upheld(Guard::PodSeesHost, false);
    let pod = form::pod(text).ok().filter(|_| is_pod)?;
    let paths = [(&desired.paths.data, Place::PathsData), (&desired.paths.certificates, Place::PathsCertificates)];
    paths.into_iter().find_map(|(path, place)| {
        let on_host = pod.on_host(path);
        // Neither way out moves data, or has etcd start without it.
        let (why, hint) = match &on_host {
            Some(on_host) if on_host == path => return None,
            Some(on_host) => (
                format!("{on_host} of the host"),
                format!(
                    "set etcd's flags and the `mountPath` in the manifest to {on_host}, too: what lies there stays"
                ),
            ),
            None => (
                "not of the host, and gone with the pod".to_owned(),
                "save a snapshot (`quorate etcdctl -- snapshot save /root/etcd.db`) before anybody stops it".to_owned(),
            ),
        };
        let what = format!("{path} of etcd's pod on {name} is {why}: quorate looks at {path} of the host");
        Some(Blocked::new(Code::NotInLayout, what).on(name).hint(hint).declared_at(place))
    })
}

/// Why no member could begin anew on a host by the file of settings that is there: asked before anything is stopped or taken
/// out for that.
pub fn cannot_join(desired: &Desired, observed: &Observed, name: &HostName, host: &Host) -> Option<Blocked> {
    if !desired.cluster.layout.is_adopted() || upheld(Guard::NewcomerCanBegin, false) {
        return None;
    }
    let path = &desired.paths.config;
    let refused = |code, why: &str, hint: &str| {
        let what = format!("no new member can join on {name}: {why}");
        Some(Blocked::new(code, what).on(name).hint(hint).declared_at(Place::PathsConfig))
    };
    let is_set_up = desired.cluster.layout.is_set_up_by_us();
    if let Some(why) = bare::refusal(desired, observed, name, host).filter(|_| is_set_up) {
        return Some(why);
    }
    if let Some(missing) = staged::missing(desired, host).filter(|_| !is_set_up) {
        let why = format!("{} is missing", missing.path(desired, name));
        let hint = "put it there with the tool that set the others up, without starting etcd";
        return refused(Code::NotInLayout, &why, hint);
    }
    let with_their_tool =
        "remove the member and add it again with the tool that set it up, then run `quorate plan` again";
    let text = match (host.text_of(File::Settings), bare::example(observed, name)) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, Some((of, model))) => adopted::text_of_another(desired, model, (of, name)),
        (None, None) => return None,
    };
    let is_changed = |text: &String| adopted::text_of_newcomer(desired, text, &Initial::member(desired)).map(drop);
    let text = match text.and_then(|text| is_changed(&text).map(|()| text)) {
        Ok(text) => text,
        Err(why) => {
            let why = format!("{path} cannot be changed without a guess: {why}");
            return refused(Code::SettingsUnreadable, &why, with_their_tool);
        }
    };
    // All were set up alike: where one is started with what its file does not say, all are.
    let is_elsewhere = |other: &Host| {
        let with = other.process.as_ref()?.started_with.as_ref()?;
        let said = adopted::read(desired, other.text_of(File::Settings)?).ok()?;
        ["initial-cluster", "initial-cluster-state", "discovery", "discovery-srv"]
            .into_iter()
            .find(|setting| with.value(setting).is_some_and(|value| !value.is_empty()) && !said.contains_key(*setting))
    };
    let elsewhere = observed.seen_hosts().find_map(|(other, host)| Some((other, is_elsewhere(host)?)));
    if let Some((other, setting)) = elsewhere.filter(|_| !upheld(Guard::SettingGivenOnce, false)) {
        let why = format!("etcd on {other} has `{setting}` from elsewhere than {path}");
        let hint =
            format!("move `{setting}` into {path} on every member, from where it is (`systemctl cat` of the unit)");
        return refused(Code::SettingElsewhere, &why, &hint);
    }
    may_hold_secret(desired, name, &text).or_else(|| irreplaceable(desired, name, host))
}

/// A plan shows the whole of what it writes.
pub fn may_hold_secret(desired: &Desired, name: &HostName, text: &str) -> Option<Blocked> {
    let line = adopted::secret(desired, text)?;
    let path = &desired.paths.config;
    let what = format!("line {line} of {path} on {name} may hold a secret, and a plan shows what it writes");
    let hint = "move what is not etcd's into a file of its own (one more EnvironmentFile=, before this one)";
    Some(Blocked::new(Code::SettingsUnreadable, what).on(name).hint(hint).declared_at(Place::PathsConfig))
}

/// Why `setting` is not written into the file: the process has it from elsewhere, so that the file would not decide it, or
/// etcd would not start with it given twice.
pub fn given_elsewhere(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let with = host.process.as_ref()?.started_with.as_ref()?;
    let said = adopted::read(desired, host.text_of(File::Settings)?).ok()?;
    let other = match adopted::form(desired)? {
        Form::Flags | Form::Arguments | Form::Manifest => &with.variables,
        Form::Environment => &with.flags,
        // Beside a configuration file nothing counts.
        _ => return None,
    };
    let elsewhere =
        |setting: &String| other.contains_key(setting) || with.value(setting).is_some() && !said.contains_key(setting);
    let declared = adopted::declared(desired).into_iter();
    let mut changed = declared.filter(|(setting, value)| said.get(setting) != Some(value));
    let (setting, _) =
        changed.find(|(setting, _)| elsewhere(setting)).filter(|_| !upheld(Guard::SettingGivenOnce, false))?;
    let path = &desired.paths.config;
    let what = format!("`{setting}` is not changed on {name}: etcd there has it from elsewhere than {path}");
    let hint = format!(
        "etcd does not start with a setting that is both a flag and a variable: move it into {path}, or take it out of [etcd]"
    );
    Some(Blocked::new(Code::SettingElsewhere, what).on(name).hint(hint).declared_at(Place::Etcd))
}

/// Whether the pairs of the two ports have one file in common and not the other: a new one of the first would break the second.
fn shares_half(desired: &Desired, name: &HostName, host: &Host) -> bool {
    let same_path = |one, other| layout::path(desired, name, one) == layout::path(desired, name, other);
    let [certificate, key] = [(File::ServerCertificate, File::PeerCertificate), (File::ServerKey, File::PeerKey)];
    let digest = |file| host.files.get(&file).map(|fact| fact.digest);
    // Under two names that lead to one file, or as a copy.
    let same_key = digest(key.0) == digest(key.1) && digest(certificate.0) != digest(certificate.1);
    same_path(certificate.0, certificate.1) != same_path(key.0, key.1) || same_key
}

/// Why no certificate is issued for somebody else's service, though it has this `fault`.
pub fn not_issued(
    desired: &Desired,
    observed: &Observed,
    name: &HostName,
    host: &Host,
    role: Role,
    fault: &str,
) -> Option<Blocked> {
    let refused = |code, why: String, hint: &str| {
        let what = format!("no certificate is issued on {name} ({fault}): {why}");
        Some(Blocked::new(code, what).on(name).hint(hint).declared_at(Place::Ca))
    };
    if let Some(lent) = trust::without_key(observed) {
        let hint = match role {
            Role::BackupClient => "put the CA's key there: snapshots are taken with a certificate of their own",
            _ => "put the CA's key there, or renew the certificate with the tool that issued it",
        };
        return refused(Code::KeyNotHere, format!("{} is not here", lent.key), hint);
    }
    let certificate = host.certificates.get(&role).filter(|_| role != Role::BackupClient);
    let with_their_tool = "renew it with the tool that issued it";
    if let Some(why) = certificate.and_then(|certificate| certificate.no_other_like_it.as_ref()) {
        return refused(Code::NotInLayout, format!("none like the one that is there could be: {why}"), with_their_tool);
    }
    if let Some(other) = certificate.filter(|certificate| certificate.signed_by.is_none()) {
        let why = format!("the one that is there was issued by {}, and not by the CA in [ca] itself", other.issuer);
        return refused(Code::NotInLayout, why, with_their_tool);
    }
    if certificate.is_some() && shares_half(desired, name, host) && !upheld(Guard::PairsApart, false) {
        let why =
            "its two ports have one key for two certificates, or one certificate in two pairs of files".to_owned();
        let hint = "give each port a certificate and a key of its own, or both ports the same two files";
        return refused(Code::NotInLayout, why, hint);
    }
    let is_stranger = |host: &Host| !host.trusted.iter().any(|trusted| trust::is_known(observed, trusted));
    let (stranger, _) = observed.seen_hosts().find(|(_, host)| is_stranger(host))?;
    if upheld(Guard::SignerIsTrusted, false) {
        return None;
    }
    let hint = "declare the CA in [ca] that the members trust";
    refused(Code::AuthorityDiffers, format!("{stranger} does not trust the CA in [ca]"), hint)
}
