//! The oddities: what people, hardening guides, cloud images and configuration tools do to machines.

/// One thing that a host may have.
pub struct Oddity {
    /// Without a comma.
    pub name: &'static str,
    /// Lines of shell that give it to a host that is still off. They run as root in its root directory; `$u` is who
    /// logs in, and `$home` where.
    pub before: &'static str,
    /// Lines that its systemd runs at each boot, when the file systems are there and before sshd begins.
    pub at_boot: &'static str,
}

/// Of each group a host has one at most: the others would undo it.
pub struct Group {
    pub what: &'static str,
    pub fits: Where,
    pub oddities: &'static [Oddity],
}

#[derive(Debug, Clone, Copy)]
pub enum Where {
    Everywhere,
    UserHasSudo,
    /// The test does not move the data directory about, nor count what lies beside it.
    DataMayBeElsewhere,
}

const fn before(name: &'static str, before: &'static str) -> Oddity {
    Oddity { name, before, at_boot: "" }
}

const fn at_boot(name: &'static str, at_boot: &'static str) -> Oddity {
    Oddity { name, before: "", at_boot }
}

const fn everywhere(what: &'static str, oddities: &'static [Oddity]) -> Group {
    Group { what, fits: Where::Everywhere, oddities }
}

pub const GROUPS: &[Group] = &[
    everywhere("login shell", LOGIN_SHELLS),
    everywhere("/bin/sh", SHELLS),
    everywhere("umask", UMASKS),
    everywhere("time zone", TIME_ZONES),
    everywhere("clock", CLOCKS),
    everywhere("locale", LOCALES),
    everywhere("variables", VARIABLES),
    Group { what: "sudo", fits: Where::UserHasSudo, oddities: SUDO },
    everywhere("names", NAMES),
    everywhere("sshd", SSHD),
    everywhere("systemd", SYSTEMD),
    everywhere("journal", JOURNALS),
    everywhere("accounts", ACCOUNTS),
    everywhere("mount options", MOUNT_OPTIONS),
    Group { what: "data", fits: Where::DataMayBeElsewhere, oddities: DATA },
    everywhere("network", NETWORKS),
];

/// With start-up files that print, with and without the end of a line, and that complain where there is no terminal.
const LOGIN_SHELLS: &[Oddity] = &[
    before("bash that greets", r"usermod -s /bin/bash $u; printf 'printf Welcome\nstty erase ^H\n' >$home/.bashrc"),
    before(
        "bash that sets options",
        r#"usermod -s /bin/bash $u
           printf '%s\n' 'set -o noclobber' 'shopt -s nullglob' IFS=, 'umask 027' 'export TMOUT=600' 'readonly TMOUT' \
               'cd /' 'trap "echo goodbye" EXIT' >$home/.bashrc"#,
    ),
    before("tcsh that greets", r"usermod -s /bin/tcsh $u; echo 'echo -n Welcome' >$home/.cshrc"),
    // It keeps files of its own from the first login on, so that is over before a test looks at the disk.
    before(
        "fish that greets",
        r"usermod -s /usr/bin/fish $u; mkdir -p $home/.config/fish
          echo 'echo Welcome' >$home/.config/fish/config.fish; chown -R $u: $home/.config; su - $u -c true",
    ),
    before("dash", "usermod -s /bin/dash $u"),
    // busybox knows by its name what it is to be.
    before("busybox", "ln -s /bin/busybox /usr/local/bin/ash; usermod -s /usr/local/bin/ash $u"),
];

const SHELLS: &[Oddity] =
    &[before("/bin/sh is bash", "ln -sf bash /bin/sh"), before("/bin/sh is busybox", "ln -sf busybox /bin/sh")];

const UMASKS: &[Oddity] = &[
    before("umask 077", "echo 'session optional pam_umask.so umask=077' >>/etc/pam.d/sshd"),
    before("umask 000", "echo 'session optional pam_umask.so umask=000' >>/etc/pam.d/sshd"),
];

