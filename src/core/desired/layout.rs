//! In which way etcd lies on the hosts.

use strum::VariantArray;

use super::Runtime;

/// Who has set etcd up, and so where its settings and files are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, VariantArray)]
pub enum Layout {
    /// quorate, in folders and a unit of its own.
    #[default]
    Default,
    /// The same, in the folders of Canonical Kubernetes.
    Canonical,
    /// The snap of Canonical Kubernetes, as a service of its own; told from the one before by the file with its settings.
    CanonicalSnap,
    /// kubeadm, as a static pod of the kubelet: stacked, or external after its guide.
    Kubeadm,
    /// kubespray, as a service of the host.
    Kubespray,
    Etcdadm,
    /// autobase, or a package of Fedora.
    Autobase,
    /// The package of Debian or Ubuntu.
    Debian,
    /// Somebody by hand: a unit that gives etcd its settings as flags.
    Unit,
}

impl Layout {
    pub const ALL: &[Self] = Self::VARIANTS;

    /// As `layout` in `[cluster]` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Canonical | Self::CanonicalSnap => "canonical",
            Self::Kubeadm => "kubeadm",
            Self::Kubespray => "kubespray",
            Self::Etcdadm => "etcdadm",
            Self::Autobase => "autobase",
            Self::Debian => "debian",
            Self::Unit => "unit",
        }
    }

    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|layout| layout.name() == name)
    }

    /// What runs etcd in it.
    pub fn runtime(self) -> Runtime {
        match self {
            Self::Kubeadm => Runtime::StaticPod,
            Self::Default
            | Self::Canonical
            | Self::CanonicalSnap
            | Self::Kubespray
            | Self::Etcdadm
            | Self::Autobase
            | Self::Debian
            | Self::Unit => Runtime::Systemd,
        }
    }

    /// Whether quorate sets etcd up where nobody has yet: a layout that is known whole.
    pub fn is_set_up_by_us(self) -> bool {
        !self.is_adopted() || self == Self::Kubeadm
    }

    /// Whether somebody else has set the service up: quorate then keeps what is declared in the file that is there, and
    /// leaves the rest as it found it.
    pub fn is_adopted(self) -> bool {
        !matches!(self, Self::Default | Self::Canonical)
    }
}
