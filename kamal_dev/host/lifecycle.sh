# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Run the lifecycle commands of a devcontainer in its main container. Sourced after exec.sh; runs nothing by itself.
#
# Payload: lifecycle/timeout (seconds, for all), lifecycle/<number>-<stage>/<number>.run, .name and .text; see exec.sh.
#   ~/.kamal-dev/<stack>/lifecycle/finished           `<container> <started> [<source>]`, once nothing is left to be run
#   ~/.kamal-dev/<stack>/lifecycle/<container>/<stage>  there when that stage was run: when the container was started, and
#                                                       for what follows the source, which source that was
#   ~/.kamal-dev/<stack>/lifecycle/<container>/environment-<user><flags>
# Each stage is run once in a container, postStartCommand once for each start, updateContentCommand once for each source
# that the workspace is sent. Events: `phase` and `lifecycle`
#   {stage, name, command, exit_code, reason, log} for each command that failed.

stages='onCreateCommand updateContentCommand postCreateCommand postStartCommand'
lifecycle_why='' lifecycle_process=''

# begin_lifecycle: mark the release as unfinished until all commands have run (see has_finished).
begin_lifecycle() {
  if [ -d "$here/lifecycle" ]; then
    mkdir -p "$home/lifecycle" && rm -f "$home/lifecycle/finished"
  else
    discard "$home/lifecycle"
  fi
}

# start_lifecycle: run them while the rest of the release is still watched; end_lifecycle waits for them.
start_lifecycle() {
  [ -d "$here/lifecycle" ] && [ -z "$lifecycle_process" ] || return 0
  [ ! -f "$home/unowned" ] || own_workspace "$(cat "$here/meta/user")"
  begin_lifecycle
  find_main
  run_apart &
  lifecycle_process=$!
}

run_apart() {
  # The phase of the release continues in the other process.
  phase_name=
  run_lifecycle
  set -- $?
  phase
  printf '%s\n' "${stage:-}" "$lifecycle_why" >"$here/lifecycle/ended"
  return "$1"
}

# end_lifecycle: wait for the commands, or run them if they were not started. Sets lifecycle_why if one failed.
end_lifecycle() {
  [ -n "$lifecycle_process" ] || { run_lifecycle; return; }
  wait "$lifecycle_process"
  set -- $?
  lifecycle_process=
  [ "$1" = 0 ] || { { read -r stage; read -r lifecycle_why; } <"$here/lifecycle/ended"; failed_phase=${failed_phase:-$stage}; } 2>/dev/null
  return "$1"
}

# stop_lifecycle: end the commands that are still running.
stop_lifecycle() {
  [ -z "$lifecycle_process" ] || kill "$lifecycle_process" 2>/dev/null
  lifecycle_process=
  end_commands
}

# run_lifecycle: run the remaining commands stage by stage, until one fails; lifecycle_why is set to its failure.
run_lifecycle() {
  [ -d "$here/lifecycle" ] || return 0
  find_main
  [ -n "$main_id" ] || { lifecycle_why='cannot run lifecycle commands: the main container is not running'; return 1; }
  memory=$home/lifecycle/$main_id
  mkdir -p "$memory"
  forget_other_containers
  clock
  lifecycle_until=$((now + $(cat "$here/lifecycle/timeout") * 1000))
  source_sent=$(source_mark)
  for stage in $stages; do
    run_stage || return 1
  done
  follows=
  for one in "$here/lifecycle"/*-updateContentCommand; do [ ! -d "$one" ] || follows=${source_sent:+" $source_sent"}; done
  printf '%s\n' "$main_id $main_started$follows" >"$home/lifecycle/finished"
}

forget_other_containers() {
  for old in "$home"/lifecycle/*/; do
    [ "$old" = "$memory/" ] || rm -rf "$old"
  done
}

