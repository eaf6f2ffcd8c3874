# shellcheck shell=sh disable=SC2016,SC2034,SC2154 # variables cross the files that source each other
# A stack that Docker Swarm runs: its services are services of the swarm, its containers belong to tasks, on this node and on others.
# Sourced by stack.sh; runs nothing by itself. engine.sh calls it for a stack that `of_swarm`.
#
# This node has to be a manager. Containers have the labels of Compose, so that those on this node are found as those of any
# other stack. A container that ends is not started again: Swarm replaces its task by another one in the same slot.

stack_file=kamal-dev.stack.yaml
namespace_of=com.docker.stack.namespace

# of_swarm [RELEASE]: whether Docker Swarm runs the stack, or this release.
of_swarm() { if [ $# = 0 ]; then [ -f "$home/current/$stack_file" ]; else [ -f "$releases/$1/$stack_file" ]; fi; }

# engine_of RELEASE: print what runs it, as `engine` in config/dev.yml.
engine_of() { if of_swarm "$1"; then echo swarm-stack; else echo compose; fi; }

# refuse_swarm VERB: end the script if Docker Swarm runs the stack, for what only Compose can do.
refuse_swarm() { ! of_swarm || give_up engine "\`dev $1\` does not work with \`engine: swarm-stack\`"; }

# --- the stack as a whole

# swarm_up SECONDS ARG...: deploy the file of the release, and wait until every task has a container or has failed. `--no-start`
# does nothing; `--force-recreate` replaces all tasks.
swarm_up() {
  up_deadline=$1
  shift
  case " $* " in *' --no-start '*) return 0 ;; esac
  clock
  up_until=$((now + up_deadline * 1000))
  swarm_node=$(engine info --format '{{.Swarm.NodeID}}') && refuse_namespace || return
  run_within "$up_deadline" env "KAMAL_DEV_HOME=$HOME" "KAMAL_DEV_NODE=$swarm_node" sh ./kamal-dev.swarm/environment \
    docker stack deploy --compose-file "$stack_file" --resolve-image never --prune --detach=true "$stack" || return
  case " $* " in *' --force-recreate '*) swarm_recreate || return ;; esac
  await_tasks
}

# refuse_namespace: fail if the swarm has services of this name that are not of this stack: they would be removed.
refuse_namespace() {
  others=$(stack_services) || return
  # shellcheck disable=SC2086 # ids are words
  [ -z "$others" ] || others=$(engine service inspect \
    --format 'node {{index .Spec.TaskTemplate.ContainerSpec.Labels "kamal-dev.node"}}' -- $others | grep -vxF -- "node $swarm_node")
  [ -z "$others" ] || { echo "a stack named \`$stack\` runs in the swarm already, from elsewhere" >&2 && return 1; }
}

swarm_recreate() {
  for each in $(stack_services); do engine service update --quiet --detach --force -- "$each" >/dev/null || return; done
}

# await_tasks: until up_until, wait for tasks that have no container yet. What becomes of them is decided elsewhere.
await_tasks() {
  while stack_tasks && printf '%s\n' "$tasks" | grep -q '^[^|]*|[^|]*|pending|'; do
    clock
    [ "$now" -lt "$up_until" ] || return 0
    sleep 0.2
  done
}

# swarm_down: remove the services, and wait until their containers on this node and the networks are gone.
swarm_down() {
  swarm_node=$(engine info --format '{{.Swarm.NodeID}}') && refuse_namespace || return
  clock
  down_until=$((now + 120000))
  # A network cannot be removed as long as a task of it is.
  until engine stack rm "$stack" >"$here/down.log" 2>&1 && ! is_left; do
    clock
    [ "$now" -lt "$down_until" ] || { cat "$here/down.log" >&2 && return 1; }
    sleep 0.3
  done
  # Other nodes refuse networks of the same name until theirs are gone. A node that is down keeps its tasks.
  for _ in $(seq 60); do
    engine stack ps --quiet "$stack" 2>/dev/null | grep -q . || return 0
    sleep 0.5
  done
}

