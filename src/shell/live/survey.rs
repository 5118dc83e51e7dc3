//! A look at one host of which nothing is declared: every etcd there, and its cluster, asked through that host.
//!
//! ```text
//! ssh ─► processes, their settings, their certificates
//!        a client pair that lies there (kept in memory alone) ─► tunnel ─► each member's API
//! ```
//!
//! It only reads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use zeroize::Zeroizing;

use super::cause;
use super::etcd::{self, Member, Tls, Unreached};
use super::lent;
use super::machine::Place;
use super::pki::{self, PairText};
use super::probe;
use super::remote::{self, Elevation, Remote};
use super::ssh::{Connection, Target};
use crate::core::cluster::layouts;
use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::content::settings::Told;
use crate::core::names::{HostName, PeerUrl, RemotePath, UnixSeconds};
use crate::core::observed::survey::{Asked, BackupUnits, ConfigFile, KeptFiles, MemberSeen, RunningEtcd, Survey};
use crate::core::observed::{Answer, Cause, Certificate, MemberEntry, Runner, Seen};
use crate::shell::clock::now;

const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
const LOOK_TAKES: Duration = Duration::from_secs(30);
const DIAL_DEADLINE: Duration = Duration::from_secs(5);
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// The settings that name a certificate.
const CERTIFICATES: [&str; 4] = ["cert-file", "trusted-ca-file", "peer-cert-file", "peer-trusted-ca-file"];

/// A host that is connected to.
pub struct Surveyor {
    remote: Remote,
}

/// Where a pair may lie that etcd lets in, as the host sees the paths.
struct Candidate {
    certificate: String,
    key: String,
}

impl Surveyor {
    /// # Errors
    /// When nobody can log in there.
    pub async fn connect(target: &Target, elevation: Elevation) -> Result<Self, Cause> {
        let host = HostName::new(target.alias.as_str());
        let connection =
            Connection::open(target, CONNECT_DEADLINE).await.map_err(|error| cause::of_ssh(&host, &error))?;
        Ok(Self { remote: Remote::new(&host, connection, elevation) })
    }

    /// Every etcd that runs there.
    ///
    /// # Errors
    /// When the host was lost, or cannot tell.
    pub async fn survey(&self) -> Result<Survey, Cause> {
        let what = "looking for etcd";
        const SCRIPT: &str = concat!(include_str!("../../core/content/processes.sh"), include_str!("script/survey.sh"));
        let script = remote::with_arguments(SCRIPT, layouts::MARKS);
        let output = self.remote.exec(what, &script, Vec::new(), LOOK_TAKES).await;
        let output = output.map_err(|unrun| unrun.cause(&self.remote.host, what))?;
        read(&String::from_utf8_lossy(&output.stdout)).map_err(|why| Cause {
            code: if why == NOT_ROOT { Code::Sudo } else { Code::ProbeFailed },
            summary: format!("{what} on {} failed: {why}", self.remote.host),
            hint: (why == NOT_ROOT).then(|| "log in as root, or allow sudo without a password".to_owned()),
        })
    }

    /// What `running` and its cluster say, beyond its settings.
    pub async fn ask(&self, running: &RunningEtcd, told: Option<&Told>) -> Asked {
        let Some(told) = told else {
            let members = Seen::Unknown(self.not_asked("its settings are not known"));
            return Asked { certificates: BTreeMap::new(), member: None, with: None, authenticates: false, members };
        };
        let texts = self.certificates(running, told).await;
        let certificates = texts.iter().map(|(name, text)| (name.clone(), self.certificate(text))).collect();
        let trust = |name: &&str| Some((told.value(name)?, texts.get(*name)?.as_deref().ok()?));
        let trust = ["trusted-ca-file", "peer-trusted-ca-file"].iter().find_map(trust);
        match self.own(running, told, trust).await {
            Ok(own) => {
                let members = self.members(&own).await;
                let Own { answer, with, authenticates, .. } = own;
                Asked { certificates, member: Some(answer.member), with, authenticates, members }
            }
            Err(cause) => {
                let authenticates = cause.code == Code::AuthUnknown;
                Asked { certificates, member: None, with: None, authenticates, members: Seen::Unknown(cause) }
            }
        }
    }

