# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Stop and start services of the release that a stack has. Sourced after switch.sh; runs nothing by itself.
#
# The script that sources it sets `services`, words, `verb`, `timeout` and `window_wanted`.

# Stopping or starting services says nothing about how the release came up.
save_result() { :; }

# begin_with_release: lock the stack, and look at the containers of the release that it has. Sets release, version and up_within.
begin_with_release() {
  refuse_swarm "$verb"
  release='' version='' up_within=$((timeout / 1000 + 1))
  begin
  release=$shown
  version=$(known "$release" version)
  [ -n "$release" ] || conclude false kept 'the stack has no release'
  take_along "$release"
  look_at_known || conclude false kept "$engine_trouble"
}

# lasting_services: after judge_stack, print the services of the release, without one-shots that completed and those scaled to 0.
lasting_services() {
  known "$release" started | scaled=$(known "$release" scaled) judged=$judged rows=$found awk -F'|' '
    BEGIN {
      count = split(ENVIRON["judged"], lines, "\n")
      for (i = 1; i <= count; i++) { split(lines[i], words, "|"); if (words[3] == "completed") completed[words[1]] }
      count = split(ENVIRON["rows"], lines, "\n")
      for (i = 1; i <= count; i++) { split(lines[i], words, "|"); if (words[1] in completed) over[words[2]]; else lasting[words[2]] }
      count = split(ENVIRON["scaled"], lines, "\n")
      for (i = 1; i <= count; i++) if (sub(/=0+$/, "", lines[i])) over[lines[i]]
    }
    $1 != "" && (!($1 in over) || ($1 in lasting)) { print $1 }'
}

# leftover_containers: print `id service` of each running container of a service that the release does not have.
leftover_containers() {
  known "$release" started | rows=$found awk -F'|' '
    { started[$1] }
    END {
      count = split(ENVIRON["rows"], lines, "\n")
      for (i = 1; i <= count; i++) {
        split(lines[i], words, "|")
        if (words[3] ~ /^(running|paused|restarting)$/ && !(words[2] in started)) print words[1], words[2]
      }
    }'
}

running_now() { printf '%s\n' "$found" | awk -F'|' '$3 == "running" || $3 == "paused" || $3 == "restarting" { print $2 }'; }

# compose_here COMMAND...: run it in the folder of the release. Sets compose_why if it fails.
compose_here() {
  cd "$home/current" && quickly "$@" >"$here/up.log" 2>&1
  set -- $?
  compose_why=
  case $1 in
    0) ;;
    124) compose_why="Compose timed out after $up_within s" ;;
    *) compose_why=$(why_compose) && compose_why=${compose_why:-"Compose exited with code $1"} ;;
  esac
  return "$1"
}

# up_services SERVICE...: start them and what they depend on, in as many containers as before. Creates what is missing.
up_services() {
  # shellcheck disable=SC2046 # flags are words
  engine_up "$up_within" --detach --no-recreate $(scales "$release" "$@") -- "$@"
}

# come_up COMMAND...: run the command, and watch the stack come up; containers of other services that were not up before do not
# count. Sets why if it fails.
come_up() {
  why=''
  phase "${came_up_by:-up}"
  up_began=$(precise_time) there_before=' ' restarts_before='' main_before=$(main_start)
  others_failed=$(failed_others)
  # shellcheck disable=SC2086 # services are words
  forget_stopped $services
  compose_here "$@"
  start_why=$compose_why
  look_at_stack
  skip_lifecycle
  leave_out "$others_failed"
  phase observe
  outcome=fine
  [ -z "$found" ] || watch_stack "$timeout" "$window_wanted"
  report_containers
  [ "$outcome" = fine ] || why="$(failed_services) did not stay up"
  why=${start_why:-$why}
  [ -z "$why" ] || return 1
  [ -z "$others_failed" ] || look_at_stack
  # shellcheck disable=SC2046 # services are words
  forget_stopped $(running_now)
  set_restart_policies
  save_baseline
}

# failed_others: after judge_stack, print the ids of the containers that are not up and are not of `services`.
failed_others() {
  printf '%s\n' "$found" | chosen=" $(printf '%s\n' "$services" | tr '\n' ' ') " judged=${judged:-} awk -F'|' '
    BEGIN {
      count = split(ENVIRON["judged"], lines, "\n")
      for (i = 1; i <= count; i++) if (split(lines[i], words, "|") > 3 && words[2] != "fine") failed[words[1]]
    }
    ($1 in failed) && !index(ENVIRON["chosen"], " " $2 " ") { print $1 }'
}

# leave_out IDS: do not watch these containers.
leave_out() {
  [ -n "$1" ] || return 0
  ids=$(printf '%s\n' "$ids" | grep -vxF -e "$1")
  look_at_known
}

# main_start: print which main container was started when.
main_start() { printf '%s\n' "$found" | awk -F'|' '$9 == "true" { print $1, $8 }'; }

# skip_lifecycle: run no lifecycle commands if the main container was not started, now or since they ran. What has run in it, or is
# pending, stays recorded.
skip_lifecycle() { [ "$(main_start)" != "$main_before" ] || was_restarted || rm -rf "$here/lifecycle"; }

# was_restarted: whether the main container was started again after all lifecycle commands had run in it: by the engine, or by what
# finishes an interrupted backup.
was_restarted() {
  finished=$(cut -d' ' -f1,2 "$home/lifecycle/finished" 2>/dev/null)
  started_now=$(main_start)
  [ -n "$finished" ] && [ "${started_now%% *}" = "${finished%% *}" ] && [ "$started_now" != "$finished" ]
}

# finish_lifecycle: run the lifecycle commands that a restart of the main container requires.
finish_lifecycle() {
  [ -d "$here/lifecycle" ] || return 0
  [ -n "$lifecycle_process" ] || ! has_finished "$found" || return 0
  [ -n "$lifecycle_process" ] || begin_lifecycle
  run_rest "$release"
}
