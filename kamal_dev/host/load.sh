#!/bin/sh
# Load images from stdin, as the engine saves them, plain or compressed: load.sh
#
# Comes after lib.sh, engine.sh and engine_images.sh in one text, because stdin is the stream itself. Events: `result` {ok, phase, reason}.
set -u
load_output=$(mktemp "${TMPDIR:-/tmp}/kamal-dev.XXXXXX") || exit 1
trap 'rm -f "$load_output"' EXIT
trap 'exit 143' HUP INT PIPE TERM

if image_load >"$load_output" 2>&1; then
  emit result ok: true phase load
else
  # The rest of the stream is read, so that the sender gets this answer and not a broken pipe.
  cat >/dev/null
  give_up load "$(last_lines "$load_output" 3)"
fi
