# Makes the lab's image, $1 and where this runs, one of a host with a kubelet. $2 has the programs and the images.
# shellcheck shell=sh
install -m 0755 "$2/kubeadm" "$2/kubelet" usr/bin/
install -m 0755 "$2/crictl" usr/local/bin/
mkdir -p opt/images etc/containerd etc/kubernetes/manifests var/lib/kubelet etc/systemd/system/containerd.service.d
chmod 0700 etc/kubernetes/manifests
cp "$2"/*.tar opt/images/
# There are no name servers, and without this file the kubelet starts no pod.
: >etc/resolv.conf
echo 'runtime-endpoint: unix:///run/containerd/containerd.sock' >etc/crictl.yaml

# Where root has no CAP_SYS_RESOURCE, as in some containers, nothing may ask to be spared when memory is short.
cat >etc/containerd/config.toml <<'END'
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.10.2"
  restrict_oom_score_adj = true
END
# Without modprobe, too: there is one kernel, and it has overlay.
cat >etc/systemd/system/containerd.service.d/lab.conf <<'END'
[Service]
OOMScoreAdjust=0
ExecStartPre=
END

# protectKernelDefaults: it takes what lab-kernel shows it, and never writes what all hosts share with this machine.
cat >var/lib/kubelet/config.yaml <<'END'
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: /etc/kubernetes/manifests
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {}}
authorization: {mode: AlwaysAllow}
localStorageCapacityIsolation: false
protectKernelDefaults: true
evictionHard: {memory.available: 0%, nodefs.available: 0%, imagefs.available: 0%, nodefs.inodesFree: 0%, imagefs.inodesFree: 0%}
imageGCHighThresholdPercent: 100
END
cat >etc/systemd/system/kubelet.service <<'END'
[Unit]
Description=kubelet: The Kubernetes Node Agent
After=containerd.service

[Service]
ExecStart=/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
END

# nspawn mounts the controllers of version 1 so that nobody can write there.
cat >usr/local/sbin/lab-kernel <<'END'
#!/bin/sh
set -eu
if [ ! -e /sys/fs/cgroup/cgroup.procs ]; then
    for controller in /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$controller"; done
fi
mount --make-rshared /
mkdir -p /run/lab-kernel
for flag in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    name=${flag%=*}
    file=/run/lab-kernel/$(echo "$name" | tr / .)
    echo "${flag#*=}" >"$file"
    mount --bind "$file" "/proc/sys/$name"
done
END
cat >usr/local/sbin/lab-images <<'END'
#!/bin/sh
set -eu
for image in /opt/images/*.tar; do
    done=/var/lib/containerd/.${image##*/}
    [ -e "$done" ] || ctr -n k8s.io images import "$image"
    touch "$done"
done
END
chmod 0755 usr/local/sbin/lab-kernel usr/local/sbin/lab-images
cat >etc/systemd/system/lab-kernel.service <<'END'
[Unit]
Description=What containers need of a kernel
Before=containerd.service kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-kernel

[Install]
WantedBy=multi-user.target
END
cat >etc/systemd/system/lab-images.service <<'END'
[Unit]
Description=Images for which there is no registry
After=containerd.service
Requires=containerd.service
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-images

[Install]
WantedBy=multi-user.target
END
chroot . systemctl enable --quiet containerd lab-kernel lab-images kubelet
