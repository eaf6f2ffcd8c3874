#!/bin/sh
# Report the facts of this host and of a stack on it: facts.sh STACK PORTS [IMAGE]...
#
# Events: `facts`, one `container` per container of the stack, then `result`. Changes nothing, uses no network.
# `trouble` is the reason if the engine does not answer. `intact` is true if the current release is good, and all its containers
# are in the state they had then; `last`: see status.sh.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=history.sh
. "$here/history.sh"
# shellcheck source-path=SCRIPTDIR source=observe.sh
. "$here/observe.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"
# shellcheck source-path=SCRIPTDIR source=ports.sh
. "$here/ports.sh"
# shellcheck source-path=SCRIPTDIR source=unit.sh
. "$here/unit.sh"
# shellcheck source-path=SCRIPTDIR source=pools.sh
. "$here/pools.sh"
# shellcheck source-path=SCRIPTDIR source=engine_images.sh
. "$here/engine_images.sh"
# shellcheck source-path=SCRIPTDIR source=lifetime.sh
. "$here/lifetime.sh"

# look_at_system: set os and os_version without quotes, and memory in bytes.
look_at_system() {
  os='' os_version=''
  while IFS='=' read -r field value; do
    value=${value#[\"\']} value=${value%[\"\']}
    case $field in
      ID) os=$value ;;
      VERSION_ID) os_version=$value ;;
    esac
  done </etc/os-release
  read -r _ memory _ </proc/meminfo
  memory=$((memory * 1024))
}

platform() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64 | arm64) echo arm64 ;;
    arm*) echo arm ;;
    i?86) echo 386 ;;
    mips64) echo mips64le ;;
    loongarch64) echo loong64 ;;
    *) uname -m ;;
  esac
}

# emulated: print the architectures that the kernel emulates, as JSON and with the names that images use.
emulated() {
  set --
  for handler in /proc/sys/fs/binfmt_misc/*; do
    # Handlers have names of their own: qemu-x86_64, rosetta, FEX-x86_64.
    case ${handler##*/} in
      rosetta* | *x86_64*) set -- "$@" amd64 ;;
      *aarch64* | *arm64*) set -- "$@" arm64 ;;
      *i386* | *-x86) set -- "$@" 386 ;;
      qemu-*) set -- "$@" "${handler##*/qemu-}" ;;
    esac
  done
  json_list "$@"
}

# disk_bytes PATH PATH: print the free space at each (or at its nearest parent that exists), and the total space at the last.
disk_bytes() {
  there_or_above "$1"
  set -- "$place" "$2"
  there_or_above "$2"
  set -- "$1" "$place"
  df -Pk "$1" "$2" | awk 'NR > 1 { printf "%.0f ", $4 * 1024; all = $2 } END { printf "%.0f\n", all * 1024 }'
}

# there_or_above PATH: set place to it, or to its nearest parent that exists.
there_or_above() {
  place=$1
  while [ ! -e "$place" ] && [ -n "$place" ]; do place=${place%/*}; done
  place=${place:-/}
}

# unwritable: print why the scripts cannot write to their folders; nothing if they can.
unwritable() {
  for each in "$HOME" "$base" "$home"; do
    [ ! -d "$each" ] || [ -w "$each" ] || { why_not_written "$each"; return; }
  done
}

# lacks: print the required programs that this host lacks, as JSON.
lacks() {
  missing=''
  for program in awk chroot cut dd df find flock grep head id ls mktemp mount paste readlink realpath sed setsid sort stat tail tar timeout tr unshare wc xargs; do
    command -v "$program" >/dev/null 2>&1 || missing=$missing$program$newline
  done
  [ -r /proc/uptime ] || missing=$missing/proc$newline
  [ -n "${is_known_host:-}" ] || try_programs
  words_of_lines "$missing"
}

# try_programs: add to missing what the programs of this host cannot do.
try_programs() {
  can 'timeout -k' timeout -k 1 5 true
  can 'stat -c' stat -c %u /
  can 'a sleep for parts of a second' sleep 0.01
  : >"$here/moved" && can 'mv -T' mv -T "$here/moved" "$here/moved.too"
}

can() {
  ability=$1
  shift
  "$@" >/dev/null 2>&1 || missing=$missing$ability$newline
}

# words_of_lines TEXT: print the lines of a text as a JSON array of strings.
words_of_lines() (
  IFS=$newline
  set -f
  # shellcheck disable=SC2086 # lines are words
  json_list $1
)

has_gpu() { [ -e /dev/nvidia0 ] && echo true || echo false; }

# look_at_engine: set engine, compose, root_dir and ids; engine_trouble says why they are empty. Versions and the
# folder of images are slow to query, so they are cached until the programs change; a failed release removes the
# cache. A host that needs a bootstrap or lacks programs is not cached.
look_at_engine() {
  engine='' compose='' root_dir='' ids='' foreign='' engine_trouble=''
  has_engine || { engine_trouble="$engine_name is not installed on this host"; return; }
  find_containers 2>"$here/ids.err" || { engine_trouble=$(explain_engine "$?" "$(cat "$here/ids.err")"); return; }
  ! recall_engine || return 0
  look_up_engine
  [ -d "$base" ] && is_at_least "$minimal_compose" "$compose" && [ "$(lacks)" = '[]' ] || return 0
  printf '%s\n' "$programs" "$engine" "$compose" "$root_dir" >"$engine_known.$$" && mv "$engine_known.$$" "$engine_known"
}

# recall_engine: use the cache if it is of the same programs.
recall_engine() {
  programs=$(engine_programs "$(command -v mv)" "$(command -v sleep)" "$(command -v stat)" "$(command -v timeout)")
  [ -f "$engine_known" ] || return
  { IFS= read -r programs_before; read -r engine; read -r compose; read -r root_dir; } <"$engine_known"
  [ "$programs_before" != "$programs" ] || [ -z "$root_dir" ] || { is_known_host=yes && return; }
  engine='' compose='' root_dir=''
  return 1
}

look_at_release() {
  seen='' judged='' intact=false underway=''
  shown=$(current_release)
  [ -n "$engine" ] || return
  look_at_known || return
  judge_stack "$shown"
  ! is_as_good "$shown" || intact=true
}

# workspaces: print the non-empty folders of the stack's workspace, as JSON.
workspaces() {
  set --
  for folder in "$home/workspace"/*/; do
    folder=${folder%/}
    [ -L "$folder" ] || is_empty "$folder" || set -- "$@" "${folder##*/}"
  done
  json_list "$@"
}

is_empty() {
  for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    [ ! -e "$entry" ] && [ ! -L "$entry" ] || return 1
  done
}

# note FILE: print a record of workspace.sh about the source, which is JSON; `null` if there is none.
note() {
  [ -f "$home/source/$1" ] || { echo null; return; }
  IFS= read -r noted <"$home/source/$1"
  # A power failure may have left an incomplete record.
  case $noted in '{'*'}') printf '%s' "$noted" ;; *) echo '{"kind":"lost"}' ;; esac
}

