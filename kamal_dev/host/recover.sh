#!/bin/sh
# Finish the backup, or undo the restore, that an outage has interrupted: recover.sh STACK
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

use_stack "$1"
lock_stack start
trap unlock_stack EXIT
trap 'exit 143' HUP INT TERM
finish_underway || give_up start "$why"
emit result ok: true phase start
