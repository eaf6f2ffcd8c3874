# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Shared by every script: JSON lines, time, root, processes. Sourced; runs nothing by itself.

LC_ALL=C
export LC_ALL
HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
# A rootless engine is installed in ~/bin, which only login shells have on their PATH.
PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin:$HOME/bin:/snap/bin
export PATH HOME
umask 077

# Not with id: every script would start a process.
uid=''
while read -r field _ uid _; do [ "$field" != Uid: ] || break; done 2>/dev/null </proc/self/status
[ "${field:-}" = Uid: ] || uid=$(id -u)
base=$HOME/.kamal-dev

# --- JSON lines: stdout carries nothing else

# Text is turned into a JSON string byte by byte: bytes that are not UTF-8 are kept, and replaced by the reader.
json_awk='
function quote(text,   out, i, n, c) {
  gsub(/["\\]/, "\\\\&", text)
  if (text !~ /[\001-\037]/) return "\"" text "\""
  n = length(text)
  for (i = 1; i <= n; i++) { c = substr(text, i, 1); out = out ((c in escaped) ? escaped[c] : c) }
  return "\"" out "\""
}
function prepare(   i) { for (i = 1; i < 32; i++) escaped[sprintf("%c", i)] = sprintf("\\u%04x", i) }
'

# emit TYPE [KEY VALUE]...: print one event. A KEY that ends with `:` takes VALUE as JSON, not as text.
emit() {
  emitted="{\"type\":\"$1\""
  shift
  while [ $# -gt 1 ]; do
    case $1 in
      *:) emitted="$emitted,\"${1%:}\":$2" ;;
      *) json=$2 && plain_text || json=$(json_text "$2")
        emitted="$emitted,\"$1\":$json" ;;
    esac
    shift 2
  done
  printf '%s\n' "$emitted}"
}

# plain_text: turn `json` into a JSON string without starting a process; fails if it has characters that need escapes.
plain_text() {
  case $json in *[\"\\]* | *[![:print:]]*) return 1 ;; esac
  json="\"$json\""
}

# json_text TEXT: print it as a JSON string, without a newline.
json_text() {
  json=$1
  if plain_text; then printf %s "$json"; else text=$1 awk "$json_awk"'BEGIN { prepare(); printf "%s", quote(ENVIRON["text"]) }'; fi
}

# json_list [TEXT]...: print a JSON array of strings.
json_list() {
  json_items=''
  for json; do
    plain_text || { json_list_of_any "$@"; return; }
    json_items="$json_items${json_items:+,}$json"
  done
  echo "[$json_items]"
}

json_list_of_any() {
  awk "$json_awk"'BEGIN {
    prepare()
    for (i = 1; i < ARGC; i++) line = line (i > 1 ? "," : "") quote(ARGV[i])
    print "[" line "]"
  }' "$@"
}

log() { emit log text "$*"; }

newline='
'

# read_file FILE: set content to its text, without starting a process; fails if there is no such file.
read_file() {
  content=''
  [ -f "$1" ] && [ -r "$1" ] || return
  while IFS= read -r content_line || [ -n "$content_line" ]; do content=$content$content_line$newline; done <"$1"
  content=${content%"$newline"}
}

# read_meta NAME...: set each of these variables to the text of its file in `meta/` of the payload; empty if there is none.
read_meta() {
  for meta_name; do
    read_file "$here/meta/$meta_name"
    eval "$meta_name=\$content"
  done
}

# discard FILE...: remove them, without starting a process if none exists.
discard() {
  for discarded; do
    if [ -e "$discarded" ] || [ -L "$discarded" ]; then rm -rf -- "$@" && return; fi
  done
}

# give_up PHASE REASON [STATE]: end with a failed result; STATE defaults to `untouched`: nothing was changed.
give_up() {
  emit result ok: false state "${3:-untouched}" phase "$1" reason "$2"
  exit 1
}

# last_lines FILE [COUNT]: print its last lines without NUL, each cut to a length that fits a screen.
last_lines() { tail -n "${2:-20}" "$1" 2>/dev/null | tr -d '\000' | cut -b1-500; }

# keep_file FROM TO: copy it by rename. After a power failure TO has either the old or the new content, not a part.
keep_file() { cp "$1" "$2.new" && sync "$2.new" && mv -T "$2.new" "$2"; }

# why_not_written PATH: print why nothing can be written there, by trying it in the nearest existing folder.
why_not_written() {
  why_folder=$1
  while [ ! -d "$why_folder" ]; do why_folder=$(dirname "$why_folder"); done
  write_error=$( (echo probe >"$why_folder/.kamal-dev.$$") 2>&1)
  rm -f "$why_folder/.kamal-dev.$$"
  case $write_error in
    *[Rr]ead-only*) echo "$why_folder is on a read-only file system" ;;
    *denied*) echo "\`$(id -un)\` has no permission to write to $why_folder" ;;
    *) echo 'is the disk full?' ;;
  esac
}

