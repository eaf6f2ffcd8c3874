# shellcheck shell=sh disable=SC2016,SC2034,SC2154 # variables cross the files that source each other
# The container engine of this host: its program, labels, output formats and errors. Sourced after lib.sh; runs nothing by itself.
#
# Only this file and those whose names begin with `engine_` run the program or use its labels. The scripts that install it (bootstrap.sh,
# packages.sh) know its packages, services and files. Podman has the same commands and flags, therefore flags of `run` are
# passed on unchanged.

engine_name=Docker
engine_folder=/var/lib/docker engine_settings=/etc/docker/daemon.json
engine_config=${DOCKER_CONFIG:-$HOME/.docker}

# --- how this login reaches it

# find_engine: set engine_socket and engine_context to the engine of this login, empty if the program finds it by itself, and
# engine_way to `direct` or `sudo`. It is the engine that an interactive shell would use: DOCKER_HOST, the current context, the
# engine of the system if this user has access to it, then the user's rootless one (start-up files that name its socket are
# often not read here). sudo comes last: a user who was just added to the group `docker` has no access over an open connection.
find_engine() {
  engine_socket=${DOCKER_HOST:-} engine_context='' engine_way=direct
  [ -z "$engine_socket" ] || return 0
  engine_context=${DOCKER_CONTEXT:-}
  [ -n "$engine_context" ] || [ ! -f "$engine_config/config.json" ] ||
    engine_context=$(sed -n 's/.*"currentContext"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' "$engine_config/config.json" 2>/dev/null)
  [ "$engine_context" != default ] || engine_context=
  [ -z "$engine_context" ] && ! is_root && [ ! -w /var/run/docker.sock ] || return 0
  engine_socket=${XDG_RUNTIME_DIR:-/run/user/$uid}/docker.sock
  [ ! -S "$engine_socket" ] || { engine_socket=unix://$engine_socket && engine version >/dev/null 2>&1 && return; }
  engine_socket=
  ! sudo -n true 2>/dev/null || engine_way=sudo
}

# engine_within SECONDS ARG...: run the program with a deadline (exit code 124) and a clean environment: COMPOSE_* or USER of
# the host would override the .env of the release. With engine_exec_with=exec it replaces the shell, so that a caller that
# started it in the background can end it by the process id of the shell. With engine_on=terminal its output goes to a terminal; ARG
# must not need quotes then.
engine_within() {
  within=$1
  shift
  set -- docker "$@"
  [ "${engine_on:-}" != terminal ] || set -- script -qec "exec $*" /dev/null
  run_within "$within" "$@"
}

# run_within SECONDS PROGRAM [ARG]...: run another program that runs the engine's in the same way.
run_within() {
  engine_deadline=$1
  shift
  set -- env -i "PATH=$PATH" "HOME=$HOME" "PWD=$PWD" ${DOCKER_CONFIG:+"DOCKER_CONFIG=$DOCKER_CONFIG"} \
    ${engine_socket:+"DOCKER_HOST=$engine_socket"} ${engine_context:+"DOCKER_CONTEXT=$engine_context"} "$@"
  # Only root can end a process of root, therefore sudo runs `timeout` and not the other way round.
  set -- timeout -k 5 "$engine_deadline" "$@"
  [ "$engine_way" = direct ] || set -- sudo -n -- "$@"
  ${engine_exec_with:-} "$@"
}

engine() { engine_within 60 "$@"; }

# --- whether it answers

has_engine() { command -v docker >/dev/null 2>&1; }

# engine_answers: whether the engine responds. If not, it sets engine_trouble to the reason.
engine_answers() {
  engine_trouble=
  has_engine || { engine_trouble="$engine_name is not installed on this host"; return 1; }
  engine_error=$(engine_within 20 version --format '{{.Server.Version}}' 2>&1 >/dev/null) && return
  engine_trouble=$(explain_engine $? "$engine_error")
  return 1
}

# require_engine PHASE: end the script if the engine does not respond: the state of the containers is unknown then.
require_engine() { engine_answers || give_up "$1" "$engine_trouble" unknown; }

# explain_engine CODE TEXT: print why a command of the engine failed.
explain_engine() {
  at=${engine_context:+" of the context \`$engine_context\`"}${engine_socket:+" at $engine_socket"}
  case $1:$2 in
    124:*) echo "$engine_name$at did not respond in time on this host" ;;
    *'not a swarm manager'*) echo "this host is not a manager of the swarm any longer, which \`engine: swarm-stack\` needs" ;;
    *'permission denied'*) echo "\`$(id -un)\` has no permission to use $engine_name$at on this host: not in the group \`docker\`, and no passwordless sudo" ;;
    *) echo "$engine_name$at is not responding on this host: $(printf '%s\n' "$2" | grep . | tail -n 1 | cut -b1-300)" ;;
  esac
}