# held [IMAGE]...: print those that this host has as JSON, with all names and the configuration.
held() {
  [ -n "$engine" ] && [ $# -gt 0 ] || return 0
  inspected=$(image_inspect facts "$@")
  IFS=$newline
  set -f
  # shellcheck disable=SC2086 # lines are words
  set -- $inspected
  IFS=,
  echo "[$*]"
}

# run_by_releases: print the images of the stack's releases by digest; those on this host need not be pulled.
run_by_releases() {
  run_images=' '
  for listed in "$releases"/*/.kamal-dev/images; do
    [ ! -f "$listed" ] || while IFS= read -r image; do
      # The digest follows the name, or the name and a tag.
      case $image in *@*) name=${image%@*} && tag=${name##*/} && image=${name%"${tag#"${tag%%:*}"}"}@${image##*@} ;; esac
      case $run_images in *" $image "*) ;; *) run_images="$run_images$image " ;; esac
    done <"$listed"
  done
  echo "$run_images"
}

# made_of: print the parts of the current release (see replace.sh); nothing if they are too long for an argument.
made_of() {
  made=''
  [ -z "$shown" ] || made=$(known "$shown" parts)
  [ ${#made} -ge 100000 ] || printf '%s\n' "$made"
}

use_stack "$1"
wanted_ports=$2
shift 2
look_at_engine
look_at_release
# shellcheck disable=SC2046 # references have no spaces
images=$(held "$@" $(run_by_releases))
[ -z "$engine_trouble" ] && daemon=true || daemon=false
disk=$(disk_bytes "$home" "${root_dir:-$engine_folder}")
home_free=${disk%% *} disk=${disk#* }
look_at_system 2>/dev/null
look_at_watcher
if lacks_pools; then lacking_pools=true; else lacking_pools=false; fi
emit facts user "$(id -un)" home "$HOME" privilege "$(privilege)" \
  os "$os" os_version "$os_version" arch "$(platform)" \
  engine "$engine" compose "$compose" has_engine: "$(if has_engine; then echo true; else echo false; fi)" \
  daemon: "$daemon" trouble "$engine_trouble" engine_address "$engine_socket$engine_context" \
  home_free: "$home_free" disk_free: "${disk% *}" disk: "${disk#* }" gpu: "$(has_gpu)" emulates: "$(emulated)" \
  memory: "$memory" cpus: "$(nproc)" \
  release: "$(describe_release "$shown")" intact: "$intact" lock: "$(describe_lock)" last: "$(last_failure)" \
  images: "${images:-[]}" clashes: "$(clashes "${engine:+$wanted_ports}")" workspace: "$(workspaces)" \
  foreign "$foreign" source: "$(note state)" offered: "$(note offered)" lacks: "$(lacks)" \
  unwritable "$(unwritable)" parts "$(made_of)" watcher "$watcher" underway "$underway" allotted: "$(allotted)" \
  lacks_pools: "$lacking_pools" lifetime: "$(describe_lifetime)"
show_containers
emit result ok: true phase facts
