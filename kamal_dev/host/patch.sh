#!/bin/sh
# Apply a patch to the files of a workspace: patch.sh STACK FOLDER
#
# Fed with the output of `collect.sh STACK FOLDER changes`; either all of it is applied, or nothing. It is not committed. Payload:
# meta/performer, meta/arrival. Events: `result` {ok, state, phase, reason}.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=feed.sh
. "$here/feed.sh"

begin "$@"
fed >"$here/patch" || give_up patch 'the changes did not arrive; is the disk full?'
hold_stack workspace
yield_to_arrival
[ -d "$target" ] || give_up patch 'the stack has no workspace'
answer=$(confine apply_patch.sh "$target" 2>"$here/confined.err")
code=$?
[ "$answer" = applied ] || give_up patch "${answer:-"could not change the workspace: $(why_confined "$code" "$here/confined.err")"}"
record workspace ok: true state patched
emit result ok: true state patched phase patch
