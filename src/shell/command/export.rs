//! `quorate export`: what other programs need to work with the cluster.

use std::borrow::Cow;
use std::io::Write;
use std::path::PathBuf;

use super::certs::stored::Files;
use super::certs::user_name;
use super::context::Context;
use super::output::print;
use super::request::declared;
use crate::core::content::layout;
use crate::core::desired::read::is_schedule;
use crate::core::desired::{Desired, Layout};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::observed::{File, Role};
use crate::core::render::cronjob::{CronJob, manifest};
use crate::core::render::kubeadm::{Topology, configuration};
use crate::shell::live::etcdctl::needs_user;

/// Generate manifests for other tools
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate export backup-cronjob --pvc etcdbackup-pvc | kubectl apply -f -
  quorate export kubeadm > etcd.yaml
  eval \"$(quorate export env --as app -d ~/.config/etcd)\"; etcdctl member list")]
pub struct ExportArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum What {
    /// A Kubernetes CronJob that stores snapshots in a volume, instead of the timers of [backup]
    ///
    /// Contacts no host. The snapshots are checked, compressed with gzip and rotated. Prerequisites are listed in comments at
    /// the top.
    #[command(after_help = "\
Examples:
  quorate export backup-cronjob --schedule '0 * * * *' --keep 14 --pvc etcdbackup-pvc")]
    BackupCronjob(CronJobArgs),
    /// The variables of etcdctl, for a shell
    ///
    /// Contacts no host. The certificate is that of `quorate certs issue USER -d DIR`; with --node it is the node's own for
    /// health checks, for a shell of root there. `quorate etcdctl` needs neither, nor a way to the client port.
    #[command(after_help = "\
Examples:
  quorate certs issue app -d ~/.config/etcd && eval \"$(quorate export env --as app -d ~/.config/etcd)\"
  quorate export env --node etcd-1 | ssh root@etcd-1 'cat > .etcdctl.env'     then there: . ~/.etcdctl.env")]
    Env(EnvArgs),
    /// What kubeadm is to know of etcd: its ClusterConfiguration, as far as it is about that
    ///
    /// Contacts no host. With `layout = "kubeadm"` it has the settings of [etcd] and the image, which `kubeadm upgrade` would take
    /// back otherwise; with the others, and with --external, it has where the members are, for a Kubernetes on other hosts.
    #[command(after_help = "\
Examples:
  quorate export kubeadm                    into: kubectl -n kube-system edit configmap kubeadm-config
  quorate export kubeadm --external > external.yaml     for: kubeadm init --config")]
    Kubeadm(KubeadmArgs),
}

#[derive(clap::Args, Clone, Debug)]
struct KubeadmArgs {
    /// For a Kubernetes on other hosts, which has its etcd here
    #[arg(long)]
    external: bool,
}

#[derive(clap::Args, Clone, Debug)]
struct EnvArgs {
    /// The etcd user whose certificate is used
    #[arg(long = "as", value_name = "USER", value_parser = user_name, required_unless_present = "node")]
    user: Option<String>,

    /// Where ca.crt, USER.crt and USER.key are
    #[arg(short = 'd', long = "dir", value_name = "DIR", default_value = ".")]
    folder: PathBuf,

    /// For a shell of root on this node, with what it has
    #[arg(long, value_name = "NODE", conflicts_with_all = ["user", "folder"])]
    node: Option<String>,
}

#[derive(clap::Args, Clone, Debug)]
struct CronJobArgs {
    /// Cron schedule, in UTC [default: that of [backup], or every hour]
    #[arg(long, value_name = "CRON", value_parser = is_schedule)]
    schedule: Option<String>,

    /// How many snapshots to keep in the volume [default: that of [backup], or 14]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=4000))]
    keep: Option<u32>,

    /// The PersistentVolumeClaim to store them in
    #[arg(long, value_name = "NAME", default_value = "etcdbackup-pvc", value_parser = kubernetes_name)]
    pvc: String,

    #[arg(long, value_name = "NAME", default_value = "kube-system", value_parser = kubernetes_name)]
    namespace: String,

    /// The Secret with ca.crt, tls.crt and tls.key of an etcd client
    #[arg(long, value_name = "NAME", default_value = "etcd-backup-client", value_parser = kubernetes_name)]
    secret: String,

    /// The client URL to take snapshots from [default: that of the first node]
    #[arg(long, value_name = "URL", value_parser = https)]
    endpoint: Option<String>,

    /// An image with etcdctl [default: etcd's own image of the declared version]
    #[arg(long, value_name = "IMAGE")]
    etcd_image: Option<String>,

