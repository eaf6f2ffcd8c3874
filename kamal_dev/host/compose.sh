# shellcheck shell=sh disable=SC2154,SC2317 # variables cross the files that source each other
# Run Compose on the release of a stack, with the terminal and the streams of the caller: STACK PERFORMER MODE ARG...
#
# MODE is `change` if containers may change: it takes the lock and is recorded; else `read`. Follows lib.sh, engine.sh,
# stack.sh, audit.sh and lock.sh in one text, because stdin is for Compose.
performed_by=$2 mode=$3
trap 'exit 130' INT

performer() { printf '%s\n' "$performed_by"; }
log() { echo "$*" >&2; }
give_up() {
  echo "error: $2" >&2
  exit 1
}

# finish_compose: record how it ended, also if it was interrupted, and unlock.
# shellcheck disable=SC2317 # called by the trap
finish_compose() {
  if [ "$?" = 0 ]; then set -- true; else set -- false; fi
  record compose release "$(current_release)" version "$(known "$(current_release)" version)" ok: "$1" state "$compose_words" reason ''
  unlock_stack
}

# attached ARG...: run Compose. The engine's program reports 255 if Ctrl-C ends Compose while it starts.
interrupted=
attached() {
  engine_attached "$@"
  set -- $?
  [ "$1:$interrupted" != 255:yes ] || return 130
  return "$1"
}

use_stack "$1"
shift 3
compose_words=$*
cd "$home/current" 2>/dev/null || give_up compose "$stack has no release on this host"
engine_answers || give_up compose "$engine_trouble"
[ "$mode" != change ] || refuse_swarm "compose $1"
# Compose gets Ctrl-C, too: its exit code counts.
trap 'interrupted=yes' INT
[ "$mode" = change ] || { attached "$@"; exit; }
refuse_foreign
lock_stack compose
trap finish_compose EXIT
! is_copying "$home" || give_up compose "$(why_not_copied)"
trap 'exit 143' HUP TERM
# Without a terminal nothing else ends it when the connection is lost, and it has the lock.
# shellcheck disable=SC2034 # read by watch_callers
script_within=31536000
find_callers && (exec </dev/null >/dev/null 2>&1; watch_callers &)
attached "$@"
