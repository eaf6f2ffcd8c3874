#!/bin/sh
# Watch the stacks of this login for as long as the host runs: started by the unit that unit.sh installs.
#
# An event of the engine only triggers a check: observe.sh decides what is wrong, incidents.sh what is reported, and notify.sh
# sends it. A locked stack is being changed, so it is not checked. The script sleeps until something happens, and checks the
# disk every few minutes.
#   ~/.kamal-dev/<stack>/incidents     see incidents.sh
#   ~/.kamal-dev/.watcher/running      the boot, then the containers that ran when the host shut down
#   ~/.kamal-dev/.watcher/pending/     per stack the events since its last check: `<container> <action> <exit code>`
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=observe.sh
. "$here/observe.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"
# shellcheck source-path=SCRIPTDIR source=incidents.sh
. "$here/incidents.sh"
# shellcheck source-path=SCRIPTDIR source=notify.sh
. "$here/notify.sh"

every=${KAMAL_DEV_WATCH_EVERY:-300} settle=2 again=15 patience=120 scheduled=' '
pending=$here/pending
read -r boot_id </proc/sys/kernel/random/boot_id
# A container as a host boots without its own kernel.
boot=$boot_id:$(started_at 1)

# --- what wakes it up: lines on descriptor 3

# follow: pass on container events. After an outage of the engine, every stack is checked.
follow() {
  while :; do
    engine_happenings "$(date +%s)" >&3
    sleep 5
    engine_answers && echo sweep >&3
  done
}

tick() { while sleep "$every"; do echo sweep >&3; done; }

# schedule STACK SECONDS: check it after that time, once.
schedule() {
  case $scheduled in *" $1 "*) return ;; esac
  scheduled="$scheduled$1 "
  (sleep "$2"; echo "check $1" >&3) &
}

# handle WORD STACK CONTAINER ACTION CODE: names come from container labels, which anyone can set.
handle() {
  [ "$1" != sweep ] || { for each in $(all_stacks); do schedule "$each" 0; done; return; }
  case $2 in '' | *[!a-z0-9_-]* | [_-]*) return ;; esac
  [ -d "$base/$2/releases" ] || return
  case $1 in
    happened) echo "$3 $4 ${5:-}" >>"$pending/$2"; schedule "$2" "$settle" ;;
    check)
      scheduled="${scheduled%%" $2 "*} ${scheduled#*" $2 "}"
      (check "$2")
      case $? in 0) ;; *) schedule "$2" "$again" ;; esac ;;
  esac
}

# --- one stack

# check STACK: check it, and alert people of problems. Fails if it has to be checked again soon.
check() {
  use_stack "$1"
  read_lock
  case $lock_state in held | stale) return 1 ;; esac
  shown=$(current_release)
  happened=$(cat "$pending/$stack" 2>/dev/null)
  rm -f "$pending/$stack"
  # A release that never came up was reported by its deploy.
  was_healthy "$shown" || return 0
  look_at_stack || return 1
  judge_stack "$shown"
  look_at_start
  { containers_amiss | with_events && start_amiss && disk_amiss; } |
    debounce "$home/incidents" "$(date +%s)" "$(setting calm 60)" "$(setting repeat 1800)" >"$here/tell"
  while IFS='|' read -r key word count since reason; do
    service=${key#container }
    [ "$service" != "$key" ] || service=
    alert "$word" "$service" "$count" "$(date -u -d "@$since" +%Y-%m-%dT%H:%M:%SZ)" "$reason"
  done <"$here/tell"
  [ -z "$awaits_start" ] && ! has_open_incidents "$home/incidents"
}

# containers_amiss: print `<service>|<state>|<id>|<reason>` of containers with problems, without those stopped on
# purpose.
containers_amiss() {
  printf '%s\n' "$problems" | rows=$found awk -F'|' '
    BEGIN {
      n = split(ENVIRON["rows"], rows, "\n")
      for (i = 1; i <= n; i++) { split(rows[i], words, "|"); service[words[1]] = words[2] }
    }
    $3 !~ /^(unhealthy|restarting|restarted|crash loop|exited [0-9]+|missing|dead|paused)$/ { next }
    $3 == "missing" { print $4 "|missing|" $1 "|its container is missing"; next }
    { print service[$1] "|" $3 "|" $1 "|" substr($0, length($1 $2 $3) + 4) }'
}