const TIME_ZONES: &[Oddity] = &[
    before("time zone of Chatham", "ln -sf /usr/share/zoneinfo/Pacific/Chatham /etc/localtime"),
    before("TZ in every session", "echo 'TZ=America/St_Johns' >>/etc/environment"),
];

/// Only `date` is misled: there is one kernel. In both folders, as by `Host::skew_clock`. Never behind: systemd's timers go by
/// the kernel's clock, and what they start would see the minute before.
const CLOCKS: &[Oddity] = &[
    before(
        "clock three seconds ahead",
        r#"for date in /usr/local/bin/date /usr/local/sbin/date; do
               printf '#!/bin/sh\nexec /bin/date -d "3 seconds" "$@"\n' >$date; chmod 755 $date
           done"#,
    ),
    before(
        "clock one second ahead",
        r#"for date in /usr/local/bin/date /usr/local/sbin/date; do
               printf '#!/bin/sh\nexec /bin/date -d "1 second" "$@"\n' >$date; chmod 755 $date
           done"#,
    ),
];

const LOCALES: &[Oddity] = &[before(
    "a locale that is not there",
    r"printf '%s\n' LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8 LANGUAGE=tr:de >>/etc/environment",
)];

/// By /etc/environment they reach every session.
const VARIABLES: &[Oddity] = &[
    before(
        "variables of etcd",
        r"printf '%s\n' ETCDCTL_API=2 ETCDCTL_ENDPOINTS=https://203.0.113.9:2379 ETCDCTL_CACERT=/nowhere \
              ETCD_NAME=other ETCD_DATA_DIR=/nowhere >>/etc/environment",
    ),
    before(
        "variables of tools",
        r"printf '%s\n' POSIXLY_CORRECT=1 TAR_OPTIONS=--verbose GREP_OPTIONS=--color=always GZIP=-1 SYSTEMD_COLORS=1 \
              SYSTEMD_LOG_LEVEL=debug QUOTING_STYLE=c TIME_STYLE=iso BLOCK_SIZE=human-readable CDPATH=.:/etc PS4=x \
              >>/etc/environment",
    ),
    before(
        "variables of a proxy",
        r"printf '%s\n' http_proxy=http://203.0.113.9:1 HTTPS_PROXY=http://203.0.113.9:1 \
              ALL_PROXY=http://203.0.113.9:1 SSL_CERT_FILE=/nowhere OPENSSL_CONF=/nowhere >>/etc/environment",
    ),
    before(
        "variables of shells",
        r"echo 'echo sourced' >/etc/sourced.sh
          printf '%s\n' BASH_ENV=/etc/sourced.sh ENV=/etc/sourced.sh TMPDIR=/nowhere TERM=unheard-of \
              >>/etc/environment",
    ),
    before("a short PATH", "echo 'PATH=/usr/bin:/bin:/usr/games' >>/etc/environment"),
    before("a library that is gone", "echo 'LD_PRELOAD=/usr/lib/agent-that-is-gone.so' >>/etc/environment"),
];

/// Read after the user's own file, whose name comes before.
const SUDO: &[Oddity] = &[
    before("sudo with a terminal of its own", "echo 'Defaults use_pty' >/etc/sudoers.d/zz-odd"),
    before(
        "sudo that lectures and keeps variables",
        r#"printf 'Defaults %s\n' 'lecture=always, insults' \
               'env_keep += "ETCDCTL_API ETCDCTL_ENDPOINTS TAR_OPTIONS POSIXLY_CORRECT TZ LC_ALL"' \
               >/etc/sudoers.d/zz-odd"#,
    ),
    before("sudo that records", "echo 'Defaults log_input, log_output' >/etc/sudoers.d/zz-odd"),
    before(
        "sudo with a log and a umask",
        r"echo 'Defaults logfile=/var/log/sudo.log, umask=0777, umask_override, timestamp_timeout=0' \
              >/etc/sudoers.d/zz-odd",
    ),
];

