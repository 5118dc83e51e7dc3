//! What hosts are like that nobody made for us: harmless oddities, drawn for each host of a lab by a seed.
//!
//! Whatever is there, quorate has to work with, and no test may notice; what it cannot work with is for a test of its
//! own, which says so. The seed is printed with what was drawn. `QUORATE_ODDITIES=N` draws the same again for the same
//! test, 0 draws none, and names from the list, with commas between them, give just those to every host.
//!
//! Left out, because they cost seconds or are not a host's alone: name servers that give no answer (sudo asks them each
//! time), `fs.protected_*` (one for the whole kernel), and a network of IPv6 alone (the lab's has only IPv4).

mod list;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::registry::User;
use list::{GROUPS, Group, Where};

/// Not an oddity of the list: who logs in is asked in more places than one.
const LOGS_IN: &str = "an ordinary user with sudo logs in";

/// What one host was given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    pub names: Vec<String>,
    /// Lines of shell for the host's root directory, before it is booted for the first time.
    pub before: String,
    /// Lines that it runs at each boot.
    pub at_boot: String,
    /// Who logs in there, if that is not who logs in on the others.
    pub user: Option<User>,
}

/// What a test wants of its hosts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    pub plain: bool,
    pub data_in_place: bool,
}

/// What the environment asks for.
enum Asked {
    Seed(u64),
    Names(Vec<String>),
}

/// The oddities of host `number` in the test that runs.
pub fn draw(number: u8, user: &User, wishes: Wishes) -> Drawn {
    let mut drawn = Drawn::default();
    match asked() {
        _ if wishes.plain => {}
        Asked::Seed(0) => {}
        Asked::Seed(seed) => {
            // libtest calls a test's thread by its name.
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            let dice = |what: &str| hash(&(seed, &test, number, what));
            if *user == User::Root && dice(LOGS_IN).is_multiple_of(4) {
                drawn.let_log_in();
            }
            let mut groups = possible(drawn.user.as_ref().unwrap_or(user), wishes);
            groups.sort_by_key(|group| dice(group.what));
            // One host in eight stays as it is; the others have one to three.
            let count = [0, 1, 1, 2, 2, 2, 3, 3][(dice("count") % 8) as usize];
            for group in groups.into_iter().take(count) {
                let side = dice(&format!("{} which", group.what)) as usize % group.oddities.len();
                drawn.give(&group.oddities[side]);
            }
        }
        Asked::Names(names) => {
            if *user == User::Root && names.iter().any(|name| name == LOGS_IN) {
                drawn.let_log_in();
            }
            let groups = possible(drawn.user.as_ref().unwrap_or(user), wishes);
            let all = groups.iter().flat_map(|group| group.oddities);
            all.filter(|oddity| names.iter().any(|name| name == oddity.name)).for_each(|oddity| drawn.give(oddity));
        }
    }
    drawn
}

/// For the line that says what was drawn.
pub fn asked_for() -> String {
    match asked() {
        Asked::Seed(seed) => format!("QUORATE_ODDITIES={seed}"),
        Asked::Names(names) => format!("QUORATE_ODDITIES={:?}", names.join(",")),
    }
}

impl Drawn {
    fn give(&mut self, oddity: &list::Oddity) {
        self.names.push(oddity.name.to_owned());
        self.before.push_str(oddity.before);
        self.before.push('\n');
        self.at_boot.push_str(oddity.at_boot);
        self.at_boot.push('\n');
    }

    fn let_log_in(&mut self) {
        self.names.push(LOGS_IN.to_owned());
        self.user = Some(User::WithSudo("ops".to_owned()));
    }
}

fn possible(user: &User, wishes: Wishes) -> Vec<&'static Group> {
    let is_possible = |group: &&Group| match group.fits {
        Where::Everywhere => true,
        Where::UserHasSudo => matches!(user, User::WithSudo(_)),
        Where::DataMayBeElsewhere => !wishes.data_in_place,
    };
    GROUPS.iter().filter(is_possible).collect()
}

fn hash(thing: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}

/// The same for the whole run.
fn asked() -> &'static Asked {
    static ASKED: OnceLock<Asked> = OnceLock::new();
    ASKED.get_or_init(|| match std::env::var("QUORATE_ODDITIES") {
        Ok(text) if !text.is_empty() => match text.parse() {
            Ok(seed) => Asked::Seed(seed),
            Err(_not_a_number) => Asked::Names(known(&text)),
        },
        // From one, because 0 draws none.
        _ => Asked::Seed(SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs() % 100_000 + 1)),
    })
}

/// A name that is misspelt would be taken for a host that quorate works with.
fn known(text: &str) -> Vec<String> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    for name in &names {
        let is_known = GROUPS.iter().flat_map(|group| group.oddities).any(|oddity| oddity.name == name);
        assert!(is_known || name == LOGS_IN, "QUORATE_ODDITIES: no oddity is called {name:?}");
    }
    names
}
