#!/bin/sh
# Pack volumes and the workspace of a stack: backup.sh STACK TIMEOUT WINDOW HOW [PART]...
#
# PART is `volumes/KEY` or `workspace`; without one, all. The services that use them are stopped meanwhile, and are started again
# whatever happens, unless HOW is `running`. If it is the token of a move, all services are stopped, and stay stopped if all goes
# well. TIMEOUT and WINDOW are milliseconds. The tar is written compressed to the pipe
# `stream` of this run, for stream.sh. Payload: meta/performer, meta/restarts, meta/copy: the new stack that the volumes are for. With
# meta/arrival, the token of that copy (see underway.sh), it is on this host, and they are copied to its volumes: there is no tar.
# Events and result: see switch.sh; `state` is packed; failed if it was not packed; broken if a service did not come up again;
# kept if nothing was done; unfinished if a lifecycle command failed.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=switch.sh
. "$here/switch.sh"
# shellcheck source-path=SCRIPTDIR source=services.sh
. "$here/services.sh"
# shellcheck source-path=SCRIPTDIR source=parts.sh
. "$here/parts.sh"

# begin_packing: with HOW as the token of a move, continue that move.
begin_packing() {
  case $how in running | stopped) begin_with_release; return ;; esac
  move_token=$how
  begin_with_release
  [ -f "$home/underway" ] || conclude false kept 'another command has ended the move'
  read_move
  mounts="$moving_token $moving_to" services=''
}

# hold_services: set services to those that have to stop, and record them.
hold_services() {
  case $how in
    running) return ;;
    stopped) find_users; word=backup ;;
    *) services=$(running_now | sort -u) word=move ;;
  esac
  [ -z "$services" ] || keep_underway "$word" || { end_packing_record; conclude false kept "could not write to $home: $(why_not_written "$home")"; }
}

# end_packing_record: the services run again, or never stopped.
end_packing_record() {
  if [ -n "$move_token" ]; then services='' && keep_underway move; else end_underway; fi
}

stall=300 move_token='' # stall: of 0.2 s
stream=$here/../stream
reader_file=$here/../reader

# start_again: start what was stopped, where this script is ended before it has.
# shellcheck disable=SC2317 # called by the trap
start_again() {
  [ -f "$home/underway" ] || return 0
  end_packing
  return_data >/dev/null 2>&1
}

# pack_parts: print the tar. What only one of both kinds of tar knows is asked for.
pack_parts() {
  flags='' paths=''
  while read -r part name kind folder; do
    case $part in workspace | backups) name=$folder ;; esac
    flags="$flags --volume $name:/backup/$part:ro" paths="$paths $part"
  done <"$here/parts"
  options='-cf'
  ! tar --version 2>/dev/null | grep -q GNU || options='--format=posix --sparse --xattrs --acls --numeric-owner -cf'
  # shellcheck disable=SC2086 # flags and paths are words
  in_mounts "--name $packer $flags" tar $options - -C /backup $paths
}

# end_packing: end the container that packs, and what reads from it.
end_packing() {
  engine_kill "$packer" >/dev/null 2>&1
  if read -r reader 2>/dev/null <"$reader_file"; then kill "$reader" 2>/dev/null; else timeout 5 cat "$stream" >/dev/null 2>&1; fi
}

# use_copy: set flags and keys to what the container that copies sees. Fails, and sets why, if the new stack cannot take the volumes.
use_copy() {
  why='' flags='' keys='' packer=kamal-dev-stage-$copy
  is_expected || { why="another command has undone the copy to $copy"; return 1; }
  source_stack=$stack stack=$copy
  engine_volumes >"$here/copies" 2>"$here/copies.err" || why="could not list the volumes of $copy"
  stack=$source_stack
  while read -r part name kind _; do
    key=${part#volumes/}
    to=$(awk -v key="$key" '$1 == key { print $3 ":" $2; exit }' "$here/copies")
    case $kind:$to in
      *:) why=${why:-"$copy has no volume \`$key\`"} ;;
      # What the engine mounts from elsewhere may be one folder for both.
      plain:"plain:$name") why="both stacks use the volume \`$name\`" ;;
      plain:plain:*) flags="$flags --volume $name:/copy/from/$key:ro --volume ${to#*:}:/copy/to/$key" keys="$keys $key" ;;
      *) why="the volume \`$key\` has a driver or options of its own" ;;
    esac
  done <"$here/parts"
  [ -z "$why" ]
}

