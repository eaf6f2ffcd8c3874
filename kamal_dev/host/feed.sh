# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Where scripts on a workspace begin, and the large files that they are fed with. Sourced after lib.sh; runs nothing by itself.

# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=audit.sh
. "$here/audit.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"
# shellcheck source-path=SCRIPTDIR source=confine.sh
. "$here/confine.sh"
# shellcheck source-path=SCRIPTDIR source=underway.sh
. "$here/underway.sh"

# begin STACK FOLDER [WORD]
begin() {
  use_stack "$1"
  use_workspace "$2"
  word=${3:-} stamp=$(date -u +%Y%m%d-%H%M%S) backup=''
}

# hold_stack PHASE: keep others from changing the stack until this script ends, and finish what was interrupted.
hold_stack() {
  lock_stack "$1"
  trap unlock_stack EXIT
  trap 'exit 143' INT TERM
  finish_underway || give_up "$1" "$why"
}

# fed: print the next large file from stdin; fails if it is incomplete. Not with head: BusyBox's head reads more than
# it prints, so the next frame would start in the middle.
fed() {
  while read -r frame && [ "$frame" -gt 0 ]; do dd bs=64k count="$frame" iflag=fullblock,count_bytes 2>/dev/null || return; done
  [ "${frame:-}" = 0 ]
}
