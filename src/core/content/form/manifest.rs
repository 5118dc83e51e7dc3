//! The manifest of a static pod, as kubeadm writes it: etcd's flags are the command of its container, an item a line.
//!
//! Source: cmd/kubeadm/app/phases/etcd/local.go of Kubernetes; how `$(NAME)` is read: third_party/forked/golang/expansion.

use std::ops::Range;

use yaml_serde::Value;

use super::scalar::{self, is_blank};
use super::words::{self, Hand, Piece, Word};
use super::{Edit, Line, Unreadable, line_at, line_end, lines, settings, without_lines};
use crate::core::names::{RemotePath, Version, version_of_image};

/// What a manifest says beside etcd's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `registry.k8s.io/etcd:3.6.8-0`
    pub image: Option<String>,
    pub mounts: Vec<Mounted>,
}

/// A path of the host that the container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    pub inside: RemotePath,
    pub on_host: RemotePath,
}

impl Pod {
    pub fn version(&self) -> Option<Version> {
        version_of_image(self.image.as_deref()?)
    }

    /// The image of another version, by the name of this one; `None` where that does not say its version, or names one by its
    /// digest.
    pub fn image_of(&self, version: Version) -> Option<String> {
        let image = self.image.as_deref().filter(|image| !image.contains('@'))?;
        let (name, tag) = image.rsplit_once(':')?;
        let is = self.version()?.to_string();
        Some(format!("{name}:{}", tag.replacen(&is, &version.to_string(), 1)))
    }

    /// Where on the host a path of the container is; `None` where it is in the image, and gone with the pod.
    pub fn on_host(&self, path: &RemotePath) -> Option<RemotePath> {
        let within = self.mounts.iter().filter(|mounted| path.is_within(&mounted.inside));
        let mounted = within.max_by_key(|mounted| mounted.inside.as_str().len())?;
        let rest = path.as_str().strip_prefix(mounted.inside.as_str())?.trim_start_matches('/');
        Some(if rest.is_empty() { mounted.on_host.clone() } else { mounted.on_host.join(rest) })
    }
}

/// What the manifest of a static pod says of the container that runs etcd.
///
/// # Errors
/// When it has none, or more than one that may be it.
pub fn pod(text: &str) -> Result<Pod, Unreadable> {
    let tree = scalar::tree(text)?;
    let container = container(&tree)?.1;
    let text_at = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let list = |of: &Value, key: &str| of.get(key).and_then(Value::as_sequence).cloned().unwrap_or_default();
    let volumes = tree.get("spec").map(|spec| list(spec, "volumes")).unwrap_or_default();
    let host_path = |name: &str| {
        let volume = volumes.iter().find(|volume| text_at(volume, "name").as_deref() == Some(name))?;
        text_at(volume.get("hostPath")?, "path")
    };
    let mounted = |mount: &Value| {
        let sub_path = text_at(mount, "subPath").map(|path| format!("/{path}")).unwrap_or_default();
        let on_host = format!("{}{sub_path}", host_path(&text_at(mount, "name")?)?.trim_end_matches('/'));
        let inside = text_at(mount, "mountPath")?;
        Some(Mounted { inside: RemotePath::new(inside.trim_end_matches('/')), on_host: RemotePath::new(on_host) })
    };
    let mounts = list(container, "volumeMounts").iter().filter_map(mounted).collect();
    Ok(Pod { image: text_at(container, "image"), mounts })
}

/// The manifest with another image for etcd, and every other byte kept.
///
/// # Errors
/// When its line is not to be told from others.
pub fn with_image(text: &str, image: &str) -> Result<String, Unreadable> {
    let mut wanted = scalar::tree(text)?;
    let (number, of) = container(&wanted)?;
    let is = of.get("image").cloned().unwrap_or(Value::Null);
    let says = |line: Line| {
        let content = &text[line.content.clone()];
        let begin = content.len() - content.trim_start_matches([' ', '-']).len();
        let rest = content[begin..].strip_prefix("image:")?;
        let blank = rest.len() - rest.trim_start().len();
        let place = scalar::place(&rest[blank..])?;
        let at = line.content.start + content.len() - rest.len() + blank;
        let raw = at + place.start..at + place.end;
        scalar::says(&text[raw.clone()], &is).then_some(raw)
    };
    let mut found = lines(text).filter_map(says);
    let (Some(raw), None) = (found.next(), found.next()) else {
        return Err(near(text, "image", "`image` of etcd is not written in one line of its own".to_owned()));
    };
    let new = scalar::written(image, scalar::quote_of(&text[raw.clone()]), false);
    let changed = format!("{}{new}{}", &text[..raw.start], &text[raw.end..]);
    let containers = wanted.get_mut("spec").and_then(|spec| spec.get_mut("containers"));
    let of = containers.and_then(|all| all.get_mut(number)).and_then(Value::as_mapping_mut);
    of.map(|of| of.insert("image".into(), image.into()));
    match scalar::tree(&changed)? == wanted {
        true => Ok(changed),
        false => Err(Unreadable::of_no_line("changed in its line, `image` would not be all that differs")),
    }
}

