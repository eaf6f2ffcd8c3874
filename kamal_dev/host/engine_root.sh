# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Do as root what this login may not do by itself. Sourced after engine.sh; runs nothing by itself.

# in_engine FOLDER PROGRAM [ARG]...: run a program of this host as root of the engine, in a container that sees FOLDER and the
# programs of the host, and no network. Rights to use the engine are enough; with a rootless engine, root is the user that owns
# the files its containers create.
in_engine() {
  engine_folder=$1:$1 engine_walls='--network none'
  shift
  run_in_engine "$@"
}

# engine_as_root PROGRAM [ARG]...: run it with the files and processes of this host, like sudo. Anyone with access to
# the engine can.
engine_as_root() {
  engine_folder=/:/kamal-dev-host engine_walls='--privileged --pid host --ipc host --uts host --network host'
  run_in_engine chroot /kamal-dev-host "$@"
}

run_in_engine() {
  engine_program=$1
  shift
  engine_image=$(any_image) && [ -n "$engine_image" ] || return 126
  engine_program=$(readlink -f "$(dirname "$(command -v "$engine_program")")")/$engine_program
  set -- --volume "$engine_folder" --entrypoint "$engine_program" "$engine_image" "$@"
  # Where /bin is a link to /usr/bin, programs may be links to /bin/busybox, which the image lacks.
  for each in /usr /lib /lib64 /bin; do
    [ ! -d "$each" ] || set -- --volume "$(readlink -f "$each"):$each:ro" "$@"
  done
  # shellcheck disable=SC2086 # the flags are words
  engine_run 7300 $engine_walls --userns host --user 0:0 "$@"
}

# --- whose the files are

# find_root OWNER: set root_by to the command that gives root rights over the files of OWNER (uid:gid): empty if they
# are ours and user namespaces are enough, `as_root`, or `engine_as_root`. Fails if there is none.
find_root() {
  root_by=as_root
  ! is_root && ! sudo -n true 2>/dev/null || return 0
  root_by=
  [ "${1%:*}" != "$uid" ] || ! unshare -U -r -m true 2>/dev/null || return 0
  root_by=engine_as_root
  [ "$engine_way" = direct ] && [ -n "$(any_image)" ]
}

# seen_by_root OWNER: print uid:gid of this host as that root sees them; a rootless engine maps ids.
seen_by_root() {
  if [ "$root_by" = engine_as_root ] && is_rootless; then in_engine "$here" cat /proc/self/uid_map /proc/self/gid_map | mapped back "$1"
  else echo "$1"
  fi
}

# mapped WAY OWNER: print OWNER by the maps on stdin, of users and then of groups: `back` from this host into the namespace,
# `forth` out of it. Prints nothing for numbers that are in no map.
mapped() {
  awk -v way="$1" -v owner="$2" '
    BEGIN { split(owner, id, ":"); from = way == "back" ? 2 : 1; to = 3 - from; which = 1 }
    $1 == 0 && seen++ { which = 2 }
    id[which] >= $from && id[which] < $from + $3 { found[which] = $to + id[which] - $from }
    END { if (1 in found && 2 in found) printf "%d:%d\n", found[1], found[2] }'
}
