#!/bin/sh
# Claim the names of new stacks for hosts: claim.sh [STACK HOST]...
#
# Two deploys that create a stack with the same name ask the same host, which gives both the host of the first. A claim lasts an
# hour: by then, the stack is on its host. An empty HOST gives the claim up, for a stack that is removed.
# Events: one `claim` {stack, host} for each stack; then `result`.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"

claims=$base/.claims
lasts=60 # minutes

# claim STACK HOST: set claimed to the host that has the name.
claim() {
  claimed=
  read -r claimed 2>/dev/null <"$claims/$1"
  [ -z "$claimed" ] || return 0
  printf '%s\n' "$2" >"$claims/.new" && mv "$claims/.new" "$claims/$1" && claimed=$2
}

mkdir -p "$claims" 2>/dev/null || give_up claim "could not create $claims: $(why_not_written "$HOME")"
command -v flock >/dev/null 2>&1 || give_up claim "placing stacks needs \`flock\` on the host"
exec 9<"$claims"
wait_for_lock 10 9 || give_up claim 'another process is claiming names'
find "$claims" -type f -mmin "+$lasts" -exec rm -f -- {} + 2>/dev/null
while [ $# -gt 1 ]; do
  [ -n "$2" ] || { rm -f -- "$claims/$1" && shift 2 && continue; }
  claim "$1" "$2" || give_up claim "could not write to $claims: $(why_not_written "$claims")"
  emit claim stack "$1" host "$claimed"
  shift 2
done
emit result ok: true phase claim