const NAMES: &[Oddity] = &[
    before("its own name is not known", r#"sed -i "/ $(cat /etc/hostname)\$/d" /etc/hosts"#),
    before(
        "its own name is at 127.0.1.1",
        r#"name=$(cat /etc/hostname); sed -i "s/^[0-9.]* $name\$/127.0.1.1 $name/" /etc/hosts"#,
    ),
    before(
        "name servers that refuse",
        r"printf '%s\n' 'nameserver 127.0.0.9' 'nameserver ::1' 'search example.org example.net' \
              'options ndots:5 timeout:1' >/etc/resolv.conf",
    ),
];

const SSHD: &[Oddity] = &[
    before("few sessions a connection", "echo 'MaxSessions 4' >/etc/ssh/sshd_config.d/odd.conf"),
    before(
        "sshd that talks",
        r"echo 'Authorised use only.' >/etc/issue.net
          printf '%s\n' 'Banner /etc/issue.net' 'LogLevel VERBOSE' 'UseDNS yes' >/etc/ssh/sshd_config.d/odd.conf
          echo 'echo Today is a good day; echo Backup at nine >&2' >/etc/ssh/sshrc",
    ),
    before("new keys all the time", "echo 'RekeyLimit 1M 30s' >/etc/ssh/sshd_config.d/odd.conf"),
    before(
        "hardened algorithms",
        r"{
              echo Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes256-ctr,aes128-ctr
              echo MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,umac-128-etm@openssh.com
              echo KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256,diffie-hellman-group16-sha512
              echo HostKeyAlgorithms ssh-ed25519
              echo PubkeyAcceptedAlgorithms ssh-ed25519
          } >/etc/ssh/sshd_config.d/odd.conf",
    ),
    before(
        "hardened sshd",
        r#"sed -i /sftp/d /etc/ssh/sshd_config
           printf '%s\n' "AllowUsers $u" 'AuthenticationMethods publickey' 'MaxAuthTries 2' 'LoginGraceTime 20' \
               'MaxStartups 4:30:60' 'X11Forwarding no' 'AllowAgentForwarding no' 'PermitTunnel no' 'Compression no' \
               'TCPKeepAlive no' >/etc/ssh/sshd_config.d/odd.conf"#,
    ),
    before(
        "impatient keepalives",
        r"printf 'ClientAliveInterval 1\nClientAliveCountMax 5\n' >/etc/ssh/sshd_config.d/odd.conf",
    ),
    before(
        "keys outside the homes",
        r"mkdir -m 755 /etc/ssh/keys; mv $home/.ssh/authorized_keys /etc/ssh/keys/$u; rmdir $home/.ssh
          chmod 644 /etc/ssh/keys/$u
          echo 'AuthorizedKeysFile /etc/ssh/keys/%u' >/etc/ssh/sshd_config.d/odd.conf",
    ),
];

const SYSTEMD: &[Oddity] = &[
    before(
        "few open files",
        r"mkdir -p /etc/systemd/system.conf.d
          printf '* hard %s\n' 'nofile 4096' 'core 0' >/etc/security/limits.d/odd.conf
          printf '%s\n' '[Manager]' DefaultLimitNOFILE=1024:4096 DefaultTasksMax=200 DefaultLimitCORE=0 \
              >/etc/systemd/system.conf.d/odd.conf",
    ),
    before(
        "a hurried systemd",
        r"mkdir -p /etc/systemd/system.conf.d /etc/systemd/system-preset
          echo 'disable *' >/etc/systemd/system-preset/00-odd.preset
          printf '%s\n' '[Manager]' DefaultTimeoutStartSec=15s DefaultTimeoutStopSec=10s DefaultRestartSec=5s \
              StatusUnitFormat=combined >/etc/systemd/system.conf.d/odd.conf",
    ),
    before(
        "variables in every service",
        r"mkdir -p /etc/systemd/system.conf.d
          printf '%s\n' '[Manager]' 'DefaultEnvironment=ETCDCTL_API=2 ETCDCTL_ENDPOINTS=https://203.0.113.9:2379' \
              'DefaultEnvironment=ETCD_NAME=other TZ=America/St_Johns LC_ALL=tr_TR.UTF-8 TAR_OPTIONS=--verbose' \
              >/etc/systemd/system.conf.d/odd.conf",
    ),
];

