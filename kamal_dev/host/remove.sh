#!/bin/sh
# Remove a stack from this host: remove.sh STACK [keep-volumes | ended | unless-work | arriving | moved]
#
# Removes containers, networks, volumes, the folder except the audit log, the claim of the name, and the images that were built for
# the stack, unless a release of another stack or a container names them, or meta/keep-images exists. `keep-volumes` keeps the
# volumes, the workspace and the images. With `ended`, a stack is only removed if its lifetime has ended (see lifetime.sh) and
# nothing of it runs; with `unless-work`, also only if its workspace has no work that exists nowhere else; otherwise `state` is
# `kept`. `arriving` removes only a stack that is being moved to this host, or that volumes are being copied to, with meta/arrival only
# if that is its token; `state` is `here` if it is complete, `other` if the token is another one. A stack that is being
# moved from this host is only removed with `moved`, after it has arrived. Payload: meta/performer.
# Events: `result` {ok, phase, state, code, reason, stack, removed, kept}; `code` is `untouched` if the engine does not answer and
# the stack has no folder.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=unit.sh
. "$here/unit.sh"
# shellcheck source-path=SCRIPTDIR source=audit.sh
. "$here/audit.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"
# shellcheck source-path=SCRIPTDIR source=engine_root.sh
. "$here/engine_root.sh"
# shellcheck source-path=SCRIPTDIR source=replace.sh
. "$here/replace.sh"
# shellcheck source-path=SCRIPTDIR source=lifetime.sh
. "$here/lifetime.sh"
# shellcheck source-path=SCRIPTDIR source=underway.sh
. "$here/underway.sh"
# shellcheck source-path=SCRIPTDIR source=confine.sh
. "$here/confine.sh"
# shellcheck source-path=SCRIPTDIR source=work.sh
. "$here/work.sh"
# shellcheck source-path=SCRIPTDIR source=images.sh
. "$here/images.sh"
# shellcheck source-path=SCRIPTDIR source=retention.sh
. "$here/retention.sh"

# take_down: let Compose remove them, with the order and the stop timeouts of the services.
take_down() {
  [ -d "$home/current" ] && cd "$home/current" || return
  # shellcheck disable=SC2046 # ids are words
  look_at_containers $(labelled container)
  quickly engine_down ${with_volumes:+--volumes} >&2
  cd /
}

# sweep KIND: remove by label what Compose did not, because its file is missing or a profile is off.
sweep() {
  # shellcheck disable=SC2046 # ids are words
  set -- "$1" $(labelled "$1")
  [ $# = 1 ] || remove_labelled "$@" >/dev/null
}

# doomed: print the paths to remove in the stack's folder, one per line.
doomed() {
  if [ -n "$with_volumes" ]; then
    find "$home" -mindepth 1 -maxdepth 1 ! -name audit.log ! -name lock
  else
    find "$releases" "$home/current" "$home/lifecycle" "$home/baseline" "$home/running" "$home/alerts.log" "$home/incidents" "$home/lifetime" "$home/active" -maxdepth 0 2>/dev/null
  fi
}

# remove_folder: containers may have written files of other users to the workspace: they are removed as root, or as
# the engine's root if sudo may not. Sets unremoved to what could not be removed, and why.
remove_folder() {
  for way in '' as_root 'in_engine'; do
    [ "$way" != in_engine ] || set -- "$home"
    doomed | while IFS= read -r path; do $way "$@" rm -rf -- "$path"; done 2>"$here/rm${way:+.more}"
    unremoved=$(doomed)
    [ -n "$unremoved" ] || return 0
  done
  unremoved="$(printf '%s' "$unremoved" | paste -sd ' ' -): $(last_lines "$here/rm" 1)"
  return 1
}

# keep REASON: end without having changed anything, because the stack is used, or has work that would be lost.
keep() {
  ! { hold_lifetime && current_lifetime; } || { life_kept=$1 life_told='' && write_lifetime; }
  record remove ok: false state kept reason "$1"
  give_up remove "$1" kept
}

# require_ended: keep a stack that somebody uses, or worked in.
require_ended() {
  read_lifetime
  [ -n "$life_ended" ] || give_up remove 'its lifetime has not ended' kept
  # shellcheck disable=SC2046 # ids are words
  look_at_containers $(labelled container) || give_up remove "$engine_trouble" unknown
  case $found in *'|running|'* | *'|restarting|'*) give_up remove 'it was started again' kept ;; esac
  [ "$spares" = unless-work ] || return 0
  find_work
  [ -z "$work" ] || keep "$work"
}

