#!/bin/sh
# Find the container that a command is to run in: place.sh STACK [SERVICE]; without SERVICE the one that people work in.
#
# Events: `place` {id, name, image, state, pid, user, environment, metadata, direct, socket}, then `result` {ok, phase, reason}.
# `direct`: whether docker needs no sudo here; `socket`: where the engine is, empty where docker finds it by itself. `metadata` is the image's label of that name, as devcontainers have it.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"

# container_of SERVICE: print the id of a service's first container, of the main one where SERVICE is empty.
container_of() {
  # shellcheck disable=SC2086 # the words are wanted
  if [ -z "$1" ]; then main_container --all
  else docker ps --all --quiet --no-trunc $own_containers --filter "label=com.docker.compose.service=$1" | tail -n 1
  fi
}

place='{"type":"place","id":{{json .Id}},"name":{{json (slice .Name 1)}},"image":{{json .Image}}'
place=$place',"state":{{json .State.Status}},"pid":{{.State.Pid}},"user":{{json .Config.User}}'
place=$place',"environment":{{json .Config.Env}},"metadata":{{with .Config.Labels}}{{json (index . "devcontainer.metadata")}}{{else}}""{{end}}'

use_stack "$1"
require_engine place
id=$(container_of "${2:-}" 2>"$here/ids.err") || give_up place "$(explain_engine $? "$(cat "$here/ids.err")")" unknown
if [ "$engine_way" = direct ]; then direct=true; else direct=false; fi
[ -z "$id" ] || inspect_containers "$place,\"direct\":$direct,\"socket\":$(json_text "${DOCKER_HOST:-$engine_socket}")}" "$id"
emit result ok: true phase place
