//! How an apply looks while it runs: a bar on a terminal, plain lines elsewhere, JSON lines for programs.
//!
//! indicatif draws nothing, and its `println` prints nothing, when stderr is no terminal; so the plain lines are ours.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::core::desired::Desired;
use crate::core::render::event::{Event, Glimpse, Run};
use crate::core::render::palette::Palette;
use crate::core::render::words;
use crate::core::span;
use crate::shell::clock;
use crate::shell::command::context::Context;
use crate::shell::fleet::{Fleet, Unanswered};

/// Where events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// One object a line, on the writer.
    Json,
    /// A line a step, on the writer.
    Plain,
    /// A spinner that moves on stderr, and the plain lines above it.
    Bar,
    /// Nothing.
    Quiet,
}

impl Output {
    /// What fits: `--json` and `--quiet` as asked; a bar only on a terminal.
    pub fn choose(json: bool, quiet: bool, stderr_is_terminal: bool) -> Self {
        match (json, quiet, stderr_is_terminal) {
            (true, _, _) => Self::Json,
            (false, true, _) => Self::Quiet,
            (false, false, true) => Self::Bar,
            (false, false, false) => Self::Plain,
        }
    }
}

/// Shows events. Takes them from any thread.
pub struct Progress {
    output: Output,
    /// How many hosts are declared, so that all of them can be called that.
    declared: usize,
    palette: Palette,
    run: Run,
    state: Mutex<State>,
}

struct State {
    writer: Box<dyn Write + Send>,
    bar: Option<ProgressBar>,
    /// The line of the step that runs, and whether it stands at the end of the output without a newline.
    step: String,
    is_open: bool,
    /// The wait of this step that was told last.
    last_shown: Option<Shown>,
}

/// A wait as it was told.
struct Shown {
    /// What of it, without numbers.
    about: String,
    /// How many tens of seconds it had taken.
    tens: u64,
}

/// A wait is mentioned in plain lines every so many seconds; a bar shows each second.
const WAIT_SHOWN_EVERY_SECONDS: u64 = 10;
/// Where nothing is amiss: most waits are over by then.
const WAIT_FIRST_SHOWN_AFTER_SECONDS: f64 = 5.0;

impl Progress {
    /// `writer` is stdout for JSON, stderr for plain lines; a bar draws on stderr itself.
    pub fn new(output: Output, declared: usize, run: Run, colour: bool, writer: Box<dyn Write + Send>) -> Self {
        let bar = (output == Output::Bar).then(|| spinner(String::new()));
        let state = State { writer, bar, step: String::new(), is_open: false, last_shown: None };
        let palette = if colour { Palette::coloured() } else { Palette::plain() };
        Self { output, declared, palette, run, state: Mutex::new(state) }
    }

    /// Shows one event. A reader that has gone away does not stop an apply.
    pub fn take(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = match self.output {
            Output::Quiet => Ok(()),
            Output::Json => {
                let line = self.run.json_line(event, clock::now());
                writeln!(state.writer, "{line}").and_then(|()| state.writer.flush())
            }
            Output::Plain => state.plain(event, self.declared, self.palette),
            Output::Bar => state.draw(event, self.declared, self.palette),
        };
    }
}

impl State {
    fn plain(&mut self, event: &Event, declared: usize, palette: Palette) -> io::Result<()> {
        match event {
            Event::Locking { held_by: Some(holder), .. } => self.show_lock(holder),
            Event::StepStarted { number, of, title, hosts } => {
                self.step = words::step_line(*number, *of, title, hosts, declared);
                self.last_shown = None;
                write!(self.writer, "{} ...", self.step)?;
                self.is_open = true;
                self.writer.flush()
            }
            Event::Waiting { for_what, seconds, seen } => self.show_wait(for_what, *seconds, seen),
            Event::StepDone { seconds, surprises, .. } => {
                if !self.is_open {
                    write!(self.writer, "{} ...", self.step)?;
                }
                self.is_open = false;
                writeln!(self.writer, " done in {}", span::measured(*seconds))?;
                surprises.iter().try_for_each(|line| self.note(&surprise(line)))
            }
            Event::Warning { text } => self.note(&warning(text, palette)),
            Event::Interrupted => self.note("interrupted: no further step is started"),
            Event::GuardWrites { .. } => self.note(&guard_writes(event)),
            Event::Stopped { .. } | Event::Finished { .. } => self.close(),
            Event::Locking { held_by: None, .. }
            | Event::Locked { .. }
            | Event::Planned { .. }
            | Event::ActionDone { .. }
            | Event::ActionSkipped { .. } => Ok(()),
        }
    }

