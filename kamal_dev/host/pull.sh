#!/bin/sh
# Pull images: pull.sh IMAGE...
#
# Events: `arrived` {current, total} in bytes, one `image` per pull {image, ok, seconds, reason}, those of facts.sh, then `result` {ok, reason}.
# Payload: see images.sh; meta/facts, see lib.sh. `--one IMAGE SERVER` is how this script calls itself for each image.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$here/engine.sh"
# shellcheck source-path=SCRIPTDIR source=images.sh
. "$here/images.sh"

if [ "${1:-}" = --one ]; then
  pull_one "$2" "$3"
  exit
fi

trap forget_login EXIT
trap 'exit 143' HUP INT TERM
# shellcheck disable=SC2046 # references have no spaces
pull_all $(missing_images "$@")
pull_code=$?
tell_facts
if [ "$pull_code" = 0 ]; then
  emit result ok: true phase pull
else
  emit result ok: false phase pull reason "$(last_lines "$here/pull.failed" 6)"
  exit 1
fi
