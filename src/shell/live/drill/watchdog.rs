//! Programs of a drill that end when quorate does, however that is.
//!
//! ```text
//! quorate ─ pipe ─► sh: reads it to its end, then kills its group ─┐  one process group, not quorate's:
//!    └─ child ────► etcd ◄─────────────────────────────────────────┘  a ^C at the terminal does not reach it
//! ```

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdin, Command};

/// sh becomes the program, so that it is our child. Behind it waits one that reads what we never write. That one kills its
/// own group, not a number: the program may have ended, and another may have its number.
const WITH_WATCHDOG: &str = "exec 3<&0; { read -r _; kill -9 0; } <&3 >/dev/null 2>&1 & exec \"$@\" </dev/null 3<&-";

/// How long a killed program may take: the kernel has its memory to free.
const END_DEADLINE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);

/// A running program. Dropping it ends it, and waits for that: nothing is written any more where it ran.
pub(super) struct Watched {
    child: Child,
    group: Option<Pid>,
    /// It ends when this goes.
    _watchdog: Option<ChildStdin>,
}

impl Watched {
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        stdout: Stdio,
        stderr: Stdio,
    ) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", WITH_WATCHDOG, "sh"]).arg(program).args(arguments).env("ETCDCTL_API", "3");
        command.stdin(Stdio::piped()).stdout(stdout).stderr(stderr).process_group(0);
        let mut child = command.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        // Waiting for a child would close it.
        let watchdog = child.stdin.take();
        Ok(Self { child, group, _watchdog: watchdog })
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) {
        let _ = self.child.wait().await;
    }

    /// Runs a program to its end.
    pub async fn output<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> io::Result<Output> {
        let mut run = Self::start(program, arguments, Stdio::piped(), Stdio::piped())?;
        let (mut out, mut err) = (run.child.stdout.take(), run.child.stderr.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let read_out = async { if let Some(out) = &mut out { out.read_to_end(&mut stdout).await } else { Ok(0) } };
        let read_err = async { if let Some(err) = &mut err { err.read_to_end(&mut stderr).await } else { Ok(0) } };
        let (status, ..) = tokio::try_join!(run.child.wait(), read_out, read_err)?;
        Ok(Output { status, stdout, stderr })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The watchdog is in the group, so that its number is nobody else's even when the program has ended.
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        for _ in 0..END_DEADLINE.as_millis() / PAUSE.as_millis() {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> [&str; 2] {
        ["-c", script]
    }

    #[tokio::test]
    async fn what_it_says_and_how_it_ends_is_told() {
        let run = Watched::output(Path::new("sh"), sh("cat; echo out; echo err >&2; exit 3")).await;
        let Output { status, stdout, stderr } = run.expect("it can be run");
        assert_eq!((status.code(), &stdout[..], &stderr[..]), (Some(3), &b"out\n"[..], &b"err\n"[..]));
    }

    /// All of its group has gone when it is dropped, and when our end of the pipe closes.
    #[tokio::test]
    async fn nothing_of_it_stays() {
        let runs = |group: Pid| rustix::process::test_kill_process_group(group).is_ok();
        for is_dropped in [true, false] {
            let started = Watched::start(Path::new("sleep"), ["1000"], Stdio::null(), Stdio::null());
            let mut run = started.expect("it can be started");
            let group = run.group.expect("it runs");
            assert!(runs(group));
            if is_dropped {
                drop(run);
            } else {
                // As when we are killed: nobody else does anything.
                run._watchdog = None;
                run.child.wait().await.expect("it is ours");
            }
            let begun = std::time::Instant::now();
            while runs(group) {
                assert!(begun.elapsed() < Duration::from_secs(20), "dropped: {is_dropped}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
