#!/bin/sh
# Stop, start, restart or scale services of the release that a stack has: operate.sh STACK VERB TIMEOUT WINDOW [SERVICE]...
#
# VERB is stop, start, restart or scale, whose services are `SERVICE=COUNT`; without services, all. TIMEOUT and WINDOW are
# milliseconds. Volumes, workspaces and containers stay; nothing is rolled back. Payload: meta/performer, meta/restarts.
# Events and result: see switch.sh; `state` is stopped, started, restarted or scaled, broken if a service is not up, kept if
# nothing was changed, unfinished if a lifecycle command failed.
#   ~/.kamal-dev/<stack>/stopped  the services that were stopped on purpose, a line each, see observe.sh
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=switch.sh
. "$here/switch.sh"

# Stopping or starting services says nothing about how the release came up.
save_result() { :; }

# running_services: print the services with a running container, or stopped on purpose.
running_services() {
  {
    running_now
    cat "$home/stopped" 2>/dev/null
  } | sort -u
}

running_now() { printf '%s\n' "$found" | awk -F'|' '$3 == "running" || $3 == "paused" || $3 == "restarting" { print $2 }'; }

# note_stopped [SERVICE]...: record that they are stopped on purpose, before stopping them, so that no alert is sent.
note_stopped() {
  { cat "$home/stopped" 2>/dev/null; printf '%s\n' "$@"; } | sort -u >"$here/stopped" && keep_file "$here/stopped" "$home/stopped"
}

# forget_stopped SERVICE...: record that they are no longer stopped on purpose.
forget_stopped() {
  [ -f "$home/stopped" ] || return 0
  printf '%s\n' "$@" >"$here/started_now"
  grep -vxFf "$here/started_now" "$home/stopped" >"$here/stopped"
  if [ -s "$here/stopped" ]; then keep_file "$here/stopped" "$home/stopped"; else rm -f "$home/stopped"; fi
}

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
  done_state=$1 failed_to_start=''
  shift
  phase up
  up_began=$(precise_time) there_before=' ' restarts_before=''
  # shellcheck disable=SC2086 # services are words
  forget_stopped $services
  compose_here "$@" || failed_to_start=$(why_compose)
  look_at_stack
  phase observe
  watch_stack "$timeout" "$window_wanted"
  report_containers
  [ -z "$failed_to_start" ] || conclude false broken "$failed_to_start"
  [ "$outcome" = fine ] || conclude false broken "$(failed_services) did not stay up"
  # shellcheck disable=SC2046 # services are words
  forget_stopped $(running_now)
  set_restart_policies
  save_baseline
}

compose_here() { cd "$home/current" && quickly "$@" >"$here/up.log" 2>&1; }

# finish_lifecycle: run the lifecycle commands that a restart of the main container requires.
finish_lifecycle() {
  # If the main container was not started, what has run in it, or is pending, stays recorded.
  [ -d "$here/lifecycle" ] || return 0
  [ -n "$lifecycle_process" ] || ! has_finished "$found" || return 0
  [ -n "$lifecycle_process" ] || begin_lifecycle
  run_rest "$release"
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
main_service=$(printf '%s\n' "$found" | awk -F'|' '$9 == "true" { print $2 }')
# Without a new start of the main container there are no lifecycle commands to run.
printf '%s\n' "$services" | grep -qxF -- "$main_service" || [ -z "$services" ] || rm -rf "$here/lifecycle"
case $verb in
  stop) stop_services ;;
  start) start_services ;;
  restart) restart_services ;;
  scale) scale_services "$@" ;;
esac
finish_lifecycle || conclude false unfinished "$lifecycle_why"
conclude true "$done_state" ''
