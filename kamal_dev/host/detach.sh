#!/bin/sh
# Run a script detached from the SSH connection and follow it: detach.sh TOKEN SCRIPT [ARG]...
#
# The payload that contains this file moves to ~/.kamal-dev/.run/TOKEN, where the script writes its events to
# `log` and its exit code to `rc`. If TOKEN already exists, it is followed, not started again.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=run.sh
. "$here/run.sh"

use_run "$1"
shift
forget_old_runs
mkdir -p "$runs" || give_up upload "could not create $runs: $(why_not_written "$runs")"
if mkdir "$run" 2>/dev/null; then
  if ! { : >"$run/log" && mv "$here" "$run/payload"; }; then
    rm -rf "$run"
    give_up upload "could not move files to $run: $(why_not_written "$runs")"
  fi
  # A child of this shell: not every init reaps orphans, and `tail --pid` treats a zombie as alive.
  KAMAL_DEV_TOKEN=${run##*/} setsid sh "$run/payload/worker.sh" "$run" "$@" </dev/null >/dev/null 2>&1 &
fi
follow 0
