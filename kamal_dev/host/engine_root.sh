# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Do as root what this login may not do by itself. Sourced after engine.sh; runs nothing by itself.

# in_engine FOLDER PROGRAM [ARG]...: run a program of this host as root of the engine, in a container that sees FOLDER and the
# programs of the host, and no network. Rights to use Docker are enough; with a rootless engine, root is whoever owns what
# its containers make. Fails where the host has no image at all.
in_engine() {
  engine_folder=$1 engine_program=$2
  shift 2
  engine_image=$(docker image ls --quiet | head -n 1)
  [ -n "$engine_image" ] || return
  engine_program=$(readlink -f "$(dirname "$(command -v "$engine_program")")")/$engine_program
  set -- --entrypoint "$engine_program" "$engine_image" "$@"
  for each in /usr /lib /lib64 /bin; do
    [ ! -d "$each" ] || { [ "$each" = /bin ] && [ -L /bin ]; } || set -- --volume "$each:$each:ro" "$@"
  done
  # Labels of an image are its containers', and this one is no project's.
  docker_within 300 run --rm --pull never --no-healthcheck --log-driver none --network none --userns host --user 0:0 \
    --security-opt label=disable --workdir / --label com.docker.compose.project= --volume "$engine_folder:$engine_folder" "$@"
}