# is_left: whether this node has containers of the stack, or the swarm its networks.
is_left() {
  { engine ps --all --quiet --filter "label=$namespace_of=$stack" && engine network ls --quiet --filter "label=$namespace_of=$stack"; } | grep -q .
}

# --- tasks

stack_services() { engine service ls --quiet --filter "label=$namespace_of=$stack"; }

# stack_tasks: set tasks, and write to $here/tasks, a line for each slot of each service, about the latest task that was made from its present definition:
#   id|service|state|health|exit|restarts|policy|started|main|name|image|where|task|error
# `id` is that of its container, of the task as long as it has none; `where` is `here` if its container is on this node. `state` is
# `pending` without a container, else as of a container. Definitions have secrets, therefore their marks are compared.
stack_tasks() {
  tasks=
  services_there=$(stack_services) || return
  [ -n "$services_there" ] || return 0
  # shellcheck disable=SC2086 # ids are words
  set -- $services_there
  tasks_there=$(engine service ps --quiet --no-trunc -- "$@") || return
  swarm_node=${swarm_node:-$(engine info --format '{{.Swarm.NodeID}}')}
  # shellcheck disable=SC2086 # ids are words
  tasks=$({
    engine service inspect --format "$(service_format)" -- "$@"
    [ -z "$tasks_there" ] || engine inspect --type task --format "$(task_format)" -- $tasks_there
  } 2>/dev/null | node=$swarm_node awk "$tasks_awk")
  printf '%s\n' "$tasks" >"$here/tasks"
}

service_format() {
  printf %s 'S|{{.ID}}|{{.Spec.Name}}|{{with .Spec.Mode.Replicated}}{{.Replicas}}{{end}}{{with .Spec.TaskTemplate}}' \
    "|{{index .ContainerSpec.Labels \"$label_of.service\"}}" '|{{index .ContainerSpec.Labels "kamal-dev.main"}}|{{.ContainerSpec.Image}}' \
    '|{{with .ContainerSpec.Healthcheck}}{{with .Test}}checked{{end}}{{end}}|{{with .RestartPolicy}}{{.Condition}}|{{.MaxAttempts}}{{else}}|{{end}}|{{index .ContainerSpec.Labels "kamal-dev.definition"}}.{{.ForceUpdate}}{{end}}'
}

task_format() {
  printf %s 'T|{{.ID}}|{{.ServiceID}}|{{.Slot}}|{{.NodeID}}|{{json .CreatedAt}}|{{.Status.State}}|{{json .Status.Timestamp}}' \
    '|{{with .Status.ContainerStatus}}{{.ContainerID}}|{{.ExitCode}}{{else}}|{{end}}|{{with .Spec}}{{index .ContainerSpec.Labels "kamal-dev.definition"}}.{{.ForceUpdate}}{{end}}' \
    '|{{with .Status.Err}}{{json .}}{{end}}'
}

