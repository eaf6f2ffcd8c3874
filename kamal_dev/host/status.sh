#!/bin/sh
# Print the state of stacks: status.sh [STACK]...; without a name, of every stack on this host.
#
# Events: per stack one `stack` {stack, state, reason, release, lock, last, allotted, lifetime} and its `container`s, including missing ones, with
# the reason if one is not up; then `result` {ok, state, reason}: not `ok` if the engine does not answer. A host without an
# engine that never had these stacks reports none. `state`: see observe.sh; `last`: the result
# of the last change, if it failed. With meta/measure in the payload, before the result also a `usage` {stack, id, cpu,
# cpu_seconds, memory} for each running container, `cpu` in percent of one processor, and a `volume` {stack, container,
# name, bytes} for each volume of each container.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=history.sh
. "$here/history.sh"
# shellcheck source-path=SCRIPTDIR source=observe.sh
. "$here/observe.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"
# shellcheck source-path=SCRIPTDIR source=usage.sh
. "$here/usage.sh"
# shellcheck source-path=SCRIPTDIR source=lifetime.sh
. "$here/lifetime.sh"

is_measured_too() { [ -f "$here/meta/measure" ]; }

show_stack() {
  use_stack "$1"
  shown=$(current_release)
  look_at_stack || give_up status "$engine_trouble" unknown
  ! is_measured_too || { begin_sampling; begin_measuring; }
  judge_stack "$shown"
  emit stack stack "$stack" state "$stack_state" reason "$stack_reason" release: "$(describe_release "$shown")" \
    lock: "$(describe_lock)" last: "$(last_failure)" allotted: "$(allotted)" lifetime: "$(describe_lifetime)"
  show_containers
}

# shellcheck disable=SC2046 # stacks are words
[ $# -gt 0 ] || set -- $(all_stacks)
if ! has_none "$@"; then
  has_engine || give_up status "$engine_name is not installed on this host" unknown
  for name; do show_stack "$name"; done
  ! is_measured_too || { wait_for_figures "$@"; show_usage; show_volumes; }
fi
emit result ok: true phase status
