#!/bin/sh
# Print what containers write to their logs, each line with its container and time: logs.sh MODE [STACK]...
#
# MODE is `follow` or `once`. Payload: meta/services (empty: all), meta/since, meta/until, meta/tail (as the engine takes them), and
# meta/resume, `<container> <time> <count>` for each container read before: the time of its last line, and how many lines have that time.
#
# Output: lines that begin with the 12 digits of a container and a sign; the container 000000000000 is this script.
#   `=` STACK SERVICE NUMBER NAME  the container is being read               ` ` a line: its time, a space, what was written
#   `.`  everything written so far was printed                               `>` a part of a long line
#   `!`  an error message of the engine                                      000000000000= TIME  the start time, comes first
# At the end `result` {ok, state, phase, reason}. With `follow` it ends only with the engine and with its caller.
# Containers started later are read from their first line, restarted ones from their last position.
set -u
here=${0%/*}
# Following a log has no time limit.
script_within=31536000
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=engine_events.sh
. "$here/engine_events.sh"

# Writes to a pipe below this size are atomic.
longest=3000
# awk holds a whole line, and one that never ends must not take the memory of the host. In kB; awk ends beyond it.
awk_memory=65536
# Skip lines that were already printed: the engine repeats those with exactly the time that reading starts from.
# shellcheck disable=SC2016 # for awk
tag_awk='
BEGIN { ORS = ""; before = last; skipped = count; is_resumed = count > 0 }
function put(sign, line) {
  for (at = 1; length(line) - at >= longest; at += longest) { print (id ">" substr(line, at, longest) "\n"); fflush() }
  print (id sign (at > 1 ? substr(line, at) : line) "\n"); fflush()
}
!/^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T/ { put("!", $0); next }
{
  time = substr($0, 1, 30)
  if (is_resumed && time == before && skipped-- > 0) next
  is_resumed = is_resumed && time == before
  # Two streams, or a clock that is set back, may write an earlier time; reading resumes from the latest one.
  if (time == last) count++; else if (time > last) { last = time; count = 1 }
  put(" ", $0)
}
END { if (last != "") print (last " " count "\n") >state }'

# choose_awk: set line_awk to an awk that handles each line immediately, and plain_lines to the filter for its input:
# mawk does so only with an option, and then treats NUL as the end of a line, and takes seconds for a line of several MB.
choose_awk() {
  line_awk=awk plain_lines=
  case $(awk -W version 2>/dev/null </dev/null) in mawk*) line_awk='awk -W interactive' awk_memory=20480 ;; *) return ;; esac
  ! command -v stdbuf >/dev/null 2>&1 || plain_lines=yes
}

# read_log ID KNOWN FLAG...: print the log from the last line in the file KNOWN on, and store the new last line there.
read_log() {
  read_id=$1 known_end=$2
  shift 2
  last='' count=0
  [ ! -f "$known_end" ] || read -r last count <"$known_end"
  # Before the first line, the requested start applies.
  if [ -n "$last" ]; then read_lines "$@" --since "$last" | tag_lines; else first_lines "$@" ${since:+--since "$since"} | tag_lines; fi
}

read_lines() { engine_read_log "$read_id" "$@" ${until:+--until "$until"} 2>&1; }

# first_lines FLAG...: with --until, the engine would take the last lines of the whole log, and then leave out the late ones.
first_lines() {
  case $until:$tail in
    :* | *: | *:all) read_lines "$@" --tail "${tail:-all}" ;;
    *) read_lines "$@" | tail -n "$tail" ;;
  esac
}

# Without a buffer, tr writes what it has read at once, many lines together.
without_nul() { if [ -n "$plain_lines" ]; then stdbuf -o0 tr -d '\000'; else cat; fi; }

tag_lines() {
  tag_id=${read_id%"${read_id#????????????}"}
  without_nul | {
    # shellcheck disable=SC3045 # only where the shell has it
    ulimit -v "$awk_memory" 2>/dev/null
    # shellcheck disable=SC2086 # words of a command
    exec $line_awk -v id="$tag_id" -v last="$last" -v count="$count" -v longest="$longest" -v state="$known_end" "$tag_awk" 2>/dev/null
  } && return
  echo "$tag_id!a line is too long to be read; this line and what follows it are missing"
  return 1
}

# follow_container ID KNOWN: read its log to the end, and continue while it runs or is restarted.
follow_container() {
  if read_log "$1" "$2"; then is_readable=yes; else is_readable=''; fi
  printf '%.12s.\n' "$1"
  [ "$mode$is_readable" = followyes ] || return 0
  # For a container without lines so far, everything since the start of this script is new.
  [ -s "$2" ] || echo "$began 0" >"$2"
  while :; do
    while is_container_up "$1"; do
      read_log "$1" "$2" --follow || return 0
      sleep 0.2
    done
    rm -rf "$here/reading/$1"
    is_container_up "$1" && mkdir "$here/reading/$1" 2>/dev/null || return 0
  done
}

is_container_up() {
  up_elsewhere=$(task_elsewhere "$1")
  if [ -n "$up_elsewhere" ]; then is_task_up "$up_elsewhere"
  else engine_inspect end "$1" 2>/dev/null | grep -q '^[^|]*|[^|]*|true|'
  fi
}

# start_reading ID STACK SERVICE NUMBER ONEOFF NAME: follow a requested container, unless it is already followed.
start_reading() {
  case " $stacks " in *" $2 "*) ;; *) return 0 ;; esac
  case " $services " in '  ' | *" $3 "*) ;; *) return 0 ;; esac
  [ "$5" = False ] && mkdir "$here/reading/$1" 2>/dev/null || return 0
  printf '%.12s=%s %s %s %s\n' "$1" "$2" "$3" "$4" "$6"
  follow_container "$1" "$here/known/$1" &
}

# note_resumed: store how far each container in meta/resume was read.
note_resumed() {
  while read -r id last count; do
    for whole in $all_ids; do
      case $whole in "$id"*) echo "$last $count" >"$here/known/$whole" ;; esac
    done
  done <"$here/meta/resume"
}

# sources_elsewhere: print the containers that stacks of a swarm have on other nodes.
sources_elsewhere() {
  for name in $stacks; do
    use_stack "$name"
    ! of_swarm || task_log_sources
  done
}

# follow_tasks: read what Swarm starts on other nodes, whose engines this one has no events of.
follow_tasks() {
  while sleep 2; do
    sources_elsewhere | while read -r container; do
      # shellcheck disable=SC2086 # words of a line
      case $container in *' running') start_reading $container ;; esac
    done
  done
}

read_all() {
  printf '%s=%s\n' 000000000000 "$began"
  while read -r container; do
    # shellcheck disable=SC2086 # words of a line
    [ -z "$container" ] || start_reading $container
  done <<END
$sources
END
  echo 000000000000.
  [ "$mode" = follow ] || { wait && return; }
  # Containers started later have no earlier lines.
  since='' tail=all
  follow_tasks &
  # shellcheck disable=SC2086 # words of a line
  engine_starts "$began_at" | while read -r container; do start_reading $container; done
}

mode=$1
shift
stacks=$*
for name; do use_stack "$name"; done
services=$(tr '\n' ' ' <"$here/meta/services")
since=$(cat "$here/meta/since") until=$(cat "$here/meta/until") tail=$(cat "$here/meta/tail")
require_engine logs
choose_awk
mkdir "$here/reading" "$here/known"
began=$(precise_time) began_at=$(date +%s)
sources=$(engine_log_sources) || give_up logs 'the engine does not say which containers there are' unknown
sources=$(printf '%s\n' "$sources" && sources_elsewhere)
all_ids=$(printf '%s\n' "$sources" | cut -d' ' -f1)
note_resumed
# Several processes write at the same time; only writes to a pipe do not mix.
read_all | cat
[ "$mode" = once ] || give_up logs "$engine_name on this host stopped" unknown
emit result ok: true phase logs