const JOURNALS: &[Oddity] = &[
    before(
        "a journal in memory",
        r"mkdir -p /etc/systemd/journald.conf.d
          printf '%s\n' '[Journal]' Storage=volatile ForwardToSyslog=yes RuntimeMaxUse=8M \
              >/etc/systemd/journald.conf.d/odd.conf",
    ),
    before(
        "a journal on disk",
        r"mkdir -p /etc/systemd/journald.conf.d
          printf '%s\n' '[Journal]' Storage=persistent Compress=no Seal=no SystemMaxUse=16M \
              >/etc/systemd/journald.conf.d/odd.conf",
    ),
];

const ACCOUNTS: &[Oddity] = &[
    before("a group etcd", "groupadd -g 4001 etcd"),
    before(
        "a user etcd of another package",
        "useradd --system --user-group --no-create-home --home-dir /var/lib/etcd --shell /bin/false etcd",
    ),
    before(
        "strict new users",
        r"sed -i '/^UMASK/d; /^HOME_MODE/d; /^USERGROUPS_ENAB/d' /etc/login.defs
          printf '%s\n' 'UMASK 077' 'HOME_MODE 0700' 'USERGROUPS_ENAB no' 'CREATE_HOME yes' 'PASS_MAX_DAYS 90' \
              >>/etc/login.defs",
    ),
];

/// Of a machine's other file systems, as its hardening guide has them.
const MOUNT_OPTIONS: &[Oddity] = &[
    at_boot(
        "no programs in /tmp",
        "for dir in /tmp /dev/shm; do mount -o remount,noexec,nosuid,nodev $dir; done
         mount --bind /var/tmp /var/tmp; mount -o remount,bind,noexec,nosuid,nodev /var/tmp",
    ),
    at_boot("no programs in /home", "mount --bind /home /home; mount -o remount,bind,noexec,nosuid,nodev /home"),
    at_boot("processes that nobody else sees", "mount -o remount,hidepid=2 /proc"),
];

const DATA: &[Oddity] = &[
    // A bind mount: what is below is there after a power cut, as on a disk.
    before(
        "data on a disk of its own",
        r"mkdir -p /srv/disk/lost+found /var/lib/etcd; chmod 700 /srv/disk/lost+found
          echo '/srv/disk /var/lib/etcd none bind,noatime,nosuid,nodev,noexec 0 0' >>/etc/fstab",
    ),
    before("data behind a link", "mkdir -p /srv/data/etcd; ln -s /srv/data/etcd /var/lib/etcd"),
    at_boot("no programs in /var", "mount --bind /var /var; mount -o remount,bind,noexec,nosuid,nodev /var"),
];

const NETWORKS: &[Oddity] = &[
    at_boot("a second address", "ip address add 192.0.2.7/24 dev eth0"),
    at_boot(
        "a second interface",
        "ip link add docker0 type bridge; ip address add 172.17.0.1/16 dev docker0; ip link set docker0 up",
    ),
    at_boot("no IPv6", "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"),
    at_boot(
        "hardened sysctls",
        "sysctl -qw net.ipv4.icmp_echo_ignore_all=1 net.ipv4.tcp_timestamps=0 net.ipv4.conf.all.rp_filter=1 \
             net.ipv4.conf.all.accept_redirects=0 net.ipv4.conf.all.log_martians=1",
    ),
    // Those that tests use beside etcd's own.
    at_boot(
        "a firewall",
        "nft 'table inet firewall { chain in { type filter hook input priority 0; policy drop; iif lo accept;
             ct state established,related accept;
             tcp dport { 22, 2379-2381, 12379-12380, 22379-22380, 32379-32380 } accept; } }'",
    ),
];
