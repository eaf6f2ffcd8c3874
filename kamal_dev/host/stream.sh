#!/bin/sh
# Print what backup.sh packs in the run TOKEN: stream.sh TOKEN
#
# Prints nothing, and ends with 1, if that run ends before it packs.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=run.sh
. "$here/run.sh"

use_run "$1"
until [ -p "$run/stream" ]; do
  [ ! -s "$run/rc" ] || exit 1
  sleep 0.2
done
echo "$$" >"$run/reader.new" && mv "$run/reader.new" "$run/reader"
exec cat "$run/stream"
