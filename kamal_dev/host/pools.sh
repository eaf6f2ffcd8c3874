# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# The address pools of Docker, from which each network gets a range. Sourced after engine.sh; runs nothing by itself.
#
#   ~/.kamal-dev/.pools   exists once this login has decided about the pools of an engine that it found installed

# Docker has about 30 networks by default, and each stack takes one. These are its own ranges, cut smaller: 254 containers
# in each of about 4000 networks. Docker skips those that overlap with a route of the host.
pools='"default-address-pools": [{"base": "172.17.0.0/16", "size": 24}, {"base": "172.18.0.0/15", "size": 24},
  {"base": "172.20.0.0/14", "size": 24}, {"base": "172.24.0.0/13", "size": 24}, {"base": "192.168.0.0/16", "size": 24}]'
pools_decided=$base/.pools engine_process=/var/run/docker.pid

# lacks_pools: whether Docker may have its default pools only, and nobody has decided about that. Only about the engine of
# the system that runs: another one has other settings.
lacks_pools() {
  [ ! -f "$pools_decided" ] && [ -z "$engine_socket$engine_context" ] && [ -f "$engine_process" ] || return
  ! read_file "$engine_settings" || case $content in *'"default-address-pools"'*) return 1 ;; esac
}

# with_pools: print the daemon.json on stdin with the pools as its first key, and its other settings unchanged.
with_pools() {
  awk -v pools="$pools" '
    { text = text $0 "\n" }
    END {
      at = index(text, "{")
      if (!at) { print "{" pools "}"; exit }
      rest = substr(text, at + 1)
      printf "%s{%s%s%s", substr(text, 1, at - 1), pools, (rest ~ /^[ \t\r\n]*}/ ? "" : ",\n "), rest
    }'
}

# add_pools: write the pools before Docker is installed, so that it starts with them and no container is interrupted.
# A file that already has pools is not changed; Docker would not start with one that is no JSON object.
add_pools() {
  [ ! -L "$engine_settings" ] || return 0
  as_root cat "$engine_settings" >"$here/daemon.json" 2>/dev/null || : >"$here/daemon.json"
  ! grep -q '"default-address-pools"' "$here/daemon.json" || return 0
  is_object "$here/daemon.json" || fail daemon "$engine_settings is not a JSON object: fix or remove it"
  write_settings
}

is_object() { case $(tr -d ' \t\r\n' <"$1") in '' | '{'*'}') ;; *) return 1 ;; esac }

# write_settings: replace the settings by those in `daemon.json` with the pools, by rename, and with the same owner and mode.
write_settings() {
  with_pools <"$here/daemon.json" >"$here/daemon.json.new" && as_root mkdir -p "${engine_settings%/*}" || return
  replace_settings "$here/daemon.json.new"
}

replace_settings() {
  as_root cp -p "$engine_settings" "$engine_settings.new" 2>/dev/null
  as_root tee "$engine_settings.new" <"$1" >/dev/null && as_root mv -T "$engine_settings.new" "$engine_settings"
}

# --- an engine that was installed before

# ensure_pools: add the pools to the settings of an engine that has none, if the payload asks for it. It uses them once it is
# restarted, which is done if no container runs; otherwise a message says so. Happens once for each login, and two stacks
# that are deployed to the host at the same time do it one after the other.
ensure_pools() {
  [ -s "$here/meta/pools" ] && lacks_pools || return 0
  case $(privilege) in root | sudo) ;; *) return 0 ;; esac
  exec 8<"$HOME"
  if wait_for_lock 300 8 && lacks_pools; then
    pools_trouble=
    { give_pools && [ -z "$pools_trouble" ]; } || log "Could not add address pools to $engine_settings: ${pools_trouble:-$(why_not_written "${engine_settings%/*}")}"
    mkdir -p "$base" && : >"$pools_decided"
  fi
  exec 8<&-
}

# give_pools: do that. Sets pools_trouble to the reason if it is not possible.
give_pools() {
  as_root cat "$engine_settings" >"$here/daemon.json" 2>/dev/null || : >"$here/daemon.json"
  ! grep -q '"default-address-pools"' "$here/daemon.json" || return 0
  pools_trouble=$(why_no_pools)
  [ -z "$pools_trouble" ] && write_settings || return
  changed=true
  if is_at_rest; then restart_with_pools; else
    log "Added address pools to $engine_settings; they are used once Docker is restarted, which was not done because containers are running"
  fi
}

# why_no_pools: print why they cannot be set in the file; nothing if they can.
why_no_pools() {
  if [ -L "$engine_settings" ]; then echo 'it is a symbolic link'
  elif ! is_object "$here/daemon.json"; then echo 'it is not a JSON object'
  elif tr '\0' '\n' <"/proc/$(cat "$engine_process")/cmdline" 2>/dev/null | grep -qE '^--(default-address-pool|config-file)'; then
    echo 'Docker was started with other settings on its command line'
  fi
}

# is_at_rest: whether a restart of the engine interrupts nobody: no container runs, and no client pulls or builds. The watcher
# waits for events, and connects again.
is_at_rest() {
  running_ids=$(engine ps --quiet) && [ -z "$running_ids" ] || return
  # shellcheck disable=SC2013 # paths without spaces
  for client in $(grep -lsx docker /proc/[0-9]*/comm); do
    tr '\0' ' ' <"${client%comm}cmdline" 2>/dev/null | grep -q ' events ' || return
  done
}

restart_with_pools() {
  restart_daemon && await_daemon && { log "Added address pools to $engine_settings and restarted Docker: no container was running"; return; }
  replace_settings "$here/daemon.json" && restart_daemon && await_daemon
  pools_trouble='Docker did not start with them, and was restarted without'
}
