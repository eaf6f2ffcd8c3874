#!/bin/sh
# Unpack a backup beside what a stack has now, for restore.sh: stage.sh STACK BYTES PART...
#
# Fed with a compressed tar of these parts (see parts.sh), which has about BYTES unpacked. Services keep running. Payload:
# meta/performer, meta/arrival. A stack that is being moved to this host, or gets copies of the volumes of another, has nothing yet:
# the parts are unpacked into their places, if meta/arrival is the token of that. Events: `result` {ok, state, phase, reason}.
set -u
here=${0%/*}
# Removing gigabytes that were unpacked takes a while.
script_ending=300
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=feed.sh
. "$here/feed.sh"
# shellcheck source-path=SCRIPTDIR source=room.sh
. "$here/room.sh"
# shellcheck source-path=SCRIPTDIR source=parts.sh
. "$here/parts.sh"

refuse() {
  name_staged
  remove_staged
  give_up stage "$1"
}

# prepare_mounts: set mounts to the flags of a container whose /restore has the parts as folders.
prepare_mounts() {
  mounts=''
  if grep -q '^volumes/' "$here/parts"; then
    create_volume "$staged" 2>"$here/create.err" || refuse "could not create a volume: $(last_lines "$here/create.err" 1)"
    mounts="--volume $staged:/restore"
  fi
  ! grep -q '^workspace ' "$here/parts" || { mkdir -p "$staged_folder/new" && mounts="$mounts --volume $staged_folder/new:/restore/workspace"; }
}

# prepare_places: the same for a stack that arrives here: the parts themselves, without what the images put into new volumes.
prepare_places() {
  mounts='' places=''
  while read -r part name _ folder; do
    case $part in workspace | backups) name=$folder ;; esac
    mounts="$mounts --volume $name:/restore/$part" places="$places /restore/$part"
  done <"$here/parts"
  # shellcheck disable=SC2086 # folders are words
  in_mounts "--name $staging $mounts" find $places -mindepth 1 -maxdepth 1 -exec rm -rf '{}' + >/dev/null 2>"$here/create.err" ||
    give_up stage "could not empty the volumes: $(last_lines "$here/create.err" 1)"
}

# unpack: links and names lead nowhere, because the container sees nothing else.
unpack() {
  options='-xpf'
  ! tar --version 2>/dev/null | grep -q GNU || options='--xattrs --acls --numeric-owner --same-owner -xpf'
  # shellcheck disable=SC2086 # flags are words
  { fed <&3 || echo no >"$here/cut"; } | gzip -dc 2>/dev/null |
    in_mounts "--name $staging --interactive --env EXTRACT_UNSAFE_SYMLINKS=1 $mounts" tar $options - -C /restore >/dev/null 2>"$here/unpack.err"
}

why_not_unpacked() {
  # GNU tar says so only at the end of a block.
  if grep -qE 'No space left|Wrote only' "$here/unpack.err"; then echo 'the disk is full'; else last_lines "$here/unpack.err" 2; fi
}

# sudo may read what a program it runs does not.
exec 3<&0 </dev/null
use_stack "$1"
needed=$2
shift 2
require_release
hold_stack restore
yield_to_arrival
look_at_parts "$@"
name_staged
remove_staged
! engine_has_volume "$staged" || give_up stage "could not remove the volume \`$staged\` of an earlier restore"
check_room
trap 'remove_staged; unlock_stack' EXIT
if [ -f "$home/arriving" ]; then prepare_places; else prepare_mounts; fi
unpack
code=$?
[ ! -f "$here/cut" ] || give_up stage 'the data did not arrive completely'
[ "$code" = 0 ] || give_up stage "could not unpack the data: $(why_not_unpacked)"
# What is not on the disk yet would be missing after a power failure, when the stack counts as complete.
[ ! -f "$home/arriving" ] || sync
trap unlock_stack EXIT
emit result ok: true state staged phase stage