/// The manifest with a startup probe that asks `/livez`: by `/readyz`, as kubeadm has it, the kubelet kills a learner that needs more
/// than four minutes.
pub fn startup_without_quorum(text: &str) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut probe = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '-']).len();
        probe = probe.filter(|of| is_blank(line) || indent > *of);
        if line[indent..].starts_with("startupProbe:") {
            probe = Some(indent);
        }
        let is_path = probe.is_some() && line[indent..].trim_end() == "path: /readyz";
        changed.push_str(&if is_path { line.replace("/readyz", "/livez") } else { line.to_owned() });
    }
    changed
}

/// What starts etcd in its container.
struct Started {
    tree: Value,
    /// Which of the containers.
    container: usize,
    /// The program, and then the flags.
    items: Vec<Item>,
}

/// An item of a list, in its line.
struct Item {
    line: Line,
    /// Where its text stands, in quotes or not.
    raw: Range<usize>,
}

/// The container that runs etcd, and its number.
fn container(tree: &Value) -> Result<(usize, &Value), Unreadable> {
    let containers = tree.get("spec").and_then(|spec| spec.get("containers")).and_then(Value::as_sequence);
    let of_etcd: Vec<_> = containers.into_iter().flatten().enumerate().filter(|(_, of)| is_etcd(of)).collect();
    match of_etcd[..] {
        [one] => Ok(one),
        [] => Err(Unreadable::of_no_line("no container of this pod starts etcd")),
        _ => Err(Unreadable::of_no_line("more than one container of this pod may be etcd's")),
    }
}

fn started(text: &str) -> Result<Started, Unreadable> {
    if let Some(at) = scalar::bracket(text) {
        return Err(Unreadable::at(text, at, "a manifest in brackets, as JSON has it"));
    }
    let tree = scalar::tree(text)?;
    if tree.get("kind").and_then(Value::as_str) != Some("Pod") {
        return Err(near(
            text,
            "kind",
            "a manifest of another kind than Pod, which the kubelet does not run".to_owned(),
        ));
    }
    let (container, of) = container(&tree)?;
    let none = Vec::new();
    let list = |key: &str| -> Result<Option<Vec<&str>>, Unreadable> {
        match of.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(list) => {
                let texts = list.as_sequence().and_then(|list| list.iter().map(Value::as_str).collect());
                texts.map(Some).ok_or_else(|| near(text, key, format!("`{key}` of etcd is no list of text")))
            }
        }
    };
    let (command, arguments) = (list("command")?, list("args")?.filter(|list| !list.is_empty()));
    let Some(command) = command.filter(|command| !command.is_empty()) else {
        return Err(Unreadable::of_no_line("without `command` the image says what is started"));
    };
    let mut items = block(text, "command", &command)?;
    if program(command[0]) != "etcd" {
        let what = "etcd is started by another program here, and what that makes of its words is not known";
        return Err(Unreadable::at(text, items.first().map_or(0, |item| item.raw.start), what));
    }
    if let Some(arguments) = arguments {
        items.extend(block(text, "args", &arguments)?);
    }
    let variables = of.get("env").and_then(Value::as_sequence).unwrap_or(&none);
    let names = variables.iter().filter_map(|variable| variable.get("name").and_then(Value::as_str));
    if let Some(name) = names.filter_map(settings::name_of_variable).next() {
        return Err(near(text, "env", format!("`env` of the container sets {name}, beside the flags")));
    }
    Ok(Started { container, items, tree: tree.clone() })
}

/// At the line with that key, where only one has it.
fn near(text: &str, key: &str, what: String) -> Unreadable {
    let has_it = |line: &Line| {
        let content = text[line.content.clone()].trim_start_matches([' ', '-']);
        content.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'))
    };
    let mut with_key = lines(text).filter(has_it);
    match (with_key.next(), with_key.next()) {
        (Some(line), None) => Unreadable::at(text, line.whole.start, what),
        _ => Unreadable::of_no_line(what),
    }
}

fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

fn is_etcd(container: &Value) -> bool {
    let first = |key: &str| container.get(key).and_then(|list| list.get(0)).and_then(Value::as_str).map(program);
    container.get("name").and_then(Value::as_str) == Some("etcd")
        || first("command") == Some("etcd")
        || first("command").is_none() && first("args") == Some("etcd")
}

/// The lines of the one list under `key` that says what the parser read.
fn block(text: &str, key: &str, texts: &[&str]) -> Result<Vec<Item>, Unreadable> {
    let all: Vec<_> = lines(text).collect();
    let mut found = Vec::new();
    for (index, line) in all.iter().enumerate() {
        let content = &text[line.content.clone()];
        let indent = content.len() - content.trim_start_matches([' ', '-']).len();
        let behind = content[indent..].strip_prefix(key).and_then(|rest| rest.strip_prefix(':'));
        if behind.is_some_and(is_blank) {
            found.extend(items(text, &all[index + 1..], indent, texts));
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(items), true) => Ok(items),
        _ => Err(near(text, key, format!("`{key}` of etcd is not written with one item a line"))),
    }
}

