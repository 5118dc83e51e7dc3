//! `quorate plan`: looks at the hosts, and prints what would change. Writes nothing on any host.

use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;

use super::context::Context;
use super::output::{print, write_private};
use super::request::{self, RequestArgs};
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::observed::Observed;
use crate::core::plan::Plan;
use crate::core::plan::ruling::{Blocked, Severity};
use crate::core::planner;
use crate::core::render::text::Style;
use crate::core::render::{command, json, markdown, text};

/// Show what would change, in order, and how each step affects quorum
///
/// Looks at all hosts at once and changes nothing on them. Each step shows why it is needed, what it does to a running
/// etcd, and how many member failures the cluster tolerates before, during and after it.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  quorate plan
  quorate plan -o plan.json && quorate apply plan.json    apply exactly what was reviewed
  quorate plan --format markdown                          a comment for a pull request
  quorate plan --detailed-exitcode                        0 in sync, 2 changes, other codes are errors
  quorate plan --detailed-exitcode --fail-on warning      2 also for what no step changes
  quorate plan --renew-certs                              reissue every certificate, without a restart
  quorate plan --rotate-ca                                replace the CA and every certificate
  quorate plan --lost=etcd-2                              replace a member that is permanently lost")]
pub struct PlanArgs {
    /// How to print the plan
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,

    /// Also save the plan, for `show` and `apply`
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Exit with 2 when there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,

    /// Exit with 2 when there are findings of this severity or above
    ///
    /// Findings are what no step of the plan changes: an account that is not declared, a backup that is too old.
    #[arg(long, value_enum, value_name = "SEVERITY")]
    pub fail_on: Option<FailOn>,

    #[command(flatten)]
    pub request: RequestArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Every finding
    Note,
    /// What costs something, or will
    Warning,
}