# is_expected: whether the new stack still waits for this copy.
is_expected() { is_copying "$base/$copy" && [ "$arriving_token" = "$arrival" ]; }

# copy_parts: copy the volumes to those of the new stack. Sets why if that fails.
copy_parts() {
  why=''
  phase copy
  engine_discard "$packer" >/dev/null 2>&1
  # shellcheck disable=SC2086 # keys are words
  { in_mounts "--name $packer $flags" sh "$here/copy.sh" $keys 2>"$here/pack.err" || : >"$here/pack.code"; } |
    while read -r count; do emit arrived current: "$count"; done
  [ ! -f "$here/pack.code" ] || why="could not copy the volumes: $(last_lines "$here/pack.err" 2)"
  [ -n "$why" ] || is_expected || why="another command has undone the copy to $copy"
  [ -z "$why" ]
}

# read_so_far: print how many bytes the reader has passed on.
read_so_far() {
  read -r reader 2>/dev/null <"$reader_file" || return 0
  awk '/^wchar/ { print $2 }' "/proc/$reader/io" 2>/dev/null
}

# watch_sender: end it when its reader takes nothing for a minute: the connection may be dead without anybody knowing.
watch_sender() {
  waited=0 before=none
  while is_alive "$sender" "$sender_start"; do
    sleep 0.2
    so_far=$(read_so_far)
    if [ "$so_far" = "$before" ]; then waited=$((waited + 1)); else waited=0; fi
    before=$so_far
    [ "$waited" -lt "$stall" ] || { end_packing && waited=0; }
  done
}

# pack: pack into the pipe. Sets why if not all was read.
pack() {
  why='' packer=kamal-dev-backup-$stack
  if [ -n "$copy" ]; then phase copy; else phase backup; fi
  engine_kill "$packer" >/dev/null 2>&1
  mkfifo "$stream" || { why="could not create a pipe: $(why_not_written "$here")"; return 1; }
  {
    { pack_parts 2>"$here/pack.err" || echo "$?" >"$here/pack.code"; } | gzip -1 >"$stream" && : >"$here/sent"
  } 2>/dev/null &
  sender=$!
  sender_start=$(started_at "$sender")
  watch_sender
  wait "$sender"
  rm -f "$stream"
  [ -f "$here/sent" ] || why='the connection was lost, or nobody read the backup'
  [ -n "$why" ] || judge_packing
  [ -z "$why" ]
}

# judge_packing: set why if tar failed. Of files that change meanwhile it says so with 1.
judge_packing() {
  [ -f "$here/pack.code" ] || return 0
  case $(cat "$here/pack.code") in
    1) log "files changed while they were read: $(last_lines "$here/pack.err" 1)" ;;
    *) why="could not read the files: $(last_lines "$here/pack.err" 2)" ;;
  esac
}

use_stack "$1"
verb=backup timeout=$2 window_wanted=$3 how=$4 services='' why=''
shift 4
read_meta copy arrival
begin_packing
if [ -n "$move_token" ]; then list_moved_parts; else list_parts; fi || conclude false kept "$engine_trouble"
choose_parts "$@" || conclude false kept "$why"
[ -z "$arrival" ] || use_copy || conclude false kept "$why"
trap 'start_again; clean_up' EXIT
hold_services
if ! stop_users; then why=$compose_why; elif [ -n "$arrival" ]; then copy_parts; else pack; fi
pack_why=$why
if [ -n "$move_token" ] && [ -z "$pack_why" ]; then
  trap clean_up EXIT
  conclude true packed ''
fi
if ! start_users; then
  end_packing_record
  conclude false broken "${pack_why:+$pack_why; }$why after its data was read"
fi
end_packing_record
[ -z "$pack_why" ] || conclude false failed "$pack_why"
[ -z "$services" ] || finish_lifecycle || conclude false unfinished "$lifecycle_why"
conclude true packed ''
