# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# What a backup or a restore needs to be ended by others: without power, or by SIGKILL, it does not reach its own end. Sourced
# after stack.sh; runs nothing by itself.
#
#   ~/.kamal-dev/<stack>/underway  there while services are stopped for it, a line each: `backup`, `restore`, or `restored` once
#                                  the new data stays; the services; the flags of the container that moves data; then the lines
#                                  of swap.sh. Also `move` while the stack is moved to another host, and `moved` from when it may
#                                  run there; then with the token of the move and the name of that host instead of the flags
#   ~/.kamal-dev/<stack>/arriving  there while the stack is moved to this host: the token. Until it is gone, this is no stack. Also
#                                  while volumes are copied to a new stack: the token, and the stack that has them. Until it is
#                                  gone, nothing of the new stack is started
#   ~/.kamal-dev/<stack>/stopped   the services that were stopped on purpose, a line each, see observe.sh

# note_stopped [SERVICE]...: record that they are stopped on purpose, before stopping them, so that no alert is sent.
note_stopped() {
  { cat "$home/stopped" 2>/dev/null; printf '%s\n' "$@"; } | sort -u >"$here/stopped" && keep_file "$here/stopped" "$home/stopped"
}

# forget_stopped SERVICE...: record that they are no longer stopped on purpose.
forget_stopped() {
  [ -f "$home/stopped" ] || return 0
  printf '%s\n' "$@" >"$here/started_now"
  grep -vxFf "$here/started_now" "$home/stopped" >"$here/stopped"
  if [ -s "$here/stopped" ]; then keep_file "$here/stopped" "$home/stopped"; else rm -f "$home/stopped"; fi
}

# keep_underway WORD: record it on the disk, before anything changes that depends on it.
keep_underway() {
  { printf '%s\n' "$1" "$(printf '%s\n' "$services" | paste -sd ' ' -)" "${mounts:-}"; cat "$here/swaps" 2>/dev/null; } >"$here/underway"
  keep_file "$here/underway" "$home/underway" && sync "$home"
}

end_underway() { rm -f "$home/underway"; }

# finish_underway: do what the last backup or restore did not. The caller has the lock. Fails, and sets why, if the old data did
# not return to its place: then nothing may use it, or remove the folder that has it.
finish_underway() {
  [ -f "$home/underway" ] || return 0
  if is_moving; then yield_to_move; return; fi
  # shellcheck source-path=SCRIPTDIR source=parts.sh
  . "$here/parts.sh"
  why=$(return_data) || { why="a restore was interrupted, and the old data could not be moved back: $why"; return 1; }
  case $left_underway in
    restore) ended_underway='a restore was interrupted; moved the old data back' ;;
    *) ended_underway="a ${left_underway%d} was interrupted; started its services" ;;
  esac
  log "$ended_underway" >&"$lock_events"
  record "${left_underway%d}" state interrupted reason "$ended_underway"
}

# is_moving: whether the stack is being moved to another host. Sets left_underway to the word that is recorded.
is_moving() {
  left_underway=''
  [ ! -f "$home/underway" ] || read -r left_underway <"$home/underway"
  case $left_underway in move | moved) ;; *) return 1 ;; esac
}

# yield_to_move: end the script unless it is part of the move: what is on the other host has to be removed first, which only the
# caller of this host can do.
yield_to_move() {
  read_move
  [ "$moving_token" != "${move_token:-}" ] || return 0
  is_concluded=true
  emit result ok: false state "$left_underway" phase moved destination "$moving_to" \
    reason "a move to $moving_to is not complete: \`dev start $stack\` undoes it"
  exit 1
}

# yield_to_arrival: end the script if a move to this host is not complete: the caller removes what has arrived first.
yield_to_arrival() {
  refuse_copy
  is_moving_here "$home" || return 0
  read_meta arrival
  [ "$arriving_token" != "$arrival" ] || return 0
  is_concluded=true
  emit result ok: false state arriving phase moved reason 'a move of the stack to this host is not complete'
  exit 1
}

# refuse_copy: end the script if the volumes of the stack are not complete, unless it is part of copying them: meta/arrival is the token.
refuse_copy() {
  is_copying "$home" || return 0
  read_meta arrival
  [ "$arriving_token" != "$arrival" ] || return 0
  is_concluded=true
  emit result ok: false state untouched phase copy reason "$(why_not_copied)"
  exit 1
}

# read_move: set services, moving_token and moving_to to what is recorded of a move.
read_move() { { read -r _; read -r services; read -r moving_token moving_to; } <"$home/underway"; }

# return_data: the work of finish_underway. Prints why it failed.
return_data() {
  { read -r word; read -r services; read -r mounts; cat >"$here/swaps"; } <"$home/underway"
  name_staged
  cd "$home/current" 2>/dev/null || { echo 'the stack has no release'; return 1; }
  if [ "$word" = restore ]; then
    # A service with `restart: always` may have been started with the host.
    # shellcheck disable=SC2086 # services are words
    [ -z "$services" ] || engine_stop 120 -- $services >"$here/return.log" 2>&1 || { last_lines "$here/return.log" 1; return 1; }
    ! lacks_staged || { echo "the volume \`$staged\`, which had it, was removed"; end_underway; return 1; }
    swap back || { last_lines "$here/swap.err" 1; return 1; }
  fi
  case $word in move | moved) start_stopped; services='' && keep_underway "$word"; return ;; esac
  [ "$word" = backup ] || { remove_staged; mounts='' && : >"$here/swaps" && keep_underway backup; }
  start_stopped
  end_underway
}

# start_stopped: start `services`, in the folder of the release.
start_stopped() {
  [ -n "$services" ] || return 0
  # shellcheck disable=SC2086 # services are words
  forget_stopped $services
  # shellcheck disable=SC2086 # services are words
  engine_start_services 120 -- $services >"$here/return.log" 2>&1
}

# lacks_staged: whether somebody has removed the volume that the old data of volumes is kept in.
lacks_staged() { grep -q "/old/[^/]*$" "$here/swaps" && ! engine_has_volume "$staged"; }

# swap forth|back: see swap.sh. Ends what does the same for a script that is no longer there.
swap() {
  engine_discard "kamal-dev-restore-$stack" >/dev/null 2>&1
  in_mounts "--name kamal-dev-restore-$stack $mounts" sh "$here/swap.sh" "$1" "$here/swaps" >/dev/null 2>"$here/swap.err"
}
