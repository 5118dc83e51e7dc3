//! How an apply looks while it runs: a bar on a terminal, plain lines elsewhere, JSON lines for programs.
//!
//! indicatif draws nothing, and its `println` prints nothing, when stderr is no terminal; so the plain lines are ours.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::core::desired::Desired;
use crate::core::render::event::Event;
use crate::core::render::palette::Palette;
use crate::core::render::words;
use crate::core::span;

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
    state: Mutex<State>,
}

struct State {
    writer: Box<dyn Write + Send>,
    bar: Option<ProgressBar>,
    /// The line of the step that runs, and whether it stands at the end of the output without a newline.
    step: String,
    is_open: bool,
    /// The wait that was told last: what for, and how many tens of seconds.
    last_shown: (String, u64),
}

/// A wait is mentioned in plain lines every so many seconds; a bar shows each second.
const WAIT_SHOWN_EVERY_SECONDS: u64 = 10;

impl Progress {
    /// `writer` is stdout for JSON, stderr for plain lines; a bar draws on stderr itself.
    pub fn new(output: Output, declared: usize, colour: bool, writer: Box<dyn Write + Send>) -> Self {
        let bar = (output == Output::Bar).then(|| spinner(String::new()));
        let state = State { writer, bar, step: String::new(), is_open: false, last_shown: Default::default() };
        let palette = if colour { Palette::coloured() } else { Palette::plain() };
        Self { output, declared, palette, state: Mutex::new(state) }
    }

    /// Shows one event. A reader that has gone away does not stop an apply.
    pub fn take(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = match self.output {
            Output::Quiet => Ok(()),
            Output::Json => writeln!(state.writer, "{}", event.json_line()).and_then(|()| state.writer.flush()),
            Output::Plain => state.plain(event, self.declared, self.palette),
            Output::Bar => state.draw(event, self.declared, self.palette),
        };
    }
}

impl State {
    fn plain(&mut self, event: &Event, declared: usize, palette: Palette) -> io::Result<()> {
        match event {
            Event::Locking { held_by: Some(holder), .. } => self.show_wait(&format!("the lock, held by {holder}"), 0.0),
            Event::StepStarted { number, of, title, hosts } => {
                self.step = words::step_line(*number, *of, title, hosts, declared);
                write!(self.writer, "{} ...", self.step)?;
                self.is_open = true;
                self.writer.flush()
            }
            Event::Waiting { for_what, seconds } => self.show_wait(for_what, *seconds),
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
            Event::Waiting { for_what, seconds } => {
                let (step, seconds) = (&self.step, span::measured(*seconds));
                bar.set_message(format!("{step}: waiting for {for_what} ({seconds})"));
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

    fn show_wait(&mut self, for_what: &str, seconds: f64) -> io::Result<()> {
        let tens = seconds.max(0.0) as u64 / WAIT_SHOWN_EVERY_SECONDS;
        let now = (for_what.to_owned(), tens);
        if self.last_shown == now || (tens == 0 && seconds > 0.0) {
            return Ok(());
        }
        self.last_shown = now;
        let so_far = if tens == 0 { String::new() } else { format!(" ({})", span::measured(seconds)) };
        self.note(&format!("waiting for {for_what}{so_far}"))
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

/// What `look` brings; a spinner on stderr until then, where it is `shown`.
pub async fn while_looking<T>(shown: bool, desired: &Desired, look: impl Future<Output = T>) -> T {
    let spinner = shown.then(|| spinner(format!("inspecting {}", words::count(desired.nodes.len(), "host"))));
    let seen = look.await;
    spinner.inspect(|spinner| spinner.finish_and_clear());
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::HostName;
    use crate::shell::command::output::Captured;

    fn shown(output: Output, events: &[Event]) -> String {
        let writer = Captured::default();
        let progress = Progress::new(output, 3, false, Box::new(writer.clone()));
        events.iter().for_each(|event| progress.take(event));
        writer.text()
    }

    fn events() -> Vec<Event> {
        let hosts: Vec<_> = ["etcd-1", "etcd-2", "etcd-3"].map(HostName::new).into();
        let waiting = |seconds| Event::Waiting { for_what: "etcd-2 to serve".to_owned(), seconds };
        vec![
            Event::Locking { hosts: hosts.clone(), held_by: None },
            Event::Locked { hosts: hosts.clone() },
            Event::Planned { plan_id: "3f9a2c41d0b7".to_owned(), steps: 2 },
            Event::StepStarted { number: 1, of: 2, title: "install etcd 3.5.16".to_owned(), hosts: hosts.clone() },
            Event::ActionDone { host: Some(hosts[0].clone()), action: "install etcd 3.5.16".to_owned(), seconds: 1.0 },
            Event::StepDone { number: 1, seconds: 1.23, surprises: Vec::new() },
            Event::StepStarted { number: 2, of: 2, title: "start etcd".to_owned(), hosts: vec![hosts[1].clone()] },
            waiting(1.1),
            waiting(9.9),
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
                     ...\n      waiting for etcd-2 to serve (10 s)\n      waiting for etcd-2 to serve (20 s)\n[2/2] \
                     start etcd on etcd-2 ... done in 21 s\n      unexpected state after this step: + etcd-2 taken \
                     2379\n";
        assert_eq!(shown(Output::Plain, &events()), lines);
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
        assert_eq!(shown(Output::Json, &warning), "{\"event\":\"warning\",\"text\":\"the clock is off\"}\n");
        assert_eq!(shown(Output::Quiet, &warning), "");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let shown = shown(Output::Json, &events());
        let read: Vec<Event> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
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
