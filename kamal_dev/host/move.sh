#!/bin/sh
# Take a step of the move of a stack to another host: move.sh STACK STEP TOKEN [HOST]
#
# Each move has a TOKEN. On the host that the stack leaves: `begin` records that it is being moved to HOST, `seal` that it may run
# there from now on, and `back` that it stays; what the move has stopped is started then. On the other host: `keep` makes what has
# arrived a stack. `seal` and `keep` fail if another command has undone the move meanwhile. A copy has a TOKEN, too: `expect` records
# that STACK, which has nothing yet, gets copies of the volumes of the stack HOST, and `keep` that it has them.
# Payload: meta/performer. Events: `result` {ok, state, phase, reason}.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=feed.sh
. "$here/feed.sh"
# shellcheck source-path=SCRIPTDIR source=lifetime.sh
. "$here/lifetime.sh"

undone='another command has undone it'
services='' mounts=''

begin_move() {
  finish_underway || give_up move "$why"
  [ ! -f "$home/arriving" ] || give_up move "the stack is being moved to this host"
  mounts="$token $1"
  keep_underway move || { end_underway; give_up move "could not write to $home: $(why_not_written "$home")"; }
}

seal_move() {
  is_own_move || give_up move "$undone"
  mounts="$moving_token $moving_to"
  keep_underway moved || give_up move "could not write to $home: $(why_not_written "$home")"
}

is_own_move() { is_moving && [ "$left_underway" = move ] && read_move && [ "$moving_token" = "$token" ]; }

# undo_move: also after another command has, which has started everything then.
undo_move() {
  is_moving || return 0
  read_move
  cd "$home/current" 2>/dev/null || give_up move 'the stack has no release'
  start_stopped || give_up move "could not start the services: $(last_lines "$here/return.log" 1)" broken
  end_underway
  record move state undone destination "$moving_to"
}

expect_copy() {
  require_engine copy
  ! read_arrival || give_up copy 'another command is copying volumes to it'
  if [ -d "$releases" ] || [ -d "$home/workspace" ]; then give_up copy "$stack exists on this host" here; fi
  existing=$(labelled volume) || give_up copy 'could not list its volumes' unknown
  [ -z "$existing" ] || give_up copy "$stack has volumes on this host: $(printf '%s\n' "$existing" | paste -sd ' ' -)" here
  printf '%s %s\n' "$token" "$1" >"$here/arriving"
  { keep_file "$here/arriving" "$home/arriving" && sync "$home"; } || give_up copy "could not write to $home: $(why_not_written "$home")"
}

keep_arrived() {
  read_arrival
  [ "$arriving_token" = "$token" ] || give_up move "$undone"
  rm -f "$home/arriving" && sync "$home"
  if [ -n "$copied_from" ]; then record copy state copied from "$copied_from"; else record move state arrived; fi
  wake_watcher "wake $stack"
}

use_stack "$1"
step=$2 token=$3
lock_stack move
trap unlock_stack EXIT
trap 'exit 143' HUP INT TERM
case $step in
  begin) begin_move "$4" ;;
  expect) expect_copy "$4" ;;
  seal) seal_move ;;
  back) undo_move ;;
  keep) keep_arrived ;;
esac
emit result ok: true state "$step" phase move