# error_code TEXT: print what kind of error that is, of Docker, Compose or the shell: `disk`, `networks` or nothing.
error_code() {
  case $1 in
    *[Nn]'o space left on device'*) echo disk ;;
    *'non-overlapping IPv4 address pool'* | *'address pools have been fully subnetted'* | *'no address range left'*) echo networks ;;
  esac
}

# refused_port LOG: print the `address:port` that the engine could not bind; nothing if the error is another one.
refused_port() {
  sed -n -e 's/.*[Bb]ind for \([^ ]*\) failed: port is already allocated.*/\1/p' \
    -e 's/.*listen [a-z]*[46]* \([^ ]*\): bind: address already in use.*/\1/p' "$1" | head -n 1
}

# `!override` in the overlay needs it.
minimal_compose=2.24.4

# compose_version: print the version of Compose; nothing if it is not installed.
compose_version() { engine compose version --short 2>/dev/null | sed 's/^v//'; }

engine_version() { engine version --format '{{.Server.Version}}' 2>/dev/null; }

# engine_root_dir: print the folder where the engine stores images.
engine_root_dir() { engine info --format '{{.DockerRootDir}}' 2>/dev/null; }

# look_up_engine: set engine and compose to the versions of the engine and of Compose, and root_dir to the folder of images; empty if
# unknown, engine also if it does not answer. One call is enough, except for Podman, which has other fields.
look_up_engine() {
  plugins_format='{{range .ClientInfo.Plugins}}{{if eq .Name "compose"}}{{.Version}}{{end}}{{end}}'
  IFS='|' read -r engine compose root_dir <<END
$(engine info --format "{{.ServerVersion}}|$plugins_format|{{.DockerRootDir}}" 2>/dev/null)
END
  compose=${compose#v}
  engine=${engine:-$(engine_version)}
  [ -n "$engine" ] || return
  compose=${compose:-$(compose_version)}
  root_dir=${root_dir:-$(engine_root_dir)}
}

is_rootless() { engine info --format '{{.SecurityOptions}}' 2>/dev/null | grep -q rootless; }

# engine_programs: print a line that changes when the engine or Compose (a plugin) is updated.
engine_programs() {
  for folder in "$engine_config" /usr/local/lib/docker /usr/local/libexec/docker /usr/lib/docker /usr/libexec/docker; do
    set -- "$@" "$folder/cli-plugins/docker-compose"
  done
  # shellcheck disable=SC2046 # lines become words
  set -- $(stat -L -c %n:%Y:%s:%i -- "$engine_config/config.json" "$(command -v docker)" "$(command -v dockerd)" "$@" 2>/dev/null)
  echo "$engine_socket$engine_context $*"
}

# --- the stack as a whole: the Compose project `$stack`, in the folder of its files

stack_compose() {
  compose_deadline=$1
  shift
  engine_within "$compose_deadline" compose --ansi never --project-name "$stack" "$@"
}

# engine_up SECONDS ARG...: create and start containers from local images. Needs no network.
engine_up() {
  ! of_swarm || { swarm_up "$@"; return; }
  up_deadline=$1
  shift
  stack_compose "$up_deadline" up --no-build --pull never "$@"
}

# engine_stop SECONDS [ARG]...: a stack of Swarm is removed, because its containers would be replaced.
engine_stop() {
  ! of_swarm || { swarm_down; return; }
  stop_deadline=$1
  shift
  stack_compose "$stop_deadline" stop "$@"
}

# engine_start_services SECONDS [ARG]...: start the containers that services have.
engine_start_services() {
  start_deadline=$1
  shift
  stack_compose "$start_deadline" start "$@"
}

# engine_restart_services SECONDS [SERVICE]...
engine_restart_services() {
  restart_deadline=$1
  shift
  stack_compose "$restart_deadline" restart -- "$@"
}

# engine_down [--volumes]
engine_down() { if of_swarm; then swarm_down; else stack_compose 300 down --remove-orphans "$@"; fi; }

# engine_services [SERVICE]...: print these services and their dependencies, all of which `up` starts.
engine_services() {
  stack_compose 60 config "$@" 2>/dev/null |
    awk '/^services:/ { on = 1; next } /^[^ ]/ { on = 0 } on && /^  [^ ]/ { gsub(/[ ":]/, ""); print }'
}

# engine_attached ARG...: run Compose connected to the caller's terminal and streams, without a deadline.
engine_attached() {
  set -- env -i "PATH=$PATH" "HOME=$HOME" "PWD=$PWD" ${TERM:+"TERM=$TERM"} ${DOCKER_CONFIG:+"DOCKER_CONFIG=$DOCKER_CONFIG"} \
    ${engine_socket:+"DOCKER_HOST=$engine_socket"} ${engine_context:+"DOCKER_CONTEXT=$engine_context"} \
    docker compose --project-name "$stack" "$@"
  [ "$engine_way" = direct ] || set -- sudo -n -- "$@"
  "$@"
}

# --- which containers there are

label_of=com.docker.compose
own="label=$label_of.oneoff=False"

# container_ids: print the ids of the containers of the stack, running or not, without those of `compose run`.
container_ids() {
  ! of_swarm || { task_ids=$(task_containers) && printf '%s\n' "$task_ids" | cut -d' ' -f1; return; }
  engine ps --all --quiet --no-trunc --filter "label=$label_of.project=$stack" --filter "$own"
}

# service_containers SERVICE: print the ids of the containers of one service, the newest first.
service_containers() {
  ! of_swarm || { task_container "$1"; return; }
  engine ps --all --quiet --no-trunc --filter "label=$label_of.project=$stack" --filter "$own" --filter "label=$label_of.service=$1"
}

# main_container [--all]: print the id of the container that people work in if it runs; with --all, also if it does not.
main_container() {
  ! of_swarm || { task_container ''; return; }
  engine ps "$@" --quiet --no-trunc --filter "label=$label_of.project=$stack" --filter "$own" --filter label=kamal-dev.main=true | tail -n 1
}

# container_services: print `id service` of each container of the stack.
container_services() {
  ! of_swarm || { task_containers; return; }
  engine ps --all --no-trunc --filter "label=$label_of.project=$stack" --filter "$own" \
    --format "{{.ID}} {{.Label \"$label_of.service\"}}"
}

# list_containers: set container_list to `id|oneoff|project|name|ports|image|folder` of all containers of this engine;
# folder is where each was started from. One call shows which names, ports and images are in use. An image without a
# name is listed by id.
list_containers() {
  list_format="{{.ID}}|{{.Label \"$label_of.oneoff\"}}|{{.Label \"$label_of.project\"}}|{{.Names}}|{{.Ports}}|{{.Image}}"
  container_list=$(engine_within 20 ps --all --no-trunc --format "$list_format|{{.Label \"$label_of.project.working_dir\"}}")
}

# labelled KIND: print the ids of the containers (with those of `compose run`), networks or volumes of the stack.
labelled() {
  case $1 in
    container) engine ps --all --quiet --filter "label=$label_of.project=$stack" ;;
    *)
      engine "$1" ls --quiet --filter "label=$label_of.project=$stack" || return
      ! of_swarm || engine "$1" ls --quiet --filter "label=$namespace_of=$stack" ;;
  esac
}

