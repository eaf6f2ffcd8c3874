# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Stop and start services of the release that a stack has. Sourced after switch.sh; runs nothing by itself.
#
# The script that sources it sets `services`, words, and `timeout`, `window_wanted` and `up_within`.
#   ~/.kamal-dev/<stack>/stopped  the services that were stopped on purpose, a line each, see observe.sh

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

compose_here() { cd "$home/current" && quickly "$@" >"$here/up.log" 2>&1; }

# come_up COMMAND...: run the command, and watch the stack come up. Sets why if it fails.
come_up() {
  failed_to_start='' why=''
  phase up
  up_began=$(precise_time) there_before=' ' restarts_before=''
  # shellcheck disable=SC2086 # services are words
  forget_stopped $services
  compose_here "$@" || failed_to_start=$(why_compose)
  look_at_stack
  phase observe
  watch_stack "$timeout" "$window_wanted"
  report_containers
  if [ -n "$failed_to_start" ]; then why=$failed_to_start
  elif [ "$outcome" != fine ]; then why="$(failed_services) did not stay up"
  fi
  [ -z "$why" ] || return 1
  # shellcheck disable=SC2046 # services are words
  forget_stopped $(running_now)
  set_restart_policies
  save_baseline
}

# skip_lifecycle: forget the lifecycle commands, unless the main container is one of `services`: they follow its start.
skip_lifecycle() {
  main_service=$(printf '%s\n' "$found" | awk -F'|' '$9 == "true" { print $2 }')
  printf '%s\n' "$services" | grep -qxF -- "$main_service" || [ -z "$services" ] || rm -rf "$here/lifecycle"
}

# finish_lifecycle: run the lifecycle commands that a restart of the main container requires.
finish_lifecycle() {
  # If the main container was not started, what has run in it, or is pending, stays recorded.
  [ -d "$here/lifecycle" ] || return 0
  [ -n "$lifecycle_process" ] || ! has_finished "$found" || return 0
  [ -n "$lifecycle_process" ] || begin_lifecycle
  run_rest "$release"
}
