#!/bin/sh
# List the nodes of the swarm that this host manages: nodes.sh
#
# Events: `swarm` {state, node, is_manager, managers, error} about this host; if it is a manager, one `node` for each node, see
# `SwarmNode`; then `result`. Changes nothing.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$here/engine.sh"
# shellcheck source-path=SCRIPTDIR source=engine_swarm.sh
. "$here/engine_swarm.sh"

require_engine swarm
IFS='|' read -r state is_manager node managers error <<END
$(engine_member)
END
case $is_manager in true | false) ;; *) is_manager=false ;; esac
# shellcheck disable=SC2086 # addresses are words
emit swarm state "$state" node "$node" is_manager: "$is_manager" managers: "$(json_list $managers)" error "$error"
if [ "$is_manager" = true ]; then
  { problem=$(engine_nodes 2>&1 >&3); } 3>&1 || give_up swarm "${problem:-no nodes were listed}"
fi
emit result ok: true phase swarm