    fn draw(&mut self, event: &Event, declared: usize, palette: Palette) -> io::Result<()> {
        let Some(bar) = &self.bar else { return Ok(()) };
        match event {
            Event::Locking { hosts, held_by } => bar.set_message(match held_by {
                Some(holder) => format!("waiting for the lock, held by {holder}"),
                None => format!("locking {}", words::count(hosts.len(), "host")),
            }),
            Event::StepStarted { number, of, title, hosts } => {
                self.step = words::step_line(*number, *of, title, hosts, declared);
                bar.set_message(self.step.clone());
            }
            Event::ActionDone { host: Some(host), .. } => bar.set_message(format!("{}: {host} done", self.step)),
            Event::Waiting { for_what, seconds, seen } => {
                let wait = waiting(for_what, *seconds, seen);
                bar.set_message(if self.step.is_empty() { wait } else { format!("{}: {wait}", self.step) });
            }
            Event::StepDone { seconds, surprises, .. } => {
                bar.println(format!("{} ... done in {}", self.step, span::measured(*seconds)));
                for line in surprises {
                    bar.println(format!("      {}", surprise(line)));
                }
            }
            Event::Warning { text } => bar.println(format!("      {}", warning(text, palette))),
            Event::Interrupted => bar.println("      interrupted: no further step is started"),
            Event::GuardWrites { .. } => bar.println(format!("      {}", guard_writes(event))),
            Event::Stopped { .. } | Event::Finished { .. } => bar.finish_and_clear(),
            Event::Locked { .. }
            | Event::Planned { .. }
            | Event::ActionDone { host: None, .. }
            | Event::ActionSkipped { .. } => {}
        }
        Ok(())
    }

    fn show_lock(&mut self, holder: &str) -> io::Result<()> {
        let about = format!("the lock, held by {holder}");
        if self.last_shown.as_ref().is_some_and(|shown| shown.about == about) {
            return Ok(());
        }
        self.note(&format!("waiting for {about}"))?;
        self.last_shown = Some(Shown { about, tens: 0 });
        Ok(())
    }

    /// What is amiss is said at once, all else when it has taken a while; and both again when it changes, and now and then.
    fn show_wait(&mut self, for_what: &str, seconds: f64, seen: &[Glimpse]) -> io::Result<()> {
        let seconds = seconds.max(0.0);
        let tens = seconds as u64 / WAIT_SHOWN_EVERY_SECONDS;
        let lines: Vec<_> = seen.iter().map(Glimpse::line).collect();
        let about = if lines.is_empty() { for_what.to_owned() } else { lines.join("; ") };
        // How long, how often and how much change with every look.
        let about: String = about.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        let is_due = match &self.last_shown {
            None => seen.iter().any(|glimpse| glimpse.trouble) || seconds >= WAIT_FIRST_SHOWN_AFTER_SECONDS,
            Some(shown) => shown.about != about || shown.tens != tens,
        };
        if !is_due {
            return Ok(());
        }
        self.last_shown = Some(Shown { about, tens });
        self.note(&waiting(for_what, seconds, seen))
    }

    /// A line of its own below the step's.
    fn note(&mut self, text: &str) -> io::Result<()> {
        self.close()?;
        writeln!(self.writer, "      {text}")
    }

    fn close(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_open) {
            writeln!(self.writer)?;
        }
        self.writer.flush()
    }
}

