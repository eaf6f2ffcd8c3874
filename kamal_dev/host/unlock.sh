#!/bin/sh
# Print the owner of a stack's lock, or release the lock: unlock.sh STACK [PID]
#
# PID is the owner that an earlier call reported. If it is dead, its lock is removed; if it is alive, it is ended, so that its
# own trap reports the state, or killed if that takes too long. The lock of another owner is not changed.
# Events: without PID one `stack` {stack, lock}, unless there is none and the engine does not answer; then `result` {ok, state,
# phase, reason, code}: `state` is the one that the ended run reported (see apply.sh), `code` is free, dead, ended or killed.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=audit.sh
. "$here/audit.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"

term_within=20 kill_within=5

# stat_words PID: print the words after the name in /proc/PID/stat: state, parent, group, session …
stat_words() {
  stat_line=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  echo "${stat_line##*) }"
}

session_of() {
  # shellcheck disable=SC2046 # the words are wanted
  set -- $(stat_words "$1")
  echo "${4:-0}"
}

# members: print the processes of the owner's session, without the first one, which writes the exit code. Not the
# process group: `timeout` creates its own groups.
members() {
  for entry in /proc/[0-9]*; do
    member=${entry#/proc/}
    if [ "$member" = "$lock_pid" ]; then echo "$member"
    elif [ "$member" != "$session" ] && [ "$(session_of "$member")" = "$session" ]; then echo "$member"
    fi
  done
}

# send SIGNAL: some of them may run as root.
send() {
  for member in $(members); do
    kill "-$1" "$member" 2>/dev/null || [ ! -d "/proc/$member" ] || as_root kill "-$1" "$member" 2>/dev/null
  done
}

# is_gone SECONDS: whether the owner ends within that time.
is_gone() {
  clock
  gone_until=$((now + $1 * 1000))
  while is_alive "$lock_pid" "$lock_start"; do
    clock
    [ "$now" -lt "$gone_until" ] || return 1
    sleep 0.2
  done
}

end_owner() {
  session=$(session_of "$lock_pid")
  code=ended
  send TERM
  # A stopped process handles the signal only after it continues.
  send CONT
  is_gone "$term_within" || { code=killed && send KILL; }
  is_gone "$kill_within" || give_up unlock "could not end process $lock_pid"
}

# left_by_run: print the state that the ended run of the lock's owner reported.
left_by_run() {
  case $lock_token in '' | *[!A-Za-z0-9._-]*) return ;; esac
  sed -n 's/^{"type":"result".*"state":"\([a-z]*\)".*/\1/p' "$base/.run/$lock_token/log" 2>/dev/null | tail -n 1
}

use_stack "$1"
if [ -z "${2:-}" ]; then
  lock=$(describe_lock)
  # If the state of the containers is unknown, `nothing was changed` is unknown, too; an existing lock can still be
  # shown and released.
  [ "$lock" != null ] || has_none "$stack" || require_engine unlock
  emit stack stack "$stack" lock: "$lock"
  emit result ok: true phase unlock
  exit
fi
[ -d "$home/lock" ] || { emit result ok: true phase unlock code free; exit; }
read_lock
[ "$lock_pid" = "$2" ] || give_up unlock "the lock is now held by $(lock_owner)"
code=dead
[ "$lock_state" = dead ] || end_owner
token=$lock_token word=$lock_word by=$lock_by since=$lock_since
open_lock
read_lock
case $lock_state in
  dead) rm -rf "$home/lock" ;;
  held | stale) give_up unlock "the lock is now held by $(lock_owner)" ;;
esac
lock_token=$token
state=$(left_by_run)
record lock state released word "$word" owner "$by" since "$since" code "$code"
emit result ok: true state "${state:-unknown}" phase unlock code "$code"
