//! `quorate certs`: what certificates there are and when they end, and certificates for people and programs.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::json;
use zeroize::Zeroizing;

use self::stored::Files;
use super::context::Context;
use super::output::{Out, print};
use crate::core::cluster::leaf;
use crate::core::desired::{AuthoritySource, Desired};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::UnixSeconds;
use crate::core::render::{self, certificates};
use crate::shell::fleet::Fleet;
use crate::shell::live::Live;
use crate::shell::live::pki::Issued;
use crate::shell::progress;

pub mod stored;

/// List certificates and issue short-lived client certificates
///
/// `list` changes nothing. `issue` and `root-issue` print the certificate and its key and store nothing, or write them to
/// the directory of `-d`. They contact no host unless the CA is stored on the nodes, and Vault if it signs.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate certs list
  quorate certs list --within 30d       exits 2 if one expires by then
  quorate certs issue app --ttl 24h -d ~/.config/etcd
  quorate certs root-issue -d ~/.config/etcd")]
pub struct CertsArgs {
    #[command(subcommand)]
    pub command: CertsCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
pub enum CertsCommand {
    /// Show every certificate: node, role, names, issuer and expiry
    ///
    /// With `--within`, exits 2 if one of them expires by then. Exits 6 if a host is unreachable.
    #[command(after_help = "\
Examples:
  quorate certs list
  quorate certs list --within 30d
  quorate certs list --json | jq '.certificates[] | select(.seconds_left < 86400)'")]
    List {
        /// Exit 2 if one expires within this time
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        within: Option<Duration>,

        /// Print JSON; `quorate schema certs` describes it
        #[arg(long)]
        json: bool,
    },
    /// Issue a client certificate for an etcd user
    #[command(after_help = "\
Examples:
  quorate certs issue app --ttl 24h
  quorate certs issue app -d /etc/app/etcd
  quorate certs issue app --output pem | kubectl create secret generic app --from-file=app.pem=/dev/stdin")]
    Issue {
        /// The etcd user, which becomes the common name
        #[arg(value_name = "USER", value_parser = user_name)]
        user: String,

        /// How long it is valid
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "24h")]
        ttl: Duration,

        #[command(flatten)]
        output: OutputArgs,
    },
    /// Issue a client certificate for root, limited to two hours
    #[command(after_help = "\
Examples:
  quorate certs root-issue -d ~/.config/etcd
  quorate certs root-issue --ttl 10m | jq -r .certificate | openssl x509 -noout -dates")]
    RootIssue {
        /// How long it is valid: at most 2h
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "2h")]
        ttl: Duration,

        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(clap::Args, Clone, Debug)]
pub struct OutputArgs {
    /// `json` has ca_certificate, certificate and private_key; `pem` has certificate, key and CA, in this order
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Output,

    /// Write ca.crt, USER.crt and USER.key (0600) to this directory instead; an earlier pair of the user is replaced
    #[arg(short = 'd', long = "dir", value_name = "DIR", conflicts_with = "output")]
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    #[default]
    Json,
    Pem,
}

/// The common name that etcd takes for its superuser.
const ROOT: &str = "root";
/// A certificate of root cannot be taken back before its end.
const ROOT_TTL_MAX: Duration = Duration::from_secs(2 * 3600);
/// etcd's user names are keys of its own; these fit every tool.
const USER_CHARACTERS: &str = "letters, digits, `.`, `_`, `:`, `@` and `-`";
/// X.509 allows 64 for a common name.
const USER_LENGTH_MAX: usize = 64;

/// Issues, or lists what `fleet` sees.
///
/// # Errors
/// When there is no authority that can sign, the request is not allowed, or the result cannot be written.
pub async fn run(
    args: &CertsArgs,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    at: UnixSeconds,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    match &args.command {
        CertsCommand::List { within, json } => list(*within, *json, context, desired, fleet, stdout).await,
        CertsCommand::Issue { user, .. } if user == ROOT => {
            let refused = Diagnostic::new(Kind::Usage, "certificates for root come from `quorate certs root-issue`");
            Err(refused.hint("they last at most two hours"))
        }
        CertsCommand::Issue { user, ttl, output } => {
            issue(Asked { user, ttl: *ttl, output }, context, desired, fleet, at, stdout).await
        }
        CertsCommand::RootIssue { ttl, .. } if *ttl > ROOT_TTL_MAX => {
            let refused = Diagnostic::new(Kind::Usage, "certificates for root are limited to two hours");
            Err(refused.hint(
                "issue another one when it expires, or use a user with the rights it needs: `quorate \
                              certs issue USER`",
            ))
        }
        CertsCommand::RootIssue { ttl, output } => {
            issue(Asked { user: ROOT, ttl: *ttl, output }, context, desired, fleet, at, stdout).await
        }
    }
}