# tell_facts: print the events of facts.sh; its arguments are in meta/facts of the payload, one per line.
tell_facts() {
  [ -f "$here/meta/facts" ] || return 0
  set --
  while IFS= read -r word; do set -- "$@" "$word"; done <"$here/meta/facts"
  sh "$here/facts.sh" "$@" | sed '/^{"type":"result"/d'
}

# --- time

# clock: set `now` to milliseconds of a clock that never goes backwards, even if the wall clock is changed.
clock() {
  read -r now _ </proc/uptime
  now=$((${now%.*} * 1000 + 1${now#*.}0 - 1000))
}

# wall_clock: print milliseconds since 1970; in whole seconds if date knows nothing finer, like that of BusyBox.
wall_clock() {
  wall=$(date +%s%3N)
  case $wall in *[!0-9]*) wall=$(date +%s)000 ;; esac
  echo "$wall"
}

# precise_time: print the time in the engine's format; in whole seconds if date knows nothing finer.
precise_time() {
  time=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
  case $time in *N*) time=$(date -u +%Y-%m-%dT%H:%M:%S.000000000Z) ;; esac
  echo "$time"
}

# moment TIME: set moment to `2026-01-31T12:00:00.5Z` in milliseconds since 1970. Not with date, whose input formats
# differ between systems. In front of two digits, 1 keeps the shell from reading them as octal.
moment() {
  IFS=-T:.Z read -r year month day hour minute second fraction _ <<END
$1
END
  second=${second%%[!0-9]*} fraction=${fraction%%[!0-9]*}000
  case $year$month$day$hour$minute in *[!0-9]*) return 1 ;; esac
  [ "${#year}${#month}${#day}${#hour}${#minute}${#second}" = 422222 ] || return
  month=$(((1$month - 91) % 12))
  year=$((1$year - 10000 - (month > 9)))
  days=$((365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + 1$day - 101 - 719468))
  seconds=$((((days * 24 + 1$hour - 100) * 60 + 1$minute - 100) * 60 + 1$second - 100))
  moment=$((seconds * 1000 + 1${fraction%"${fraction#???}"} - 1000))
}

# seconds MILLISECONDS: print them as seconds.
seconds() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }

# phase [NAME]: report how long the last phase took, then the start of the phase NAME.
phase() {
  clock
  [ -z "${phase_name:-}" ] || emit phase name "$phase_name" seconds: "$(seconds $((now - phase_started)))"
  phase_name=${1:-} phase_started=$now
  [ -z "$phase_name" ] || emit phase name "$phase_name"
}

# --- versions

# is_at_least WANTED VERSION: whether VERSION is WANTED or later; both are numbers with dots.
is_at_least() {
  awk 'BEGIN {
    n = split(ARGV[1], wanted, "."); split(ARGV[2], have, /[.+-]/)
    for (i = 1; i <= n; i++) if (have[i] + 0 != wanted[i] + 0) exit !(have[i] + 0 > wanted[i] + 0)
  }' "$@"
}

# --- root

is_root() { [ "$uid" = 0 ]; }

