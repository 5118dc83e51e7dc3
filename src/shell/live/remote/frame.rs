//! What a script has printed, told from everything that is printed around it.
//!
//! ```text
//! Welcome to etcd-1!quorate-begin-5e1f…      ← a login script need not end its last line
//! the answer
//! quorate-end-5e1f… 0                        ← with the exit status of the script itself
//! bye                                        ← nor need it come to an end before ours does
//! ```
//!
//! The marks hold a random word, new for every command: an answer may be any bytes.

use std::time::Duration;

use memchr::{memchr, memmem};

use super::line::reader;
use crate::shell::live::ssh::{Exit, Output};

/// The marks of one command.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    word: String,
}

/// What came of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framed {
    /// Its script was not begun: whatever was printed, by whom ever.
    NotBegun(Output),
    /// It was begun, and it is not known how it ended.
    Cut(Output),
    /// Its exit status, and what it printed itself.
    Whole(Output),
}

impl Frame {
    /// `None` when this machine provides no random numbers.
    pub fn new() -> Option<Self> {
        random_word().map(|word| Self { word })
    }

    fn begin(&self) -> String {
        format!("quorate-begin-{}\n", self.word)
    }

    fn end(&self) -> String {
        format!("\nquorate-end-{} ", self.word)
    }

    /// Says that sudo is asked, on stderr.
    pub fn asking(&self) -> String {
        format!("echo quorate-sudo-{} >&2", self.word)
    }

    /// A word that nothing else can have printed.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// The line that runs a script, which comes on stdin, between our marks; for no longer than `allowed`.
    pub fn script(&self, allowed: Option<Duration>) -> String {
        let word = &self.word;
        let limit = allowed.map_or_else(String::new, |allowed| format!("timeout -k 5 {} ", allowed.as_secs()));
        format!(
            "umask 077; cd /; echo quorate-begin-{word} >&2; echo quorate-begin-{word}; {limit}sh -c '{}'; \
             printf '\\nquorate-end-{word} %s\\n' \"$?\"",
            reader!()
        )
    }

    /// Takes an output apart.
    pub fn read(&self, output: Output) -> Framed {
        let (mut reading, mut said) = (self.reading(), Vec::new());
        reading.feed(&output.stdout, &mut said);
        if !reading.has_begun() {
            return Framed::NotBegun(output);
        }
        let stderr = self.own_words(&output.stderr).unwrap_or_default().to_vec();
        match reading.status {
            Some(status) => Framed::Whole(Output { status: Exit::Code(status), stdout: said, stderr }),
            None => {
                reading.finish(&mut said);
                Framed::Cut(Output { status: output.status, stdout: said, stderr })
            }
        }
    }

    /// Takes it apart as it comes.
    pub fn reading(&self) -> Reading {
        let (begin, end) = (self.begin().into_bytes(), self.end().into_bytes());
        Reading { begin, end, at: At::Before, held: Vec::new(), status: None }
    }

    /// What was printed before the script was begun.
    pub fn before<'a>(&self, stdout: &'a [u8]) -> &'a [u8] {
        let end = memmem::find(stdout, self.begin().as_bytes()).unwrap_or(stdout.len());
        &stdout[..end]
    }

    /// Of what is on stderr, what the script has said, if it was begun.
    pub fn own_words<'a>(&self, stderr: &'a [u8]) -> Option<&'a [u8]> {
        behind(stderr, self.begin().as_bytes())
    }

    /// Of what is on stderr, what sudo has said, if it was asked.
    pub fn words_of_sudo<'a>(&self, stderr: &'a [u8]) -> Option<&'a [u8]> {
        let said = behind(stderr, format!("quorate-sudo-{}\n", self.word).as_bytes())?;
        let end = memmem::find(said, self.begin().as_bytes()).unwrap_or(said.len());
        Some(&said[..end])
    }
}

fn behind<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    memmem::find(bytes, mark).map(|at| &bytes[at + mark.len()..])
}

/// Random: no answer holds it by chance. It is no secret.
pub fn random_word() -> Option<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// An output that is taken apart as it comes.
pub(super) struct Reading {
    begin: Vec<u8>,
    end: Vec<u8>,
    at: At,
    /// What may be the beginning of a mark.
    held: Vec<u8>,
    /// The script's own, once it has ended.
    pub status: Option<i32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Before,
    Within,
    Behind,
}

impl Reading {
    pub fn has_begun(&self) -> bool {
        self.at != At::Before
    }

    /// Takes in what came, and adds what is of the script to `said`.
    pub fn feed(&mut self, bytes: &[u8], said: &mut Vec<u8>) {
        self.held.extend_from_slice(bytes);
        if self.at == At::Before {
            match memmem::find(&self.held, &self.begin) {
                Some(at) => {
                    self.held.drain(..at + self.begin.len());
                    self.at = At::Within;
                }
                None => self.hand_on(begun(&self.begin, &self.held), None),
            }
        }
        if self.at == At::Within {
            match memmem::find(&self.held, &self.end) {
                Some(at) => {
                    said.extend_from_slice(&self.held[..at]);
                    self.held.drain(..at + self.end.len());
                    self.at = At::Behind;
                }
                // A line that somebody waits for is not held up for what may only come with the next one.
                None => self.hand_on(begun(&self.end, &self.held), Some(said)),
            }
        }
        if self.at == At::Behind
            && self.status.is_none()
            && let Some(end) = memchr(b'\n', &self.held)
        {
            self.status = std::str::from_utf8(&self.held[..end]).ok().and_then(|text| text.parse().ok());
            self.held.clear();
        }
    }

