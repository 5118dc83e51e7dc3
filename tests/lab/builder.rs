//! How many hosts, with which names, disks and user.

use std::thread;

use super::command::must;
use super::oddities::{self, Wishes};
use super::registry::{HostState, State, User};
use super::{Host, Lab, Result, image, keys, kubelet, machine, network, places, registry};

/// 2 GiB: room for two versions of etcd, its data and a few snapshots. It is taken from memory only when written.
const DISK_BYTES: u64 = 2 << 30;

/// A containerd and a kubelet have as much to do as an etcd and its systemd.
const PLACES_OF_A_KUBELET_HOST: usize = 2;

/// What `Lab::builder` returns; `up` boots it.
#[derive(Debug, Clone)]
pub struct Builder {
    hosts: usize,
    idle: usize,
    names: Vec<String>,
    user: User,
    disk_bytes: u64,
    small_disks: Vec<(String, u64)>,
    weight: Option<usize>,
    kubelet: bool,
    wishes: Wishes,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            hosts: 3,
            idle: 0,
            names: Vec::new(),
            user: User::Root,
            disk_bytes: DISK_BYTES,
            small_disks: Vec::new(),
            weight: None,
            kubelet: false,
            wishes: Wishes::default(),
        }
    }
}

impl Builder {
    /// How many hosts are booted.
    pub fn hosts(mut self, hosts: usize) -> Builder {
        self.hosts = hosts;
        self
    }

    /// How many more hosts there are, with keys and addresses, that are off until `power_on`.
    pub fn idle(mut self, hosts: usize) -> Builder {
        self.idle = hosts;
        self
    }

    /// Names in order; hosts beyond them are called etcd-N.
    pub fn names(mut self, names: &[&str]) -> Builder {
        self.names = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Who logs in with the lab's key; root if this is not said.
    pub fn user(mut self, user: User) -> Builder {
        self.user = user;
        self
    }

    /// The size of every host's disk.
    pub fn disk_bytes(mut self, bytes: u64) -> Builder {
        self.disk_bytes = bytes;
        self
    }

    /// The size of one host's disk.
    pub fn disk_bytes_of(mut self, host: &str, bytes: u64) -> Builder {
        self.small_disks.push((host.to_owned(), bytes));
        self
    }

    /// How many of the machine's places for hosts the lab takes, where it is not one for each: less for a lab that sleeps.
    pub fn weight(mut self, places: usize) -> Builder {
        self.weight = Some(places);
        self
    }

    /// Hosts without oddities: for a test that looks at one of the things that are drawn, or that counts every file.
    pub fn plain(mut self) -> Builder {
        self.wishes.plain = true;
        self
    }

    /// Hosts whose data directory is a folder like any other: for a test that moves it about, or that counts what lies
    /// beside it.
    pub fn data_in_place(mut self) -> Builder {
        self.wishes.data_in_place = true;
        self
    }

    /// Hosts as `kubeadm` finds them, without oddities: with containerd, a kubelet that runs static pods, and the images
    /// of etcd and pause. [`Lab::can_run_kubelet`] says whether there can be any; `kubeadm::members` makes a cluster.
    pub fn kubelet(mut self) -> Builder {
        self.kubelet = true;
        self.plain()
    }

    /// Boots the hosts, all at once, and returns when their systemd is done and their sshd answers.
    #[track_caller]
    pub fn up(self) -> Lab {
        must(self.try_up())
    }

    fn try_up(self) -> Result<Lab> {
        let image = if self.kubelet { kubelet::image()? } else { image::path()? };
        machine::allow_many_hosts();
        let each = if self.kubelet { PLACES_OF_A_KUBELET_HOST } else { 1 };
        let places = places::take(&registry::places_dir(), self.weight.unwrap_or(self.hosts * each))?;
        let lock = registry::take_id()?;
        let (user, kubelet, hosts) = (self.user.clone(), self.kubelet, self.host_states());
        let state = State { id: lock.id, user, image, kubelet, hosts };
        let hosts = Host::all(&state);
        // From here on the lab removes what it made, also when the next line fails.
        let lab = Lab { state, hosts, lock: Some(lock), places: Some(places) };
        registry::save(&lab.state)?;
        lab.say_what_is_odd();
        network::create_bridge(lab.state.id)?;
        keys::create(&lab.state)?;
        let booted = lab.hosts.iter().take(self.hosts);
        thread::scope(|scope| {
            let boots: Vec<_> = booted.map(|host| scope.spawn(|| host.try_power_on())).collect();
            boots.into_iter().try_for_each(|boot| boot.join().expect("booting returns its errors"))
        })?;
        Ok(lab)
    }

    fn host_states(&self) -> Vec<HostState> {
        let numbers = 1..=u8::try_from(self.hosts + self.idle).expect("a lab of fewer than 200 hosts");
        let states = numbers.map(|number| {
            let name = self.names.get(usize::from(number) - 1).cloned().unwrap_or_else(|| format!("etcd-{number}"));
            let own_size = self.small_disks.iter().find(|(host, _)| *host == name).map(|(_, bytes)| *bytes);
            let oddities = oddities::draw(number, &self.user, self.wishes);
            HostState { number, name, disk_bytes: own_size.unwrap_or(self.disk_bytes), oddities }
        });
        states.collect()
    }
}
