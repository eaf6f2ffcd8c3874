# shellcheck shell=sh disable=SC2154 # variables cross the files that source each other
# The audit log of a stack: one line of JSON per change, append-only. Sourced after stack.sh.
#
#   ~/.kamal-dev/<stack>/audit.log   {type: the verb, at, by, …}; times are UTC. It outlives the stack.

# performer: print who makes the change, from `meta/performer` of the payload.
performer() { [ ! -f "$here/meta/performer" ] || { IFS= read -r performed_by <"$here/meta/performer"; printf '%s\n' "$performed_by"; }; }

# record VERB [KEY VALUE]...: append an entry.
record() {
  recorded_verb=$1
  shift
  # A script that creates a workspace has changed the umask, which would make the log readable for others.
  (umask 077 && : >>"$home/audit.log" && chmod 600 "$home/audit.log")
  emit "$recorded_verb" at "$(date -u +%Y-%m-%dT%H:%M:%SZ)" by "$(performer)" "$@" >>"$home/audit.log"
}

# has_more_than_records: whether there is more of the stack than its audit log and a lock.
has_more_than_records() {
  [ -n "$(find "$home" -mindepth 1 -maxdepth 1 ! -name audit.log ! -name lock 2>/dev/null)" ]
}
