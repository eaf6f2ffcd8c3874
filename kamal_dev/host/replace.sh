# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Which containers a release replaces, why, and which sessions are in them. Sourced after observe.sh; runs nothing by itself.
#
# A release has in `.kamal-dev/parts` what its containers are made of: `<service> <part> <hash>`, with tabs (compose/parts.py).
# Event: `replace` {service, parts, inside} for each container before it goes; `parts` are those that changed, or `recreate`
# (requested), or `removed` (not a service of this release); `inside` lists the sessions that end.

# shellcheck source-path=SCRIPTDIR source=process.sh
. "$here/process.sh"
# shellcheck source-path=SCRIPTDIR source=engine_events.sh
. "$here/engine_events.sh"

# is_same_content RELEASE: whether the new release has the same content as this one, and its containers did not change.
# If so, sets shown to this release, and found.
is_same_content() {
  [ -n "$1" ] && [ -z "${recreate:-}" ] && was_healthy "$1" && recall "$release" digest && has_digest "$1" "$content" || return
  shown=$release
  # shellcheck disable=SC2046 # ids are words
  look_at_containers $(container_ids)
  judge_stack "$1"
  case $stack_state in up | unfinished) has_states_of "$1" && return ;; esac
  shown=$1
  return 1
}

# find_replaced BEFORE AFTER: write to `replaced` a line for each container of `found` that is replaced: id, service and parts.
# Without the parts of both releases there is no such file.
find_replaced() {
  discard "$here/replaced"
  [ -s "$releases/$1/.kamal-dev/parts" ] && [ -s "$releases/$2/.kamal-dev/parts" ] || return 0
  changed_parts "$releases/$1/.kamal-dev/parts" "$releases/$2/.kamal-dev/parts" >"$here/changed"
  while IFS='|' read -r id service _; do
    set --
    while read -r name part; do
      [ "$name" != "$service" ] || set -- "$@" "$part"
    done <"$here/changed"
    [ -z "${force_recreate:-}" ] || set -- recreate
    [ -z "$id" ] || [ $# -eq 0 ] || echo "$id $service $*"
  done >"$here/replaced" <<END
$found
END
}

# announce: print an event for each container in `replaced`.
announce() {
  [ -f "$here/replaced" ] || return 0
  while read -r id service parts; do
    # shellcheck disable=SC2086 # parts are words
    emit replace service "$service" parts: "$(json_list $parts)" inside: "$(who_is_in "$id")"
  done <"$here/replaced"
}

# make_way: let Compose recreate the containers in `replaced` that others depend on, without starting them. Some
# versions recreate all dependents together with a service, but not if the service was recreated before.
make_way() {
  [ -s "$here/replaced" ] && [ -z "${force_recreate:-}" ] || return 0
  read_needed
  set --
  while read -r _ service parts; do
    case $parts:" $* " in removed:* | *:*" $service "*) continue ;; esac
    case $needed in all | *" $service "*) set -- "$@" "$service" ;; esac
  done <"$here/replaced"
  [ $# -eq 0 ] || compose_up --no-start --no-deps -- "$@"
}

# read_needed: set needed to the services that others depend on, separated and surrounded by spaces; to `all` if the
# release does not list dependencies.
read_needed() {
  needed=all
  [ -s "$here/meta/started" ] || return 0
  needed=' '
  while IFS='|' read -r _ needs _; do needed="$needed$needs "; done <"$here/meta/started"
}

# changed_parts FILE FILE: print `<service> <part>`, with a tab, for each part that differs between two lists.
# Services that are not in the first list are left out.
changed_parts() {
  [ -f "$1" ] && [ "$1" != "$2" ] || return 0
  awk -F'\t' '
    FILENAME == ARGV[1] { before[$1 FS $2] = $3; had[$1]; next }
    { still[$1]; after[$1 FS $2] = $3 }
    END {
      for (key in after) { split(key, part, FS); if (part[1] in had && before[key] != after[key]) print key }
      for (key in before) { split(key, part, FS); if (!(key in after) && part[1] in still) print key }
      for (name in had) if (!(name in still)) print name FS "removed"
    }' "$1" "$2" | sort
}

# --- sessions in containers

editors='vscode-server|cursor-server|windsurf-server|vscodium-server|code-server|zed-remote-server|zed_server|remote-dev-server|JetBrains'

# who_is_in ID: print the processes of sessions in a container of `found`, and editor servers, as JSON. A session was
# started from outside, so its parent is not in the container; a health check is not a session.
who_is_in() {
  IFS='|' read -r _ _ _ health _ _ _ _ _ _ _ _ _ first _ <<END
$(row_of "$1")
END
  check=
  [ -z "$health" ] || check=$(engine_inspect check "$1" 2>/dev/null)
  if is_process_of "$first" "$1"; then processes_of "$1"; else engine_processes "$1"; fi |
    check=$check awk -v first="$first" -v editors="$editors" '
    { pid = $1; parent[pid] = $2; $1 = $2 = ""; sub(/^ +/, ""); command_of[pid] = $0; order[++n] = pid }
    function is_check(text,   lines, count) {
      count = split(ENVIRON["check"], lines, "\n")
      while (count > 0 && lines[count] == "") count--
      return count > 1 && index(text, lines[2]) && index(text, lines[count])
    }
    END {
      for (i = 1; i <= n; i++) {
        pid = order[i]
        if (match(command_of[pid], editors)) { name = substr(command_of[pid], RSTART, RLENGTH); if (!(name in seen)) { seen[name]; print name }; continue }
        if (pid != first && !(parent[pid] in command_of) && !is_check(command_of[pid])) print substr(command_of[pid], 1, 60)
      }
    }' >"$here/inside"
  set --
  while [ $# -lt 12 ] && IFS= read -r line; do set -- "$@" "$line"; done <"$here/inside"
  json_list "$@"
}

# --- containers that ignore the stop signal

# quickly COMMAND...: run it, and kill containers that it stops but that ignore the signal: the engine would wait 10 s
# for each. No process listens for signals if every container of `found` handles its own.
quickly() {
  discard "$here/stops"
  if ! has_deaf || ! mkfifo "$here/stops" 2>/dev/null; then
    "$@"
    return
  fi
  engine_signals >"$here/stops" 2>/dev/null &
  listener=$!
  while read -r stopped signal; do ! is_deaf "$(row_of "$stopped")" "$signal" || engine_kill "$stopped"; done <"$here/stops" >/dev/null 2>&1 &
  "$@"
  set -- $?
  { kill "$listener" || as_root kill "$listener"; } 2>/dev/null
  rm -f "$here/stops"
  return "$1"
}

# has_deaf: whether a container of `found` ignores its stop signal.
has_deaf() {
  while IFS= read -r row; do
    ! is_deaf "$row" || return 0
  done <<END
$found
END
  return 1
}

# is_deaf ROW [SIGNAL]: whether the stop signal of a container, which is SIGNAL if that is given, has no effect: the kernel does
# not deliver signals without a handler to the first process of a container. Only for containers that idle: the main service,
# and those that sleep.
is_deaf() {
  IFS='|' read -r id _ _ _ _ _ _ _ main _ _ _ _ process _ stop_signal _ <<END
$1
END
  case $stop_signal in
    SIGHUP | HUP | 1) stop=1 ;;
    SIGINT | INT | 2) stop=2 ;;
    SIGTERM | TERM | 15) stop=15 ;;
    *) return 1 ;;
  esac
  [ "${2:-$stop}" = "$stop" ] && is_process_of "$process" "$id" && ! is_heard "$process" "$stop" || return 1
  [ "$main" = true ] || idles "$process" 0
}
