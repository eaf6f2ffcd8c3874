# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# How this login reaches the engine, and why it does not answer. Sourced after lib.sh.

# find_engine: set engine_socket and engine_context to where the engine of this login is, empty where docker finds it by
# itself, and engine_way to `direct` or `sudo`. What an interactive shell would use is used: DOCKER_HOST, the context that
# was chosen, the system's engine where this user may use it, the user's own (a start-up file that names it is often
# not read here). sudo is the last way: for a membership of the docker group that this connection is too old for.
find_engine() {
  engine_socket=${DOCKER_HOST:-} engine_context='' engine_way=direct
  [ -z "$engine_socket" ] || return 0
  engine_context=${DOCKER_CONTEXT:-$(sed -n 's/.*"currentContext"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' "$docker_config/config.json" 2>/dev/null)}
  [ "$engine_context" != default ] || engine_context=
  [ -z "$engine_context" ] && ! is_root && [ ! -w /var/run/docker.sock ] || return 0
  engine_socket=${XDG_RUNTIME_DIR:-/run/user/$uid}/docker.sock
  [ ! -S "$engine_socket" ] || { engine_socket=unix://$engine_socket && docker version >/dev/null 2>&1 && return; }
  engine_socket=
  ! sudo -n true 2>/dev/null || engine_way=sudo
}

# docker_within SECONDS ARG...: run docker with a deadline (exit code 124), and with an environment
# of its own: COMPOSE_* or a USER of the host would otherwise beat the release's .env. With docker_exec=exec it takes the
# place of the shell, so that whoever started that in the background can end it.
docker_within() {
  docker_deadline=$1
  shift
  set -- env -i "PATH=$PATH" "HOME=$HOME" "PWD=$PWD" ${DOCKER_CONFIG:+"DOCKER_CONFIG=$DOCKER_CONFIG"} \
    ${engine_socket:+"DOCKER_HOST=$engine_socket"} ${engine_context:+"DOCKER_CONTEXT=$engine_context"} docker "$@"
  # A process of root's can be ended by root alone, so the deadline is on that side of sudo.
  set -- timeout -k 5 "$docker_deadline" "$@"
  [ "$engine_way" = direct ] || set -- sudo -n -- "$@"
  ${docker_exec:-} "$@"
}

docker() { docker_within 60 "$@"; }

has_image() { docker image inspect --format . -- "$1" >/dev/null 2>&1; }

# --- whether it answers

# docker_program: print its path; the function of that name would be found first.
docker_program() { (unset -f docker && command -v docker) 2>/dev/null; }

has_docker_program() { docker_program >/dev/null; }

# engine_answers: whether the engine does. Sets engine_trouble to why it does not.
engine_answers() {
  engine_trouble=
  has_docker_program || { engine_trouble='Docker is not installed on this host'; return 1; }
  engine_said=$(docker_within 20 version --format '{{.Server.Version}}' 2>&1 >/dev/null) && return
  engine_trouble=$(explain_engine $? "$engine_said")
  return 1
}

# require_engine PHASE: end where the engine does not answer; nothing is known then of what runs.
require_engine() { engine_answers || give_up "$1" "$engine_trouble" unknown; }

# explain_engine CODE TEXT: print why docker ended so.
explain_engine() {
  at=${engine_context:+" of the context \`$engine_context\`"}${engine_socket:+" at $engine_socket"}
  case $1:$2 in
    124:*) echo "Docker$at does not answer on this host: it said nothing in time" ;;
    *'permission denied'*) echo "\`$(id -un)\` may not use Docker$at on this host: it is not in the group \`docker\` and has no sudo without a password" ;;
    *) echo "Docker$at does not answer on this host: $(printf '%s\n' "$2" | grep . | tail -n 1 | cut -b1-300)" ;;
  esac
}

# is_at_least WANTED VERSION: whether VERSION is that or later; both are numbers with dots.
is_at_least() {
  awk 'BEGIN {
    n = split(ARGV[1], wanted, "."); split(ARGV[2], have, /[.+-]/)
    for (i = 1; i <= n; i++) if (have[i] + 0 != wanted[i] + 0) exit !(have[i] + 0 > wanted[i] + 0)
  }' "$@"
}

# `!override` in the overlay needs it.
minimal_compose=2.24.4

# compose_version: print it; nothing where there is none.
compose_version() { docker compose version --short 2>/dev/null | sed 's/^v//'; }

docker_config=${DOCKER_CONFIG:-$HOME/.docker}
find_engine
