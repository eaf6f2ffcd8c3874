# shellcheck shell=sh disable=SC2154,SC2317 # variables cross the files that source each other
# Run Compose on the release of a stack, with the terminal and the streams of the caller: STACK PERFORMER MODE ARG...
#
# MODE is `change` if containers may change: it takes the lock and is recorded; else `read`. Follows lib.sh, engine.sh,
# stack.sh, audit.sh and lock.sh in one text, because stdin is for Compose.
performed_by=$2 mode=$3

performer() { printf '%s\n' "$performed_by"; }
log() { echo "$*" >&2; }
give_up() {
  echo "error: $2" >&2
  exit 1
}

finish_compose() {
  record compose release "$(current_release)" version "$(known "$(current_release)" version)" ok: "$1" state "$compose_words" reason ''
  unlock_stack
}

use_stack "$1"
shift 3
compose_words=$*
cd "$home/current" 2>/dev/null || give_up compose "$stack has no release on this host"
engine_answers || give_up compose "$engine_trouble"
[ "$mode" = change ] || { engine_attached "$@"; exit; }
refuse_foreign
lock_stack compose
trap 'unlock_stack' EXIT
trap 'exit 143' HUP INT TERM
engine_attached "$@"
set -- $?
if [ "$1" = 0 ]; then finish_compose true; else finish_compose false; fi
exit "$1"
