# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# shellcheck disable=SC2086 # flags are words
# Run scripts that read or write a workspace. Sourced after lib.sh and stack.sh; runs nothing by itself.
#
# People and their programs can write everything in a workspace, and replace files while they are read. Such a script therefore
# runs as the workspace's owner, and sees only the programs of this host, the payload and the workspace (see jail.sh).

# shellcheck source-path=SCRIPTDIR source=engine_root.sh
. "$here/engine_root.sh"

confine_within=7000

# learn_owner: set owner to the owner of the workspace, and caller to the current user.
learn_owner() {
  caller=$uid:$(id -g)
  owner=$(stat -c %u:%g "$home/workspace" 2>/dev/null) || owner=$caller
  [ -z "${target:-}" ] || [ ! -d "$target" ] || [ -L "$target" ] || owner=$(stat -c %u:%g "$target" 2>/dev/null) || owner=$caller
}

# confine SCRIPT [ARG]...: run a script of the payload on the workspace, as its owner. $here is the owner's meanwhile; what comes
# back in it is to be read with care. `open` may name a further folder that is the owner's from then on. Fails as jail.sh does.
confine() {
  learn_owner
  shared=$here
  confine_as "$owner" "$@"
}

# confine_alone OWNER SCRIPT [ARG]...: the same for a script that needs nothing from $here, which may contain secrets.
confine_alone() {
  shared=$here/alone
  mkdir -p "$shared" && cp "$here/$2" "$shared/" && confine_as "$@"
}

# confine_as OWNER SCRIPT [ARG]...
confine_as() {
  confined=$1 script=$2
  shift 2
  mkdir -p "$base/.jail" && make_room || return 126
  set -- "$confine_within" "$$:$(started_at $$)" "$base/.jail" "$home/workspace" ${open:+"$open"} -- "$shared/$script" "$@"
  find_root "$confined" || return 126
  if [ -z "$root_by" ]; then
    unshare -U -r $apart sh "$here/jail.sh" "$shared" - "$@"
    return
  fi
  [ "$confined" = 0:0 ] || confined=$(seen_by_root "$confined")
  [ -n "$confined" ] || return 126
  [ -z "${open:-}" ] || $root_by chown "$confined" "$open" || return 126
  $root_by env "PATH=$PATH" unshare $apart sh "$here/jail.sh" "$shared" "$confined" "$@"
  set -- "$?"
  # If there is a symbolic link, the link itself changes its owner, not its target.
  [ "$confined" = "$uid:$(id -g)" ] || $root_by chown -hR "$(seen_by_root "$uid:$(id -g)")" "$shared"
  return "$1"
}
# Separate namespaces for mounts, network, IPC and processes.
apart='-m -n -i -p -f'

# why_confined CODE FILE: print why a confined script failed; FILE has its last output.
why_confined() {
  case $1 in
    124) echo 'timed out' ;;
    125) echo 'blocked; is there a pipe in place of a file?' ;;
    126) echo "it belongs to user ${owner%:*}, and \`$(id -un)\` is not root, has no passwordless sudo and no access to $engine_name" ;;
    *) last_lines "$2" 2 ;;
  esac
}
