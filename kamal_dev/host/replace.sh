# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Which containers a release replaces, why, and who is in them. Sourced after observe.sh; runs nothing by itself.
#
# A release has in `.kamal-dev/parts` what its containers are made of: `<service> <part> <hash>`, with tabs (compose/parts.py).
# Event: `replace` {service, parts, inside} for each container before it goes; `parts` are those that changed, or `recreate`
# (asked for), or `removed` (no service of this release); `inside` is who would notice.

# shellcheck source-path=SCRIPTDIR source=process.sh
. "$here/process.sh"

# is_same_content RELEASE: whether the new release has the content of this one, and all containers are as they were.
# Sets shown to this release, and found, where it is so.
is_same_content() {
  [ -n "$1" ] && [ -z "${recreate:-}" ] && was_healthy "$1" && [ "$(known "$1" digest)" = "$(known "$release" digest)" ] || return
  shown=$release
  # shellcheck disable=SC2046 # ids are words
  look_at_containers $(container_ids)
  judge_stack "$1"
  case $stack_state in up | unfinished) has_states_of "$1" && return ;; esac
  shown=$1
  return 1
}

# find_replaced BEFORE AFTER: write to `replaced` a line for each container of `found` that makes way: id, service and parts. The
# file is not there where the releases do not say what they are made of.
find_replaced() {
  rm -f "$here/replaced"
  [ -s "$releases/$1/.kamal-dev/parts" ] && [ -s "$releases/$2/.kamal-dev/parts" ] || return 0
  changed_parts "$releases/$1/.kamal-dev/parts" "$releases/$2/.kamal-dev/parts" >"$here/changed"
  printf '%s\n' "$found" | while IFS='|' read -r id service _; do
    # shellcheck disable=SC2046 # parts are words
    set -- $(awk -F'\t' -v service="$service" '$1 == service { print $2 }' "$here/changed")
    [ -z "${force_recreate:-}" ] || set -- recreate
    [ -z "$id" ] || [ $# -eq 0 ] || echo "$id $service $*"
  done >"$here/replaced"
}

# announce: tell of those in `replaced`.
announce() {
  [ -f "$here/replaced" ] || return 0
  while read -r id service parts; do
    # shellcheck disable=SC2086 # parts are words
    emit replace service "$service" parts: "$(json_list $parts)" inside: "$(who_is_in "$id")"
  done <"$here/replaced"
}

# make_way: let Compose recreate the containers in `replaced` that others depend on, without starting them. Some versions
# recreate all dependents along with a service, but not if the service is already recreated.
make_way() {
  [ -s "$here/replaced" ] && [ -z "${force_recreate:-}" ] || return 0
  # shellcheck disable=SC2046 # services are words
  set -- $(awk '$3 != "removed" { print $2 }' "$here/replaced" | sort -u | those_needed)
  [ $# -eq 0 ] || compose_up --no-start --no-deps -- "$@"
}

# those_needed: print those of the services on stdin that others depend on; all where the release does not say.
those_needed() {
  [ -s "$here/meta/started" ] || { cat; return; }
  awk 'FILENAME == ARGV[1] { split($0, field, "|"); count = split(field[2], names, " "); for (i = 1; i <= count; i++) needed[names[i]]; next }
    $0 in needed' "$here/meta/started" -
}

# changed_parts FILE FILE: print `<service> <part>`, with a tab, for what is not the same in two lists of parts.
# Of a service that the first does not have nothing is known.
changed_parts() {
  [ -f "$1" ] && [ "$1" != "$2" ] || return 0
  awk -F'\t' '
    FILENAME == ARGV[1] { before[$1 FS $2] = $3; had[$1]; next }
    { has[$1]; after[$1 FS $2] = $3 }
    END {
      for (key in after) { split(key, part, FS); if (part[1] in had && before[key] != after[key]) print key }
      for (key in before) { split(key, part, FS); if (!(key in after) && part[1] in has) print key }
      for (name in had) if (!(name in has)) print name FS "removed"
    }' "$1" "$2" | sort
}

# --- who is inside

editors='vscode-server|cursor-server|windsurf-server|vscodium-server|code-server|zed-remote-server|zed_server|remote-dev-server|JetBrains'

# who_is_in ID: print as JSON what runs there beside the container's own program: sessions, and servers of editors.
# A session was begun from outside the container, so that its parent is not in it; a health check is none.
who_is_in() {
  check=$(engine_inspect process "$1" 2>/dev/null)
  first=$(printf '%s\n' "$check" | head -n 1) check=$(printf '%s\n' "$check" | sed 1d)
  engine_processes "$1" | check=$check awk -v first="$first" -v editors="$editors" '
    NR == 1 { next }
    { pid = $1; parent[pid] = $2; $1 = $2 = ""; sub(/^ +/, ""); said[pid] = $0; order[++n] = pid }
    function is_check(text,   lines, count) {
      count = split(ENVIRON["check"], lines, "\n")
      while (count > 0 && lines[count] == "") count--
      return count > 1 && index(text, lines[2]) && index(text, lines[count])
    }
    END {
      for (i = 1; i <= n; i++) {
        pid = order[i]
        if (match(said[pid], editors)) { name = substr(said[pid], RSTART, RLENGTH); if (!(name in seen)) { seen[name]; print name }; continue }
        if (pid != first && !(parent[pid] in said) && !is_check(said[pid])) print substr(said[pid], 1, 60)
      }
    }' | head -n 12 >"$here/inside"
  set --
  while IFS= read -r line; do set -- "$@" "$line"; done <"$here/inside"
  json_list "$@"
}

# --- a stop that nobody answers

# quickly COMMAND...: run it; containers that it stops and that are deaf to that are ended at once, as the engine would do
# only when their time is over.
quickly() {
  rm -f "$here/stops"
  mkfifo "$here/stops" 2>/dev/null || { "$@"; return; }
  engine_signals >"$here/stops" 2>/dev/null &
  listener=$!
  while read -r stopped signal; do ! is_deaf "$stopped" "$signal" || engine_kill "$stopped"; done <"$here/stops" >/dev/null 2>&1 &
  "$@"
  set -- $?
  { kill "$listener" || as_root kill "$listener"; } 2>/dev/null
  rm -f "$here/stops"
  return "$1"
}

# is_deaf ID SIGNAL: whether this is its stop, and nothing comes of it: the kernel keeps from the first process of a
# container every signal that it has no handler for. Only of what idles: the main service, and what sleeps.
is_deaf() {
  # shellcheck disable=SC2046 # the words are wanted
  set -- "$1" "$2" $(engine_inspect stop "$1" 2>/dev/null)
  case ${4:-} in
    SIGHUP | HUP | 1) stop=1 ;;
    SIGINT | INT | 2) stop=2 ;;
    SIGTERM | TERM | 15) stop=15 ;;
    *) return 1 ;;
  esac
  [ "$2" = "$stop" ] && is_process_of "$3" "$1" && ! is_heard "$3" "$stop" || return 1
  [ "${5:-}" = true ] || idles "$3" 0
}

# is_heard PID SIGNAL: whether a process catches, blocks (so that it can ask for it) or ignores a signal.
is_heard() {
  set -- "$2" "$(awk '/^Sig(Blk|Ign|Cgt):/ { printf " %s", substr($2, length($2) - 7) }' "/proc/$1/status")"
  [ -n "$2" ] || return 0
  for mask in $2; do
    [ $((0x$mask >> ($1 - 1) & 1)) = 0 ] || return 0
  done
  return 1
}
