#!/bin/sh
# Watch the stacks of this login for as long as the host runs: started by the unit that unit.sh installs.
#
# An event of the engine only triggers a check: observe.sh decides what is wrong, problems.sh and incidents.sh what is reported, and
# notify.sh sends it. A locked stack is being changed, so it is not checked. The script sleeps until something happens, and checks the
# disk every few minutes. After an outage of the host or of the engine, it starts the containers that ran before and that
# the engine did not start (see docs/decisions/restart-policy.md), and finishes what the outage interrupted.
#   ~/.kamal-dev/<stack>/incidents     see incidents.sh
# It also ends stacks whose lifetime is over, see lifetime.sh.
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
# shellcheck source-path=SCRIPTDIR source=outage.sh
. "$here/outage.sh"
# shellcheck source-path=SCRIPTDIR source=problems.sh
. "$here/problems.sh"
# shellcheck source-path=SCRIPTDIR source=incidents.sh
. "$here/incidents.sh"
# shellcheck source-path=SCRIPTDIR source=notify.sh
. "$here/notify.sh"
# shellcheck source-path=SCRIPTDIR source=replace.sh
. "$here/replace.sh"
# shellcheck source-path=SCRIPTDIR source=lifetime.sh
. "$here/lifetime.sh"
# shellcheck source-path=SCRIPTDIR source=idle.sh
. "$here/idle.sh"
# shellcheck source-path=SCRIPTDIR source=unit.sh
. "$here/unit.sh"

every=300 settle=2 again=15 retry=5 silent_tries=12 patience=120 scheduled=' '
pending=$here/pending lives=$here/lives life_turn=0 life_again=5 connected=

# --- what wakes it up: lines on descriptor 3

# follow WHY: pass on container events, on one connection after another. Each is announced with its process, and with
# `outage` if what ran before may not run now. Returns never.
follow() {
  followed_since=$(date +%s) why=$1
  while :; do
    await_engine
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

# await_engine: wait until the engine answers; after a minute, and every minute, say that it does not.
await_engine() {
  silent_for=0
  until ! awaits_unit && engine_answers; do
    why=outage silent_for=$((silent_for + 1))
    [ $((silent_for % silent_tries)) != 0 ] || echo "silent ${engine_trouble:-$engine_name is stopped}" >&3
    sleep "$retry"
    # At boot, the socket of a rootless engine may not exist yet.
    find_engine
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

# plan_life STACK SECONDS: look at its lifetime after that time, and not when it was planned before.
plan_life() {
  life_turn=$((life_turn + 1))
  echo "$life_turn" >"$lives/$1"
  (sleep "$2"; echo "life $1 $life_turn" >&3) &
}

# handle WORD STACK CONTAINER ACTION CODE: names come from container labels, which anyone can set.
handle() {
  case $1 in
    connected)
      connected=$2
      find_engine
      [ "$3" != outage ] || note_outage
      sweep
      return ;;
    sweep) sweep; return ;;
    silent)
      shift
      for each in $(all_stacks); do (alert_of_silence "$each" "$*"); done
      return ;;
  esac
  case $2 in '' | *[!a-z0-9_-]* | [_-]*) return ;; esac
  [ "$1" != gone ] || { (tell_gone "$2") & return; }
  [ -d "$base/$2/releases" ] && [ ! -f "$base/$2/arriving" ] || return
  case $1 in
    happened)
      echo "$3 $4 ${5:-}" >>"$pending/$2"
      [ "$4 ${5:-}" != 'die 0' ] || forget_completed "$2" "$3"
      [ "$4" = kill ] || schedule "$2" "$settle" ;;
    check)
      scheduled="${scheduled%%" $2 "*} ${scheduled#*" $2 "}"
      (check "$2")
      case $? in 0) ;; *) schedule "$2" "$again" ;; esac
      [ ! -f "$base/$2/lifetime" ] || [ -f "$lives/$2" ] || plan_life "$2" 0 ;;
    wake) plan_life "$2" 0 ;;
    life)
      { read -r turn <"$lives/$2"; } 2>/dev/null && [ "$turn" = "$3" ] || return 0
      rm -f "$lives/$2"
      (watch_lifetime "$2")
      pause=$?
      [ "$pause" = 0 ] || plan_life "$2" "$pause" ;;
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
  recover_underway || return 1
  shown=$(current_release)
  # A release that never came up was reported by its deploy.
  was_healthy "$shown" || { rm -f "$pending/$stack"; return 0; }
  look_at_stack && repair_outage || return 1
  is_connected || return 0
  # What a change that has begun meanwhile has stopped or removed is no problem.
  read_lock
  [ "$lock_state" != held ] && [ "$(current_release)" = "$shown" ] || return 1
  record_running
  happened=$(cat "$pending/$stack" 2>/dev/null)
  rm -f "$pending/$stack"
  judge_stack "$shown"
  look_at_start
  alerts=$({ containers_amiss | with_events && start_amiss && disk_amiss; } | to_alerts recover)
  send_alerts
  [ -z "$awaits_start" ] && ! has_open_incidents "$home/incidents"
}

