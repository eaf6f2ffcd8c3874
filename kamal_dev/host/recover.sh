#!/bin/sh
# Finish the backup, or undo the restore, that an outage has interrupted: recover.sh STACK
#
# The services of a stack that was being moved are started, unless it may run on the other host already.
#
# Run by watcher.sh. Payload: meta/performer.
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
# shellcheck source-path=SCRIPTDIR source=engine_root.sh
. "$here/engine_root.sh"
# shellcheck source-path=SCRIPTDIR source=underway.sh
. "$here/underway.sh"
# shellcheck source-path=SCRIPTDIR source=parts.sh
. "$here/parts.sh"

use_stack "$1"
lock_stack start
trap unlock_stack EXIT
trap 'exit 143' HUP INT TERM
read -r left_underway <"$home/underway"
case $left_underway in
  move) return_data >/dev/null || give_up start 'could not start the services' ;;
  moved) give_up start 'the stack may run on another host' ;;
  *) finish_underway || give_up start "$why" ;;
esac
emit result ok: true phase start
