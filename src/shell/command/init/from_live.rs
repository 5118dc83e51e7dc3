//! `quorate init --from-live`: a cluster.toml for a cluster that is there, of which a plan changes nothing.
//!
//! ```text
//! HOST ─► its member ─► the member list ─► each member's host ─► one declaration ─► text ─► its plan: empty? ─► the file
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;

use super::archive::{self, Archive};
use super::template::{self, Sketch};
use super::{InitArgs, check, exists, option, write_new};
use crate::core::cluster::adoption::{self, Declaration, Shown};
use crate::core::cluster::layouts;
use crate::core::content::settings;
use crate::core::desired::{AuthoritySource, Desired};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{MemberId, listed};
use crate::core::observed::survey::MemberSeen;
use crate::core::observed::{Runner, Seen};
use crate::core::plan::Plan;
use crate::core::planner;
use crate::shell::command::context::Context;
use crate::shell::command::load::{folder_of, named, shown};
use crate::shell::command::output::{Out, print};
use crate::shell::command::validate::summary;
use crate::shell::live::Live;
use crate::shell::live::pki;
use crate::shell::live::remote::Elevation;
use crate::shell::live::ssh::Target;
use crate::shell::live::survey::Surveyor;
use crate::shell::{progress, second_look};

/// Writes the file, and says on `stdout` what it holds and what was not to be seen.
///
/// # Errors
/// A host that cannot be looked at, a cluster that cannot be kept as it is, or a file that is there.
pub async fn run(args: &InitArgs, context: &Context, stdout: &mut Out) -> Result<u8, Diagnostic> {
    let file = args.output.as_deref().unwrap_or(&context.file);
    let folder = folder_of(file)?;
    // Nobody waits for hosts to hear that nothing is written.
    if file.exists() {
        return Err(exists(file));
    }
    let ways = Ways::of(args)?;
    let members = members(&ways).await?;
    let (members, authorities): (Vec<_>, Vec<_>) = members.into_iter().map(|one| (one.shown, one.authority)).unzip();
    let declaration = adoption::declaration(&members).map_err(refused)?;
    let archive = archive(args, &declaration, &folder)?;
    let sketch = sketch(&declaration, archive, args, &ways, &folder);
    let text = template::text(&sketch);
    let desired = check(&text, file, &folder)?;
    let trust = Trust::of(&desired, authorities.into_iter().flatten().next())?;
    let is_empty = unchanged(&desired, &trust, context).await?;
    // The certificate alone is no cluster.toml that stands in the way of the next run.
    let written = trust.write()?;
    write_new(file, &text)?;
    print(stdout, &said(&desired, file, written.as_deref(), is_empty))?;
    Ok(0)
}

/// How hosts are reached.
struct Ways {
    /// In the order in which they were given.
    given: Vec<(String, Target)>,
    /// Of several etcd on the given hosts, the one that this unit runs.
    unit: Option<String>,
}

impl Ways {
    fn of(args: &InitArgs) -> Result<Self, Diagnostic> {
        let file = |path: &Option<String>| path.as_deref().map(named).transpose();
        let (config, known_hosts) = (file(&args.ssh_config)?, file(&args.known_hosts)?);
        let target = |host: &String| {
            let target = Target::parse(host).map_err(|error| Diagnostic::new(Kind::Usage, error.to_string()))?;
            let user = target.user.or_else(|| args.ssh_user.clone());
            let target = Target { user, config: config.clone(), known_hosts: known_hosts.clone(), ..target };
            Ok((word(&target.alias, target.port), target))
        };
        let given = args.from_live.iter().map(target).collect::<Result<_, Diagnostic>>()?;
        // As systemctl takes it.
        let whole = |unit: &String| if unit.contains('.') { unit.clone() } else { format!("{unit}.service") };
        Ok(Self { given, unit: args.unit.as_ref().map(whole) })
    }

    fn first(&self) -> &Target {
        &self.given[0].1
    }

    /// As the first one, which was given, to another host.
    fn to(&self, host: &str) -> (String, Target) {
        let first = self.first().clone();
        (word(host, first.port), Target { alias: host.to_owned(), ..first })
    }
}

