# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Watch a stack until it stands or falls. Sourced after observe.sh; runs nothing by itself.
#
# Compose's own verdict is of no use: `up --wait` calls a crash loop healthy and a finished one-shot failed.
# A stack stands when each of its containers is
#   running with a healthy health check, or
#   running without one, and known to stay: it has stood before and was not touched, it only keeps itself alive, it listens on
#   the ports that it is said to listen on, or else it has been up for a window; or
#   ended with 0 where nothing restarts it (a one-shot), unless it is the main service.
# It falls with the first container that is unhealthy, ended otherwise, was never started or keeps restarting.

restart_limit=$(cat "$here/meta/restarts" 2>/dev/null) || restart_limit=3

# remember_restarts: keep the restart counts of what was there before `up`; what is new starts from 0.
remember_restarts() {
  restarts_before=" $(printf '%s\n' "$found" | awk -F'|' -v there="$there_before" 'index(there, " " $1 " ") { printf "%s=%s ", $1, $6 }')"
}

# judge_all ROWS: set outcome to the worst verdict of all, failures to `id verdict reason` lines of what is not fine, and for
# doze, awaited to lines of `process port...` and nearest to the milliseconds until the first window is over.
judge_all() {
  outcome=fine failures='' awaited='' nearest=500 wall=$(wall_clock)
  [ -n "$1" ] || { outcome=failed; return; }
  while IFS= read -r one; do
    judge "$one"
    again=$(restarts_beyond "$restarts_before" "$id" "$restarts")
    [ "$verdict" = failed ] || [ "$again" -lt "$restart_limit" ] ||
      verdict=failed reason="it does not stay up: it restarted $restarts times"
    [ "$verdict" != window ] || settle
    case $outcome:$verdict in
      failed:* | *:fine | wait:port | wait:window | port:window) ;;
      *:*) outcome=$verdict ;;
    esac
    [ "$verdict" = fine ] || failures="$failures$id $verdict $reason
"
  done <<END
$1
END
}

# settle: of the container that was judged, and that only time is missing for, set verdict to fine where it is known to stay,
# and to port where it is still to listen.
settle() {
  [ $((window - age)) -ge "$nearest" ] || nearest=$((window - age))
  case " $settled " in *" $id=$started "*) verdict=fine; return ;; esac
  is_process_of "$process" "$id" || return 0
  # What was started again has failed once, and shows by the window that it does not again.
  if [ "$again" != 0 ]; then named=
  elif idles "$process" "$window"; then verdict=fine
  else
    # All processes of the host listen in the one namespace.
    named=
    [ "$network_mode" = host ] || named=$(named_ports)
    # shellcheck disable=SC2086 # ports are words
    [ -z "$named" ] || { listens "$process" $named && verdict=fine; } || verdict=port
  fi
  if [ "$verdict" = fine ]; then settled="$settled $id=$started"; else awaited="$awaited$process $named
"; fi
}

# named_ports: print the ports that the service is said to listen on; those of its image, where nobody says so.
named_ports() {
  named_by_release=$(awk -F'|' -v name="$service" '$1 == name { print $3 }' "$here/meta/started" 2>/dev/null)
  echo "${named_by_release:-$exposed}"
}

# doze: wait for what is worth another look: a process that ended, a service that listens, the end of a window, or, where
# something is known to the engine alone, a moment.
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

# watch_stack TIMEOUT WINDOW: watch the containers in `ids`, both in milliseconds. Lifecycle commands are run meanwhile, as soon as
# nothing but windows is missing. Sets outcome to fine or failed, failures, found, seen and window_ms, the time in which
# nothing was missing but a window.
watch_stack() {
  clock
  deadline=$((now + $1)) window=$2 window_from='' window_ms=0
  while :; do
    # shellcheck disable=SC2086 # ids are words
    look_at_containers $ids
    [ -n "$restarts_before" ] || remember_restarts
    judge_all "$found"
    clock
    case $outcome in
      fine | failed) break ;;
      window) window_from=${window_from:-$now}; start_lifecycle ;;
      *) window_from= ;;
    esac
    [ "$now" -lt "$deadline" ] || break
    doze
  done
  [ -z "$window_from" ] || window_ms=$((now - window_from))
  # With one down, the others are not to blame for being unfinished; at the deadline they are.
  [ "$outcome" != failed ] || failures=$(printf '%s' "$failures" | grep ' failed ')
  [ "$outcome" = fine ] || outcome=failed
}

# report_containers: print an event for each container; with reason and last lines for those that failed.
report_containers() {
  [ -n "$failures" ] || { show_seen; return; }
  printf '%s\n' "$found" | while IFS='|' read -r id _; do
    [ -n "$id" ] || continue
    why=$(printf '%s' "$failures" | sed -n "s/^$id [a-z]* //p")
    if [ -n "$why" ]; then report_failure "$id" "$why"; else show_containers "$id"; fi
  done
}

report_failure() {
  IFS='|' read -r is_oom code is_up started ended error <<END
$(engine_inspect end "$1" | tr '\n' ' ')
END
  [ "$is_oom" != true ] || set -- "$1" "out of memory: $2"
  [ -z "${error% }" ] || set -- "$1" "$2: ${error% }"
  case $2 in *restarted*) code=$(last_exit "$1" "$code") ;; esac
  engine_logs "$1" "$(words_since "$is_up" "$started" "$ended")" >"$here/tail"
  open=$(engine_inspect open "$1") || return
  printf '%s,"exit_code":%s,"release":"%s","reason":%s,"log":%s}\n' \
    "$open" "${code:-0}" "$shown" "$(json_text "$2")" "$(json_text "$(last_lines "$here/tail")")"
}

# words_since IS_UP STARTED ENDED: print since when a container's words are about this change: since `up` began, as a
# container that was kept has those of earlier runs, too; nothing where it was running then, and did not end before.
words_since() {
  awk 'BEGIN { if (ARGV[3] >= ARGV[1] || (ARGV[2] != "true" && ARGV[4] < ARGV[1])) print ARGV[1] }' "$up_began" "$@"
}

# last_exit ID CODE: print the exit code of its last end; while it runs again, inspect says CODE, which is 0.
last_exit() {
  ended=$(last_exit_code "$1")
  echo "${ended:-$2}"
}

# failed_services: print the names of what is not fine, for a sentence.
failed_services() {
  printf '%s\n' "$found" | while IFS='|' read -r id service _; do
    case $failures in *"$id "*) printf '%s\n' "$service" ;; esac
  done | sort -u | paste -sd, - | sed 's/,/, /g'
}
