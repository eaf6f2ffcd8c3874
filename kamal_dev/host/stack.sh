# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# The folder, releases and containers of one stack. Sourced after lib.sh.
#
#   ~/.kamal-dev/<stack>/releases/<id>/.kamal-dev/   what the scripts know about a release:
#       digest version commit images built services started networks parts workspace user performer good unfinished log result exec/ lifecycle/
#   `good` exists once the release was healthy: `<service> <state>` per container. `unfinished` exists from then on until
#   its lifecycle commands have run.

# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$here/engine.sh"
# shellcheck source-path=SCRIPTDIR source=engine_tasks.sh
. "$here/engine_tasks.sh"

# use_stack NAME: select the stack for everything below.
use_stack() {
  case $1 in
    '' | *[!a-z0-9_-]* | [_-]*) give_up arguments "\`$1\` is not a valid stack name" ;;
  esac
  stack=$1
  home=$base/$stack
  releases=$home/releases
}

# use_workspace FOLDER: select a folder of the stack's workspace, and the records about it.
#   ~/.kamal-dev/<stack>/source/   what was last sent to the workspace:
#       state       its record, as JSON          offered   the record of a source that was not applied, because of changes
#       parts/N/    see clone.sh                 withheld  the paths that were not sent
use_workspace() {
  case $1 in '' | . | .. | */*) give_up arguments "\`$1\` is not a valid workspace folder" ;; esac
  target=$home/workspace/$1
  source=$home/source
}

# make_room: create the folder for workspaces. Unlike its parent it is not private, because containers set their own
# permissions below it.
make_room() { (umask 022 && mkdir -p "$home/workspace"); }

# all_stacks: print the names of all stacks on this host, without those that are being moved to it.
all_stacks() {
  for folder in "$base"/*/; do
    [ ! -d "$folder/releases" ] || is_moving_here "$folder" || basename "$folder"
  done
}

# read_arrival [FOLDER]: set arriving_token and copied_from to what is recorded of a stack whose data is not complete yet: the token of
# the move or the copy, and the stack that it is a copy of. Fails if nothing is recorded. See underway.sh.
read_arrival() {
  arriving_token='' copied_from=''
  [ -f "${1:-$home}/arriving" ] || return
  read -r arriving_token copied_from <"${1:-$home}/arriving" || :
}

# is_moving_here FOLDER: whether the stack in that folder is being moved to this host.
is_moving_here() { read_arrival "$1" && [ -z "$copied_from" ]; }

# is_copying FOLDER: whether volumes of another stack are being copied to the one in that folder.
is_copying() { read_arrival "$1" && [ -n "$copied_from" ]; }

# why_not_copied: print what to do about it.
why_not_copied() {
  echo "the copy of $copied_from is not complete: \`dev deploy $stack --from $copied_from\` starts it again, \`dev remove $stack\` removes it"
}

# has_none STACK...: whether this host never had any of them, nor an engine to run one.
has_none() {
  ! has_engine || return
  for name; do [ ! -d "$base/$name/releases" ] || return; done
}

# --- releases

# current_release: print the id of the release that `current` points to; nothing if there is none.
current_release() {
  [ -L "$home/current" ] && target=$(cd -P "$home/current" 2>/dev/null && pwd) && [ -d "$releases/${target##*/}" ] && echo "${target##*/}"
}

# known RELEASE FILE: print the content of a file about a release.
known() { cat "$releases/$1/.kamal-dev/$2" 2>/dev/null; }

# recall RELEASE FILE: set content to it, without starting a process.
recall() { read_file "$releases/$1/.kamal-dev/$2"; }

# has_digest RELEASE DIGEST: whether the release is complete and has that content.
has_digest() { recall "$1" digest && [ "$content" = "$2" ]; }

# was_healthy ID: whether the release has ever been healthy.
was_healthy() { [ -n "$1" ] && [ -s "$releases/$1/.kamal-dev/good" ]; }

# is_good ID: whether it was healthy, and all of its lifecycle commands have run.
is_good() { was_healthy "$1" && [ ! -f "$releases/$1/.kamal-dev/unfinished" ]; }

# describe_release ID: print it as JSON, or `null`.
describe_release() {
  [ -n "$1" ] || { echo null; return; }
  if is_good "$1"; then good=true; else good=false; fi
  recall "$1" digest
  described_digest=$content
  recall "$1" version
  read_source "$releases/$1"
  described=$(emit release id "$1" digest "$described_digest" version "$content" good: "$good" ref: "$ref" service: "$owner")
  echo "{${described#*,}"
}

# read_source RELEASE_FOLDER: set ref to the reference that the release of a named stack was made from, and owner to the service of
# its project, both as JSON.
read_source() {
  ref='""' owner='""'
  [ -f "$1/manifest.json" ] || return 0
  while IFS= read -r line; do
    case $line in
      '  "ref": "'*'",') ref=${line#*: } ref=${ref%,} ;;
      '  "service": "'*'",') owner=${line#*: } owner=${owner%,} && break ;;
    esac
  done <"$1/manifest.json"
}