# to_alerts [recover]: turn problems on stdin into the alerts that are due; without `recover`, others are not over.
to_alerts() { debounce "$home/incidents" "$(date +%s)" "$(setting calm 60)" "$(setting repeat 1800)" "${1:-}"; }

# send_alerts: write and deliver the lines of `alerts`.
send_alerts() {
  while IFS='|' read -r key word count since reason; do
    [ -n "$key" ] || continue
    service=
    case $key:$word in
      container*) service=${key#container } ;;
      disk:recovered) reason="no disk of $(uname -n) is $(setting disk 90)% full" ;;
      engine:recovered) reason="$engine_name on $(uname -n) is responding" ;;
      start:recovered) reason='postStartCommand no longer fails' ;;
    esac
    alert "$word" "$service" "$count" "$(date -u -d "@$since" +%Y-%m-%dT%H:%M:%SZ)" "$reason"
  done <<END
$alerts
END
}

# alert_of_silence STACK REASON: alert people that the engine does not answer.
alert_of_silence() {
  use_stack "$1"
  was_healthy "$(current_release)" && speaks_for_host || return 0
  alerts=$(echo "engine|engine|0|$2" | to_alerts)
  send_alerts
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
  in_background resume.sh "$stack" "$now_started"
}

# --- lifetimes

# watch_lifetime STACK: let the time pass, tell people what ends, and end it. The exit code is after how many seconds it has to be
# looked at again; 0 if not before something changes.
watch_lifetime() {
  use_stack "$1"
  read_lifetime || return 0
  is_connected || return "$life_again"
  read_lock
  [ "$lock_state" != held ] || return "$life_again"
  used=no traffic=$life_traffic
  if [ -z "$life_ended" ]; then [ "$life_idle" = 0 ] || ! is_used || used=yes
  elif some_container_runs; then used=started
  fi
  if ! hold_lifetime || ! current_lifetime; then return "$life_again"; fi
  life_traffic=$traffic
  [ "$used" != yes ] || life_idle_left=$life_idle
  # Somebody has started it by other means than `dev`.
  [ "$used" != started ] || [ -z "$life_ended" ] || begin_lifetime
  find_over
  find_first
  find_pause
  find_news
  write_lifetime
  release_lifetime
  [ -z "$news" ] || alert lifetime '' 1 "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$news"
  [ -z "$over" ] || [ -n "$life_ended" ] || { in_background expire.sh "$stack" && pause=$life_again; }
  return "$pause"
}

some_container_runs() { look_at_stack && case $found in *'|running|'*) ;; *) return 1 ;; esac; }

# find_news: set news to what people are to be told: once that the lifetime ends soon, and once that it has ended.
find_news() {
  told_now='' news=''
  if [ -n "$life_ended" ]; then
    told_now=ended news="stopped: its $life_ended has ended"
    [ -z "$life_kept" ] || news="$news; not removed: $life_kept"
  elif [ -n "$first" ]; then
    notice_for "$first_limit"
    if [ "$first_left" -gt 0 ] && [ "$first_left" -le "$notice" ]; then
      told_now=soon news="its $first ends in $(spell "$first_left"), and it will be stopped"
      [ "$life_then" != remove ] || news="${news% stopped} removed"
      news="$news; \`dev extend $stack 4h\` extends it"
    elif [ -n "$over" ]; then told_now=$life_told
    fi
  fi
  [ "$told_now" != "$life_told" ] || news=''
  life_told=$told_now
}

# tell_gone STACK: tell people that a stack was removed, and leave the host with its last stack.
tell_gone() {
  use_stack "$1"
  home=$here/gone/$stack
  [ -d "$home" ] || return 0
  read -r life_ended <"$home/ended"
  alert lifetime '' 1 "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "removed: its $life_ended has ended"
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do [ -n "$(ls -A "$letters" 2>/dev/null)" ] || break; sleep 10; done
  rm -rf "$home"
  leave_host
}

# in_background SCRIPT [ARG]...: run a script that changes the stack, in its own folder; it takes the lock of the stack.
in_background() {
  run=$(mktemp -d "$here/run.XXXXXX") || return
  mkdir "$run/meta" && cp "$here"/*.sh "$run/" && echo 'the host' >"$run/meta/performer" || return
  script=$run/$1
  shift
  (trap 'rm -rf "$run"' EXIT; sh "$script" "$@" >"$run/log" 2>&1) 3<&- &
}

# --- the beginning

rm -rf "$here"/run.* "$pending" "$lives" "$here/events"
mkdir -p "$pending" "$lives" && mkfifo "$here/events" || exit
exec 3<>"$here/events"
echo "$$:$(started_at "$$")" >"$here/process"
if is_new_boot; then follow outage & else follow again & fi
tick &
deliver_letters
while :; do
  if read -r word name container action code <&3; then handle "$word" "${name:-}" "${container:-}" "${action:-}" "${code:-}"; fi
done
