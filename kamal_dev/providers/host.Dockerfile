# A host for development: systemd and sshd in a privileged container, and no Docker yet; bootstrap brings that.
# Debian 12, because systemd 256 and later (Debian 13) refuses cgroup v1.
FROM debian:12
ENV container=docker
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      systemd systemd-sysv dbus openssh-server sudo iproute2 iptables curl ca-certificates procps kmod git \
 && rm -rf /var/lib/apt/lists/*

# The base image forbids packages to start services. Keys and ids are each host's own, made at its first boot.
RUN rm -f /usr/sbin/policy-rc.d /etc/ssh/ssh_host_* /var/lib/dbus/machine-id \
 && : >/etc/machine-id \
 && mkdir -p /etc/systemd/system/ssh.service.d \
 && printf '[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n' \
      >/etc/systemd/system/ssh.service.d/host-keys.conf \
 && printf 'PermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n' \
      >/etc/ssh/sshd_config.d/keys-only.conf

COPY --chmod=755 cgroup.sh /usr/local/sbin/kamal-dev-cgroup
RUN mkdir -p /etc/systemd/system/docker.service.d \
 && printf '[Service]\nExecStartPre=/usr/local/sbin/kamal-dev-cgroup\n' >/etc/systemd/system/docker.service.d/cgroup.conf

# What would change the machine around the container, or has nothing to do in one.
RUN systemctl mask systemd-sysctl.service systemd-modules-load.service systemd-remount-fs.service \
      sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount dev-hugepages.mount \
      proc-sys-fs-binfmt_misc.automount console-getty.service getty.target \
      apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service

VOLUME /var/lib/docker
EXPOSE 22
STOPSIGNAL SIGRTMIN+3
CMD ["/sbin/init"]