    /// An image with sh, gzip and sha256sum
    #[arg(long, value_name = "IMAGE", default_value = "busybox:stable")]
    shell_image: String,
}

/// A DNS label, which every kind of object takes for a name.
fn kubernetes_name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good =
        (1..=63).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-');
    if good {
        Ok(text.to_owned())
    } else {
        Err("use lower-case letters, digits and `-`, at most 63 characters".to_owned())
    }
}

fn https(text: &str) -> Result<String, String> {
    let good = text.starts_with("https://") && text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(',');
    if good {
        Ok(text.to_owned())
    } else {
        Err("give one endpoint, for example \"https://etcd.example:2379\"".to_owned())
    }
}

/// Prints it to `stdout`.
///
/// # Errors
/// When it cannot be written.
pub fn run(args: &ExportArgs, context: &Context, desired: &Desired, stdout: &mut dyn Write) -> Result<u8, Diagnostic> {
    match &args.what {
        What::BackupCronjob(args) => cronjob(args, desired, stdout),
        What::Env(args) => env(args, context, desired, stdout),
        What::Kubeadm(args) => {
            let is_local = desired.cluster.layout == Layout::Kubeadm && !args.external;
            let topology = if is_local { Topology::Local } else { Topology::External };
            print(stdout, &configuration(desired, topology))?;
            Ok(0)
        }
    }
}

fn env(args: &EnvArgs, context: &Context, desired: &Desired, stdout: &mut dyn Write) -> Result<u8, Diagnostic> {
    let files = |files: Files| [files.authority, files.certificate, files.key].map(|path| path.display().to_string());
    let (endpoints, files) = match (&args.node, &args.user) {
        (Some(node), _) => {
            let node = declared("--node", node, desired)?;
            if needs_user(desired) {
                context
                    .voice()
                    .warn("authentication is on, and gives the health check's certificate no rights: use --as");
            }
            let files = [File::Trust, Role::HealthcheckClient.certificate(), Role::HealthcheckClient.key()];
            let files = files.map(|file| layout::common_path(desired, file).to_string());
            (desired.client_url(&node).to_string(), files)
        }
        (None, user) => {
            let user = user.as_deref().unwrap_or_default();
            let folder = std::path::absolute(&args.folder).map_err(|error| {
                Diagnostic::failure("cannot find the directory").at(args.folder.display().to_string()).caused_by(&error)
            })?;
            let place = Files::of(&folder, user);
            if !place.certificate.exists() {
                let there = shlex::try_quote(&folder.to_string_lossy()).map(Cow::into_owned).unwrap_or_default();
                context.voice().warn(format_args!(
                    "there is no {} yet: issue it with `quorate certs issue {user} -d {there}`",
                    place.certificate.display()
                ));
            }
            let urls = desired.nodes.keys().map(|node| desired.client_url(node).to_string());
            (urls.collect::<Vec<_>>().join(","), files(place))
        }
    };
    let [authority, certificate, key] = files;
    let mut text = String::new();
    for (name, value) in
        [("API", "3".to_owned()), ("ENDPOINTS", endpoints), ("CACERT", authority), ("CERT", certificate), ("KEY", key)]
    {
        let value = shlex::try_quote(&value).map_err(|error| {
            Diagnostic::failure("this cannot be a word of a shell").at(value.clone()).caused_by(&error)
        })?;
        text.push_str(&format!("export ETCDCTL_{name}={value}\n"));
    }
    print(stdout, &text)?;
    Ok(0)
}

fn cronjob(args: &CronJobArgs, desired: &Desired, stdout: &mut dyn Write) -> Result<u8, Diagnostic> {
    let backup = desired.backup.as_ref();
    let first = desired.nodes.keys().next().ok_or_else(|| Diagnostic::new(Kind::Failure, "no node is declared"))?;
    let job = CronJob {
        schedule: args
            .schedule
            .clone()
            .unwrap_or_else(|| backup.map_or_else(|| "0 * * * *".to_owned(), |backup| backup.schedule.cron.clone())),
        keep: args.keep.or(backup.map(|backup| backup.keep)).unwrap_or(14),
        namespace: args.namespace.clone(),
        claim: args.pvc.clone(),
        secret: args.secret.clone(),
        endpoint: args.endpoint.clone().unwrap_or_else(|| desired.client_url(first).to_string()),
        etcd_image: args
            .etcd_image
            .clone()
            .unwrap_or_else(|| format!("gcr.io/etcd-development/etcd:v{}", desired.cluster.version)),
        shell_image: args.shell_image.clone(),
    };
    print(stdout, &manifest(desired, &job))?;
    Ok(0)
}
