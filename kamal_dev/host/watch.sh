# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Watch a stack until all its containers are up, or one has failed, as observe.sh defines it. Sourced after it; runs nothing by
# itself.
#
# Compose's own verdict is of no use: `up --wait` calls a crash loop healthy and a finished one-shot failed.
# A container without a health check is up if it was up before and was not changed, if it only idles, if it listens on its
# ports, or if it has been running for a window.

# remember_restarts: record the restart counts of containers that existed before `up`; new ones start from 0.
remember_restarts() {
  restarts_before=' '
  while IFS='|' read -r id _ _ _ _ restarts _; do
    case $there_before in *" $id "*) restarts_before="$restarts_before$id=$restarts " ;; esac
  done <<END
$found
END
}

# settle: for a container that only has to run longer, set verdict to fine if it will keep running, and to port if it
# does not listen yet. Adds `process port...` to awaited, for doze, and sets nearest to the milliseconds until the
# first window ends.
settle() {
  [ $((window - age)) -ge "$nearest" ] || nearest=$((window - age))
  case " $settled " in *" $id=$started "*) verdict=fine state=up reason=''; return ;; esac
  is_process_of "$process" "$id" || return 0
  named=
  settle_by_process
  case $verdict in
    fine) state=up reason='' settled="$settled $id=$started" ;;
    port) reason="not listening on $named" ;;
  esac
}

# settle_by_process: decide by the state of its process.
settle_by_process() {
  # A restarted container has failed once, therefore it has to run for the whole window.
  if [ "$times" = 0 ]; then
    if idles "$process"; then verdict=fine
    # On the host network, all processes of the host share one list of listening ports.
    elif [ "$network_mode" != host ]; then
      name_ports
      # shellcheck disable=SC2086 # ports are words
      [ -z "$named" ] || { listens "$process" $named && verdict=fine; } || verdict=port
    fi
  fi
  if [ "$verdict" = fine ]; then lasting="$lasting $id=$started"; else awaited=$awaited$process' '$named$newline; fi
}

# name_ports: set named to the ports of the service in the release, or else to those of its image.
name_ports() {
  named=
  [ ! -f "$here/meta/started" ] || while IFS='|' read -r name _ ports _; do
    [ "$name" != "$service" ] || named=$ports
  done <"$here/meta/started"
  # shellcheck disable=SC2086 # ports are words
  set -- ${named:-$exposed}
  named=$*
}

# doze: wait until a process ends, a service listens, or a window ends; only briefly if just the engine can tell the
# state.
doze() {
  [ "$outcome" != wait ] || nearest=200
  doze_until=$((now + nearest))
  while [ "$now" -lt "$doze_until" ]; do
    sleep 0.1
    clock
    while read -r process named; do
      # shellcheck disable=SC2086 # ports are words
      [ -d "/proc/$process" ] && { [ -z "$named" ] || ! listens "$process" $named; } || return 0
    done <<END
${awaited:-$$
}
END
  done
}

# all_still_run: whether the engine cannot know more about the containers in `found` than the kernel: all that may end or
# become healthy still run as the same processes.
all_still_run() {
  [ "$outcome" != wait ] || return
  while IFS='|' read -r id _ engine_state _ _ _ _ _ _ _ _ _ _ process _; do
    [ "$engine_state" != running ] || is_process_of "$process" "$id" || return
  done <<END
$found
END
}

# watch_stack TIMEOUT WINDOW: watch the containers in `found`; both arguments are milliseconds. Lifecycle commands run
# meanwhile, as soon as only windows are left to wait for. Sets outcome to fine or failed, judged, found, seen and
# window_ms, the time spent waiting only for a window.
watch_stack() {
  clock
  deadline=$((now + $1)) window=$2 window_from='' window_ms=0 is_watched=yes
  while :; do
    [ -n "$restarts_before" ] || remember_restarts
    awaited='' nearest=500
    judge_all
    clock
    case $outcome in
      fine | failed) break ;;
      window) window_from=${window_from:-$now}; start_lifecycle ;;
      *) window_from= ;;
    esac
    [ "$now" -lt "$deadline" ] || break
    doze
    all_still_run || look_at_known
  done
  [ -z "$window_from" ] || window_ms=$((now - window_from))
  # If one container has failed, the unfinished ones are not reported as failed; at the deadline they are.
  [ "$outcome" != failed ] || judged=$(printf '%s' "$judged" | awk -F'|' '$2 != "failed" { print $1 "|fine|" $3 "|"; next } { print }')
  [ "$outcome" = fine ] || outcome=failed
}

# report_containers: print an event for each container; with reason and last log lines if it failed.
report_containers() {
  if [ "$outcome" = failed ]; then explain_failures; fi
  show_containers
  discard "$here/details"
}

# explain_failures: add to the reasons what is only known at the end, and write exit codes and last log lines to
# `details`.
explain_failures() {
  explained=''
  while IFS='|' read -r id verdict state reason; do
    [ -n "$id" ] || continue
    [ "$verdict" = fine ] || explain_failure
    explained="$explained$id|$verdict|$state|$reason
"
  done <<END
$judged
END
  judged=$explained
}

explain_failure() {
  IFS='|' read -r is_oom code is_up started ended error <<END
$(engine_inspect end "$id" | tr '\n' ' ')
END
  if [ "$state" = 'crash loop' ]; then code=$(last_exit "$id" "$code") && reason="$reason, last exit code $code"; fi
  [ "$is_oom" != true ] || reason="out of memory: $reason"
  [ -z "${error% }" ] || reason="$reason: ${error% }"
  engine_logs "$id" "$(words_since "$is_up" "$started" "$ended")" >"$here/tail"
  printf '%s %s %s\n' "$id" "${code:-0}" "$(json_text "$(last_lines "$here/tail")")" >>"$here/details"
}

# words_since IS_UP STARTED ENDED: print the start of `up`, to skip log lines from earlier runs of a kept container;
# nothing if the container was running then and did not end.
words_since() {
  awk 'BEGIN { if (ARGV[3] >= ARGV[1] || (ARGV[2] != "true" && ARGV[4] < ARGV[1])) print ARGV[1] }' "$up_began" "$@"
}

# last_exit ID CODE: print the exit code of its last end, because CODE is 0 after a restart.
last_exit() {
  ended=$(last_exit_code "$1")
  echo "${ended:-$2}"
}

# failed_services: print the names of the services that failed, as a list for a sentence.
failed_services() {
  printf '%s\n' "$found" | while IFS='|' read -r id service _; do
    [ -z "$id" ] || ! printf '%s\n' "$judged" | grep "^$id|" | grep -qv "^$id|fine|" || printf '%s\n' "$service"
  done | sort -u | paste -sd, - | sed 's/,/, /g'
}
