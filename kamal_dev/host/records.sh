#!/bin/sh
# Print the last LINES of the audit log of a stack: records.sh STACK LINES [alerts.log]
#
# Each is an event of its own kind (see audit.sh; notify.sh for alerts); `result` {ok, phase} comes last.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"

use_stack "$1"
case ${3:-audit.log} in
  audit.log | alerts.log) log_file=$home/${3:-audit.log} ;;
  *) give_up arguments "\`$3\` is not a record" ;;
esac
[ ! -f "$log_file" ] || tail -n "$2" "$log_file"
emit result ok: true phase records