async fn list(
    within: Option<Duration>,
    json: bool,
    context: &Context,
    desired: &Desired,
    fleet: &impl Fleet,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    let observed = progress::while_looking(context, desired, fleet, fleet.observe()).await;
    let document = certificates::document(desired, &observed);
    let limit = within.map_or(0, |within| i64::try_from(within.as_secs()).unwrap_or(i64::MAX));
    let text =
        if json { certificates::json(&document) } else { certificates::text(&document, limit, context.palette()) };
    print(stdout, &text)?;
    let ends = within.is_some() && document.certificates.iter().any(|row| row.seconds_left <= limit);
    Ok(match (ends, document.unseen.is_empty()) {
        (true, _) => ENDS_SOON,
        (false, false) => Kind::Unseen.exit_code(),
        (false, true) => 0,
    })
}

/// As of `plan --detailed-exitcode`: there is something to do.
const ENDS_SOON: u8 = 2;

/// A user that a certificate can name.
pub(super) fn user_name(text: &str) -> Result<String, String> {
    let usable = |character: char| character.is_ascii_alphanumeric() || ".-_:@".contains(character);
    if text.is_empty() || text.len() > USER_LENGTH_MAX || !text.chars().all(usable) {
        return Err(format!("use up to {USER_LENGTH_MAX} of {USER_CHARACTERS}"));
    }
    Ok(text.to_owned())
}

/// For whom, for how long, and how it is printed.
struct Asked<'a> {
    user: &'a str,
    ttl: Duration,
    output: &'a OutputArgs,
}

async fn issue(
    Asked { user, ttl, output: OutputArgs { output, folder } }: Asked<'_>,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    at: UnixSeconds,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    if ttl.as_secs() == 0 {
        return Err(Diagnostic::new(Kind::Usage, "a certificate must be valid for at least one second"));
    }
    let files = folder.as_deref().map(|folder| Files::of(folder, user));
    let replaces = files.as_ref().map(|files| files.check(user)).transpose()?.unwrap_or(false);
    if let Some(auth) = &desired.auth
        && !auth.users.keys().any(|declared| declared.as_str() == user)
    {
        context
            .voice()
            .warn(format!("no user {user} is declared: etcd gives it no rights unless it was added by hand"));
    }
    let (issued, authority) = fleet.issue(&leaf::client(user), ttl.as_secs(), at).await?;
    let asked_end = at.plus_seconds(i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX));
    if issued.shortened || issued.facts.not_after < asked_end.plus_seconds(-60) {
        match desired.authority {
            AuthoritySource::Vault(_) => context.voice().warn("Vault shortened its validity"),
            _ => context.voice().warn("the CA expires before that, and so does the certificate"),
        }
    }
    match files {
        None => print(stdout, &written(&authority, &issued, *output))?,
        Some(files) => {
            files.write(&authority, &issued, replaces)?;
            let [key, certificate, authority] =
                [&files.key, &files.certificate, &files.authority].map(|path| path.display());
            let until = render::json::rfc3339(issued.facts.not_after);
            print(stdout, &format!("{certificate}: {user}, expires {until}\n{key}\n{authority}\n"))?;
        }
    }
    Ok(0)
}

/// The key is meant to be printed: it is stored nowhere else.
fn written(authority: &str, issued: &Issued, output: Output) -> Zeroizing<String> {
    let certificate = &issued.certificate_pem;
    let key = issued.key_pem.expose_secret();
    Zeroizing::new(match output {
        Output::Json => {
            let document = json!({ "ca_certificate": authority, "certificate": certificate, "private_key": key });
            let text = Zeroizing::new(format!("{document:#}"));
            // The echo of some shells (dash) makes a line break of `\n`, and no JSON of what they are given.
            format!("{}\n", text.replace("\\n", "\\u000a"))
        }
        Output::Pem => format!("{certificate}{key}{authority}"),
    })
}