/// `waiting for etcd-2 to end (10 s)`, or what was seen: `waiting 10 s: etcd-2: does not answer SSH for 9 s: no route to host`
fn waiting(for_what: &str, seconds: f64, seen: &[Glimpse]) -> String {
    let seconds = span::measured(seconds);
    if seen.is_empty() {
        return format!("waiting for {for_what} ({seconds})");
    }
    let seen: Vec<_> = seen.iter().map(Glimpse::line).collect();
    format!("waiting {seconds}: {}", seen.join("; "))
}

fn guard_writes(event: &Event) -> String {
    let Event::GuardWrites { writes, failed, longest_seconds } = event else { return String::new() };
    format!(
        "write guard: {}, {failed} failed, slowest {:.0} ms",
        words::count(*writes, "write"),
        longest_seconds * 1000.0
    )
}

impl Drop for Progress {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = &state.bar {
            bar.finish_and_clear();
        }
    }
}

fn warning(text: &str, palette: Palette) -> String {
    let style = palette.changed;
    format!("{style}warning:{style:#} {text}")
}

fn surprise(line: &str) -> String {
    format!("unexpected state after this step: {line}")
}

/// A spinner on stderr with a message, for what takes a moment. It draws nothing when stderr is no terminal.
pub fn spinner(message: String) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is valid");
    let bar = ProgressBar::new_spinner().with_style(style).with_message(message);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A bar on stderr for bytes that come. Its length is set when it is known; it draws nothing when stderr is no terminal.
pub fn bytes(message: String) -> ProgressBar {
    let template = "{msg} {wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    ProgressBar::new(0).with_style(style).with_message(message)
}

/// What `look` brings. Until then a spinner on a terminal says whom it waits for; elsewhere that is a line on stderr, once a
/// host has not answered for a while.
pub async fn while_looking<T>(
    context: &Context,
    desired: &Desired,
    fleet: &impl Fleet,
    look: impl Future<Output = T>,
) -> T {
    let hosts = words::count(desired.nodes.len(), "host");
    let spinner = (context.stderr_is_terminal && !context.quiet).then(|| spinner(format!("inspecting {hosts}")));
    let voice = context.voice();
    let tell = |line: &str| voice.note(line);
    let seen = telling(fleet, &hosts, spinner.as_ref(), &tell, look).await;
    spinner.inspect(|spinner| spinner.finish_and_clear());
    seen
}

async fn telling<T>(
    fleet: &impl Fleet,
    hosts: &str,
    spinner: Option<&ProgressBar>,
    tell: &(dyn Fn(&str) + Sync),
    look: impl Future<Output = T>,
) -> T {
    let mut look = std::pin::pin!(look);
    let mut told = BTreeSet::new();
    loop {
        tokio::select! {
            biased;
            seen = &mut look => return seen,
            () = tokio::time::sleep(LOOKED_AFTER_EVERY) => {
                let late = fleet.unanswered().into_iter();
                let late: Vec<_> = late.filter(|late| late.since.elapsed() >= LATE_AFTER).collect();
                if let Some(spinner) = spinner {
                    let lines: Vec<_> = late.iter().map(Unanswered::line).collect();
                    let waiting = if lines.is_empty() { String::new() } else { format!(", {}", lines.join("; ")) };
                    spinner.set_message(format!("inspecting {hosts}{waiting}"));
                } else {
                    let new = late.iter().filter(|late| told.insert(late.host.clone()));
                    new.for_each(|late| tell(&late.line()));
                }
            }
        }
    }
}