    /// What lies there of the files that quorate keeps beside `running`, and its CA's certificate.
    ///
    /// # Errors
    /// When the host was lost.
    pub async fn kept(&self, running: &RunningEtcd, told: &Told) -> Result<(KeptFiles, Option<String>), Cause> {
        let units = RemotePath::new(layout::UNITS_FOLDER);
        let unit = match &running.runner {
            Runner::Unit(name) => Some(units.join(name)),
            Runner::Kubelet(_) => None,
            _ => return Ok((KeptFiles::default(), None)),
        };
        let trust = told.value("trusted-ca-file").map(RemotePath::new);
        let keys = trust.as_ref().map(keys_beside).unwrap_or_default();
        let what = "reading quorate's files";
        let (service, timer) = (units.join(layout::BACKUP_SERVICE), units.join(layout::BACKUP_TIMER));
        let files = [unit.as_ref(), Some(&service), Some(&timer), trust.as_ref()];
        let files = files.map(|file| file.map_or("", RemotePath::as_str));
        let said_keys = keys.iter().map(RemotePath::as_str).collect::<Vec<_>>().join(" ");
        let words = [said_keys.as_str()].into_iter().chain(files);
        let script = remote::with_arguments(include_str!("script/kept.sh"), words);
        let output = self.remote.exec(what, &script, Vec::new(), LOOK_TAKES).await;
        let output = output.map_err(|unrun| unrun.cause(&self.remote.host, what))?;
        let texts = lines(&String::from_utf8_lossy(&output.stdout));
        let text = |file: &RemotePath| texts.get(file.as_str()).cloned();
        let kept = KeptFiles {
            unit: unit.as_ref().and_then(text),
            backup: text(&service).zip(text(&timer)).map(|(service, timer)| BackupUnits { service, timer }),
            authority_key: keys.into_iter().find(|key| texts.contains_key(key.as_str())),
        };
        Ok((kept, trust.as_ref().and_then(text)))
    }

    fn not_asked(&self, why: &str) -> Cause {
        let summary = format!("etcd on {} was not asked: {why}", self.remote.host);
        Cause { code: Code::MemberSilent, summary, hint: None }
    }

    /// The texts of the certificates that its settings name, or why one is not known.
    async fn certificates(&self, running: &RunningEtcd, told: &Told) -> BTreeMap<String, Result<String, String>> {
        let named = || CERTIFICATES.into_iter().filter_map(|name| Some((name, told.value(name)?)));
        let pid = running.pid.to_string();
        let words: Vec<&str> =
            [pid.as_str()].into_iter().chain(named().flat_map(|(name, path)| [name, path])).collect();
        let script = remote::with_arguments(include_str!("script/certificates.sh"), words);
        let what = "reading certificates";
        let said = match self.remote.exec(what, &script, Vec::new(), LOOK_TAKES).await {
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Err(unrun) => {
                let why = unrun.cause(&self.remote.host, what).summary;
                return named().map(|(name, _)| (name.to_owned(), Err(why.clone()))).collect();
            }
        };
        let texts = texts(&said);
        let text = |name: &str| texts.get(name).filter(|text| text.contains("BEGIN CERTIFICATE")).cloned();
        named()
            .map(|(name, _)| {
                (name.to_owned(), text(name).ok_or_else(|| "no certificate could be read there".to_owned()))
            })
            .collect()
    }

    fn certificate(&self, text: &Result<String, String>) -> Seen<Certificate> {
        let facts = text.as_ref().map_err(Clone::clone).and_then(|text| {
            pki::certificate_facts(text, None, &[]).ok_or_else(|| "it is not a valid certificate".to_owned())
        });
        match facts {
            Ok(facts) => Seen::Known(facts),
            Err(summary) => Seen::Unknown(Cause { code: Code::ProbeFailed, summary, hint: None }),
        }
    }

