#!/bin/sh
# Runs in a container that becomes a host: authorizes the public key on stdin, and prints the
# host's public key once sshd has generated it, then its address among the containers. $1: how many seconds to wait for that.
set -eu
umask 077
mkdir -p /root/.ssh
read -r key
grep -qxF "$key" /root/.ssh/authorized_keys 2>/dev/null || printf '%s\n' "$key" >>/root/.ssh/authorized_keys

# Under cgroup v1 the containers of the engine inside would otherwise be next to the host's own group: outside its
# limits, and left behind when the host is destroyed.
group=$(sed -n 's|^[0-9]*:name=systemd:\(.*\)/init.scope$|\1|p' /proc/1/cgroup)
# By default Docker has about 30 networks, and each stack takes one: its ranges are split into smaller ones (see packages.sh).
if [ ! -e /etc/docker/daemon.json ]; then
  umask 022
  mkdir -p /etc/docker
  printf '{%s"default-address-pools": [%s, %s, %s, %s, %s]}\n' "${group:+"\"cgroup-parent\": \"$group\", "}" \
    '{"base": "172.17.0.0/16", "size": 24}' '{"base": "172.18.0.0/15", "size": 24}' \
    '{"base": "172.20.0.0/14", "size": 24}' '{"base": "172.24.0.0/13", "size": 24}' \
    '{"base": "192.168.0.0/16", "size": 24}' >/etc/docker/daemon.json
fi

tries=$(($1 * 5))
until [ -s /etc/ssh/ssh_host_ed25519_key.pub ]; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || { echo 'sshd made no host key' >&2; exit 1; }
  sleep 0.2
done
cat /etc/ssh/ssh_host_ed25519_key.pub
# Not the first address of all: that may be one of the engine inside.
ip -4 route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([^ ]*\).*/\1/p' || true
