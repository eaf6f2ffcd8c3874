#!/bin/sh
# Say whether a stack can take a backup, before it is sent: restorable.sh STACK BYTES PART...
#
# Changes nothing. Events: `result` {ok, state, phase, reason}, see stage.sh.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=room.sh
. "$here/room.sh"
# shellcheck source-path=SCRIPTDIR source=parts.sh
. "$here/parts.sh"

use_stack "$1"
needed=$2
shift 2
require_release
look_at_parts "$@"
name_staged
# What an earlier restore has left takes room until this one removes it.
[ -d "$staged_folder" ] || engine_has_volume "$staged" || check_room
emit result ok: true state restorable phase stage
