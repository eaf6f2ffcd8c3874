#!/bin/sh
# Print the last LINES of the record of a stack: records.sh STACK LINES
#
# Each is an event of its own kind (see audit.sh); `result` {ok, phase} comes last.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"

use_stack "$1"
[ ! -f "$home/audit.log" ] || tail -n "$2" "$home/audit.log"
emit result ok: true phase records