    /// The member of the process itself, asked with the first pair that it lets in.
    async fn own(&self, running: &RunningEtcd, told: &Told, trust: Option<(&str, &str)>) -> Result<Own, Cause> {
        let (plain, secured): (Vec<_>, Vec<_>) =
            own_places(told).into_iter().partition(|url| url.starts_with("http://"));
        let has_trust = trust.is_some() && !secured.is_empty();
        if !plain.is_empty() && !has_trust {
            let answer = self.first(&plain, None, told).await?;
            return Ok(Own { answer, login: None, with: None, authenticates: false });
        }
        if told.is_on("auto-tls") && told.value("cert-file").is_none() {
            return Err(self.not_asked("it serves with a certificate that it made itself (`auto-tls`)"));
        }
        let Some((ca, trust)) = trust else {
            return Err(self.not_asked("its settings name no CA to check its certificate with"));
        };
        // What is wrong with the CA is not to be told of a pair.
        Tls::with_trust(trust, None, now()).map_err(|failure| self.not_asked(&format!("{ca}: {}", failure.summary)))?;
        let mut first: Option<Cause> = None;
        let mut authenticates = false;
        for candidate in self.candidates(running, told) {
            let Some(pair) = self.pair(&candidate).await else { continue };
            // Another one may be usable.
            let Ok(tls) = Tls::with_trust(trust, Some(&pair), now()) else {
                first.get_or_insert_with(|| self.not_asked(&format!("{} cannot be used", candidate.certificate)));
                continue;
            };
            let login = Login { tls, ca: ca.to_owned() };
            match self.first(&secured, Some(&login), told).await {
                Ok(answer) => {
                    let with = candidate.certificate.strip_prefix(&format!("/proc/{}/root", running.pid));
                    let with = Some(RemotePath::new(with.unwrap_or(&candidate.certificate)));
                    return Ok(Own { answer, login: Some(login), with, authenticates });
                }
                Err(cause) => {
                    // etcd knows no user by that certificate, and it may by another.
                    authenticates |= cause.code == Code::AuthUnknown;
                    first.get_or_insert(cause);
                }
            }
        }
        Err(first.unwrap_or_else(|| self.not_asked("no client certificate was found there to ask it with")))
    }

    /// That with the least right first: a pair for health checks, one of a client, and then the member's own.
    fn candidates(&self, running: &RunningEtcd, told: &Told) -> Vec<Candidate> {
        let seen = |path: &str| match path.starts_with('/') {
            true => format!("/proc/{}/root{path}", running.pid),
            false => format!("/proc/{}/cwd/{path}", running.pid),
        };
        let mut pairs = Vec::new();
        if let Some((folder, _)) = told.value("cert-file").and_then(|path| path.rsplit_once('/')) {
            let beside = |name: &str| seen(&format!("{folder}/{name}"));
            for name in ["healthcheck-client", "backup-client"] {
                pairs.push((beside(&format!("{name}.crt")), beside(&format!("{name}.key"))));
            }
            let host = &told.value("cert-file").and_then(|path| path.rsplit_once("/member-")).map(|(_, rest)| rest);
            if let Some(host) = host.and_then(|rest| rest.strip_suffix(".pem")) {
                pairs.push((beside(&format!("admin-{host}.pem")), beside(&format!("admin-{host}-key.pem"))));
            }
        }
        let of_api_server = "/etc/kubernetes/pki/apiserver-etcd-client";
        pairs.push((format!("{of_api_server}.crt"), format!("{of_api_server}.key")));
        for (certificate, key) in [("peer-cert-file", "peer-key-file"), ("cert-file", "key-file")] {
            if let (Some(certificate), Some(key)) = (told.value(certificate), told.value(key)) {
                pairs.push((seen(certificate), seen(key)));
            }
        }
        pairs.into_iter().map(|(certificate, key)| Candidate { certificate, key }).collect()
    }

    /// `None` where it does not lie there.
    async fn pair(&self, Candidate { certificate, key }: &Candidate) -> Option<PairText> {
        // What it trusts is known already.
        let words = [certificate, certificate, key];
        let script = remote::with_arguments(lent::READ, words);
        let output = self.remote.exec("reading a client certificate", &script, Vec::new(), LOOK_TAKES).await.ok()?;
        lent::pair_in(&Zeroizing::new(output.stdout))
    }

    /// The first of `urls` that answers. Its own network need not be the host's, where the same URL may be another one's.
    async fn first(&self, urls: &[String], login: Option<&Login>, told: &Told) -> Result<Answer, Cause> {
        let mut missed = None;
        for url in urls {
            match self.answer(&self.remote.host, url, login).await {
                Ok(answer) => match other_name(&answer, told) {
                    None => return Ok(answer),
                    Some(name) => {
                        let why = format!("another etcd answers at {url}: it is the member {name}");
                        missed.get_or_insert_with(|| self.not_asked(&why));
                    }
                },
                Err(cause) => drop(missed.get_or_insert(cause)),
            }
        }
        Err(missed.unwrap_or_else(|| self.not_asked("its settings name no URL for clients")))
    }