    /// Nothing more comes: what looked like a mark was none.
    pub fn finish(&mut self, said: &mut Vec<u8>) {
        if self.at == At::Within {
            said.append(&mut self.held);
        }
    }

    /// All but the last so many bytes.
    fn hand_on(&mut self, last: usize, said: Option<&mut Vec<u8>>) {
        let gone = self.held.len().saturating_sub(last);
        if let Some(said) = said {
            said.extend_from_slice(&self.held[..gone]);
        }
        self.held.drain(..gone);
    }
}

/// How much of a mark stands at the end of `bytes`.
fn begun(mark: &[u8], bytes: &[u8]) -> usize {
    (1..mark.len()).rev().find(|length| bytes.ends_with(&mark[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame { word: "ab12".to_owned() }
    }

    fn output(stdout: &str, stderr: &str) -> Output {
        Output { status: Exit::Code(9), stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn the_marks_are_found_wherever_they_stand_and_whatever_stands_around_them() {
        let stderr = "motd\nquorate-begin-ab12\nmv: no\n";
        let stdout = "Welcomequorate-begin-ab12\nan answer\n\nquorate-end-ab12 7\nbye\nquorate-end-ab12 0\n";
        let whole = Output { status: Exit::Code(7), stdout: b"an answer\n".to_vec(), stderr: b"mv: no\n".to_vec() };
        assert_eq!(frame().read(output(stdout, stderr)), Framed::Whole(whole));
    }

    #[test]
    fn the_status_is_that_of_the_script_and_not_that_of_the_login_shell() {
        let Framed::Whole(whole) = frame().read(output("quorate-begin-ab12\n\nquorate-end-ab12 0\n", "")) else {
            panic!("it is whole")
        };
        assert_eq!((whole.status, whole.stdout.as_slice()), (Exit::Code(0), &b""[..]));
    }

    #[test]
    fn what_has_no_end_is_cut_and_what_has_no_beginning_is_not_begun() {
        for cut in [
            "quorate-begin-ab12\nx",
            "quorate-begin-ab12\nx\nquorate-end-ab12 ",
            "quorate-begin-ab12\nx\nquorate-end-ab12 0",
        ] {
            let read = frame().read(output(cut, ""));
            assert!(matches!(read, Framed::Cut(Output { ref stdout, .. }) if stdout == b"x"), "{read:?}");
        }
        for other in ["", "quorate-begin-ab12", "quorate-begin-ab13\nx\nquorate-end-ab13 0\n"] {
            assert_eq!(frame().read(output(other, "")), Framed::NotBegun(output(other, "")));
        }
    }

    #[test]
    fn what_cannot_be_a_mark_is_handed_on_at_once() {
        let (mut reading, mut said) = (frame().reading(), Vec::new());
        reading.feed(b"quorate-begin-ab12\nPUT\n/b\n1\n", &mut said);
        assert_eq!(said, b"PUT\n/b\n1", "a line break may begin a mark");
        reading.feed(b"\nquorate-", &mut said);
        assert_eq!(said, b"PUT\n/b\n1\n");
        reading.feed(b"x", &mut said);
        assert_eq!(said, b"PUT\n/b\n1\n\nquorate-x");
    }

    #[test]
    fn an_answer_of_any_bytes_in_any_pieces_comes_out_as_it_is() {
        let answer = b"\nquorate-end-ab1\n\nquorate-end-\0\xff\nquorate-begin-ab12\nq\n";
        let all = [b"motd".as_slice(), b"quorate-begin-ab12\n", answer, b"\nquorate-end-ab12 0\nlogout"].concat();
        for size in 1..=all.len() {
            let (mut reading, mut said) = (frame().reading(), Vec::new());
            all.chunks(size).for_each(|piece| reading.feed(piece, &mut said));
            assert_eq!((said.as_slice(), reading.status), (answer.as_slice(), Some(0)), "pieces of {size}");
        }
    }

    #[test]
    fn what_sudo_says_is_told_from_what_the_script_says() {
        let stderr = b"motd\nquorate-sudo-ab12\nsudo: unable to resolve host\nquorate-begin-ab12\nmv: no\n";
        assert_eq!(frame().words_of_sudo(stderr), Some(&b"sudo: unable to resolve host\n"[..]));
        assert_eq!(frame().own_words(stderr), Some(&b"mv: no\n"[..]));
        assert_eq!(frame().words_of_sudo(b"sh: cannot fork\n"), None);
    }

    #[test]
    fn a_shell_makes_what_is_read() {
        use std::io::Write as _;
        let script = frame().script(Some(Duration::from_secs(5)));
        let mut child = std::process::Command::new("sh")
            .args(["-c", &script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("there is a sh");
        let inner = super::super::line::packed("printf hello; cat; exit 75");
        child.stdin.take().expect("piped").write_all(format!("{inner} body").as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let output = Output { status: Exit::Code(0), stdout: output.stdout, stderr: output.stderr };
        let Framed::Whole(whole) = frame().read(output) else { panic!("it is whole") };
        assert_eq!((whole.status, whole.stdout.as_slice()), (Exit::Code(75), &b"hello body"[..]));
    }
}
