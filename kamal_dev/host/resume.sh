#!/bin/sh
# Run postStartCommand after the engine has started the main container again: resume.sh STACK `<container> <started>`
#
# Run by watcher.sh. Payload: meta/performer.
#   ~/.kamal-dev/<stack>/lifecycle/resumed   the start that it ran for, then the reason if it failed
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=history.sh
. "$here/history.sh"
# shellcheck source-path=SCRIPTDIR source=audit.sh
. "$here/audit.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"
# shellcheck source-path=SCRIPTDIR source=observe.sh
. "$here/observe.sh"
# shellcheck source-path=SCRIPTDIR source=exec.sh
. "$here/exec.sh"
# shellcheck source-path=SCRIPTDIR source=lifecycle.sh
. "$here/lifecycle.sh"

use_stack "$1"
lock_stack start
trap unlock_stack EXIT
trap 'end_commands; exit 143' HUP INT TERM
release=$(current_release)
take_along "$release"
look_at_stack || give_up start "$engine_trouble" unknown
ok=true
run_lifecycle || ok=false
phase
printf '%s\n' "$2" "$lifecycle_why" >"$home/lifecycle/resumed"
# The folders of the workspace that the containers have now are those of this start.
! look_at_stack || save_baseline
record start release "$release" ok: "$ok" reason "$lifecycle_why"
emit result ok: "$ok" phase "${stage:-start}" reason "$lifecycle_why"