# privilege: print how to become root: `root`, `sudo`, `password` (sudo that asks for one) or `none`.
privilege() {
  if is_root; then echo root
  elif ! command -v sudo >/dev/null 2>&1; then echo none
  elif sudo -n true 2>/dev/null; then echo sudo
  # sudo says so on stderr only. Debian and Ubuntu grant it through these groups.
  elif id -Gn | tr ' ' '\n' | grep -qxE 'sudo|admin|wheel'; then echo password
  else echo none
  fi
}

as_root() {
  if is_root; then "$@"; else sudo -n -- "$@"; fi
}

# wait_for_lock SECONDS DESCRIPTOR: flock with a deadline, which BusyBox's flock does not have.
wait_for_lock() {
  clock
  lock_until=$((now + $1 * 1000))
  until flock -n "$2"; do
    clock
    [ "$now" -lt "$lock_until" ] || return 1
    sleep 0.2
  done
}

# --- processes

# started_at PID: print the kernel's start time of a living process. Process ids are reused, but not with the same start time.
started_at() { look_at_process "$1" && [ "$stat_state" != Z ] && echo "$stat_started"; }

# is_alive PID START: whether this process still runs.
is_alive() { [ -n "$1" ] && look_at_process "$1" && [ "$stat_state" != Z ] && [ "$stat_started" = "$2" ]; }

# --- the end of a script

# look_at_process PID: set stat_state, stat_parent, stat_session, stat_terminal (0: none) and stat_started, without
# starting a process.
look_at_process() {
  [ -r "/proc/$1/stat" ] && read -r stat_line 2>/dev/null <"/proc/$1/stat" || return 1
  # The name in parentheses may contain anything.
  # shellcheck disable=SC2086 # the words are wanted
  set -- ${stat_line##*) }
  stat_state=$1 stat_parent=$2 stat_session=$4 stat_terminal=$5 stat_started=${20}
}

# find_callers: set callers to `process:start` of the processes above this script, up to sshd, which has another
# session.
find_callers() {
  callers=''
  look_at_process "$$" || return
  own_start=$stat_started own_session=$stat_session
  while [ "$stat_session" = "$own_session" ] && [ "$stat_parent" -gt 1 ]; do
    above=$stat_parent
    look_at_process "$above" || return 0
    callers="$callers $above:$stat_started"
  done
}

# is_there PROCESS:START
is_there() { look_at_process "${1%:*}" && [ "$stat_started" = "${1#*:}" ] && [ "$stat_state" != Z ]; }

# family: print this script and the processes it runs, without those that were detached into a session of their own.
family() {
  cat /proc/[0-9]*/stat 2>/dev/null | awk -v top="$$" '
    { pid = $1; sub(/^.*\) /, ""); parent[pid] = $2; session[pid] = $4 }
    END { for (pid in parent) if (session[pid] == session[top]) {
      for (up = pid; up != top && up in parent; ) up = parent[up]
      if (up == top) print pid } }'
}

# end_family SIGNAL: send it to the script and its processes; to processes of root with root's rights.
end_family() {
  for member in $(family); do
    kill -s "$1" "$member" || [ ! -d "/proc/$member" ] || as_root kill -s "$1" "$member"
  done
}

# watch_callers: end this script when one of its callers ends, or after its deadline. It has script_ending seconds to clean up.
watch_callers() {
  seconds_left=$script_within
  while sleep 1 && is_there "$$:$own_start"; do
    seconds_left=$((seconds_left - 1)) is_called=yes
    for caller_there in $callers; do is_there "$caller_there" || is_called=no; done
    if [ "$seconds_left" -gt 0 ] && [ "$is_called" = yes ]; then continue; fi
    end_family TERM
    for _ in $(seq "$script_ending"); do sleep 1; is_there "$$:$own_start" || return; done
    end_family KILL
    return
  done
}

# A detached script has a token, and text run by `sh -c` ends with its stdin. A confined script is watched from
# outside.
script_within=${script_within:-7300} script_ending=${script_ending:-5}
case $0:${KAMAL_DEV_TOKEN:-}:${KAMAL_DEV_CONFINED:-} in
  */*::)
    # Not a child of this shell, which may `wait` for all its children; and without a copy of stdout, which would stay
    # open.
    find_callers && (exec </dev/null >/dev/null 2>&1; watch_callers &)
    ;;
esac
