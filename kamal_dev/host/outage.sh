# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# After an outage of the host or the engine, start what ran before it and does not run now: see docs/decisions/restart-policy.md.
# Sourced by watcher.sh after observe.sh; runs nothing by itself.
#
#   ~/.kamal-dev/<stack>/running    see record_running
#   ~/.kamal-dev/.watcher/boot      the boot of the host in which the watcher last began
#   ~/.kamal-dev/.watcher/outage/   per stack that was not checked since an outage: the uptime when the engine was back

outages=$here/outage
read -r boot_id </proc/sys/kernel/random/boot_id
# A container as a host boots without its own kernel.
boot=$boot_id:$(started_at 1)

# is_new_boot: whether the host has booted since the watcher began last.
is_new_boot() { ! read -r last_boot 2>/dev/null <"$here/boot" || [ "$last_boot" != "$boot" ]; }

# note_outage: note that every stack needs a look. Only then is the boot recorded, so that nothing is missed if this
# script is ended.
note_outage() {
  rm -rf "$outages"
  mkdir -p "$outages"
  for each in $(all_stacks); do uptime_now >"$outages/$each"; done
  echo "$boot" >"$here/boot"
}

# recover_underway: after an outage, finish the backup or restore that it interrupted, in the background. Fails if that has begun.
# It is tried once: people have to look at what cannot be moved back.
recover_underway() {
  [ -f "$home/underway" ] && [ -f "$outages/$stack" ] && [ ! -f "$outages/.$stack" ] || return 0
  : >"$outages/.$stack"
  in_background recover.sh "$stack"
  return 1
}

# repair_outage: after an outage, start what ran before it and does not run now, and look again. Fails as long as that
# fails, but not for ever: an address of the host that a port is bound to may not exist yet.
repair_outage() {
  read -r outage_ended 2>/dev/null <"$outages/$stack" || return 0
  # shellcheck disable=SC2046 # ids are words
  set -- $(interrupted)
  # In the first round a container may need another one that is not running yet.
  [ $# = 0 ] || engine_start "$@" >/dev/null 2>&1 || engine_start "$@" >/dev/null 2>&1 ||
    [ $(($(uptime_now) - outage_ended)) -ge "$patience" ] || return
  rm -f "$outages/$stack"
  look_at_stack
}

# interrupted: print the containers that ran when they were last recorded, and ended. Those without a restart policy are
# not meant to be started again.
interrupted() {
  find_stopped
  ran=" $({ tr '\n' ' ' <"$home/running"; } 2>/dev/null)"
  printf '%s\n' "$found" | while IFS='|' read -r id service state _ _ _ policy _; do
    case $ran in *" $id "*) ;; *) continue ;; esac
    case $stopped_services in *" $service "*) continue ;; esac
    case $state:$policy in exited:no | exited:) ;; exited:*) echo "$id" ;; esac
  done
}

# forget_completed STACK CONTAINER: it ended with 0 and without a signal from the engine, so it must not be started again,
# even if the engine or the host stops before the next check.
forget_completed() {
  ! grep -qsF "$2 kill" "$pending/$1" && grep -qsxF "$2" "$base/$1/running" || return 0
  { grep -vxF "$2" "$base/$1/running"; [ $? -lt 2 ]; } >"$base/$1/.running" && mv "$base/$1/.running" "$base/$1/running"
}
