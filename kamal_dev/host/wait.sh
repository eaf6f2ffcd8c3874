#!/bin/sh
# Wait for a stack or one of its services: wait.sh STACK CONDITION MILLISECONDS [SERVICE]. Changes nothing.
#
# CONDITION is `healthy` (up, or a one-shot that completed), `exited`, or `port=N` (something listens there). Without SERVICE,
# all containers, for a port the main one. Result: {ok, state, phase, reason, code}: `state` is reached or late; `code` is the
# exit code of the first container that exited otherwise than with 0.
set -u
here=${0%/*}
# The deadline of lib.sh must not come before the one that was asked for.
script_within=$(($3 / 1000 + 600))
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=history.sh
. "$here/history.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"
# shellcheck source-path=SCRIPTDIR source=observe.sh
. "$here/observe.sh"
# shellcheck source-path=SCRIPTDIR source=process.sh
. "$here/process.sh"

# look: judge the containers to wait for. Sets found, and seen_state to their states.
look() {
  look_at_stack || give_up wait "$engine_trouble" unknown
  judge_stack "$shown"
  [ -z "$service_wanted" ] || found=$(printf '%s\n' "$found" | wanted=$service_wanted awk -F'|' '$2 == ENVIRON["wanted"]')
  ids=" $(printf '%s\n' "$found" | cut -d'|' -f1 | tr '\n' ' ')"
  states=$(printf '%s\n' "$judged" | ids=$ids awk -F'|' '$1 != "" && index(ENVIRON["ids"], " " $1 " ") { print $2 "|" $3 }')
}

is_healthy() {
  if [ -z "$service_wanted" ]; then [ "$stack_state" = up ]
  else [ -n "$states" ] && ! printf '%s\n' "$states" | grep -qv '^fine|\(up\|completed\)$'; fi
}

is_exited() { [ -n "$found" ] && ! printf '%s\n' "$found" | grep -qv '^[^|]*|[^|]*|exited|'; }

# is_listening: whether something listens in every container that was asked for.
is_listening() {
  printf '%s\n' "$found" | wanted=$service_wanted awk -F'|' '$1 != "" && (ENVIRON["wanted"] != "" || $9 == "true") { print $14, $1 }' >"$here/processes"
  [ -s "$here/processes" ] || return
  while read -r process id; do
    [ "$process" != 0 ] && [ -d "/proc/$process" ] || return
    is_process_of "$process" "$id" || [ ! -d "/proc/$process" ] ||
      give_up wait 'cannot look for listening ports: the engine runs on another machine' unknown
    listens "$process" "${condition#port=}" || return
  done <"$here/processes"
}

is_reached() {
  case $condition in
    healthy) is_healthy ;;
    exited) is_exited ;;
    port=*) is_listening ;;
  esac
}

exit_code_of() { printf '%s\n' "$found" | awk -F'|' '$5 != 0 { code = $5; exit } END { print code + 0 }'; }

use_stack "$1"
condition=$2 service_wanted=${4:-}
shown=$(current_release)
require_engine wait
clock
wait_until=$((now + $3))
while look && ! is_reached; do
  clock
  [ "$now" -lt "$wait_until" ] ||
    { emit result ok: false state late phase wait reason "$(printf '%s\n' "$states" | cut -d'|' -f2 | sort -u | paste -sd, - | sed 's/,/, /g')" && exit 1; }
  sleep 0.5
done
emit result ok: true state reached phase wait code "$([ "$condition" != exited ] || exit_code_of)"
