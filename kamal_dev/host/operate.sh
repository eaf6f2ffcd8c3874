#!/bin/sh
# Stop, start, restart or scale services of the release that a stack has: operate.sh STACK VERB TIMEOUT WINDOW [SERVICE]...
#
# VERB is stop, start, restart or scale, whose services are `SERVICE=COUNT`; without services, all. TIMEOUT and WINDOW are
# milliseconds. Volumes, workspaces and containers stay; nothing is rolled back. Payload: meta/performer, meta/restarts.
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
  [ $# -gt 0 ] || conclude true stopped ''
  note_stopped "$@"
  compose_here engine_stop -- "$@" || conclude false broken "$(why_compose)"
  look_at_stack
  judge_stack "$release"
  show_containers
  conclude true stopped ''
}

# bring_services STATE COMMAND...: run the command, and watch the stack come up.
bring_services() {
  done_state=$1
  shift
  come_up "$@" || conclude false broken "$why"
}

start_services() {
  [ -n "$services" ] || services=$(known "$release" services)
  # shellcheck disable=SC2086 # services are words
  bring_services started engine_up "$up_within" --detach --no-recreate -- $services
}

restart_services() {
  # shellcheck disable=SC2086 # services are words
  bring_services restarted engine_restart_services "$up_within" $services
}

# scale_services SERVICE=COUNT...: afterwards, the new set of containers belongs to the release.
scale_services() {
  for one; do
    set -- "$@" --scale "$one"
    shift
  done
  # shellcheck disable=SC2086 # services are words
  bring_services scaled engine_up "$up_within" --detach --no-recreate --no-deps "$@" -- $services
  printf '%s\n' "$services" >"$here/scaled"
  {
    known "$release" good | awk 'FILENAME == ARGV[1] { scaled[$1]; next } !($1 in scaled)' "$here/scaled" -
    printf '%s\n' "$found" | states_of_good | awk 'FILENAME == ARGV[1] { scaled[$1]; next } $1 in scaled' "$here/scaled" -
  } >"$here/good" && keep_file "$here/good" "$releases/$release/.kamal-dev/good"
}

use_stack "$1"
verb=$2 timeout=$3 window_wanted=$4 release='' version=''
shift 4
up_within=$((timeout / 1000 + 1))
begin
release=$shown
version=$(known "$release" version)
[ -n "$release" ] || conclude false kept 'the stack has no release'
take_along "$release"
look_at_known || conclude false kept "$engine_trouble"
changed_services=$*
services=$(printf '%s\n' "$@" | sed 's/=.*//')
[ $# -gt 0 ] || services=$(running_services)
skip_lifecycle
case $verb in
  stop) stop_services ;;
  start) start_services ;;
  restart) restart_services ;;
  scale) scale_services "$@" ;;
esac
finish_lifecycle || conclude false unfinished "$lifecycle_why"
conclude true "$done_state" ''