# remove_labelled KIND [ID]...: remove containers with their anonymous volumes, networks or volumes.
remove_labelled() {
  kind=$1
  shift
  case $kind in
    container) set -- --force --volumes -- "$@" ;;
    volume) set -- --force -- "$@" ;;
  esac
  engine_within 300 "$kind" rm "$@"
}

# engine_volumes: print `key name kind folder` of each volume of the stack that has a name in its compose files; see parts.sh. One
# that a restore uses has the key `-`.
engine_volumes() {
  volume_names=$(labelled volume) || return
  [ -n "$volume_names" ] || return 0
  # shellcheck disable=SC2086 # names are words
  volume_rows=$(engine volume inspect \
    --format "{{index .Labels \"$label_of.volume\"}} {{.Name}} {{.Driver}}-{{len .Options}} {{.Mountpoint}}" -- $volume_names) || return
  printf '%s\n' "$volume_rows" | sed -e 's/^ /- /' -e 's/ local-0 / plain /'
}

# engine_users VOLUME: print the services of the stack with a container that mounts it.
engine_users() {
  engine ps --all --filter "volume=$1" --filter "label=$label_of.project=$stack" --filter "$own" --format "{{.Label \"$label_of.service\"}}"
}

# engine_networks: print the keys of the networks that the stack has, as in its compose files.
engine_networks() {
  engine network ls --filter "label=$label_of.project=$stack" --format "{{.Label \"$label_of.network\"}}"
}

