# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# The parts of a stack that a backup can contain: `volumes/KEY` for each named volume, and `workspace`. Sourced after stack.sh
# and engine_root.sh; runs nothing by itself.
#
# Their files belong to root or to users of containers. They are read and written as root of the engine, in a container that
# sees these folders, the payload and the programs of the host only, without a network: what is in them cannot reach anything.

# list_parts: write $here/parts, a line each: part, name of the volume, `plain` if its files are in a folder of this host that
# is always there (of other drivers and options, the engine mounts them), and that folder.
list_parts() {
  engine_volumes >"$here/volumes" 2>"$here/volumes.err" || { engine_trouble=$(explain_engine $? "$(cat "$here/volumes.err")"); return 1; }
  while read -r key name kind folder; do [ "$key" = - ] || echo "volumes/$key $name $kind $folder"; done <"$here/volumes" >"$here/parts"
  [ ! -d "$home/workspace" ] || echo "workspace - plain $home/workspace" >>"$here/parts"
}

# list_moved_parts: the same, with `backups`, the files that were moved out of the workspace for another source: only a move has it.
# There is always a workspace, so that a stack without data can move, too.
list_moved_parts() {
  make_room && list_parts || return
  [ ! -d "$home/backups" ] || echo "backups - plain $home/backups" >>"$here/parts"
}

# choose_parts [PART]...: keep these in $here/parts; all if none is named. Fails and sets why if one does not exist.
choose_parts() {
  why=''
  [ $# -gt 0 ] || { [ -s "$here/parts" ] || why='the stack has no named volume and no workspace'; [ -z "$why" ]; return; }
  printf '%s\n' "$@" >"$here/wanted"
  known_parts=$(cut -d ' ' -f1 "$here/parts" | sed 's,^volumes/,,' | paste -sd , - | sed 's/,/, /g')
  for part; do
    cut -d ' ' -f1 "$here/parts" | grep -qxF -- "$part" ||
      { why="the stack has no volume \`${part#volumes/}\`; it has: ${known_parts:-none}"; return 1; }
  done
  awk 'FILENAME == ARGV[1] { wanted[$1]; next } $1 in wanted' "$here/wanted" "$here/parts" >"$here/chosen" && mv "$here/chosen" "$here/parts"
}

# services_of_parts: print the services with a container that mounts one of $here/parts.
services_of_parts() {
  physical=$(cd "$home/workspace" 2>/dev/null && pwd -P)
  while read -r part name _ folder; do
    case $part in
      workspace) printf '%s\n' "$binds" | awk -F'|' -v folder="$folder/" -v physical="${physical:-/none}/" \
        'index($6 "/", folder) == 1 || index($6 "/", physical) == 1 { print $3 }' ;;
      *) engine_users "$name" </dev/null ;;
    esac
  done <"$here/parts" | sort -u
}

# find_users: set services to those of services_of_parts that run.
find_users() {
  running_now | sort -u >"$here/running"
  services=$(services_of_parts | grep -xFf "$here/running")
}

# stop_users: stop them. Those that watch the stack know that it is on purpose.
stop_users() {
  [ -n "$services" ] || return 0
  phase stop
  # shellcheck disable=SC2086 # services are words
  note_stopped $services
  # shellcheck disable=SC2086 # services are words
  compose_here engine_stop "$up_within" -- $services
}

# start_users: start them again, and watch them come up. Sets why if they do not.
start_users() {
  why=''
  [ -n "$services" ] || return 0
  # shellcheck disable=SC2086 # services are words
  come_up up_services $services
}

# in_mounts FLAGS PROGRAM [ARG]...: run a program of this host as root of the engine in a container with these flags.
in_mounts() {
  engine_folder=$here:$here:ro engine_walls="--network none $1"
  shift
  run_in_engine "$@"
}

# --- what was sent to be restored, until it is

require_release() {
  [ -n "$(current_release)" ] || give_up stage 'the stack has no release on this host'
  require_engine stage
}

# look_at_parts PART...: give up unless the stack has all of them.
look_at_parts() {
  if [ -f "$home/arriving" ]; then list_moved_parts; else list_parts; fi || give_up stage "$engine_trouble"
  choose_parts "$@" || give_up stage "$why"
  ! is_copying "$home" || require_plain
}

# require_plain: give up unless the files of all volumes are in folders of this host that only the stack uses. What the engine mounts
# from elsewhere may be the volume that is copied.
require_plain() {
  elsewhere=$(awk '$3 != "plain" { sub("^volumes/", "", $1); print $1; exit }' "$here/parts")
  [ -z "$elsewhere" ] || give_up stage "the volume \`$elsewhere\` has a driver or options of its own"
}

# check_room: give up unless the disks that the parts are on have room for `needed` bytes.
check_room() {
  for folder in "$(engine_root_dir)" "$home"; do
    free=$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')
    case $free in '' | *[!0-9]*) continue ;; esac
    awk -v needed="$needed" -v free="$free" 'BEGIN { exit !(needed * 1.05 + 1e7 <= free) }' ||
      give_up stage "the data needs about $(amount "$needed"), and $folder has $(amount "$free") free"
  done
}

# name_staged: set staged to the volume, staged_folder to the folder of the workspace, and staging to the container that unpacks.
name_staged() { staged=${stack}_kamal-dev-restore staged_folder=$home/restore staging=kamal-dev-stage-$stack; }

# remove_staged: remove both, also what an earlier restore left. Never before the old data in them has returned: see underway.sh.
remove_staged() {
  engine_discard "$staging" >/dev/null 2>&1
  ! engine_has_volume "$staged" || remove_labelled volume "$staged" >/dev/null 2>&1
  [ ! -d "$staged_folder" ] || in_mounts "--volume $home:$home" rm -rf "$staged_folder" >/dev/null 2>&1
}
