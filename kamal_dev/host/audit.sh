# shellcheck shell=sh disable=SC2154 # variables cross the files that source each other
# The record of a stack: every change, one line of JSON each, only ever appended. Sourced after stack.sh.
#
#   ~/.kamal-dev/<stack>/audit.log   {type: the verb, at, by, …}; times are UTC

# record VERB [KEY VALUE]...: write down what was done; `meta/performer` of the payload says who did it.
record() {
  recorded_verb=$1
  shift
  emit "$recorded_verb" at "$(date -u +%Y-%m-%dT%H:%M:%SZ)" by "$(cat "$here/meta/performer" 2>/dev/null)" "$@" >>"$home/audit.log"
}
