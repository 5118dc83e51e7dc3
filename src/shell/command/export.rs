//! `quorate export`: what other programs need to work with the cluster.

use std::io::Write;

use super::output::print;
use crate::core::desired::Desired;
use crate::core::desired::read::is_schedule;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::render::cronjob::{CronJob, manifest};

/// Generate manifests for other tools
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate export backup-cronjob --pvc etcdbackup-pvc | kubectl apply -f -")]
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
pub fn run(args: &ExportArgs, desired: &Desired, stdout: &mut dyn Write) -> Result<u8, Diagnostic> {
    let What::BackupCronjob(args) = &args.what;
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
