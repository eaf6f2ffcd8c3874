#!/bin/sh
# Set the lifetime of a stack: extend.sh STACK TTL IDLE [DEFAULT_TTL DEFAULT_IDLE THEN]
#
# Durations are seconds, `never`, or `-` to leave one as it is. Three arguments extend it from now, and keep what they do not
# name. Six are those of a deploy, which starts to count again: TTL and IDLE of its flags, which a later deploy keeps, and
# what dev.yml says otherwise. Payload: meta/performer.
# Events: `stack` {stack, lifetime}, then `result` {ok, phase, reason}.
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

# number DURATION: print it in seconds.
number() { case $1 in never | -) echo 0 ;; *) echo "$1" ;; esac; }

# choose_limit NAME OWN DEFAULT: a flag counts before what was set before by a flag, and that before dev.yml.
choose_limit() {
  if [ "$2" != - ]; then eval "life_$1=\$(number \"$2\") life_own_$1=yes"
  elif eval "[ -z \"\$life_own_$1\" ]"; then eval "life_$1=\$(number \"$3\")"
  fi
}

# extend_limit NAME DURATION: what is left is that from now on; a limit that has never been set begins with it.
extend_limit() {
  [ "$2" = - ] || eval "life_$1=\$(number \"$2\") life_own_$1=yes life_$1_left=\$life_$1"
}

has_lifetime() { [ "$life_ttl$life_idle$life_own_ttl$life_own_idle" != 00 ]; }

use_stack "$1"
shift
for each in "$@"; do
  case $each in never | - | stop | remove) ;; '' | *[!0-9]* | ????????????*) give_up arguments "\`$each\` is not a number of seconds" ;; esac
done
case $* in *[0-9]*) refuse_swarm extend ;; esac
[ -n "$(current_release)" ] || give_up lifetime "$stack is not deployed"
hold_lifetime || give_up lifetime 'another process is changing the lifetime'
current_lifetime || { life_wall=$(date +%s) && read -r life_boot </proc/sys/kernel/random/boot_id && read -r life_uptime _ </proc/uptime; }
life_uptime=${life_uptime%.*}
if [ $# = 5 ]; then
  choose_limit ttl "$1" "$3"
  choose_limit idle "$2" "$4"
  life_then=$5
  begin_lifetime
else
  extend_limit ttl "$1"
  extend_limit idle "$2"
  [ "$life_idle" = 0 ] || life_idle_left=$life_idle
  find_over
  [ -z "$over" ] || give_up lifetime "its $over has ended: \`dev extend $stack 8h\` sets a new one"
  life_ended='' life_ended_at=0 life_told='' life_kept=''
fi
if has_lifetime; then write_lifetime || give_up lifetime "could not write the lifetime: $(why_not_written "$home")"
else rm -f "$home/lifetime"
fi
release_lifetime
record lifetime ttl: "$life_ttl" idle: "$life_idle" 'then' "$life_then"
wake_watcher "wake $stack"
emit stack stack "$stack" lifetime: "$(describe_lifetime)"
emit result ok: true phase lifetime
