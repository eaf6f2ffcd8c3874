#!/bin/sh
# Print the manifests of the current releases of stacks: manifest.sh STACK...
#
# Events: a `manifest` {stack, text} for each stack that has a release; then `result`. Changes nothing.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"

for stack; do
  file=$base/$stack/current/manifest.json
  [ ! -f "$file" ] || awk "$json_awk"'
    BEGIN { prepare(); stack = ARGV[1]; ARGV[1] = "" }
    { text = text $0 "\n" }
    END { print "{\"type\":\"manifest\",\"stack\":" quote(stack) ",\"text\":" quote(text) "}" }' "$stack" "$file"
done
emit result ok: true phase manifest
