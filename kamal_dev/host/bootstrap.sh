#!/bin/sh
# Install and start Docker Engine and Compose on a Debian or Ubuntu host, and the watcher of this login: bootstrap.sh
#
# Does nothing if both are installed and running. Where it installs Docker, it adds address pools to /etc/docker/daemon.json
# (see pools.sh); otherwise that file is only changed for a host that stacks share.
# Payload: meta/facts, see lib.sh; meta/watcher, see unit.sh; meta/pools, see pools.sh.
# Events: `log` {text}, those of facts.sh, then `result` {ok, phase, changed, code, reason, engine, compose}. `code` says what
# failed:
#   system      neither Debian nor Ubuntu, or too old           privilege  neither root nor sudo without a password
#   packages    refused or broken by the package manager        network    the packages could not be reached
#   daemon      installed, but does not answer                  compose    no Compose of 2.24.4 or later
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$here/engine.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=unit.sh
. "$here/unit.sh"
# shellcheck source-path=SCRIPTDIR source=packages.sh
. "$here/packages.sh"
# shellcheck source-path=SCRIPTDIR source=pools.sh
. "$here/pools.sh"
# What packages leave in /etc and /usr is for everyone to read.
umask 022

boot_deadline=600
daemon_deadline=60
changed=false

# fail CODE REASON: end with a failed result.
fail() {
  emit result ok: false phase bootstrap changed: "$changed" code "$1" reason "$2"
  exit 1
}

# --- what is installed

has_docker() { command -v dockerd >/dev/null 2>&1 || answers; }
answers() { engine_answers; }

# refuse_others: refuse to install Docker if this login has its own engine, or another engine is running.
refuse_others() {
  if answers; then
    case $(privilege) in
      root | sudo) ;;
      *) fail compose "Compose $minimal_compose or later is required, and this host has ${have:-none}" ;;
    esac
  elif [ -n "$engine_socket$engine_context" ]; then fail daemon "$engine_trouble"
  fi
}

has_compose() {
  have=$(compose_version)
  is_at_least "$minimal_compose" "$have"
}

# --- installation

await_boot() {
  command -v cloud-init >/dev/null 2>&1 || return 0
  log 'Waiting for cloud-init'
  timeout "$boot_deadline" cloud-init status --wait >/dev/null 2>&1
  case $? in
    0 | 2) ;; # 2: it ended, with errors that it could live with
    124) log "cloud-init did not finish within $boot_deadline s; continuing" ;;
    *) log 'cloud-init failed; continuing' ;;
  esac
}

require_root() {
  case $(privilege) in
    root | sudo) ;;
    password) fail privilege "sudo asks \`$(id -un)\` for a password; give it \`NOPASSWD: ALL\`, or log in as root" ;;
    *) fail privilege "\`$(id -un)\` is not root and has no sudo${engine_trouble:+; $engine_trouble}" ;;
  esac
}

is_complete() {
  look_up_engine && have=$compose && is_at_least "$minimal_compose" "$have"
}

start_daemon() {
  if has_systemd; then
    as_root systemctl enable --now docker >/dev/null 2>"$here/start.err"
  else
    as_root service docker start >/dev/null 2>"$here/start.err" 8<&-
  fi
}

restart_daemon() {
  if has_systemd; then
    as_root systemctl restart docker >/dev/null 2>"$here/start.err"
  else
    as_root service docker restart >/dev/null 2>"$here/start.err" 8<&-
  fi
}

is_masked() { grep -qs 'is masked' "$here/start.err"; }

await_daemon() {
  ! is_masked || return
  clock
  give_until=$((now + daemon_deadline * 1000))
  until answers; do
    clock
    [ "$now" -lt "$give_until" ] || return
    ! { has_systemd && systemctl is-failed --quiet docker; } || return
    sleep 0.5
  done
}

why_silent() {
  if has_systemd && ! is_masked; then
    as_root journalctl --unit docker --lines 10 --no-pager --output cat >"$here/journal" 2>&1
    last_lines "$here/journal" 10
  else
    last_lines "$here/start.err" 5
  fi
}

# Later connections use Docker through the group, without sudo; this one keeps the groups of its login.
admit_user() {
  is_root || id -nG "$(id -un)" | tr ' ' '\n' | grep -qx docker || as_root usermod --append --groups docker "$(id -un)"
}

run_daemon() {
  if answers; then
    ! has_systemd || systemctl is-enabled --quiet docker 2>/dev/null || as_root systemctl enable docker >/dev/null 2>&1
    return 0
  fi
  log 'Starting Docker Engine'
  changed=true
  start_daemon
  await_daemon || fail daemon "Docker Engine does not answer: $(why_silent)"
}

install() {
  engine=''
  refuse_others
  await_boot
  require_root
  install_docker
  run_daemon
  has_compose || fail compose "Compose $minimal_compose or later is required, and this host has ${have:-none}"
}

# --- main

if is_complete; then
  is_root || [ "$(privilege)" != sudo ] || admit_user
else
  exec 8<"$HOME"
  # Two stacks may bootstrap one host at the same time: the second waits for the first, and then has nothing to do.
  wait_for_lock 1200 8 || fail packages 'another bootstrap has been running on this host for 20 minutes'
  if ! is_complete; then install; fi
  admit_user
fi
ensure_pools
ensure_watcher
tell_facts
emit result ok: true phase bootstrap changed: "$changed" \
  engine "${engine:-$(engine_version)}" compose "${have:-}"