/// As it stands in cluster.toml, where the user is declared for all.
fn word(host: &str, port: Option<u16>) -> String {
    match port {
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A member, and the certificate of the CA that lies on its host.
struct Found {
    shown: Shown,
    authority: Option<String>,
}

/// Every member of the cluster, each seen on its own host.
async fn members(ways: &Ways) -> Result<Vec<Found>, Diagnostic> {
    let given =
        join_all(ways.given.iter().map(|(word, target)| look(word, target, Which::Given(ways.unit.as_deref())))).await;
    let mut found = given.into_iter().collect::<Result<Vec<_>, _>>()?;
    // One host under two names is one member.
    let mut seen = BTreeSet::new();
    found.retain(|one| one.shown.asked.member.is_none_or(|id| seen.insert(id)));
    let first = &found[0];
    // Why it cannot be kept goes before what it did not say.
    if let Some(why) = adoption::refusal(&first.shown) {
        let hint = format!("`quorate status --from-live {}` reads what it can of it", ways.given[0].0);
        return Err(refused(vec![why]).hint(hint));
    }
    let list = match &first.shown.asked.members {
        Seen::Known(list) => list.clone(),
        Seen::Unknown(cause) => return Err(cause.clone().into()),
    };
    if let Some(never) = list.iter().find(|member| member.entry.name.is_none()) {
        let what = format!("the member {} was added to the cluster and has never started", never.entry.id);
        let hint = "start it, or remove it with `etcdctl member remove`: a cluster is taken over as a whole";
        return Err(Diagnostic::new(Kind::Refused, what).hint(hint));
    }
    let is_found = |member: &&MemberSeen| !found.iter().any(|one| one.shown.asked.member == Some(member.entry.id));
    let others: Vec<_> = list.iter().filter(is_found).collect();
    let by_name = is_by_name(ways, first);
    let others = join_all(others.into_iter().map(|member| reach(ways, member, by_name))).await;
    found.extend(others.into_iter().collect::<Result<Vec<_>, _>>()?);
    let stranger = found.iter().find(|one| !list.iter().any(|member| one.shown.asked.member == Some(member.entry.id)));
    if let Some(stranger) = stranger {
        let what = format!("the etcd on {} is no member of the cluster of {}", host(stranger), host(&found[0]));
        return Err(Diagnostic::failure(what).hint("give only hosts of one cluster"));
    }
    Ok(found)
}

fn host(found: &Found) -> &str {
    &found.shown.survey.host
}

/// Whether the first host was given by the name of its member: ssh may know the others by theirs.
fn is_by_name(ways: &Ways, first: &Found) -> bool {
    let told = first.shown.told.as_ref().ok();
    told.and_then(|told| told.value("name")) == Some(ways.first().alias.as_str())
}

/// The host of `member`, in the first of the ways that lead to it.
async fn reach(ways: &Ways, member: &MemberSeen, by_name: bool) -> Result<Found, Diagnostic> {
    let mut missed: Option<Diagnostic> = None;
    for way in adoption::ways(&member.entry, by_name) {
        let (word, target) = ways.to(&way);
        match look(&word, &target, Which::Member(member.entry.id)).await {
            Ok(found) => return Ok(found),
            Err(failure) => drop(missed.get_or_insert(failure)),
        }
    }
    let failure = missed.unwrap_or_else(|| Diagnostic::new(Kind::Unseen, "it tells no address"));
    let name = member.entry.title();
    let own = failure.hint.as_ref().map_or_else(String::new, |hint| format!("{hint}; "));
    let mut told = Diagnostic::new(failure.kind, format!("the host of the member {name} could not be looked at"))
        .with_cause(failure.summary);
    told.causes.extend(failure.causes);
    let hint = "a cluster is taken over as a whole: start the member, or name its host as ssh knows it with one more --from-live HOST";
    Err(told.hint(format!("{own}{hint}")))
}

/// Which etcd on a host is meant.
#[derive(Clone, Copy)]
enum Which<'a> {
    /// The one that this unit runs; without one the only one that can be kept, or the one that quorate has set up itself.
    Given(Option<&'a str>),
    Member(MemberId),
}

/// The member on one host.
async fn look(word: &str, target: &Target, which: Which<'_>) -> Result<Found, Diagnostic> {
    let surveyor = Surveyor::connect(target, Elevation::Sudo).await?;
    let survey = surveyor.survey().await?;
    let mut found = Vec::new();
    for running in &survey.running {
        let told = settings::told(running);
        let asked = surveyor.ask(running, told.as_ref().ok()).await;
        let is_meant = match which {
            Which::Given(None) => true,
            Which::Given(Some(unit)) => running.runner == Runner::Unit(unit.to_owned()),
            Which::Member(id) => asked.member == Some(id),
        };
        if is_meant {
            found.push((running.clone(), told, asked));
        }
    }
    let layout = |(running, told, _): &(_, Result<settings::Told, String>, _)| {
        layouts::recognised(&survey, running, told.as_ref().ok())
    };
    let is_kept = |one: &_| layout(one).kept == layouts::Kept::Yes;
    let is_ours = |one: &_| layout(one).name == "default";
    for fits in [&is_kept as &dyn Fn(&_) -> bool, &is_ours] {
        if found.len() > 1 && found.iter().filter(|one| fits(one)).count() == 1 {
            found.retain(fits);
        }
    }
    let (running, told, asked) = match (found.pop(), found.is_empty()) {
        (Some(one), true) => one,
        (Some(_), false) => {
            let what = format!("several etcd run on {word}");
            let hint = format!(
                "name the unit of the one that is meant: `--unit etcd.service`; `quorate status --from-live {word}` shows them"
            );
            return Err(Diagnostic::failure(what).hint(hint));
        }
        (None, _) => {
            let what = match which {
                Which::Member(_) if !survey.running.is_empty() => {
                    format!("no etcd on {word} says that it is this member")
                }
                Which::Given(Some(unit)) => format!("no etcd is run by {unit} on {word}"),
                _ => format!("no etcd runs on {word}"),
            };
            let hint = "name a host on which it runs; a stopped one is not looked for";
            return Err(Diagnostic::failure(what).hint(hint));
        }
    };
    let (kept, authority) = match &told {
        Ok(told) => surveyor.kept(&running, told).await?,
        Err(_) => Default::default(),
    };
    Ok(Found { shown: Shown { ssh: Some(word.to_owned()), survey, running, told, asked, kept }, authority })
}

fn refused(why: Vec<String>) -> Diagnostic {
    let refusal = Diagnostic::new(Kind::Refused, "this cluster cannot be kept as it is; nothing was written");
    why.into_iter().fold(refusal, Diagnostic::with_cause)
}

/// Where the binaries come from; `None` where nobody says it, and what is installed will do.
fn archive(args: &InitArgs, declaration: &Declaration, folder: &Path) -> Result<Option<Archive>, Diagnostic> {
    let version = declaration.version;
    if declaration.values.contains_key(&("etcd.archive", "preinstalled")) {
        return Ok(None);
    }
    let args = InitArgs { version: Some(version), ..args.clone() };
    match archive::choose(&args, folder)? {
        None if !args.offline => Ok(archive::of_release(&args.releases, version).ok()),
        chosen => Ok(chosen),
    }
}

const THEIRS: &str = "It was read from the hosts of the cluster, and a plan of it changed nothing then. Somebody else set etcd up \
                      there (`layout`): quorate keeps the settings of [etcd] in the file that is there, restarts the members for them \
                      one at a time, renews certificates in the form that they have when they are due, keeps members, versions, users and scheduled snapshots, and \
                      tells what differs. The CA stays with the tool that set it up.";

fn sketch(declaration: &Declaration, archive: Option<Archive>, args: &InitArgs, ways: &Ways, folder: &Path) -> Sketch {
    let Declaration { cluster, version, nodes, values, left } = declaration;
    let mut known = args.ssh(ways.first().user.as_ref(), folder);
    known.extend(values.iter().map(|(key, value)| (*key, value.to_string())));
    let preface = "It was read from the hosts of the cluster, and a plan of it changed nothing then, but for certificates that were due. What no host shows is not in it: \
                   users and roles, certificates of consumers, copies of snapshots elsewhere, and where the CA's key is kept.";
    let preface = match (values.contains_key(&("cluster", "layout")), adoption::in_words(left)) {
        (false, _) => preface.to_owned(),
        (true, left) => format!("{THEIRS} {}", left.unwrap_or_default()).trim_end().to_owned(),
    };
    Sketch {
        preface,
        known,
        archive,
        ..Sketch::new(args.name.clone().unwrap_or_else(|| cluster.clone()), *version, nodes.clone())
    }
}

/// The certificate of the CA, which is to lie beside the file where the CA's key will.
struct Trust {
    /// `None` where the nodes have the key, or where something lies there.
    place: Option<PathBuf>,
    text: String,
}

impl Trust {
    fn of(desired: &Desired, text: Option<String>) -> Result<Self, Diagnostic> {
        let place = match &desired.authority {
            AuthoritySource::Generated { folder } => Some(folder.join("ca.crt")),
            _ => None,
        };
        if let (Some(here), Some(text)) = (&place, &text)
            && let Ok(other) = std::fs::read_to_string(here)
            && !pki::trusted(&other).iter().any(|one| pki::trusted(text).contains(one))
        {
            let refusal =
                Diagnostic::new(Kind::Refused, "another CA than the cluster's lies where its certificate would");
            return Err(refusal.at(shown(here)).hint("write to another folder with --output, or move that file away"));
        }
        match (place.filter(|file| !file.exists()), text) {
            (Some(_), None) => Err(Diagnostic::failure("the CA's certificate could not be read on any host")),
            (place, text) => Ok(Self { place, text: text.unwrap_or_default() }),
        }
    }

    /// Where it was written to.
    fn write(&self) -> Result<Option<PathBuf>, Diagnostic> {
        let Some(file) = &self.place else { return Ok(None) };
        let failure = |error: std::io::Error| {
            Diagnostic::failure("cannot write the CA's certificate").at(shown(file)).caused_by(&error)
        };
        file.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failure)?;
        write_new(file, &self.text)?;
        Ok(Some(file.clone()))
    }
}

/// Whether a plan is empty; `false` where certificates are due, and nothing else is to be done.
///
/// # Errors
/// What the plan would change, or could not see.
async fn unchanged(desired: &Desired, trust: &Trust, context: &Context) -> Result<bool, Diagnostic> {
    let aside = tempfile::tempdir();
    let aside = aside.map_err(|error| Diagnostic::failure("cannot make a temporary folder").caused_by(&error))?;
    let mut looked = desired.clone();
    if trust.place.is_some() {
        let file = aside.path().join("ca.crt");
        write_new(&file, &trust.text)?;
        looked.authority = AuthoritySource::Generated { folder: aside.path().to_owned() };
    }
    let fleet = Live::new(looked.clone());
    let look = second_look::settled(&looked, &fleet);
    let observed = progress::while_looking(context, &looked, &fleet, look).await;
    let as_planned = planner::plan(&looked, &observed);
    // A certificate that has become due is nothing that was read wrong.
    looked.certificates.renew_before_seconds = 0;
    let plan = planner::plan(&looked, &observed);
    if !plan.complete || !plan.blocked.is_empty() || !plan.steps.is_empty() {
        return Err(differs(&plan));
    }
    Ok(as_planned.steps.is_empty() && as_planned.blocked.is_empty())
}

fn differs(plan: &Plan) -> Diagnostic {
    let mut why: Vec<String> = plan.blocked.iter().map(|blocked| blocked.what.clone()).collect();
    for step in &plan.steps {
        let because = step.because.iter().map(|reason| reason.what.as_str());
        why.push(format!("{} on {}: {}", step.title(), listed(step.hosts()), listed(because)));
    }
    let kind = plan.blocked.iter().map(|blocked| blocked.code.kind()).find(|kind| *kind == Kind::Unseen);
    let refusal = Diagnostic::new(
        kind.unwrap_or(Kind::Refused),
        "a plan of the cluster as it was found would not be empty; nothing was written",
    );
    let refusal = why.into_iter().fold(refusal, Diagnostic::with_cause);
    refusal.hint("put right on the hosts what differs, or write cluster.toml by hand: `quorate init NAME=ADDR …`")
}

fn said(desired: &Desired, file: &Path, trust: Option<&Path>, is_empty: bool) -> String {
    let mut text = format!("wrote {}: {}\n", shown(file), summary(desired));
    text.push_str(match is_empty {
        true => "a plan of it changes nothing\n",
        false => "a plan of it renews certificates, which are due, and changes nothing else\n",
    });
    if let Some(trust) = trust {
        let key = trust.with_file_name("ca.key");
        text.push_str(&format!("wrote {}: the certificate of the cluster's CA\n", shown(trust)));
        let needed_for = match desired.cluster.layout.is_adopted() {
            true => "to renew certificates and to change users",
            false => "to issue certificates",
        };
        text.push_str(&format!(
            "The CA's key was not found beside its certificate on the hosts. `plan` and `status` do without it; {needed_for}, `apply` needs it at {}, \
             or another `source` in [ca].\n",
            shown(&key)
        ));
    }
    text.push_str(match desired.cluster.layout.is_adopted() {
        true => "Not seen on hosts, so not in it: users and roles, `renew-before`, `downtime`.\n",
        false => "Not seen on hosts, so not in it: users, consumers, `renew-before`, `downtime`, `offsite` and `max-age` of [backup].\n",
    });
    if let Some(also) = layouts::also_written_by(desired.cluster.layout.name()) {
        text.push_str(&format!("{} is also written by others: {also}\n", desired.paths.config));
    }
    text.push_str(&format!("next: quorate plan{}\n", option(file)));
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::core::cluster::leaf;
    use crate::core::content::{Initial, backup, etcd_yaml, runtime};
    use crate::core::desired::read::parse;
    use crate::core::names::{ClusterId, HostName, RemotePath, UnixSeconds};
    use crate::core::observed::survey::{Asked, BackupUnits, ConfigFile, KeptFiles, RunningEtcd, Survey};
    use crate::core::observed::{Answer, Certificate, MemberEntry, Role, Runner};

    fn read(text: &str) -> Desired {
        parse(text, "cluster.toml", Path::new("/ops"), None).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
    }

    /// What the host of a member shows where `desired` was applied.
    fn host_of(desired: &Desired, index: usize, name: &HostName) -> Shown {
        let text = etcd_yaml(desired, name, &Initial::member(desired));
        let path = desired.paths.config.clone();
        let running = RunningEtcd {
            pid: 1,
            runner: Runner::Unit(desired.paths.service.clone()),
            executable: desired.binaries_folder().join("etcd"),
            account: "etcd".to_owned(),
            since: None,
            variable_files: Vec::new(),
            package: None,
            arguments: vec![format!("--config-file={path}")],
            variables: BTreeMap::new(),
            config: Some(ConfigFile { path, text: Some(text), written: None }),
            is_ours: true,
        };
        let certificate = |role| {
            let wanted = leaf::wanted(desired, name, role, &BTreeSet::new());
            let seconds = i64::try_from(desired.certificates.validity_seconds).expect("it is some years at most");
            Seen::Known(Certificate {
                signed_by: None,
                common_name: wanted.common_name,
                issuer: String::new(),
                names: wanted.names,
                usages: wanted.usages,
                not_before: UnixSeconds(0),
                not_after: UnixSeconds(seconds + 300),
                serial: String::new(),
                matches_key: Seen::Known(true),
                no_other_like_it: None,
            })
        };
        let id = MemberId(u64::try_from(index).expect("it is small") + 1);
        let entry = MemberEntry {
            id,
            name: Some(name.clone()),
            peer_urls: [desired.peer_url(name)].into(),
            client_urls: [desired.client_url(name)].into(),
            learner: false,
        };
        let answer = Answer {
            cluster: ClusterId(1),
            member: id,
            version: desired.cluster.version,
            leader: Some(id),
            term: 1,
            index: 1,
            applied: 1,
            revision: None,
            database_bytes: 1,
            database_in_use_bytes: 1,
            learner: false,
            errors: Vec::new(),
            alarms: BTreeSet::new(),
            reads: true,
            members: Seen::Known(vec![entry.clone()]),
            own_members: Vec::new(),
            cluster_version: None,
            peers: BTreeMap::new(),
        };
        let policy = desired.backup_on(name);
        Shown {
            ssh: desired.nodes[name].ssh.clone().or_else(|| Some(desired.nodes[name].address.clone())),
            told: settings::told(&running),
            running,
            survey: Survey { host: name.to_string(), at: UnixSeconds(0), marks: BTreeSet::new(), running: Vec::new() },
            asked: Asked {
                certificates: [("cert-file", Role::Server), ("peer-cert-file", Role::Peer)]
                    .map(|(setting, role)| (setting.to_owned(), certificate(role)))
                    .into(),
                member: Some(id),
                with: None,
                authenticates: false,
                members: Seen::Known(vec![MemberSeen { entry, answer: Seen::Known(answer) }]),
            },
            kept: KeptFiles {
                unit: Some(runtime::text(desired, desired.cluster.version)),
                backup: policy.map(|policy| BackupUnits {
                    service: backup::service(desired, policy, name),
                    timer: backup::timer(desired, policy),
                }),
                authority_key: match &desired.authority {
                    AuthoritySource::Node { key, .. } => Some(key.clone()),
                    _ => None,
                },
            },
        }
    }

    fn hosts_of(desired: &Desired) -> Vec<Shown> {
        desired.nodes.keys().enumerate().map(|(index, name)| host_of(desired, index, name)).collect()
    }

    fn args(words: &[&str]) -> InitArgs {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            init: InitArgs,
        }
        let words = ["init", "--from-live", "a"].iter().chain(words);
        <Cli as clap::Parser>::parse_from(words).init
    }

    fn text_of(hosts: &[Shown]) -> Result<String, Vec<String>> {
        let declaration = adoption::declaration(hosts)?;
        let args = args(&["--ssh-user", "ops"]);
        Ok(template::text(&sketch(
            &declaration,
            None,
            &args,
            &Ways::of(&args).expect("it can be read"),
            Path::new("/ops"),
        )))
    }

    const PLAIN: &str = "[cluster]\nname = \"prod\"\nversion = \"3.6.16\"\n[ssh]\nuser = \"ops\"\n[nodes.a]\naddress = \
                         \"10.0.0.1\"\n[nodes.b]\naddress = \"fd00::2\"\nssh = \"host-b\"\n[nodes.\"3\"]\naddress = \
                         \"c.example\"\n";

    #[test]
    fn what_was_applied_is_declared_again() {
        let more = "[ports]\nclient = 12379\npeer = 12380\nmetrics = 12381\n[etcd]\nquota-backend = \"4GiB\"\n\
                    heartbeat-interval = \"200ms\"\nelection-timeout = \"2s\"\nauto-compaction = { mode = \"periodic\", \
                    retention = \"8h\" }\nextra = { max-request-bytes = 3145728, enable-pprof = true, cipher-suites = \
                    [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"], metrics = \"extensive\" }\n[certificates]\nvalidity = \"36h\"\n\
                    server-names = [\"etcd.example\", \"10.9.9.9\"]\n[paths]\nconfig = \"/srv/etcd/conf/etcd.yaml\"\ndata = \
                    \"/srv/etcd/data\"\ncertificates = \"/srv/etcd/tls\"\nservice = \"etcd-prod.service\"\nbinaries = \
                    \"/srv/etcd/bin\"\n[backup]\nschedule = \"*/5 1,2 * * 1-5\"\nkeep = 3\ncompression = \"gzip\"\ndirectory = \
                    \"/srv/snapshots\"\nmount = true\nnodes = [\"a\", \"b\"]\nmetrics = \"/srv/metrics\"\n";
        let named = PLAIN.replace("ssh = \"host-b\"", "ssh = \"host-b:2222\"\npeer-names = [\"10.1.1.2\"]");
        for text in [
            PLAIN.to_owned(),
            format!("{named}{more}"),
            format!("{PLAIN}[ca]\nsource = \"node\"\n"),
            format!("{PLAIN}[etcd.archive]\npreinstalled = \"/usr/bin\"\n"),
            format!("{PLAIN}[certificates]\nvalidity = \"5m\"\n"),
            format!("{PLAIN}[certificates]\nserver-names = [\"a\", \"b\", \"etcd.example\"]\n"),
            format!("{PLAIN}[etcd]\nauto-compaction = {{ mode = \"revision\", retention = 1000 }}\n"),
            PLAIN.replace("[ssh]", "layout = \"canonical\"\n[ssh]"),
            format!(
                "{PLAIN}[paths]\nnames = {{ ca = \"ca.pem\", server = \"member-{{member}}.pem\", server-key = \
                 \"member-{{member}}-key.pem\", peer = \"peer-{{host}}.pem\" }}\n"
            ),
        ] {
            let desired = read(&text);
            let found = text_of(&hosts_of(&desired)).expect("it can be declared");
            let mut again = read(&found);
            again.places = desired.places.clone();
            assert_eq!(again, desired, "{found}");
        }
    }

    #[test]
    fn what_one_declaration_cannot_say_of_all_is_told() {
        let desired = read(PLAIN);
        let refused = |change: &dyn Fn(&mut Vec<Shown>)| {
            let mut hosts = hosts_of(&desired);
            change(&mut hosts);
            text_of(&hosts).expect_err("it cannot be declared").join("; ")
        };
        let other = read(&PLAIN.replace("[ssh]", "[etcd]\nquota-backend = \"4GiB\"\n[ssh]"));
        assert_eq!(
            refused(&|hosts| hosts[1] = hosts_of(&other)[1].clone()),
            "3 and a differ: `quota-backend` of [etcd] is not set on 3, and \"4GiB\" on a"
        );
        let other = read(&PLAIN.replace("3.6.16", "3.6.15"));
        assert!(
            refused(&|hosts| hosts[2] = hosts_of(&other)[2].clone()).contains("etcd is 3.6.16 on 3, and 3.6.15 on b"),
            "a half-done upgrade"
        );
        assert!(
            refused(&|hosts| hosts[0].kept.unit = Some("[Unit]\nDescription=etcd\n".to_owned()))
                .starts_with("3: etcd.service names no cluster"),
        );
        let foreign = refused(&|hosts| {
            hosts[0].running.is_ours = false;
            hosts[0].running.variable_files.push(RemotePath::new("/etc/etcd.env"));
        });
        assert_eq!(
            foreign,
            "3: it takes its settings from the configuration file /etc/etcd/etcd.yaml, beside which etcd reads nothing of its layout's"
        );
        let pod = refused(&|hosts| hosts[0].running.runner = Runner::Kubelet(None));
        assert!(pod.contains("the etcd on 3 is a pod of the kubelet [pod]"), "{pod}");
    }

    /// Whoever logs in elsewhere is declared once, and a port where ssh needs it.
    #[test]
    fn the_way_to_a_host_is_as_ssh_takes_it() {
        let mut args = args(&["--from-live", "ops@b:2222", "--ssh-user", "adm"]);
        let ways = Ways::of(&args).expect("it can be read");
        assert_eq!(ways.given.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>(), ["a", "b:2222"]);
        assert_eq!(ways.first().user.as_deref(), Some("adm"));
        args.from_live = vec!["ops@a:2222".to_owned()];
        let (word, target) = Ways::of(&args).expect("it can be read").to("fd00::1");
        assert_eq!((word.as_str(), target.user.as_deref(), target.port), ("[fd00::1]:2222", Some("ops"), Some(2222)));
    }
}
