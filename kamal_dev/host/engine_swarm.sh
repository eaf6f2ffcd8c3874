# shellcheck shell=sh disable=SC2016,SC2034,SC2154 # variables cross the files that source each other
# The swarm that the container engine of this host is part of. Sourced after engine.sh; runs nothing by itself.

# engine_member: print `state|whether it is a manager|id|addresses of managers|error` of this node.
engine_member() {
  engine_within 20 info --format '{{with .Swarm}}{{.LocalNodeState}}|{{.ControlAvailable}}|{{.NodeID}}|{{range .RemoteManagers}}{{.Addr}} {{end}}|{{.Error}}{{end}}'
}

# engine_nodes: print an event for each node of the swarm.
engine_nodes() {
  node_ids=$(engine node ls --quiet) || return
  # A node that is removed at this moment is not listed.
  # shellcheck disable=SC2086 # ids are words
  node_events=$(engine node inspect --format "$(node_format)" -- $node_ids)
  node_code=$?
  printf '%s\n' "$node_events"
  [ -n "$node_events" ] || return "$node_code"
}

node_format() {
  printf %s '{"type":"node","id":{{json .ID}},"hostname":{{json .Description.Hostname}},"role":{{json .Spec.Role}}' \
    ',"availability":{{json .Spec.Availability}},"state":{{json .Status.State}},"address":{{json .Status.Addr}}' \
    '{{with .ManagerStatus}},"manager_address":{{json .Addr}},"is_leader":{{json .Leader}}{{end}}' \
    '{{with .Description}},"os":{{json .Platform.OS}},"arch":{{json .Platform.Architecture}}' \
    ',"nano_cpus":{{json .Resources.NanoCPUs}},"memory":{{json .Resources.MemoryBytes}},"engine_labels":{{json .Engine.Labels}}{{end}}' \
    ',"labels":{{json .Spec.Labels}}}'
}

# The label of a node for each stack on it.
node_label=kamal-dev.stack

# engine_label NODE FLAG...: change labels of a node; other changes of it at the same time are waited for.
engine_label() {
  label_node=$1
  shift
  for attempt in 1 2 3 4 5 6 7 8; do
    label_error=$(engine node update "$@" -- "$label_node" 2>&1 >/dev/null) && return
    case $label_error in *'out of sequence'*) sleep "0.$attempt" ;; *) return 1 ;; esac
  done
  return 1
}

# engine_add_labels NODE STACK:SERVICE...
engine_add_labels() {
  label_node=$1
  shift
  for pair; do
    set -- "$@" --label-add "$node_label.${pair%%:*}=${pair#*:}"
    shift
  done
  engine_label "$label_node" "$@"
}

# engine_remove_label NODE STACK: also succeeds if the node has no such label, or was removed.
engine_remove_label() {
  engine_label "$1" --label-rm "$node_label.$2" && return
  case $label_error in *"doesn't exist"* | *'not found'* | *'No such node'*) ;; *) return 1 ;; esac
}