# try_networks COUNT: whether there is an address range for each of COUNT more networks. They are created, and removed again:
# only the engine knows which ranges it could use. Other failures do not count.
try_networks() {
  tried='' tried_code=''
  for tried_number in $(seq "$1"); do
    tried="$tried kamal-dev-try-$stack-$tried_number"
    tried_error=$(engine network create -- "${tried##* }" 2>&1 >/dev/null) || tried_code=$(error_code "$tried_error")
    [ -z "$tried_code" ] || break
  done
  # shellcheck disable=SC2086 # names are words
  engine network rm -- $tried >/dev/null 2>&1
  [ "$tried_code" != networks ]
}

# no_networks [NUMBER NAMES]: print that there is no address range for more networks.
no_networks() {
  echo "$engine_name has no address range left for ${1:-another} network${1:+s ($2)}: its address pools are used up$(waiting_pools)"
}

# waiting_pools: print that pools in the engine's configuration are not in use yet; nothing if there are none.
waiting_pools() {
  grep -qs default-address-pools "$engine_settings" || return 0
  case $(engine info --format '{{json .DefaultAddressPools}}' 2>/dev/null) in
    null | '[]') echo "; those in $engine_settings are used once $engine_name is restarted" ;;
  esac
}

create_volume() { engine volume create --label "$label_of.project=$stack" -- "$1" >/dev/null; }
engine_has_volume() { engine volume inspect -- "$1" >/dev/null 2>&1; }

# published_ports: print a line per port of every running container of container_list: address|first|last|protocol|project|name.
published_ports() {
  printf '%s\n' "$container_list" |
    awk -F'|' '{
      count = split($5, parts, ", ")
      for (i = 1; i <= count; i++) {
        if (!match(parts[i], /->/)) continue
        outside = substr(parts[i], 1, RSTART - 1)
        protocol = parts[i]; sub(/.*\//, "", protocol)
        ports = outside; sub(/.*:/, "", ports)
        address = substr(outside, 1, length(outside) - length(ports) - 1)
        gsub(/[][]/, "", address)
        split(ports, ends, "-")
        print address "|" ends[1] "|" (ports ~ /-/ ? ends[2] : ends[1]) "|" protocol "|" $3 "|" $4
      }
    }'
}