/// The items in these lines, where they are these.
fn items(text: &str, lines: &[Line], indent: usize, texts: &[&str]) -> Option<Vec<Item>> {
    let mut found = Vec::new();
    for line in lines {
        let content = &text[line.content.clone()];
        let own = content.len() - content.trim_start_matches(' ').len();
        if is_blank(content) {
            continue;
        }
        let Some(rest) = content[own..].strip_prefix("- ").filter(|_| own >= indent) else {
            // Something deeper belongs to an item, which then is not in one line.
            if own > indent {
                return None;
            }
            break;
        };
        let place = scalar::place(rest)?;
        let raw = &rest[place.clone()];
        let expected = texts.get(found.len())?;
        if !scalar::says(raw, &Value::String((*expected).to_owned())) {
            return None;
        }
        let begin = line.content.start + own + 2;
        found.push(Item { line: line.clone(), raw: begin + place.start..begin + place.end });
    }
    (found.len() == texts.len()).then_some(found)
}

fn words(text: &str, started: &Started) -> Vec<Word> {
    started.items.iter().skip(1).map(|item| word(text, item)).collect()
}

/// The flags of etcd. A word is put anew as a whole, so its pieces have no places of their own.
pub(super) fn list(text: &str) -> Result<Vec<Word>, Unreadable> {
    Ok(words(text, &started(text)?))
}

fn word(text: &str, item: &Item) -> Word {
    let read = match yaml_serde::from_str(&text[item.raw.clone()]) {
        Ok(Value::String(read)) => read,
        _ => String::new(),
    };
    let mut pieces = Vec::new();
    let mut chars = read.chars().peekable();
    let mut is_open = false;
    while let Some(char) = chars.next() {
        let is_dollar = char == '$' && !is_open;
        if is_dollar && chars.next_if_eq(&'$').is_none() && chars.peek() == Some(&'(') {
            is_open = true;
        }
        pieces.push(Piece { char, at: item.raw.clone(), quote: None, is_open });
        is_open &= char != ')';
    }
    Word::new(pieces, item.raw.clone())
}

/// All that is no flag of etcd.
pub(super) fn rest(text: &str) -> Result<String, Unreadable> {
    let Started { mut tree, container, .. } = started(text)?;
    let of = tree.get_mut("spec").and_then(|spec| spec.get_mut("containers")).and_then(|all| all.get_mut(container));
    let of = of.and_then(Value::as_mapping_mut);
    let program = of.and_then(|of| {
        of.remove("args");
        of.remove("command")
    });
    Ok(format!("{tree:?} {:?}", program.as_ref().and_then(|command| command.get(0))))
}

pub(super) fn change(text: &str, name: &str, value: Option<&str>) -> Result<Vec<Edit>, Unreadable> {
    let started = started(text)?;
    let words = words(text, &started);
    words::change(text, &words, &InItems { text, items: &started.items }, name, value)
}

struct InItems<'a> {
    text: &'a str,
    items: &'a [Item],
}

impl InItems<'_> {
    fn write(&self, word: &str, like: &Item) -> String {
        scalar::written(word, scalar::quote_of(&self.text[like.raw.clone()]), false)
    }
}

fn escaped(value: &str) -> String {
    value.replace('$', "$$")
}

impl Hand for InItems<'_> {
    fn put(&self, word: &Word, from: usize, value: &str) -> Result<Vec<Edit>, Unreadable> {
        let new = escaped(&word.text[..from]) + &escaped(value);
        let quote = scalar::quote_of(&self.text[word.at.clone()]);
        Ok(vec![Edit::new(word.at.clone(), scalar::written(&new, quote, false))])
    }

    fn remove(&self, words: Range<usize>) -> Result<Vec<Edit>, Unreadable> {
        // The first item is the program.
        let items = &self.items[words.start + 1..words.end + 1];
        let mut spans: Vec<Range<usize>> = Vec::new();
        for line in items.iter().map(|item| &item.line) {
            match spans.last_mut().filter(|span| line_at(self.text, span.end).whole.end == line.whole.start) {
                Some(span) => span.end = line.content.end,
                None => spans.push(line.content.clone()),
            }
        }
        Ok(spans.iter().map(|span| without_lines(self.text, span)).collect())
    }

    fn add(&self, name: &str, words: &[String]) -> Result<Vec<Edit>, Unreadable> {
        let Some(last) = self.items.last() else {
            return Err(Unreadable::of_no_line(format!("there is no list to add {name} to")));
        };
        // The program is no example.
        let like = if self.items.len() > 1 { last } else { &self.items[0] };
        let dash = &self.text[last.line.whole.start..last.raw.start];
        let end = line_end(self.text);
        let new: String = words.iter().map(|word| format!("{end}{dash}{}", self.write(&escaped(word), like))).collect();
        Ok(vec![Edit::insert(last.line.content.end, new)])
    }
}