impl FailOn {
    fn severity(self) -> Severity {
        match self {
            Self::Note => Severity::Note,
            Self::Warning => Severity::Warning,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a terminal
    #[default]
    Text,
    /// For a comment on a pull request, below 60,000 bytes
    Markdown,
    /// For programs; `quorate schema plan` describes it
    Json,
}

/// Plans from what `observe` sees, prints the plan to `stdout`, and saves it if asked.
///
/// # Errors
/// When nothing could be observed, or the plan cannot be written.
pub async fn run(
    args: &PlanArgs,
    context: &Context,
    desired: &Desired,
    observe: impl AsyncFnOnce(&Desired) -> Result<Observed, Diagnostic>,
    stdout: &mut dyn Write,
) -> Result<u8, Diagnostic> {
    let mut plan = made(&args.request, desired, observe).await?;
    plan.allowed = args.request.allow.iter().filter(|allowed| plan.needs().contains(allowed)).cloned().collect();
    plan.directory.clone_from(&context.directory);
    if let Some(file) = &args.output {
        write_private(file, &json::plan(&plan))?;
    }
    print(stdout, &with_command(&plan, args.format, context))?;
    if let (Some(file), Format::Text) = (&args.output, args.format) {
        let command = command::of_saved(&plan, &file.display().to_string());
        context.voice().note(format_args!("saved; apply exactly this plan with: {command}"));
    }
    Ok(exit_code(&plan, args.detailed_exitcode, args.fail_on))
}

/// The plan of what `observe` sees, for what is asked.
///
/// # Errors
/// When nothing could be observed, or what is asked for is not there.
pub async fn made(
    asked: &RequestArgs,
    desired: &Desired,
    observe: impl AsyncFnOnce(&Desired) -> Result<Observed, Diagnostic>,
) -> Result<Plan, Diagnostic> {
    let mut desired = asked.added_to(desired)?;
    let observed = observe(&desired).await?;
    request::bind(&mut desired, &observed)?;
    Ok(planner::plan(&desired, &observed))
}

/// The plan in one of its formats.
pub fn formatted(plan: &Plan, format: Format, context: &Context) -> String {
    let style = style(context);
    match format {
        Format::Text if context.quiet => text::brief(plan, style),
        Format::Text => text::plan(plan, style),
        Format::Markdown => markdown::plan(plan),
        Format::Json => json::plan(plan),
    }
}

fn style(context: &Context) -> Style {
    Style { palette: context.palette(), verbose: context.verbose, width: context.width }
}

/// The same, with what is to be typed to apply it.
pub fn with_command(plan: &Plan, format: Format, context: &Context) -> String {
    let text = formatted(plan, format, context);
    match format {
        Format::Text if context.quiet => text,
        Format::Text => text + &text::to_apply(plan, style(context)),
        Format::Markdown | Format::Json => text,
    }
}

/// What stands in the way decides first, the least seen before the refused; then, if asked, whether there are changes or
/// findings.
pub fn exit_code(plan: &Plan, detailed: bool, fail_on: Option<FailOn>) -> u8 {
    let is_found = |from: FailOn| plan.findings.iter().any(|finding| finding.severity() >= from.severity());
    match worst(plan) {
        Some(kind) => kind.exit_code(),
        None if (detailed && !plan.steps.is_empty()) || fail_on.is_some_and(is_found) => 2,
        None => 0,
    }
}

/// The kind that the whole plan is blocked by, if it is.
pub fn worst(plan: &Plan) -> Option<Kind> {
    let kinds = || plan.blocked.iter().map(Blocked::kind);
    [Kind::Unseen, Kind::Refused, Kind::Failure]
        .into_iter()
        .find(|kind| kinds().any(|other| other == *kind))
        .or_else(|| kinds().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::code::Code;
    use crate::core::desired::Pinned;
    use crate::core::names::{HostName, Token};
    use crate::core::plan::ruling::Finding;
    use crate::core::render::samples;
    use crate::laws::sample;
    use crate::shell::command::output::Captured;

    #[tokio::test]
    async fn a_plan_is_printed_and_saved() {
        let desired = sample::desired(3);
        let folder = tempfile::tempdir().unwrap();
        let args = PlanArgs {
            format: Format::Json,
            output: Some(folder.path().join("plan.json")),
            detailed_exitcode: true,
            ..PlanArgs::default()
        };
        let captured = Captured::default();
        let observe = async |desired: &Desired| Ok(sample::bare(desired));
        let code = run(&args, &Context::for_tests(), &desired, observe, &mut captured.out()).await;
        assert_eq!(code, Ok(2));
        assert_eq!(std::fs::read_to_string(folder.path().join("plan.json")).unwrap(), captured.text());
        let plan = json::read(captured.text().as_bytes()).unwrap();
        assert_eq!(plan.pinned.token, Some(Token::new(format!("prod-{}", sample::AT.0))));
        assert_eq!(Plan { pinned: Pinned::default(), ..plan }, planner::plan(&desired, &sample::bare(&desired)));
    }

    fn blocked_by(codes: &[Code]) -> Plan {
        let mut plan = samples::drifted();
        plan.blocked = codes.iter().map(|code| Blocked::new(*code, "it is so")).collect();
        plan
    }

    #[test]
    fn changes_are_told_by_the_exit_code_only_when_asked() {
        assert_eq!(exit_code(&samples::drifted(), false, None), 0);
        assert_eq!(exit_code(&samples::drifted(), true, None), 2);
        assert_eq!(exit_code(&samples::in_sync(), true, None), 0);
    }

    #[test]
    fn what_was_not_seen_outranks_what_was_refused_and_that_a_failure() {
        let all = [Code::ArchiveUnusable, Code::PortTaken, Code::HostUnreachable];
        assert_eq!(exit_code(&blocked_by(&all), true, None), 6);
        assert_eq!(exit_code(&blocked_by(&all[..2]), true, None), 3);
        assert_eq!(exit_code(&blocked_by(&all[..1]), true, None), 1);
        assert_eq!(exit_code(&blocked_by(&all[..1]), false, None), 1);
    }

    #[test]
    fn findings_are_told_by_the_exit_code_only_when_asked() {
        let with = |codes: &[Code]| {
            let finding =
                |code: &Code| Finding { code: *code, hosts: Vec::new(), what: "it is so".to_owned(), hint: None };
            Plan { findings: codes.iter().map(finding).collect(), ..samples::in_sync() }
        };
        for (codes, note, warning) in [
            (&[][..], 0, 0),
            (&[Code::EvenVoters], 2, 0),
            (&[Code::UnknownUser], 2, 2),
            (&[Code::EvenVoters, Code::BackupTooOld], 2, 2),
        ] {
            let plan = with(codes);
            assert_eq!(exit_code(&plan, true, None), 0);
            assert_eq!(exit_code(&plan, false, Some(FailOn::Note)), note, "{codes:?}");
            assert_eq!(exit_code(&plan, true, Some(FailOn::Warning)), warning, "{codes:?}");
        }
        let blocked = Plan { findings: with(&[Code::UnknownUser]).findings, ..blocked_by(&[Code::PortTaken]) };
        assert_eq!(exit_code(&blocked, true, Some(FailOn::Note)), 3);
    }

    /// Of a cluster that could not be asked for what is wrong with the CA, as of any other that a guard protects.
    #[test]
    fn an_unreadable_authority_is_a_failure_until_members_could_not_be_asked_for_it() {
        for code in [Code::AuthorityUnreadable, Code::Vault] {
            let mut plan = blocked_by(&[code]);
            assert_eq!(exit_code(&plan, true, None), 1);
            plan.blocked[0].hosts.push(HostName::new("etcd-1"));
            assert_eq!(exit_code(&plan, true, None), 3);
        }
    }
}