# forget_built: remove the images that were built for this stack and that nothing else here names. Its releases still exist: if this
# is interrupted, the next removal finds them.
forget_built() {
  [ -n "$with_volumes" ] && [ ! -f "$here/meta/keep-images" ] || return 0
  unused=$(cat "$releases"/*/.kamal-dev/built 2>/dev/null | sort -u)
  # shellcheck disable=SC2034 # for name_images
  going=$(for each in "$releases"/*/; do basename "$each"; done | tr '\n' ' ')
  [ -z "$unused" ] || ! list_containers || forget_images
}

# forget_records: remove what the host keeps of the stack beside its folder.
forget_records() {
  rm -f "$base/.claims/$stack"
  read -r puller 2>/dev/null <"$base/.pulling/$stack" || return 0
  is_there "$puller" || rm -f "$base/.pulling/$stack"
}

what_remains() {
  labelled container && labelled network || return
  [ -z "$with_volumes" ] || labelled volume
}

# fail REASON: end with a list of what was not removed.
fail() {
  record remove ok: false state incomplete reason "$1"
  give_up remove "$1" incomplete
}

# is_touched: whether anything was, or is being, done here.
is_touched() { has_more_than_records || [ -d "$home/lock" ]; }

conclude_nothing() {
  emit result ok: true phase remove stack "$stack" removed: false kept: '[]'
  exit
}

# is_arriving: whether it is what meta/arrival names, or any such stack.
is_arriving() {
  read_meta arrival
  read_arrival && [ "$arriving_token" = "${arrival:-$arriving_token}" ]
}

# conclude_here: end without a change: the stack was moved here completely, or is not here.
conclude_here() {
  if read_arrival; then state=other; elif [ -d "$releases" ]; then state=here; else state=; fi
  emit result ok: true phase remove state "$state" stack "$stack" removed: false kept: '[]'
  exit
}

use_stack "$1"
with_volumes=yes kept='[]' spares='' only=${2:-}
case ${2:-} in unless-work | ended) spares=$2 ;; esac
[ "${2:-}" != keep-volumes ] || with_volumes='' kept='["volumes","workspace"]'
if ! has_engine; then
  ! has_more_than_records || remove_folder || fail "could not remove: $unremoved"
  emit result ok: true phase remove stack "$stack" removed: false kept: "$kept"
  exit
fi
if ! engine_answers; then
  # A host whose creation did not finish has no stack yet; for any other host it is unknown.
  code=
  is_touched || code=untouched
  emit result ok: false phase remove state unknown code "$code" reason "$engine_trouble"
  exit 1
fi
refuse_foreign
is_touched || [ -n "$(what_remains)" ] || conclude_nothing
lock_stack remove
trap unlock_stack EXIT
trap 'exit 143' HUP INT TERM
[ "$only" != arriving ] || is_arriving || conclude_here
[ "$only" = moved ] || ! is_moving || yield_to_move
[ -z "$spares" ] || require_ended
# What a script that has ended writes to a volume keeps it from being removed.
! read_arrival || engine_discard "kamal-dev-stage-$stack" >/dev/null 2>&1
take_down
sweep container
sweep network
[ -z "$with_volumes" ] || sweep volume
remaining=$(what_remains) || give_up remove 'could not list what remains' unknown
[ -z "$remaining" ] || fail "could not remove: $(echo "$remaining" | paste -sd ' ' -)"
forget_built
remove_folder || fail "could not remove: $unremoved"
forget_records
# A watcher that removes a stack still has to say so, and goes by itself.
[ -f "$here/meta/ends" ] || remove_watcher >/dev/null 2>&1
record remove ok: true state removed kept: "$kept"
emit result ok: true phase remove stack "$stack" removed: true kept: "$kept"
