#!/bin/sh
# Tell what this host is and what the stack runs: facts.sh STACK DIGEST [IMAGE]...
#
# Events: `facts`, then one `container` per container of the stack. Changes nothing, asks no network.
# `same` is true where the current release has DIGEST and every container stands as when it was good.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"

# release_field NAME: print a field of os-release, without its quotes.
release_field() { sed -n "s/^$1=//p" /etc/os-release 2>/dev/null | tr -d "\"'"; }

platform() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64 | arm64) echo arm64 ;;
    armv7*) echo arm ;;
    *) uname -m ;;
  esac
}

# free_bytes PATH: print what is free where PATH is, or where its nearest parent is.
free_bytes() {
  place=$1
  while [ ! -e "$place" ] && [ "$place" != / ]; do place=$(dirname "$place"); done
  df -Pk "$place" | awk 'NR == 2 { printf "%.0f\n", $4 * 1024 }'
}

# look_at_engine: set engine, compose, root_dir. All stay empty where Docker is missing or silent.
# Where Docker keeps images and which Compose there is take longest to ask, so that both are remembered
# for as long as the engine is the same one; apply.sh forgets them when a release falls.
look_at_engine() {
  engine='' compose='' root_dir=''
  command -v docker >/dev/null 2>&1 || return
  engine=$(docker_within 20 version --format '{{.Server.Version}}' 2>/dev/null)
  [ -n "$engine" ] || return
  if [ -f "$engine_known" ]; then
    { read -r engine_before; read -r compose; read -r root_dir; } <"$engine_known"
    [ "$engine_before" != "$engine" ] || return
  fi
  compose=$(docker compose version --short 2>/dev/null)
  root_dir=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null)
  [ -z "$compose" ] || [ ! -d "$base" ] || printf '%s\n' "$engine" "$compose" "$root_dir" >"$engine_known.$$"
  [ ! -f "$engine_known.$$" ] || mv "$engine_known.$$" "$engine_known"
}

look_at_stack() {
  seen='' same=false
  current=$(current_release)
  [ -n "$engine" ] || return
  # shellcheck disable=SC2046 # ids are words
  look_at_containers $(container_ids)
  if [ -n "$digest" ] && [ "$(known "$current" digest)" = "$digest" ] &&
    is_as_good "$current" "$found"; then
    same=true
  fi
}

# workspaces: print the folders of the stack's workspace that have something in them, as JSON.
workspaces() {
  set --
  for folder in "$home/workspace"/*/; do
    [ -z "$(ls -A "$folder" 2>/dev/null)" ] || set -- "$@" "$(basename "$folder")"
  done
  json_list "$@"
}

# note FILE: print what workspace.sh has noted of the source, which is JSON; `null` where it has not.
note() { cat "$home/source/$1" 2>/dev/null || echo null; }

# look_at_images [IMAGE]...: set present, each with its id and its digests, and missing, both as JSON.
look_at_images() {
  present='' absent=''
  if [ -n "$engine" ] && known=$(inspect_images "$@"); then
    for image; do
      present="$present${present:+,}$(json_text "$image"):[${known%%"$newline"*}]"
      known=${known#*"$newline"}
    done
  else
    for image; do
      if [ -n "$engine" ] && known=$(inspect_images "$image"); then
        present="$present${present:+,}$(json_text "$image"):[$known]"
      else
        absent="$absent $image"
      fi
    done
  fi
  # shellcheck disable=SC2086 # references have no spaces
  missing=$(json_list $absent)
}

# inspect_images [IMAGE]...: print a line for each; fails where one is missing.
inspect_images() {
  [ $# -eq 0 ] || docker image inspect --format '{{json .Id}}{{range .RepoDigests}},{{json .}}{{end}}' -- "$@" 2>/dev/null
}
newline='
'

use_stack "$1"
digest=$2
shift 2
look_at_engine
look_at_stack
look_at_images "$@"
[ -n "$engine" ] && daemon=true || daemon=false
emit facts user "$(id -un)" home "$HOME" privilege "$(privilege)" \
  os "$(release_field ID)" os_version "$(release_field VERSION_ID)" arch "$(platform)" \
  docker "$engine" compose "${compose#v}" daemon: "$daemon" \
  disk_free: "$(free_bytes "${root_dir:-/var/lib/docker}")" \
  memory: "$(awk '/^MemTotal:/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)" cpus: "$(nproc)" \
  release: "$(describe_release "$current")" same: "$same" lock: "$(describe_lock)" \
  missing: "$missing" images: "{$present}" workspace: "$(workspaces)" \
  source: "$(note state)" offered: "$(note offered)"
show_seen
