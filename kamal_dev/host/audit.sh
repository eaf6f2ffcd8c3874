# shellcheck shell=sh disable=SC2154 # variables cross the files that source each other
# The record of a stack: every change, one line of JSON each, only ever appended. Sourced after stack.sh.
#
#   ~/.kamal-dev/<stack>/audit.log   {type: the verb, at, by, …}; times are UTC. It outlives the stack.

# performer: print who does this, which `meta/performer` of the payload says.
performer() { head -n 1 "$here/meta/performer" 2>/dev/null; }

# record VERB [KEY VALUE]...: write down what was done.
record() {
  recorded_verb=$1
  shift
  # A script that creates a workspace sets another umask before, which would make the log readable for others.
  (umask 077 && : >>"$home/audit.log" && chmod 600 "$home/audit.log")
  emit "$recorded_verb" at "$(date -u +%Y-%m-%dT%H:%M:%SZ)" by "$(performer)" "$@" >>"$home/audit.log"
}

# has_more_than_records: whether anything but the record, and a lock, is there of the stack.
has_more_than_records() {
  [ -n "$(find "$home" -mindepth 1 -maxdepth 1 ! -name audit.log ! -name lock 2>/dev/null)" ]
}
