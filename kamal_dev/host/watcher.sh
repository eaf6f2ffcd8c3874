#!/bin/sh
# Watch the stacks of this login for as long as the host runs: started by the unit that unit.sh installs.
#
# An event of the engine only triggers a check: observe.sh decides what is wrong, incidents.sh what is reported, and notify.sh
# sends it. A locked stack is being changed, so it is not checked. The script sleeps until something happens, and checks the
# disk every few minutes. After an outage of the host or of the engine, it starts the containers that ran before and that
# the engine did not start (see docs/decisions/restart-policy.md).
#   ~/.kamal-dev/<stack>/incidents     see incidents.sh
#   ~/.kamal-dev/.watcher/boot         the boot of the host in which the watcher last began
#   ~/.kamal-dev/.watcher/outage/      per stack that was not looked at since an outage: the uptime when the engine was back
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

every=300 settle=2 again=15 retry=5 patience=120 scheduled=' '
pending=$here/pending outages=$here/outage connected=
read -r boot_id </proc/sys/kernel/random/boot_id
# A container as a host boots without its own kernel.
boot=$boot_id:$(started_at 1)

# --- what wakes it up: lines on descriptor 3

# follow WHY: pass on container events, on one connection after another. Each is announced with its process, and with
# `outage` if what ran before may not run now. Returns never.
follow() {
  followed_since=$(date +%s) why=$1
  while :; do
    until ! awaits_unit && engine_answers; do why=outage; sleep "$retry"; done
    engine_happenings "$followed_since" >&3 &
    echo "connected $!:$(started_at "$!") $why" >&3
    wait "$!"
    # 124: its deadline is over, and the engine is the same.
    case $? in 124) why=again ;; *) why=outage ;; esac
    followed_since=$(date +%s)
    sleep "$retry"
    # Now this script is not just being ended itself. If it is ended before the engine is back, the next one has to know.
    [ "$why" = again ] || rm -f "$here/boot"
  done
}

# is_connected: whether the engine is the one that was announced last. What is seen of containers counts only if this is
# true afterwards: an engine that stops accepts no more connections, so a question may wait for the next engine.
is_connected() { [ -n "$connected" ] && is_there "$connected"; }

tick() { while sleep "$every"; do echo sweep >&3; done; }

# schedule STACK SECONDS: check it after that time, once.
schedule() {
  case $scheduled in *" $1 "*) return ;; esac
  scheduled="$scheduled$1 "
  (sleep "$2"; echo "check $1" >&3) &
}

# handle WORD STACK CONTAINER ACTION CODE: names come from container labels, which anyone can set.
handle() {
  case $1 in
    connected) connected=$2; [ "$3" != outage ] || note_outage; sweep; return ;;
    sweep) sweep; return ;;
  esac
  case $2 in '' | *[!a-z0-9_-]* | [_-]*) return ;; esac
  [ -d "$base/$2/releases" ] || return
  case $1 in
    happened)
      echo "$3 $4 ${5:-}" >>"$pending/$2"
      [ "$4 ${5:-}" != 'die 0' ] || forget_completed "$2" "$3"
      [ "$4" = kill ] || schedule "$2" "$settle" ;;
    check)
      scheduled="${scheduled%%" $2 "*} ${scheduled#*" $2 "}"
      (check "$2")
      case $? in 0) ;; *) schedule "$2" "$again" ;; esac ;;
  esac
}

sweep() { for each in $(all_stacks); do schedule "$each" 0; done; }

# --- one stack

# check STACK: check it, and alert people of problems. Fails if it has to be checked again soon.
check() {
  use_stack "$1"
  # The next connection is followed by a check of all stacks.
  is_connected && ! awaits_unit || return 0
  read_lock
  # What a stale owner has left half done is a problem.
  [ "$lock_state" != held ] || return 1
  shown=$(current_release)
  # A release that never came up was reported by its deploy.
  was_healthy "$shown" || { rm -f "$pending/$stack"; return 0; }
  look_at_stack && repair_outage || return 1
  is_connected || return 0
  record_running
  happened=$(cat "$pending/$stack" 2>/dev/null)
  rm -f "$pending/$stack"
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

# --- after an outage

# note_outage: note that every stack needs a look. Only then is the boot recorded, so that nothing is missed if this
# script is ended.
note_outage() {
  mkdir -p "$outages"
  for each in $(all_stacks); do uptime_now >"$outages/$each"; done
  echo "$boot" >"$here/boot"
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
  grep -qsF "$2 kill" "$pending/$1" || ! grep -qsxF "$2" "$base/$1/running" || {
    { grep -vxF "$2" "$base/$1/running"; :; } >"$base/$1/.running" && mv "$base/$1/.running" "$base/$1/running"
  }
}

# --- the beginning

rm -rf "$here"/letter.* "$here"/run.* "$pending" "$here/events"
mkdir -p "$pending" && mkfifo "$here/events" || exit
exec 3<>"$here/events"
read -r last_boot 2>/dev/null <"$here/boot" || last_boot=
if [ "$last_boot" = "$boot" ]; then follow again & else follow outage & fi
tick &
while :; do
  if read -r word name container action code <&3; then handle "$word" "${name:-}" "${container:-}" "${action:-}" "${code:-}"; fi
done