# Of the tasks in a slot, those that ended by themselves count as restarts of the latest one.
tasks_awk='
function plain(text) { gsub(/["|\\]/, "", text); return text }
BEGIN { FS = "|" }
$1 == "S" {
  order[++count] = $2; name[$2] = $3; wanted[$2] = $4; service[$2] = $5; main[$2] = $6; image[$2] = $7; check[$2] = $8
  condition[$2] = $9; attempts[$2] = $10; sub(/^<.*/, "", attempts[$2]); made[$2] = $11
  next
}
$1 == "T" && ($3 in name) && $11 == made[$3] {
  slot = $3 SUBSEP ($4 ? $4 : $5)
  # Also `rejected` is one that was moved, because its node does not meet the constraints any longer.
  if ($7 ~ /^(failed|complete|rejected)$/ && $12 !~ /no longer meets constraints/) ended[slot]++
  if ($6 > since[slot]) { since[slot] = $6; latest[slot] = $0 }
  if (!(slot in known)) { known[slot]; slots[$3] = slots[$3] "\n" slot }
}
function state_of(id, state, restarts,   lasts) {
  lasts = condition[id] == "any" || (condition[id] == "on-failure" && state != "complete")
  if (lasts && attempts[id] > 0 && restarts >= attempts[id]) lasts = 0
  if (state ~ /^(new|allocated|pending|assigned|accepted|preparing|ready)$/) return "pending"
  if (state == "starting" || state == "running") return "running"
  if (state == "rejected") return lasts && restarts < 2 ? "pending" : "created"
  return lasts ? "restarting" : "exited"
}
function show(id, number, head,   part, state, restarts, health, policy) {
  split(head, part, "|")
  restarts = ended[id SUBSEP number] + 0
  if (restarts && part[7] ~ /^(failed|complete|rejected)$/) restarts--
  state = head == "" ? "pending" : state_of(id, part[7], restarts)
  if (check[id] != "" && state == "running") health = part[7] == "running" ? "healthy" : "starting"
  policy = condition[id] == "any" ? "unless-stopped" : condition[id] == "on-failure" ? "on-failure" : "no"
  started = plain(part[8])
  print (part[9] != "" ? part[9] : part[2] != "" ? part[2] : id "." number) "|" service[id] "|" state "|" health "|" part[10] + 0 "|" restarts \
    "|" policy "|" started "|" main[id] "|" name[id] "." number "|" image[id] "|" (part[5] == ENVIRON["node"] ? "here" : part[5]) \
    "|" part[2] "|" plain(part[12])
}
END {
  for (i = 1; i <= count; i++) {
    id = order[i]
    if (wanted[id] == "") { n = split(substr(slots[id], 2), all, "\n"); for (j = 1; j <= n; j++) { split(all[j], key, SUBSEP); show(id, key[2], latest[all[j]]) } }
    else for (j = 1; j <= wanted[id]; j++) show(id, j, latest[id SUBSEP j])
  }
}'

# task_containers: print `id service` of each line of stack_tasks.
task_containers() { stack_tasks && { [ -z "$tasks" ] || printf '%s\n' "$tasks" | cut -d'|' -f1,2 | tr '|' ' '; }; }

# task_rows: print what engine_inspect prints for `container`, for all tasks. The engine of this node knows more about those here;
# Swarm knows the policy, how often it was replaced, and the name that the next one will have.
task_rows() {
  stack_tasks || return
  [ -n "$tasks" ] || return 0
  # shellcheck disable=SC2046 # ids are words
  set -- $(printf '%s\n' "$tasks" | awk -F'|' '$12 == "here" && $1 != $13 { print $1 }')
  { [ $# = 0 ] || engine inspect --type container \
    --format "$(engine_format row)$(engine_format bind)$(engine_format volume)" -- "$@" 2>/dev/null; } |
    tasks=$tasks stack=$stack shown=${shown:-} awk -F'|' '
    /^(bind|volume)\|/ { more = more $0 "\n"; next }
    $1 != "" { row[$1] = $0 }
    END {
      n = split(ENVIRON["tasks"], lines, "\n")
      for (i = 1; i <= n; i++) {
        split(lines[i], t, "|"); split("", c, "")
        if (t[1] in row) {
          m = split(row[t[1]], c, "|")
          if (t[3] == "running" || t[3] == "exited") { t[3] = c[3]; t[5] = c[5] }
          if (t[3] == "running") t[4] = c[4]
          t[8] = c[8]
        }
        print t[1] "|" t[2] "|" t[3] "|" t[4] "|" t[5] "|" t[6] "|" t[7] "|" t[8] "|" t[9] "|" ENVIRON["stack"] "|" t[10] "||" t[11] \
          "|" c[14] + 0 "|" c[15] "|" (c[16] == "" ? "SIGTERM" : c[16]) "|" c[17] "|" \
          "{\"type\":\"container\",\"stack\":\"" ENVIRON["stack"] "\",\"service\":\"" t[2] "\",\"id\":\"" t[1] "\",\"name\":\"" t[10] \
          "\",\"image\":\"" t[11] "\",\"state\":\"" t[3] "\",\"health\":\"" t[4] "\",\"restarts\":" t[6] ",\"started\":\"" t[8] \
          "\",\"exit_code\":" t[5] ",\"release\":\"" ENVIRON["shown"] "\"}"
      }
      printf "%s", more
    }'
}

# task_end ID: print for the task of a container, or the task itself, what engine_format calls `end`, as far as Swarm knows it.
task_end() { awk -F'|' -v id="$1" '$1 == id { print "false|" $5 "|false|||" $14 }' "$here/tasks"; }

# task_error ID: print why Swarm could not start it.
task_error() { awk -F'|' -v id="$1" '$1 == id { print $14 }' "$here/tasks"; }

# task_container SERVICE: print the id of the container of a service on this node, or of the main container if SERVICE is empty.
task_container() {
  stack_tasks && printf '%s\n' "$tasks" |
    awk -F'|' -v service="$1" '$12 == "here" && $1 != $13 && (service == "" ? $9 == "true" : $2 == service) { print $1; exit }'
}

# task_logs ID: print the last lines that a task printed, on whichever node.
task_logs() {
  task_id=$(awk -F'|' -v id="$1" '$1 == id { print $13 }' "$here/tasks")
  [ -z "$task_id" ] || engine_within 20 service logs --raw --tail 20 "$task_id" 2>&1
}

# task_log_sources: print what engine_log_sources prints, and the state, for tasks that have a container on another node. The nodes
# pass on to this one what they write. Their ids are kept in a file for task_elsewhere.
task_log_sources() {
  stack_tasks || return
  printf '%s\n' "$tasks" | awk -F'|' '$12 != "here" && $13 != "" && $1 != $13 { print $1, $13 }' >"$here/.elsewhere" &&
    mv "$here/.elsewhere" "$here/elsewhere.$stack" || return
  printf '%s\n' "$tasks" | awk -F'|' -v stack="$stack" '$12 != "here" && $13 != "" && $1 != $13 {
    number = $10; sub(/.*[.]/, "", number); print $1, stack, $2, (number ~ /^[0-9]+$/ ? number : 1), "False", $10, $3 }'
}

# task_elsewhere ID: print the task of a container on another node.
task_elsewhere() { cat "$here"/elsewhere.* 2>/dev/null | awk -v id="$1" '$1 == id { print $2; exit }'; }

# is_task_up TASK
is_task_up() { engine inspect --type task --format '{{.Status.State}}' "$1" 2>/dev/null | grep -qE '^(starting|running)$'; }

# task_read_log TASK FLAG...: print its whole log, as engine_read_log does. Swarm has no `--until`: later lines are left out here.
task_read_log() {
  task_id=$1 task_until=
  shift
  for flag; do
    shift
    if [ "$flag" = --until ]; then task_until=next
    elif [ "$task_until" = next ]; then task_until=$(date -u -d "$(as_date "$flag")" +%Y-%m-%dT%H:%M:%S) || return
    else set -- "$@" "$flag"
    fi
  done
  engine_within 31536000 service logs --raw --timestamps "$@" "$task_id" |
    if [ -n "$task_until" ]; then awk -v end="$task_until" 'substr($0, 1, 19) < end'; else cat; fi
}

# as_date TIME: turn a time as the engine takes it (10m, 1h30m, a date, seconds since 1970) into one that `date` takes.
as_date() {
  case $1 in
    *[hms]) echo "$1" | awk -v now="$(date +%s)" '{
      while (match($0, /^[0-9.]+/)) {
        count = substr($0, 1, RLENGTH); $0 = substr($0, RLENGTH + 1)
        match($0, /^[hms]+/); unit = substr($0, 1, RLENGTH); $0 = substr($0, RLENGTH + 1)
        now -= count * (unit == "h" ? 3600 : unit == "m" ? 60 : unit == "s" ? 1 : 0.001)
      }
      printf "@%d\n", now }' ;;
    *[!0-9.]*) echo "$1" ;;
    *) echo "@$1" ;;
  esac
}