    /// What the etcd of `of` says at `url`, as this host sees it.
    async fn answer(&self, of: &HostName, url: &str, login: Option<&Login>) -> Result<Answer, Cause> {
        let answered = async {
            let unusable = || Unreached::here(self.not_asked(&format!("{url} is no URL that can be asked")));
            let Place { address, port } = Place::of(&PeerUrl::new(url)).ok_or_else(unusable)?;
            let place = etcd::Place::new(of, &address, String::new());
            let tunnel = self.remote.connection.tunnel(&address, port, DIAL_DEADLINE).await;
            let stream = tunnel.map_err(|error| cause::of_tunnel(of, port, &error))?;
            let member = match login.filter(|_| !url.starts_with("http://")) {
                Some(Login { tls, ca }) => {
                    Member::connect(place.trusting(ca.clone()), stream, tls, DIAL_DEADLINE).await?
                }
                None => Member::without_tls(place, stream, DIAL_DEADLINE).await?,
            };
            member.answer(ANSWER_DEADLINE).await.map_err(Unreached::here)
        };
        // What to do about it, and where its log is, would be told of a cluster that is declared.
        answered.await.map_err(|Unreached { cause, .. }| Cause { hint: None, ..cause })
    }

    /// Everybody whom the member knows, each asked at the first URL that it tells clients.
    async fn members(&self, own: &Own) -> Seen<Vec<MemberSeen>> {
        let list = match (&own.answer.members, own.answer.own_members.is_empty()) {
            (Seen::Known(list), _) => list.clone(),
            (Seen::Unknown(_), false) => own.answer.own_members.clone(),
            (Seen::Unknown(cause), true) => return Seen::Unknown(cause.clone()),
        };
        let asked = list.into_iter().map(async |entry: MemberEntry| {
            let answer = if entry.id == own.answer.member {
                Seen::Known(own.answer.clone())
            } else {
                self.other(&entry, own.login.as_ref()).await
            };
            MemberSeen { entry, answer }
        });
        Seen::Known(join_all(asked).await)
    }

    async fn other(&self, entry: &MemberEntry, login: Option<&Login>) -> Seen<Answer> {
        let not_asked = |why: String| {
            Seen::Unknown(Cause { code: Code::MemberSilent, summary: format!("it was not asked: {why}"), hint: None })
        };
        let Some(first) = entry.client_urls.first() else {
            return not_asked("it has never started, and tells no URL".to_owned());
        };
        let mut missed = not_asked(format!("it tells clients {first}, which leads to itself alone"));
        let named = entry.name.clone().unwrap_or_else(|| HostName::new(PeerUrl::new(first.as_str()).address()));
        for url in entry.client_urls.iter().filter(|url| !is_loopback(url.as_str())) {
            missed = match self.answer(&named, url.as_str(), login).await {
                Ok(answer) if answer.member == entry.id => return Seen::Known(answer),
                Ok(answer) => not_asked(format!("another member, {}, answers at {url}", answer.member)),
                Err(cause) => Seen::Unknown(Cause {
                    summary: format!("asked at {url} from {}: {}", self.remote.host, cause.summary),
                    ..cause
                }),
            };
        }
        missed
    }
}

/// The name of the member that answered, where it is not the one that the process was told to have.
fn other_name(answer: &Answer, told: &Told) -> Option<String> {
    let mut lists = answer.members.known().into_iter().chain([&answer.own_members]).flatten();
    let name = lists.find(|entry| entry.id == answer.member)?.name.as_ref()?.to_string();
    (name != told.value("name").unwrap_or("default")).then_some(name)
}

/// The member that the process is, and how it was asked.
struct Own {
    answer: Answer,
    /// `None` where it serves plain http.
    login: Option<Login>,
    with: Option<RemotePath>,
    /// It has refused a certificate for whom it belongs to.
    authenticates: bool,
}

/// What is shown to members, and the file of the CA that theirs is checked with.
struct Login {
    tls: Tls,
    ca: String,
}

