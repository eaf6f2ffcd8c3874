#!/bin/sh
# Take a step of the move of a stack to another host: move.sh STACK STEP TOKEN [HOST]
#
# Each move has a TOKEN. On the host that the stack leaves: `begin` records that it is being moved to HOST, `seal` that it may run
# there from now on, and `back` that it stays; what the move has stopped is started then. On the other host: `keep` makes what has
# arrived a stack. `seal` and `keep` fail if another command has undone the move meanwhile.
# Payload: meta/performer. Events: `result` {ok, state, phase, reason}.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=feed.sh
. "$here/feed.sh"
# shellcheck source-path=SCRIPTDIR source=lifetime.sh
. "$here/lifetime.sh"

undone='another command has undone the move'
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

keep_arrived() {
  read_file "$home/arriving"
  [ "$content" = "$token" ] || give_up move "$undone"
  rm -f "$home/arriving" && sync "$home"
  record move state arrived
  wake_watcher "wake $stack"
}

use_stack "$1"
step=$2 token=$3
lock_stack move
trap unlock_stack EXIT
trap 'exit 143' HUP INT TERM
case $step in
  begin) begin_move "$4" ;;
  seal) seal_move ;;
  back) undo_move ;;
  keep) keep_arrived ;;
esac
emit result ok: true state "$step" phase move
