#!/bin/sh
# Tell what runs: status.sh [STACK]...; without a name, every stack of this host.
#
# Events: per stack one `stack` {stack, release, lock, unfinished} and its `container`s, then `result` {ok, state, reason}:
# not `ok` where the engine does not say what runs. A host without Docker that never had these stacks tells of none.
# `unfinished`: lifecycle commands are left to be run.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"

show_stack() {
  use_stack "$1"
  shown=$(current_release)
  look_at_stack || give_up status "$engine_trouble" unknown
  emit stack stack "$stack" release: "$(describe_release "$shown")" lock: "$(describe_lock)" \
    unfinished: "$(if has_finished "$found"; then echo false; else echo true; fi)"
  show_seen
}

# shellcheck disable=SC2046 # stacks are words
[ $# -gt 0 ] || set -- $(all_stacks)
if ! has_none "$@"; then
  require_engine status
  for name; do show_stack "$name"; done
fi
emit result ok: true phase status