/// By the names that they were asked for under: `name=NAME`, and the lines below it.
fn texts(said: &str) -> BTreeMap<String, String> {
    let mut texts: Vec<(String, String)> = Vec::new();
    for line in said.lines().take_while(|line| *line != "quorate-end") {
        match (line.strip_prefix("name="), texts.last_mut()) {
            (Some(name), _) => texts.push((name.to_owned(), String::new())),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    texts.into_iter().collect()
}

/// What it tells clients first, whose address is in its certificate; then what it listens on. Without any, etcd serves
/// plain http on loopback.
fn own_places(told: &Told) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for url in told.list("advertise-client-urls").chain(told.list("listen-client-urls")) {
        let url = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
        if !urls.contains(&url) && (url.starts_with("http://") || url.starts_with("https://")) {
            urls.push(url);
        }
    }
    if urls.is_empty() {
        urls.push("http://127.0.0.1:2379".to_owned());
    }
    urls
}

/// By their paths: `file=PATH`, and `line=` before each of its lines.
fn lines(said: &str) -> BTreeMap<String, String> {
    let mut texts: Vec<(String, String)> = Vec::new();
    for line in said.lines() {
        match (line.split_once('='), texts.last_mut()) {
            (Some(("file", path)), _) => texts.push((path.to_owned(), String::new())),
            (Some(("line", line)), Some((_, text))) => *text += &format!("{line}\n"),
            _ => {}
        }
    }
    texts.into_iter().collect()
}

/// What the key of an authority is called beside its certificate: ca.key, or ca-key.pem.
fn keys_beside(trust: &RemotePath) -> Vec<RemotePath> {
    let (stem, end) = trust.name().rsplit_once('.').unwrap_or((trust.name(), "pem"));
    let mut names = vec!["ca.key".to_owned(), format!("{stem}.key"), format!("{stem}-key.{end}")];
    names.dedup();
    names.into_iter().map(|name| trust.parent().join(&name)).collect()
}

fn is_loopback(url: &str) -> bool {
    let url = PeerUrl::new(url);
    let address = url.address();
    address == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

const NOT_ROOT: &str = "the SSH user is not root";

/// Reads what the script has said.
///
/// # Errors
/// What is wrong with it.
fn read(said: &str) -> Result<Survey, String> {
    let said = said.strip_suffix("quorate-end\n").ok_or("its answer is truncated")?;
    if said.lines().next() == Some("not-root") {
        return Err(NOT_ROOT.to_owned());
    }
    let lines: Vec<_> = said.lines().filter_map(|line| line.split_once('=')).collect();
    let first = lines.iter().position(|(key, _)| *key == "pid").unwrap_or(lines.len());
    let head = Record(&lines[..first]);
    let manifests: Vec<_> = Record(&lines).values("manifest").collect();
    let is_pod = |record: &&[(&str, &str)]| Record(record).values("cgroup").any(|group| group.contains("kubepods"));
    let records = || lines[first..].chunk_by(|_, (key, _)| *key != "pid");
    // Which of several pods a manifest is of is not told.
    let manifests = if records().filter(is_pod).count() == 1 { manifests } else { Vec::new() };
    let record = |record| running(&Record(record), &head, &manifests);
    Ok(Survey {
        host: head.value("host").ok_or("it does not say its name")?.to_owned(),
        at: UnixSeconds(head.number("now").ok_or("it does not say the time")?),
        marks: head.values("mark").map(RemotePath::new).collect::<BTreeSet<_>>(),
        running: records().filter_map(record).collect(),
    })
}

struct Record<'a, 'b>(&'b [(&'a str, &'a str)]);

impl<'a> Record<'a, '_> {
    fn values(&self, wanted: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| *key == wanted).map(|(_, value)| *value)
    }

    fn value(&self, wanted: &str) -> Option<&'a str> {
        self.values(wanted).next().filter(|value| !value.is_empty())
    }

    fn number(&self, wanted: &str) -> Option<i64> {
        self.value(wanted)?.parse().ok()
    }
}

