#!/bin/sh
# Stop, start, restart or scale services of the release that a stack has: operate.sh STACK VERB TIMEOUT WINDOW [SERVICE]...
#
# VERB is stop, start, restart or scale, whose services are `SERVICE=COUNT`; without services, all. TIMEOUT and WINDOW are
# milliseconds. Volumes, workspaces and containers stay; nothing is rolled back. Payload: meta/performer, meta/restarts, meta/ends (`yes`: only stop a
# stack whose lifetime is over, see lifetime.sh).
# Events and result: see switch.sh; `state` is stopped, started, restarted or scaled, broken if a service is not up, kept if
# nothing was changed, unfinished if a lifecycle command failed.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=switch.sh
. "$here/switch.sh"
# shellcheck source-path=SCRIPTDIR source=services.sh
. "$here/services.sh"

stop_services() {
  phase stop
  # shellcheck disable=SC2086 # services are words
  set -- $services
  leftovers=
  [ -n "$is_chosen" ] || leftovers=$(leftover_containers)
  # shellcheck disable=SC2046 # services are words
  note_stopped "$@" $(printf '%s\n' "$leftovers" | cut -d' ' -f2)
  end_containers "$@" || give_up_stopping
  look_at_stack
  judge_stack "$release"
  show_containers
  conclude true stopped ''
}

# require_over: end the script if the lifetime is not over, or was carried out already; somebody may just have extended it.
require_over() {
  over=''
  if current_lifetime && [ -z "$life_ended" ]; then find_over; fi
  [ -n "$over" ] || conclude true kept ''
  ends=$over
}

# end_containers [SERVICE]...: stop those of the services with Compose, which does not know the services of leftovers.
end_containers() {
  [ $# = 0 ] || compose_here engine_stop "$up_within" -- "$@" || return
  # shellcheck disable=SC2046 # ids are words
  [ -z "$leftovers" ] || quickly engine_end "$up_within" $(printf '%s\n' "$leftovers" | cut -d' ' -f1) >/dev/null 2>"$here/end.err" ||
    { compose_why=$(last_lines "$here/end.err" 1) && return 1; }
}

# give_up_stopping: what still runs was not stopped on purpose: if it crashes later, people have to know.
give_up_stopping() {
  look_at_stack
  # shellcheck disable=SC2046 # services are words
  forget_stopped $(running_now)
  judge_stack "$release"
  show_containers
  conclude false broken "$compose_why"
}

# bring_services STATE COMMAND...: run the command, and watch the stack come up.
bring_services() {
  done_state=$1
  shift
  come_up "$@" || conclude false broken "$why"
}

start_services() {
  # shellcheck disable=SC2086 # services are words
  bring_services started up_services $services
}

restart_services() {
  came_up_by=restart
  # shellcheck disable=SC2086 # services are words
  bring_services restarted restart_or_create $services
}

# restart_or_create SERVICE...: Compose restarts what has a container; what somebody has removed is created.
# shellcheck disable=SC2317 # called by come_up
restart_or_create() {
  printf '%s\n' "$found" | cut -d'|' -f2 >"$here/existing"
  missing=$(printf '%s\n' "$@" | grep -vxFf "$here/existing")
  # shellcheck disable=SC2046 # services are words
  set -- $(printf '%s\n' "$@" | grep -xFf "$here/existing")
  [ $# = 0 ] || engine_restart_services "$up_within" "$@" || return
  # shellcheck disable=SC2086 # services are words
  [ -z "$missing" ] || up_services $missing
}

# scale_services SERVICE=COUNT...: afterwards, the new set of containers belongs to the release, and so do the numbers.
scale_services() {
  came_up_by=scale
  printf '%s\n' "$@" >"$here/numbers"
  for one; do
    set -- "$@" --scale "$one"
    shift
  done
  # shellcheck disable=SC2086 # services are words
  bring_services scaled engine_up "$up_within" --detach --no-recreate --no-deps "$@" -- $services
  record_numbers
}

record_numbers() {
  printf '%s\n' "$services" >"$here/scaled"
  about=$releases/$release/.kamal-dev
  {
    known "$release" scaled | awk -F= 'FILENAME == ARGV[1] { scaled[$1]; next } !($1 in scaled)' "$here/scaled" -
    cat "$here/numbers"
  } >"$here/all" && keep_file "$here/all" "$about/scaled"
  # A release that was never up has nothing that the containers could differ from.
  was_healthy "$release" || return 0
  {
    known "$release" good | awk 'FILENAME == ARGV[1] { scaled[$1]; next } !($1 in scaled)' "$here/scaled" -
    printf '%s\n' "$found" | states_of_good | awk 'FILENAME == ARGV[1] { scaled[$1]; next } $1 in scaled' "$here/scaled" -
  } >"$here/good" && keep_file "$here/good" "$about/good"
}

use_stack "$1"
verb=$2 timeout=$3 window_wanted=$4
shift 4
begin_with_release
[ ! -f "$here/meta/ends" ] || require_over
judge_stack "$release"
changed_services=$* is_chosen=$*
services=$(printf '%s\n' "$@" | sed 's/=.*//')
[ -n "$is_chosen" ] || services=$(lasting_services)
[ -n "$services" ] || [ "$verb" = stop ] || { show_containers; conclude true "${verb}ed" ''; }
case $verb in
  stop) stop_services ;;
  start) start_services ;;
  restart) restart_services ;;
  scale) scale_services "$@" ;;
esac
finish_lifecycle || conclude false unfinished "$lifecycle_why"
conclude true "$done_state" ''