# with_events: turn problems of containers into problems of services, and count the events; after a restart, only the
# events tell the exit code and whether memory ran out.
with_events() {
  happened=$happened awk -F'|' '
    BEGIN {
      n = split(ENVIRON["happened"], lines, "\n")
      for (i = 1; i <= n; i++) {
        split(lines[i], words, " ")
        if (words[2] == "die" || words[3] == "unhealthy") times[words[1]]++
        if (words[2] == "die" && words[3] ~ /^[0-9]+$/) code[words[1]] = words[3]
        if (words[2] == "oom") full[words[1]] = 1
      }
    }
    {
      reason = $4
      if ((($3) in code) && reason !~ /exit/) reason = reason ", last exit code " code[$3]
      if ($3 in full) reason = "out of memory: " reason
      if ($1 in word) { count[$1] += times[$3]; next }
      word[$1] = $2; why[$1] = reason; count[$1] = times[$3] + 0
    }
    END { for (name in word) print "container " name "|" word[name] "|" count[name] "|" why[name] }'
}

# disk_amiss: print the problem of a disk that is fuller than the limit in dev.yml.
disk_amiss() {
  limit=$(setting disk 90)
  root=$(sed -n 4p "$engine_known" 2>/dev/null)
  set -- "$home"
  [ ! -d "${root:-$engine_folder}" ] || set -- "$home" "${root:-$engine_folder}"
  df -Pk "$@" | awk -v limit="$limit" 'NR > 1 && $5 + 0 >= limit && !found++ { print "disk|disk|0|" $6 " is " $5 " full; notify.disk is " limit }'
}

# --- the main container after the engine has started it

# look_at_start: set awaits_start if the engine has restarted the main container, so that postStartCommand has to run.
# Waits a while for the other containers, because the engine starts them in no particular order.
look_at_start() {
  awaits_start=
  has_finished "$found" && return
  finished=$(cut -d' ' -f1,2 "$home/lifecycle/finished" 2>/dev/null) || return
  [ -n "$finished" ] || return
  now_started=$(printf '%s\n' "$found" | awk -F'|' '$9 == "true" && $3 == "running" { print $1, $8 }')
  # For a new container, or new source, the deploy runs the remaining commands.
  [ "${now_started%% *}" = "${finished%% *}" ] && [ "$now_started" != "$finished" ] || return
  [ "$(head -n 1 "$home/lifecycle/resumed" 2>/dev/null)" != "$now_started" ] || return
  awaits_start=yes
  waiting=$(printf '%s\n' "$problems" | grep -v '^[^|]*|[^|]*|restarted|' | grep -c .)
  wall=$(wall_clock)
  [ "$waiting" = 0 ] || [ "$(uptime_of "${now_started#* }")" -ge $((patience * 1000)) ] || return 0
  resume
}

# resume: run postStartCommand in the background, in its own folder and with the lock of the stack.
resume() {
  run=$(mktemp -d "$here/run.XXXXXX") || return
  mkdir "$run/meta" && cp "$here"/*.sh "$run/" && echo 'the host' >"$run/meta/performer" || return
  (trap 'rm -rf "$run"' EXIT; sh "$run/resume.sh" "$stack" "$now_started" >"$run/log" 2>&1) 3<&- &
}

# start_amiss: print the problem of a failed postStartCommand.
start_amiss() {
  { read -r resumed; read -r resumed_why; } 2>/dev/null <"$home/lifecycle/resumed" || return 0
  [ -z "$resumed_why" ] || ! printf '%s\n' "$found" | awk -F'|' '{ print $1, $8 }' | grep -qxF -- "$resumed" ||
    echo "start|lifecycle|0|$resumed_why"
}

# --- the beginning and the end

# start_again: start the containers that ran when the host shut down and that the engine did not start.
start_again() {
  read -r running_boot 2>/dev/null <"$here/running" || return 0
  # shellcheck disable=SC2046 # ids are words
  set -- $(sed 1d "$here/running")
  # A list that was kept would be used after a power cut, and start what was stopped since.
  rm -f "$here/running"
  [ "$running_boot" != "$boot" ] || return 0
  # shellcheck disable=SC2046 # ids are words
  [ $# = 0 ] || set -- $(stopped_of "$@")
  [ $# = 0 ] || engine_start "$@"
}

# shellcheck disable=SC2317 # called by the trap
end() {
  { echo "$boot"; running_containers; } >"$here/running.new" 2>/dev/null && mv "$here/running.new" "$here/running"
  exit 0
}

rm -rf "$here"/letter.* "$here"/run.* "$pending" "$here/events"
mkdir -p "$pending" && mkfifo "$here/events" || exit
exec 3<>"$here/events"
until engine_answers; do sleep 5; done
start_again >/dev/null 2>&1
trap end TERM INT
follow &
tick &
handle sweep
while :; do
  if read -r word name container action code <&3; then handle "$word" "${name:-}" "${container:-}" "${action:-}" "${code:-}"; fi
done