const LOOKED_AFTER_EVERY: Duration = Duration::from_secs(1);
/// A login takes a tenth of a second, and one over a slow name server a few seconds.
const LATE_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::core::diagnostic::Diagnostic;
    use crate::core::render::event::Record;

    fn run() -> Run {
        Run { cluster: "prod".to_owned(), operator: "ops@laptop, process 7".to_owned() }
    }
    use crate::core::names::HostName;
    use crate::core::observed::{Cause, Comparison, Observed};
    use crate::core::plan::action::Action;
    use crate::laws::sample;
    use crate::shell::command::output::Captured;

    fn shown(output: Output, events: &[Event]) -> String {
        let writer = Captured::default();
        let progress = Progress::new(output, 3, run(), false, Box::new(writer.clone()));
        events.iter().for_each(|event| progress.take(event));
        writer.text()
    }

    fn events() -> Vec<Event> {
        let hosts: Vec<_> = ["etcd-1", "etcd-2", "etcd-3"].map(HostName::new).into();
        let waiting = |seconds| Event::Waiting { for_what: "etcd-2 to serve".to_owned(), seconds, seen: Vec::new() };
        vec![
            Event::Locking { hosts: hosts.clone(), held_by: None },
            Event::Locked { hosts: hosts.clone() },
            Event::Planned { plan_id: "3f9a2c41d0b7".to_owned(), steps: 2 },
            Event::StepStarted { number: 1, of: 2, title: "install etcd 3.5.16".to_owned(), hosts: hosts.clone() },
            Event::ActionDone { host: Some(hosts[0].clone()), action: "install etcd 3.5.16".to_owned(), seconds: 1.0 },
            Event::StepDone { number: 1, seconds: 1.23, surprises: Vec::new() },
            Event::StepStarted { number: 2, of: 2, title: "start etcd".to_owned(), hosts: vec![hosts[1].clone()] },
            waiting(1.1),
            waiting(5.3),
            waiting(10.1),
            waiting(11.0),
            waiting(20.3),
            Event::StepDone { number: 2, seconds: 21.0, surprises: vec!["+ etcd-2 taken 2379".to_owned()] },
            Event::Finished { steps: 2, seconds: 22.5, left: 0 },
        ]
    }

    #[test]
    fn plain_lines_read_like_a_log() {
        let lines = "[1/2] install etcd 3.5.16 on etcd-1, etcd-2, etcd-3 ... done in 1.2 s\n[2/2] start etcd on etcd-2 \
                     ...\n      waiting for etcd-2 to serve (5.3 s)\n      waiting for etcd-2 to serve (10 s)\n      waiting for etcd-2 to serve (20 s)\n[2/2] \
                     start etcd on etcd-2 ... done in 21 s\n      unexpected state after this step: + etcd-2 taken \
                     2379\n";
        assert_eq!(shown(Output::Plain, &events()), lines);
    }

    /// What is amiss is said at once; what changes, when it does; and what stays, every ten seconds.
    #[test]
    fn a_wait_says_what_is_seen() {
        let host = HostName::new("etcd-2");
        let of = |seconds: f64, what: &str, trouble| Event::Waiting {
            for_what: "etcd-2 to serve".to_owned(),
            seconds,
            seen: vec![Glimpse { host: host.clone(), what: what.to_owned(), trouble }],
        };
        let starting = |seconds| of(seconds, "etcd is starting", false);
        let exited = |seconds, times| of(seconds, &format!("etcd exited ({times} times): panic"), true);
        let step =
            |number| Event::StepStarted { number, of: 2, title: "start etcd".to_owned(), hosts: vec![host.clone()] };
        let events = [
            step(1),
            starting(1.0),
            starting(4.0),
            starting(5.2),
            starting(6.0),
            of(7.1, "answers", false),
            of(11.0, "answers", false),
            step(2),
            starting(1.0),
            exited(2.0, 2),
            exited(4.0, 3),
            exited(11.0, 4),
        ];
        let told = shown(Output::Plain, &events);
        let lines: Vec<_> = told.lines().filter_map(|line| line.strip_prefix("      waiting ")).collect();
        assert_eq!(
            lines,
            [
                "5.2 s: etcd-2: etcd is starting",
                "7.1 s: etcd-2: answers",
                "11 s: etcd-2: answers",
                "2.0 s: etcd-2: etcd exited (2 times): panic",
                "11 s: etcd-2: etcd exited (4 times): panic",
            ]
        );
        let json = shown(Output::Json, &events[9..10]);
        let seen = "\"seen\":[{\"host\":\"etcd-2\",\"what\":\"etcd exited (2 times): panic\",\"trouble\":true}]";
        assert!(json.contains(seen), "{json}");
    }

    /// A host that answers after `0`, and is connected to after `1`.
    struct Slow(Duration, Duration, Instant);

    impl Fleet for Slow {
        async fn observe(&self) -> Observed {
            tokio::time::sleep(self.0).await;
            sample::bare(&sample::desired(3))
        }

        fn unanswered(&self) -> Vec<Unanswered> {
            let is_connected = self.2.elapsed() >= self.1;
            let since = if is_connected { self.2 + self.1 } else { self.2 };
            let [host, other] = ["etcd-3", "etcd-2"].map(HostName::new);
            let late = Unanswered { host, destination: "10.0.0.13".to_owned(), since, is_connected };
            // One that is asked again and again.
            let quick = Unanswered { host: other, since: Instant::now(), ..late.clone() };
            vec![late, quick]
        }

        async fn compare(&self) -> Option<Comparison> {
            None
        }

        async fn perform(&self, _: &Action) -> Result<(), Diagnostic> {
            Ok(())
        }

        async fn write_once(&self, _: &HostName, _: &str, _: &str, _: Duration) -> Result<Duration, Cause> {
            Ok(Duration::ZERO)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_keeps_a_look_waiting_is_named_once() {
        for (answers, connected, lines) in [
            (4, 30, &[][..]),
            (20, 30, &["waiting for etcd-3 (10.0.0.13): no answer to SSH for 5 s"]),
            (20, 2, &["waiting for etcd-3 (10.0.0.13): no answer over SSH for 5 s"]),
        ] {
            let fleet = Slow(Duration::from_secs(answers), Duration::from_secs(connected), Instant::now());
            let told = Mutex::new(Vec::new());
            let tell = |line: &str| told.lock().unwrap().push(line.to_owned());
            telling(&fleet, "3 hosts", None, &tell, fleet.observe()).await;
            assert_eq!(told.into_inner().unwrap(), lines);
        }
        // On a terminal it is the spinner that says so.
        let fleet = Slow(Duration::from_secs(7), Duration::from_secs(30), Instant::now());
        let spinner = ProgressBar::hidden();
        telling(&fleet, "3 hosts", Some(&spinner), &|line| panic!("{line}"), fleet.observe()).await;
        let message = "inspecting 3 hosts, waiting for etcd-3 (10.0.0.13): no answer to SSH for 6 s";
        assert_eq!(spinner.message(), message);
    }

    #[test]
    fn a_step_that_is_cut_short_ends_its_line() {
        let mut events = events();
        events.truncate(4);
        events.push(Event::Stopped { reason: "the host was lost".to_owned() });
        assert!(shown(Output::Plain, &events).ends_with("etcd-3 ...\n"));
    }

    #[test]
    fn a_warning_is_told_wherever_events_are() {
        let warning = [Event::Warning { text: "the clock is off".to_owned() }];
        assert_eq!(shown(Output::Plain, &warning), "      warning: the clock is off\n");
        let line = shown(Output::Json, &warning);
        let of = ",\"cluster\":\"prod\",\"operator\":\"ops@laptop, process 7\",";
        assert!(line.starts_with("{\"at\":\"2"), "{line}");
        assert!(line.ends_with(&format!("{of}\"event\":\"warning\",\"text\":\"the clock is off\"}}\n")), "{line}");
        assert_eq!(shown(Output::Quiet, &warning), "");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let shown = shown(Output::Json, &events());
        let read = shown.lines().map(|line| serde_json::from_str::<Record>(line).unwrap().event).collect::<Vec<_>>();
        assert_eq!(read, events());
    }

    #[test]
    fn quiet_says_nothing_and_a_pipe_gets_no_spinner() {
        assert_eq!(shown(Output::Quiet, &events()), "");
        assert_eq!(Output::choose(false, false, false), Output::Plain);
        assert_eq!(Output::choose(true, false, true), Output::Json);
        assert_eq!(Output::choose(false, true, true), Output::Quiet);
    }
}