# engine_forwards: print the containers whose ports are forwarded, see forward.sh.
engine_forwards() {
  # shellcheck disable=SC2046 # ids are words
  set -- $(engine ps --quiet --filter label=kamal-dev.forward=true)
  [ $# = 0 ] || engine inspect --type container --format '{{.HostConfig.NetworkMode}}' -- "$@" 2>/dev/null
}

# engine_connections PORT...: print how many connections to these ports of the host the kernel has passed on; nothing if it does not
# say so. Only the first packet of a connection is counted by these rules.
engine_connections() {
  case $(privilege) in root | sudo) ;; *) return ;; esac
  as_root iptables -t nat -nvxL DOCKER 2>/dev/null | ports=" $* " awk '
    match($0, /dpt:[0-9]+/) && index(ENVIRON["ports"], " " substr($0, RSTART + 4, RLENGTH - 4) " ") { count += $1; any = 1 }
    END { if (any) printf "%.0f\n", count }'
}

# --- one container

# engine_inspect WHAT [ID]...: print each container in the format WHAT of `engine_format`; fails if one does not exist.
engine_inspect() {
  case $1 in
    container) ! of_swarm || { task_rows; return; } ;;
    end) ! of_swarm || { engine inspect --type container --format "$(engine_format end)" -- "$2" 2>/dev/null || task_end "$2"; return; } ;;
  esac
  inspect_format=$(engine_format "$1")
  shift
  [ $# -eq 0 ] || engine inspect --type container --format "$inspect_format" -- "$@"
}

service_of="index .Config.Labels \"$label_of.service\"" project_of="index .Config.Labels \"$label_of.project\""
main_of='index .Config.Labels "kamal-dev.main"'

# engine_format WHAT: print the format of a question about a container. `row`, for `read`, is
#   id|service|state|health|exit|restarts|policy|started|main|stack|name|networks|image|process|network mode|stop signal|ports|configuration
# with networks as hexadecimal digits, because they may have any name, the ports of the image, and Compose's hash of what it was
# created from. `event` is the same as JSON, with the release `$shown`. `bind` is a line for each folder of the host that it
# mounts: bind|pid|service|id|started|folder|path, `volume` for each volume: volume|id|name|folder. `container` is a row, its event
# and those lines. `place` is JSON after `service|`.
engine_format() {
  case $1 in
    row)
      printf %s "{{.ID}}|{{$service_of}}|{{.State.Status}}|{{with .State.Health}}{{.Status}}{{end}}" \
        '|{{.State.ExitCode}}|{{.RestartCount}}|{{.HostConfig.RestartPolicy.Name}}|{{.State.StartedAt}}' \
        "|{{$main_of}}|{{$project_of}}|{{slice .Name 1}}" \
        '|{{range $name, $_ := .NetworkSettings.Networks}}{{printf "%x" $name}},{{end}}|{{.Config.Image}}' \
        '|{{.State.Pid}}|{{.HostConfig.NetworkMode}}|{{or .Config.StopSignal "SIGTERM"}}' \
        '|{{range $port, $_ := .Config.ExposedPorts}}{{$port}} {{end}}' "|{{index .Config.Labels \"$label_of.config-hash\"}}" ;;
    event)
      printf %s "{\"type\":\"container\",\"stack\":{{json ($project_of)}}" \
        ",\"service\":{{json ($service_of)}}" \
        ',"id":{{json .ID}},"name":{{json (slice .Name 1)}},"image":{{json .Config.Image}},"state":{{json .State.Status}}' \
        ',"health":{{with .State.Health}}{{json .Status}}{{else}}""{{end}}' \
        ',"restarts":{{.RestartCount}},"started":{{json .State.StartedAt}},"exit_code":{{.State.ExitCode}}' ",\"release\":\"$shown\"}" ;;
    bind) printf %s "{{\$pid := .State.Pid}}{{\$service := $service_of}}{{\$id := .ID}}{{\$at := .State.StartedAt}}" \
        '{{range .Mounts}}{{if eq .Type "bind"}}{{println}}bind|{{$pid}}|{{$service}}|{{$id}}|{{$at}}|{{.Source}}|{{.Destination}}{{end}}{{end}}' ;;
    volume) printf %s '{{$id := .ID}}{{range .Mounts}}{{if eq .Type "volume"}}{{println}}volume|{{$id}}|{{.Name}}|{{.Source}}{{end}}{{end}}' ;;
    container) printf %s "$(engine_format row)$(engine_format event)$(engine_format bind)$(engine_format volume)" ;;
    end) echo '{{.State.OOMKilled}}|{{.State.ExitCode}}|{{.State.Running}}|{{.State.StartedAt}}|{{.State.FinishedAt}}|{{.State.Error}}' ;;
    health) echo '{{with .State.Health}}{{.Status}}{{end}}' ;;
    check) echo '{{with .Config.Healthcheck}}{{range .Test}}{{println .}}{{end}}{{end}}' ;;
    place) printf %s "{{$service_of}}|" '{"type":"place","id":{{json .Id}},"name":{{json (slice .Name 1)}},"image":{{json .Image}}' \
        ',"state":{{json .State.Status}},"pid":{{.State.Pid}},"user":{{json .Config.User}},"environment":{{json .Config.Env}}' \
        ',"metadata":{{with .Config.Labels}}{{json (index . "devcontainer.metadata")}}{{else}}""{{end}}}' ;;
  esac
}

