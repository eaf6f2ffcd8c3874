#!/bin/sh
# Find the container for a command: place.sh STACK [SERVICE]; without SERVICE, the one that people work in.
#
# Events: `place` {id, name, image, state, pid, user, environment, metadata, direct, socket, stopped}, then `result` {ok, phase, reason}.
# `direct`: whether the engine needs no sudo here; `socket`: its address, empty if its program finds it by itself; `stopped`:
# whether its service was stopped on purpose. `metadata` is the image's label `devcontainer.metadata`.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"

# container_of SERVICE: print the id of a service's first container, or of the main container if SERVICE is empty.
container_of() {
  if [ -z "$1" ]; then main_container --all
  else service_containers "$1" | tail -n 1
  fi
}

use_stack "$1"
require_engine place
# Somebody is about to enter it.
[ ! -f "$home/lifetime" ] || : >"$home/active"
id=$(container_of "${2:-}" 2>"$here/ids.err") || give_up place "$(explain_engine $? "$(cat "$here/ids.err")")" unknown
if [ "$engine_way" = direct ]; then direct=true; else direct=false; fi
[ -z "$id" ] || engine_inspect place "$id" 2>/dev/null | sed 's/}$//' | while IFS='|' read -r its_service open; do
  if grep -qxF -- "$its_service" "$home/stopped" 2>/dev/null; then stopped=true; else stopped=false; fi
  printf '%s,"direct":%s,"socket":%s,"stopped":%s}\n' "$open" "$direct" "$(json_text "$engine_socket")" "$stopped"
done
emit result ok: true phase place
