#!/bin/sh
# Change the labels of nodes of a swarm that tell which stacks they have: label.sh [NODE [STACK:SERVICE | STACK: | STACK::]...]...
#
# `STACK:SERVICE` adds the label of a stack, `STACK:` removes it, with the claim of its name. `STACK::` removes it unless the name
# was claimed: another deploy may be creating the stack. See claim.sh. Events: `result`.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$here/engine.sh"
# shellcheck source-path=SCRIPTDIR source=engine_swarm.sh
. "$here/engine_swarm.sh"

node='' added=''

# add_labels: add those of the last node.
add_labels() {
  # shellcheck disable=SC2086 # names are words
  [ -z "$added" ] || engine_add_labels "$node" $added || give_up label "node $node got no label: $label_error"
  added=
}

# remove_label STACK
remove_label() { engine_remove_label "$node" "$1" || give_up label "node $node has the label of $1: $label_error"; }

# is_claimed STACK: whether a deploy has claimed the name in the last hour.
is_claimed() { [ -n "$(find "$base/.claims/$1" -prune -mmin -60 2>/dev/null)" ]; }

require_engine label
for word; do
  stack=${word%%:*}
  case $word in
    *::) is_claimed "$stack" || remove_label "$stack" ;;
    *:)
      discard "$base/.claims/$stack"
      remove_label "$stack"
      ;;
    *:*) added="$added $word" ;;
    *)
      add_labels
      node=$word
      ;;
  esac
done
add_labels
emit result ok: true phase label
