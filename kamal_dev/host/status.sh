#!/bin/sh
# Tell what runs: status.sh [STACK]...; without a name, every stack of this host.
#
# Events: per stack one `stack` {stack, release, lock, unfinished} and its `container`s, then `result` {ok, reason}.
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
  found=''
  # shellcheck disable=SC2046 # ids are words
  look_at_containers $(container_ids)
  emit stack stack "$stack" release: "$(describe_release "$shown")" lock: "$(describe_lock)" \
    unfinished: "$(if has_finished "$found"; then echo false; else echo true; fi)"
  show_seen
}

# shellcheck disable=SC2046 # stacks are words
[ $# -gt 0 ] || set -- $(all_stacks)
[ $# -eq 0 ] || docker version --format . >/dev/null 2>&1 || give_up status 'Docker does not answer on this host'
for name; do show_stack "$name"; done
emit result ok: true phase status
