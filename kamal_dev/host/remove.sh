#!/bin/sh
# Remove a stack from this host: remove.sh STACK [keep-volumes]
#
# Containers, networks, volumes and the folder go, but for the record; images stay. `keep-volumes` keeps the volumes and,
# in the folder, the workspace: what people made. Payload: meta/performer. Events: `result` {ok, phase, reason, stack, removed, kept}.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=audit.sh
. "$here/audit.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"

# labelled KIND: print the ids of the stack's containers, networks or volumes.
labelled() {
  case $1 in
    container) docker ps --all --quiet --filter "label=com.docker.compose.project=$stack" ;;
    *) docker "$1" ls --quiet --filter "label=com.docker.compose.project=$stack" ;;
  esac
}

# take_down: let compose do it, which knows the order and the time that each service gets to end.
take_down() {
  [ -d "$home/current" ] && cd "$home/current" || return
  docker_within 300 compose --ansi never --project-name "$stack" down --remove-orphans ${with_volumes:+--volumes} >&2
  cd /
}

# sweep KIND ARG...: remove by label what compose did not, because its file is gone or a profile is off.
sweep() {
  kind=$1
  shift
  # shellcheck disable=SC2046 # ids are words
  set -- "$@" -- $(labelled "$kind")
  for last; do :; done
  [ "$last" = -- ] || docker_within 300 "$kind" rm "$@" >/dev/null
}

# Containers may have left files of other users in the workspace.
remove_folder() {
  if [ -n "$with_volumes" ]; then
    for gone in "$home"/* "$home"/.[!.]*; do
      case $gone in */audit.log | */lock) ;; *) rm -rf "$gone" 2>/dev/null || as_root rm -rf "$gone" ;; esac
    done
  else
    rm -rf "$releases" "$home/current" "$home/lifecycle" "$home/baseline"
  fi
}

what_is_left() {
  labelled container
  labelled network
  [ -z "$with_volumes" ] || labelled volume
}

# is_touched: whether anything was done here, or is being done.
is_touched() { has_more_than_records || [ -d "$home/lock" ]; }

conclude_nothing() {
  emit result ok: true phase remove stack "$stack" removed: false kept: '[]'
  exit
}

use_stack "$1"
with_volumes=yes kept='[]'
[ "${2:-}" != keep-volumes ] || with_volumes='' kept='["volumes","workspace"]'
if ! command -v docker >/dev/null 2>&1; then
  ! has_more_than_records || remove_folder
  emit result ok: true phase remove stack "$stack" removed: false kept: "$kept"
  exit
fi
if ! docker version --format . >/dev/null 2>&1; then
  # A host that is only being made has nothing of ours yet.
  is_touched && give_up remove 'Docker does not answer on this host'
  conclude_nothing
fi
refuse_foreign
is_touched || [ -n "$(what_is_left)" ] || conclude_nothing
lock_stack remove
trap unlock_stack EXIT
trap 'exit 143' HUP INT TERM
take_down
sweep container --force --volumes
sweep network
[ -z "$with_volumes" ] || sweep volume --force
left=$(what_is_left | paste -sd ' ' -)
[ -z "$left" ] || { record remove ok: false state broken reason "the engine kept: $left"; give_up remove "the engine kept: $left" broken; }
remove_folder
record remove ok: true state removed kept: "$kept"
emit result ok: true phase remove stack "$stack" removed: true kept: "$kept"