# switch_to ID: make it the current release with a single rename.
switch_to() {
  ln -s "releases/$1" "$home/.current.$$" && mv -T "$home/.current.$$" "$home/current"
}

# The cache of facts.sh: the programs of the engine, its version, the version of Compose, and the folder of images.
engine_known=$base/.engine

# allotted: print the ports of the host that the stack has (see allot.sh), as JSON.
allotted() {
  set --
  [ ! -f "$home/ports" ] || while IFS= read -r allotted_port; do set -- "$@" "$allotted_port"; done <"$home/ports"
  json_list "$@"
}

# --- containers

# The release named in the events of containers.
shown=

# look_at_containers [ID]...: set seen to a line per container, its row and then its event, found to the rows, binds to
# the host folders that they mount, and volumes to their volumes. Containers removed meanwhile are left out. If the
# engine does not answer, it fails and sets engine_trouble.
look_at_containers() {
  seen='' found='' binds='' volumes='' engine_trouble=
  [ $# -gt 0 ] || return 0
  inspected=$(engine_inspect container "$@" 2>"$here/inspect.err")
  engine_code=$?
  while IFS= read -r line; do
    case $line in
      '') ;;
      'bind|'*) binds=$binds${binds:+$newline}$line ;;
      'volume|'*) volumes=$volumes${volumes:+$newline}$line ;;
      *) seen=$seen${seen:+$newline}$line found=$found${found:+$newline}${line%%'{'*} ;;
    esac
  done <<END
$inspected
END
  [ "$engine_code" = 0 ] || grep -qi 'no such' "$here/inspect.err" ||
    { engine_trouble=$(explain_engine "$engine_code" "$(cat "$here/inspect.err")"); return 1; }
}

# look_at_known: look at the containers in `ids`.
look_at_known() {
  # shellcheck disable=SC2086 # ids are words
  look_at_containers $ids
}

# row_of ID: print its row in `found`.
row_of() {
  while IFS= read -r row; do
    case $row in "$1|"*) printf '%s\n' "$row" ;; esac
  done <<END
$found
END
}

# look_at_stack: look at all containers of the stack. If the engine does not answer, it fails and sets engine_trouble.
look_at_stack() {
  ids=$(container_ids 2>"$here/ids.err") ||
    { engine_trouble=$(explain_engine "$?" "$(cat "$here/ids.err")"); return 1; }
  look_at_known
}

# record_running: record which containers of `found` run, for the watcher to start after an outage.
#   ~/.kamal-dev/<stack>/running   their ids, a line each
record_running() {
  ! engine_recovers || { discard "$home/running"; return; }
  run_now='' ran=''
  while IFS='|' read -r run_id _ run_state _; do
    case $run_state in running | paused) run_now="$run_now$run_id
" ;; esac
  done <<END
$found
END
  [ ! -f "$home/running" ] || while read -r run_id; do ran="$ran$run_id
"; done <"$home/running"
  [ "$run_now" = "$ran" ] || { printf %s "$run_now" >"$home/.running" && mv "$home/.running" "$home/running"; }
}

# has_finished ROWS: whether all lifecycle commands, if any, have run since the main container was started, and those
# that follow the source since it was sent.
has_finished() {
  [ -d "$home/lifecycle" ] || return 0
  read_file "$home/lifecycle/finished" || return 1
  finished=$content
  case $finished in *' '*' '*) [ "${finished##* }" = "$(source_mark)" ] || return 1 ;; esac
  finished=$(printf '%s\n' "$finished" | cut -d' ' -f1,2)
  printf '%s\n' "$1" | awk -F'|' '$9 == "true" { print $1, $8 }' | grep -qxF -- "$finished"
}

# source_mark: print a checksum of the source last sent to the workspace; nothing if none was sent.
source_mark() { [ ! -f "$home/source/state" ] || cksum <"$home/source/state" | tr ' ' -; }

# find_containers: set ids to the stack's containers, and foreign to the folder from which a compose project of this
# name was started, if that is elsewhere. Fails if the engine does.
find_containers() {
  list_containers || return
  ids='' foreign=''
  while IFS='|' read -r id oneoff project _ _ _ folder; do
    [ "$project" = "$stack" ] || continue
    [ "$oneoff" != False ] || ids=$ids${ids:+$newline}$id
    case $folder in '' | *"$home/"*) ;; *) foreign=${foreign:-$folder} ;; esac
  done <<END
$container_list
END
  ! of_swarm || ids=$(container_ids)
}

# refuse_foreign: end the script if a compose project of this name was started from elsewhere.
refuse_foreign() {
  find_containers || give_up engine 'the engine does not answer'
  [ -z "$foreign" ] || give_up foreign "another Compose project named \`$stack\` runs on this host, from $foreign"
}