# engine_exec SECONDS USER ID ARG...: run a command in a container, with our stdin, and as the default user if USER is empty.
engine_exec() {
  exec_deadline=$1 exec_user=$2
  shift 2
  engine_within "$exec_deadline" exec --interactive ${exec_user:+--user "$exec_user"} "$@"
}

# engine_processes ID: print `pid ppid args` of each process in a container.
engine_processes() { engine top "$1" -o pid,ppid,args 2>/dev/null | sed 1d; }

engine_kill() { engine kill -- "$@"; }
engine_restart() { engine restart -- "$@"; }
# engine_discard NAME: remove a temporary container with the volumes that its image asks for; see engine_run.
engine_discard() { engine rm --force --volumes -- "$@"; }
# engine_restart_policy POLICY ID...: what the engine does from now on when they end, or when it starts.
engine_restart_policy() {
  restart_policy=$1
  shift
  engine update --restart "$restart_policy" -- "$@"
}

# engine_end SECONDS ID...: stop containers with their stop timeout.
engine_end() {
  end_deadline=$1
  shift
  engine_within "$end_deadline" stop -- "$@"
}

engine_unpause() { engine unpause -- "$@"; }

# engine_rename ID NAME
engine_rename() { engine rename -- "$1" "$2"; }

# engine_remove ID...: stop containers with their stop timeout, then remove them.
engine_remove() {
  engine_end 120 "$@"
  engine rm --force -- "$@"
}

# engine_run SECONDS FLAG... IMAGE ARG...: run a temporary container. Containers inherit the labels of their image, therefore its
# project label is emptied.
engine_run() {
  run_deadline=$1
  shift
  engine_within "$run_deadline" run --rm --pull never --no-healthcheck --log-driver none --security-opt label=disable \
    --workdir / --label "$label_of.project=" "$@"
}

# any_image: print the id of any image; without one, an empty image is created.
any_image() {
  engine image ls --quiet 2>/dev/null | head -n 1 | grep . || tar -cf - -T /dev/null | engine import - 2>/dev/null
}

engine_start() { engine start -- "$@"; }

# engine_recovers: whether the engine starts the stack again by itself after an outage.
engine_recovers() { of_swarm; }

# awaits_unit: whether the engine is stopped or stopping, and systemd would start it again if anything connected to its
# socket.
awaits_unit() {
  [ -z "$engine_socket$engine_context" ] && [ -d /run/systemd/system ] || return
  # shellcheck disable=SC2046 # states are words
  set -- $(systemctl is-active docker.socket "$engine_unit")
  [ "${1:-}" = active ] && [ "${2:-}" != active ]
}

# The unit of systemd that runs it, and what a unit of this login needs in its environment to reach it.
engine_unit=docker.service
engine_environment() {
  for name in DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG XDG_RUNTIME_DIR; do
    eval "value=\${$name:-}"
    case $value in '' | *[!A-Za-z0-9/._:@-]*) ;; *) echo "$name=$value" ;; esac
  done
}

find_engine
