#!/bin/sh
# Remove a stack whose lifetime is over, or find out whether it can be removed: reap.sh STACK MODE
#
# MODE is `look`: change nothing, and tell `state` over, worked (it would lose the work in `reason`), kept (for `reason`) or unused (there is
# no stack, and nobody is about to deploy one); `look-ended` is like it, and does not ask for work; `stop`: stop it if its
# time is over; `unless-work` and `ended`: stop it, then remove it (see remove.sh); `unused`: `state` is kept if there is a
# stack, or somebody may be about to deploy one. Payload: meta/performer, meta/restarts.
# Events: those of operate.sh, then `result` {ok, phase, state, reason} or that of remove.sh.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=audit.sh
. "$here/audit.sh"
# shellcheck source-path=SCRIPTDIR source=lifetime.sh
. "$here/lifetime.sh"
# shellcheck source-path=SCRIPTDIR source=confine.sh
. "$here/confine.sh"
# shellcheck source-path=SCRIPTDIR source=work.sh
. "$here/work.sh"
# shellcheck source-path=SCRIPTDIR source=vacancy.sh
. "$here/vacancy.sh"

# conclude STATE [REASON]: end with an answer.
conclude() {
  emit result ok: true phase reap stack "$stack" state "$1" reason "${2:-}" removed: false
  exit
}

# require_over: keep a stack whose time is not over, or that somebody uses again.
require_over() {
  current_lifetime || conclude kept 'it has no limit'
  if [ -z "$life_ended" ]; then
    find_over
    [ -n "$over" ] || conclude kept 'its lifetime has not ended'
    return
  fi
  look_at_stack || give_up reap "$engine_trouble" unknown
  case $found in *'|running|'* | *'|restarting|'*) conclude kept 'it was started again' ;; esac
}

look() {
  if ! has_more_than_records; then
    find_use
    [ -z "$use" ] || conclude kept "$use"
    conclude unused
  fi
  require_over
  [ "$mode" = look ] || conclude over
  find_work
  [ -z "$work" ] || conclude worked "$work"
  conclude over
}

# end_lifetime: stop the stack, unless that was done when its time was over.
end_lifetime() {
  current_lifetime || return 0
  [ -z "$life_ended" ] || return 0
  echo yes >"$here/meta/ends"
  sh "$here/operate.sh" "$stack" stop 600000 0 || exit
  rm -f "$here/meta/ends"
}

use_stack "$1"
mode=$2
case $mode in
  look | look-ended) look ;;
  unused)
    find_use
    [ -z "$use" ] || conclude kept "$use"
    conclude unused ;;
  stop)
    end_lifetime
    wake_watcher "wake $stack"
    read_lifetime
    [ -n "$life_ended" ] || conclude kept 'its lifetime has not ended'
    conclude stopped ;;
  unless-work | ended)
    end_lifetime
    exec sh "$here/remove.sh" "$stack" "$mode" ;;
  *) give_up arguments "\`$mode\` is not a mode" ;;
esac