/// `None` for a process that ended while it was looked at.
fn running(record: &Record<'_, '_>, head: &Record<'_, '_>, manifests: &[&str]) -> Option<RunningEtcd> {
    let executable = record.value("executable")?;
    let runner = match (probe::runner(record.values("cgroup"), record.value("parent")), manifests) {
        (Runner::Kubelet(None), [manifest]) => Runner::Kubelet(Some(RemotePath::new(*manifest))),
        (runner, _) => runner,
    };
    let variables: BTreeMap<_, _> = record
        .values("variable")
        .filter_map(|line| line.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    let started = || Some(head.number("boot")? + record.number("start")?.checked_div(head.number("ticks")?)?);
    let account = record.value("account").filter(|name| *name != "UNKNOWN").or(record.value("account-id"));
    let config = record.value("config").map(|path| ConfigFile {
        path: RemotePath::new(path),
        written: record.number("config-written").map(UnixSeconds),
        text: record.number("config-written").map(|_| record.values("config-line").collect::<Vec<_>>().join("\n")),
    });
    Some(RunningEtcd {
        pid: record.value("pid")?.parse().ok()?,
        executable: RemotePath::new(executable.strip_suffix(" (deleted)").unwrap_or(executable)),
        account: account.unwrap_or("an unknown user").to_owned(),
        since: started().map(UnixSeconds),
        variable_files: record.values("unit-variables").map(RemotePath::new).collect(),
        // In a container the same path is another file.
        package: record.value("package").filter(|_| matches!(runner, Runner::Unit(_))).map(str::to_owned),
        arguments: record.values("argument").map(str::to_owned).collect(),
        is_ours: variables.contains_key("QUORATE_LOADED"),
        variables: variables.into_iter().filter(|(name, _)| name.starts_with("ETCD_")).collect(),
        config,
        runner,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::content::settings::{self, Medium};

    const SAID: &str = "\
host=node-1
now=1000600
boot=1000000
ticks=100
mark=/etc/default/etcd
pid=812
executable=/usr/bin/etcd (deleted)
account=etcd
account-id=104
cgroup=0::/system.slice/etcd.service
parent=systemd
unit-variables=/etc/default/etcd
start=10000
package=etcd-server
argument=--name
argument=a b
argument=--config-file=
variable=ETCD_DATA_DIR=/var/lib/etcd/default
variable=ETCD_INITIAL_CLUSTER=a=http://10.0.0.1:2380
pid=900
executable=/usr/local/bin/etcd
account=UNKNOWN
account-id=10007
cgroup=0::/kubepods.slice/kubepods-burstable.slice/kubepods-pod1.slice/cri-containerd-2.scope
start=20000
argument=--config-file
argument=/etc/etcd.yaml
config=/etc/etcd.yaml
config-written=1000500
config-line=name: b
config-line=
pid=901
manifest=/etc/kubernetes/manifests/etcd.yaml
quorate-end
";

    #[test]
    fn each_process_is_read_with_what_it_was_started_with() {
        let survey = read(SAID).unwrap();
        assert_eq!((survey.host.as_str(), survey.marks.len(), survey.running.len()), ("node-1", 1, 2));
        let [unit, pod] = &survey.running[..] else { panic!("{survey:?}") };
        assert_eq!(unit.runner, Runner::Unit("etcd.service".to_owned()));
        assert_eq!(unit.executable.as_str(), "/usr/bin/etcd");
        assert_eq!((unit.account.as_str(), unit.package.as_deref()), ("etcd", Some("etcd-server")));
        assert_eq!(unit.variable_files, [RemotePath::new("/etc/default/etcd")]);
        assert_eq!(unit.since, Some(UnixSeconds(1_000_100)));
        assert_eq!(unit.arguments, ["--name", "a b", "--config-file="]);
        assert_eq!(unit.variables["ETCD_INITIAL_CLUSTER"], "a=http://10.0.0.1:2380");
        let manifest = RemotePath::new("/etc/kubernetes/manifests/etcd.yaml");
        assert_eq!((&pod.runner, pod.account.as_str()), (&Runner::Kubelet(Some(manifest)), "10007"));
        let told = settings::told(pod).unwrap();
        assert_eq!((told.by.clone(), told.value("name")), (Medium::File(RemotePath::new("/etc/etcd.yaml")), Some("b")));
    }

    #[test]
    fn an_answer_that_is_not_whole_is_none() {
        assert_eq!(read("not-root\nquorate-end\n").unwrap_err(), NOT_ROOT);
        assert_eq!(read("host=a\nnow=1\n").unwrap_err(), "its answer is truncated");
        assert!(read("host=a\nquorate-end\n").is_err());
    }

    #[test]
    fn certificates_are_told_apart_by_their_names() {
        let said = "name=cert-file\n-----BEGIN CERTIFICATE-----\nAxname=\n-----END CERTIFICATE-----\nname=peer-cert-file\n\
                    quorate-end\n";
        let texts = texts(said);
        assert_eq!(texts["cert-file"].lines().nth(1), Some("Axname="));
        assert_eq!(texts["peer-cert-file"], "");
    }

    #[test]
    fn it_is_asked_where_it_can_be_reached() {
        let of = |settings: &[(&str, &str)]| {
            let values = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            own_places(&Told { by: Medium::Flags, values })
        };
        assert_eq!(of(&[]), ["http://127.0.0.1:2379"]);
        let (listens, tells) = ("https://0.0.0.0:2379,unix:///run/x", "https://10.0.0.1:2379");
        assert_eq!(
            of(&[("listen-client-urls", listens), ("advertise-client-urls", tells)]),
            ["https://10.0.0.1:2379", "https://127.0.0.1:2379"]
        );
        assert!(is_loopback("https://127.0.0.1:2379") && is_loopback("http://[::1]:2379"));
        assert!(!is_loopback("https://10.0.0.1:2379"));
    }
}