run_stage() {
  set -- "$here/lifecycle"/*-"$stage"
  [ -d "$1" ] && ! was_run || return 0
  phase "$stage"
  learn_environment "$memory"
  for group; do
    run_group "$group" || { lifecycle_why="$stage failed"; return 1; }
  done
  printf '%s\n' "$main_started${source_sent:+" $source_sent"}" >"$memory/$stage"
}

was_run() {
  [ -f "$memory/$stage" ] || return 1
  read -r run_at run_for <"$memory/$stage" || return 1
  case $stage in
    postStartCommand) [ "$run_at" = "$main_started" ] ;;
    updateContentCommand) [ "${run_for:-}" = "$source_sent" ] ;;
  esac
}

# run_group FOLDER: run its commands in parallel and wait for all; fails if one fails.
run_group() {
  for one in "$1"/*.run; do run_command "${one%.run}" & done
  wait
  group_code=0
  for one in "$1"/*.run; do
    one=${one%.run}
    code=$(cat "$one.code" 2>/dev/null) || code=1
    [ "$code" = 0 ] || { group_code=1; report_command "$one" "$code"; }
  done
  return "$group_code"
}

# run_command BASE: run one command; its output becomes events immediately. Writes BASE.out and BASE.code.
run_command() {
  name=$(cat "$1.name")
  {
    # shellcheck disable=SC2016 # for the shell in the container
    { session "$1.run" && echo 'exec "$@" </dev/null'; } | in_main "$(time_left)" "$1.err"
    echo $? >"$1.code"
  } | stream "$1.out" "${name:+[$name] }"
}

# time_left: print the seconds left for all stages, at least one.
time_left() {
  clock
  [ "$now" -lt "$lifecycle_until" ] && echo $(((lifecycle_until - now + 999) / 1000)) || echo 1
}

# stream FILE PREFIX: turn lines on stdin into `log` events, and keep them in FILE. Text overwritten by carriage
# returns is dropped. The last line may lack a newline, and must not swallow the next event.
stream() {
  # The sed of BusyBox has neither -u nor \x.
  sed -u '' </dev/null 2>/dev/null || { stream_by_awk "$@"; return; }
  { cat && echo; } | sed -u -e 's/\r$//' -e 's/.*\r//' -e '/^$/d' -e "w $1" -e 's/^\(.\{1000\}\).*/\1…/' -e 's/["\\]/\\&/g' -e 's/\t/\\t/g' \
    -e 's/\x1b/\\u001b/g' -e 's/[\x00-\x1f]//g' -e "s/^/{\"type\":\"log\",\"text\":\"$2/" -e 's/$/"}/'
}

stream_by_awk() {
  awk "$json_awk"'
    BEGIN { prepare(); kept = ARGV[1]; prefix = ARGV[2]; ARGV[1] = ARGV[2] = ""; printf "" >kept }
    { sub(/\r$/, ""); sub(/.*\r/, "") }
    $0 != "" {
      print >kept
      print "{\"type\":\"log\",\"text\":" quote(prefix (length($0) > 1000 ? substr($0, 1, 1000) "…" : $0)) "}"
      fflush()
    }' "$1" "$2"
}

# report_command BASE CODE: print the event of a failed command.
report_command() {
  reason="exited with code $2"
  clock
  [ "$now" -lt "$lifecycle_until" ] || reason="timed out: lifecycle commands have $(cat "$here/lifecycle/timeout") s in total"
  # If the engine could not start the command, the message of the engine is the log.
  [ -s "$1.out" ] || grep -v '^[0-9]*$' "$1.err" >"$1.out"
  emit lifecycle stage "$stage" name "$(cat "$1.name")" command "$(cat "$1.text")" exit_code: "$2" reason "$reason" \
    log "$(last_lines "$1.out")"
}

# end_commands: end the commands that are still running.
end_commands() {
  for one in "$here/lifecycle"/*/*.err; do
    [ ! -f "$one" ] || [ -f "${one%.err}.code" ] || end_in_main "$one"
  done
}
