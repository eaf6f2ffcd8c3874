#!/bin/sh
# Follow a run that was started before: attach.sh TOKEN SEEN
#
# Skips the first SEEN events, and ends with the exit code of the run.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=run.sh
. "$here/run.sh"

use_run "$1"
[ -d "$run" ] || give_up attach 'run not found on this host' unknown
follow "$2"
