# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Make another release of a stack the current one, or roll back to the last good one. Sourced; runs nothing by itself.
#
# The script that sources it sets `verb`, `release`, `version`, `timeout`, `window_wanted`, and `listed`, the file that names
# the images. Payload: meta/rollback (`never`: a failed release keeps running) and meta/keep_failed (`yes`: a failed first
# release keeps running, too). With `recreate` every container is recreated.
# Events: `phase` {name, seconds once it is over}, `image`, `replace`, `container`, `lifecycle`, and at the end `result`
#   {ok, state, phase, reason, release, version, previous, current, restored, observed_ms, code}. `state` says what runs now:
#   same      the release was up already                       untouched        nothing was changed
#   new       the release                                      restored  the last good release
#   stopped   nothing: a failed first release was stopped      rollback_failed  see the containers
#   failed    the failed release, as configured                unfinished       the release, but a lifecycle command failed
#   interrupted  see the containers; the script was ended between two releases
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=history.sh
. "$here/history.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"
# shellcheck source-path=SCRIPTDIR source=lifetime.sh
. "$here/lifetime.sh"
# shellcheck source-path=SCRIPTDIR source=audit.sh
. "$here/audit.sh"
# shellcheck source-path=SCRIPTDIR source=images.sh
. "$here/images.sh"
# shellcheck source-path=SCRIPTDIR source=ports.sh
. "$here/ports.sh"
# shellcheck source-path=SCRIPTDIR source=room.sh
. "$here/room.sh"
# shellcheck source-path=SCRIPTDIR source=confine.sh
. "$here/confine.sh"
# shellcheck source-path=SCRIPTDIR source=owner.sh
. "$here/owner.sh"
# shellcheck source-path=SCRIPTDIR source=mounts.sh
. "$here/mounts.sh"
# shellcheck source-path=SCRIPTDIR source=observe.sh
. "$here/observe.sh"
# shellcheck source-path=SCRIPTDIR source=repair.sh
. "$here/repair.sh"
# shellcheck source-path=SCRIPTDIR source=replace.sh
. "$here/replace.sh"
# shellcheck source-path=SCRIPTDIR source=watch.sh
. "$here/watch.sh"
# shellcheck source-path=SCRIPTDIR source=restarts.sh
. "$here/restarts.sh"
# shellcheck source-path=SCRIPTDIR source=underway.sh
. "$here/underway.sh"
# shellcheck source-path=SCRIPTDIR source=exec.sh
. "$here/exec.sh"
# shellcheck source-path=SCRIPTDIR source=lifecycle.sh
. "$here/lifecycle.sh"

restore_within=120000 settled='' lasting='' result_code='' outdated='' unused='' listener='' force_recreate='' previous='' changed_services='' window_spent=0 is_switched=false is_kept=false is_concluded=false

# begin: take the lock, finish what was interrupted, and look up what runs. Sets shown, the current release, and previous, the one to roll back to.
begin() {
  refuse_foreign
  lock_stack "$verb"
  trap clean_up EXIT
  trap 'exit 143' INT TERM
  clock
  began=$now
  refuse_copy
  finish_underway || conclude false untouched "$why"
  shown=$(current_release)
  if is_good "$shown"; then previous=$shown; else previous=$(last_good); fi
  # If no release is good, the one that runs now is better than nothing.
  [ -n "$previous" ] || ! was_healthy "$shown" || previous=$shown
}

# --- the end

# conclude OK STATE REASON: report how it ended, save it, and end.
conclude() {
  wait
  report_result "$@"
  [ "$1" = true ]
  exit
}

report_result() {
  ended_in=${failed_phase:-${phase_name:-}}
  result_code=${result_code:-$(error_code "$3")}
  phase
  result=$(emit result ok: "$1" state "$2" phase "$ended_in" reason "$3" stack "$stack" release "$release" version "$version" \
    previous "$previous" current "$(current_release)" restored: "$([ "$2" = restored ] && echo true || echo false)" \
    observed_ms: "$window_spent" code "$result_code")
  printf '%s\n' "$result"
  is_concluded=true
  tend_lifetime "$verb" "$1"
  clock
  record "$verb" release "$release" version "$version" previous "$previous" ok: "$1" state "$2" reason "$3" \
    ${changed_services:+services "$changed_services"} seconds: "$(seconds $((now - began)))"
  save_result "$2"
}

# save_result STATE: store how it ended in the release. A deploy that failed before changing containers says nothing
# about a release that was deployed earlier, so that release keeps its result.
save_result() {
  about=$releases/$release/.kamal-dev
  [ -d "$about" ] && { [ "$1" != untouched ] || [ ! -f "$about/result" ]; } || return 0
  [ ! -f "$here/../log" ] || cp "$here/../log" "$about/log" 2>/dev/null
  printf '%s\n' "$result" >"$about/result"
}

# shellcheck disable=SC2317 # called by the trap
clean_up() {
  [ -z "$listener" ] || kill "$listener" 2>/dev/null
  forget_login
  leave_room
  stop_lifecycle
  ended_as=untouched
  "$is_switched" && ended_as=interrupted
  "$is_kept" && ended_as=unfinished
  "$is_concluded" || report_result false "$ended_as" 'the script on the host was interrupted'
  [ -z "$outdated" ] || forget_releases
  unlock_stack
  if [ -n "$unused" ]; then forget_images_later & fi
}

# --- the phases

# is_running ID: whether it is the current release, and all its containers are in the state they had when it was good.
is_running() {
  [ "$1" = "$shown" ] || return 1
  look_at_known
  judge_stack "$1"
  # shellcheck disable=SC2046 # references have no spaces
  is_as_good "$1" && [ -z "$(missing_images $(cat "$listed"))" ]
}

# make_workspace: create the folders that containers mount, and refuse symbolic links in their place.
make_workspace() {
  recall "$release" workspace
  printf '%s' "$content${content:+$newline}" >"$here/folders"
  [ -s "$here/folders" ] || return 0
  set --
  while IFS= read -r folder; do set -- "$@" "$folder"; done <"$here/folders"
  # Nothing is written, therefore this needs no confinement.
  ! all_exist "$@" || return 0
  learn_owner
  confine_alone "$owner" folders.sh "$home/workspace" "$@" >"$here/unmade" 2>&1 ||
    conclude false untouched "workspace: $(last_lines "$here/unmade" 1)"
}

# all_exist FOLDER...: whether they are folders without a symbolic link on the way, below the folder for workspaces.
all_exist() {
  for folder; do
    case /$folder/ in *//* | */../* | */./*) return 1 ;; esac
    checked=$home/workspace
    while [ -n "$folder" ]; do
      checked=$checked/${folder%%/*}
      [ -d "$checked" ] && [ ! -L "$checked" ] || return
      case $folder in */*) folder=${folder#*/} ;; *) folder= ;; esac
    done
  done
}

# pull: get the images that are missing, before anything stops.
pull() {
  refuse_other_engine
  phase pull
  await_removal
  # shellcheck disable=SC2046 # references have no spaces
  if read_file "$here/meta/pull"; then wanted=$content; else wanted=$(missing_images $(cat "$listed")); fi
  [ -n "$wanted" ] || return 0
  has_room || { [ -n "$outdated" ] && forget_releases && { forget_images; has_room; }; } ||
    { result_code=disk && conclude false untouched "$no_room"; }
  # shellcheck disable=SC2086 # references have no spaces
  pull_all $wanted || conclude false untouched "could not pull images: $(last_lines "$here/pull.failed" 6)"
  leave_room
}

# refuse_other_engine: end the script if something else runs the release that is there: both would have containers.
refuse_other_engine() {
  [ -n "$shown" ] && [ "$(engine_of "$shown")" != "$(engine_of "$release")" ] || return 0
  conclude false untouched "\`$stack\` runs with \`engine: $(engine_of "$shown")\`: to change it, remove the stack with \`--keep-volumes\`"
}

# switch: make the release the current one, and roll back to the last good one if it fails. If no container would change,
# none is touched.
switch() {
  if is_same_content "$shown"; then switch_files; fi
  phase up
  force_recreate=${recreate:-}
  look_at_known
  require_networks
  discard "$home/stopped"
  find_replaced "$shown" "$release"
  announce
  shown=$release is_switched=true
  up_began=$(precise_time)
  discard "$releases/$release/.kamal-dev/result"
  repair "$(current_release)"
  switch_to "$release" || conclude false untouched "could not switch \`current\`"
  if bring_up "$release" "$timeout"; then accept; else roll_back; fi
}

# require_networks: end the script if the engine has no address ranges for the networks that the release needs in addition. A
# stack without containers has nothing that would stop; Compose creates its networks before any container.
require_networks() {
  [ -n "$found" ] && recall "$release" networks && [ -n "$content" ] || return 0
  wanted_networks=$content
  if [ -n "$shown" ] && recall "$shown" networks && [ "$content" = "$wanted_networks" ]; then return; fi
  existing_networks=" $(engine_networks | tr '\n' ' ') "
  set --
  for network in $wanted_networks; do
    case $existing_networks in *" $network "*) ;; *) set -- "$@" "$network" ;; esac
  done
  [ $# -eq 0 ] || try_networks $# || conclude false untouched "$(no_networks $# "$(listed_words "$@")")"
}

# listed_words WORD...: print them with commas.
listed_words() { printf '%s, ' "$@" | sed 's/, $//'; }

# switch_files: make the release the current one, and keep the containers.
switch_files() {
  is_switched=true
  discard "$releases/$release/.kamal-dev/result"
  take_along "$release"
  switch_to "$release" || conclude false untouched "could not switch \`current\`"
  accept
}

# up RELEASE MILLISECONDS: let Compose create the containers of `current`. Needs no network.
up() {
  : >"$here/up.log"
  up_within=$(($2 / 1000 + 1))
  # Compose hashes absolute paths; seen through `current` they are the same in every release.
  cd "$home/current" || return
  released=$1
  # shellcheck disable=SC2046 # services are words
  set -- "$1" $(known "$1" services)
  shift
  # shellcheck disable=SC2046 # flags are words
  quickly up_all --detach --remove-orphans ${force_recreate:+--force-recreate} $(scales "$released" "$@") -- "$@"
  set -- $?
  if [ "$1" = 0 ]; then drop_leftovers "$released"; else ids=$(container_ids); fi
  cd /
  return "$1"
}

# scales RELEASE [SERVICE]...: print the flags of `up` that keep the numbers of `dev scale`, for all or these services and what
# they depend on: Compose refuses others.
scales() {
  [ -s "$releases/$1/.kamal-dev/scaled" ] || return 0
  scaled=$releases/$1/.kamal-dev/scaled
  shift
  engine_services "$@" >"$here/affected"
  awk -F= 'FILENAME == ARGV[1] { affected[$1]; next } $1 in affected { print "--scale", $0 }' "$here/affected" "$scaled"
}

up_all() { make_way && compose_up "$@"; }

compose_up() { engine_up "$up_within" "$@" >>"$here/up.log" 2>&1; }

# bring_up RELEASE MILLISECONDS: up and observe. If it fails, why is set to the reason.
bring_up() {
  take_along "$1"
  clock
  give_until=$((now + $2)) why=''
  # shellcheck disable=SC2086 # ids are words
  set -- "$1" "$2" $ids
  there_before=" $* " restarts_before=
  up "$1" "$2"
  up_code=$?
  look_at_known
  [ ! -s "$here/folders" ] || stop_strays ||
    { why="$strays mounted a folder outside the workspace: a symbolic link took its place" && return 1; }
  [ "$phase_name:$up_code" != up:0 ] || phase observe
  if [ -f "$home/unowned" ]; then own_workspace "$(cat "$here/meta/user")" && look_at_known; fi
  clock
  time_given=$((give_until - now))
  [ "$time_given" -gt $((window_wanted + 1000)) ] || time_given=$((window_wanted + 1000))
  [ "$up_code" = 0 ] || time_given=0
  watch_stack "$time_given" "$window_wanted"
  window_spent=$((window_spent + window_ms))
  [ "$outcome" = fine ] || stop_lifecycle
  case $up_code:$outcome in
    0:fine) return 0 ;;
    0:*) why="$(failed_services) did not stay up" ;;
    124:*) why="Compose timed out after $(($2 / 1000)) s" ;;
    *) why=$(why_compose) ;;
  esac
  return 1
}

# Compose's progress is indented, its errors are not.
why_compose() {
  clash=$(clash_in "$here/up.log")
  [ -z "$clash" ] || { printf '%s\n' "$clash"; return; }
  [ "$(error_code "$(cat "$here/up.log")")" != networks ] || { no_networks; return; }
  grep -v '^ ' "$here/up.log" >"$here/up.err" || cp "$here/up.log" "$here/up.err"
  last_lines "$here/up.err" 2
}

# clash_in LOG: print which port is in use, and by what; nothing if the log has no such error.
clash_in() {
  bound=$(refused_port "$1")
  [ -n "$bound" ] || return 0
  list_containers
  containers_ports=$(published_ports) listening=$(listening_ports)
  for protocol in tcp udp; do
    port_holder "$bound/$protocol"
    [ -z "$holder" ] || break
  done
  echo "port ${bound##*:} is in use${holder:+ by $holder}"
}

# --- the verdict

# mark_good ID: record that it is healthy, and good once its lifecycle commands have run.
mark_good() {
  [ ! -f "$home/unowned" ] || own_workspace "$(cat "$here/meta/user")"
  # The engine takes a while for each container; `conclude` waits for it.
  set_restart_policies &
  [ -n "$lifecycle_process" ] || begin_lifecycle
  [ ! -d "$here/lifecycle" ] || : >"$releases/$1/.kamal-dev/unfinished"
  printf '%s\n' "$found" | states_of_good >"$here/good" && keep_file "$here/good" "$releases/$1/.kamal-dev/good"
  save_baseline
}

# run_rest ID: run the remaining lifecycle commands; the release is good once all have run.
run_rest() { end_lifecycle && discard "$releases/$1/.kamal-dev/unfinished"; }

accept() {
  mark_good "$release"
  is_kept=true
  report_containers
  run_rest "$release" || conclude false unfinished "$lifecycle_why"
  conclude true new ''
}

# roll_back: after a failed release, return to the last good one, if any.
roll_back() {
  failed_why=$why failed_phase=$phase_name
  rm -f "$engine_known"
  report_containers
  [ "$(cat "$here/meta/rollback" 2>/dev/null)" != never ] || conclude false failed "$failed_why"
  [ "$previous" != "$release" ] || conclude false rollback_failed "$failed_why"
  [ -n "$previous" ] || stop_first
  restore
}

restore() {
  phase restore
  force_recreate=''
  look_at_stack
  find_replaced "$release" "$previous"
  shown=$previous
  switch_to "$previous"
  retag "$previous"
  if bring_up "$previous" "$restore_within"; then
    mark_good "$previous"
    report_containers
    run_rest "$previous" || failed_why="$failed_why; after the rollback to \`$previous\`, $lifecycle_why"
    conclude false restored "$failed_why"
  fi
  report_containers
  conclude false rollback_failed "$failed_why; the rollback to \`$previous\` failed: $why"
}

# Without a release to roll back to, the containers are stopped, so that they do no harm, and kept, so that one can inspect them.
stop_first() {
  [ "$(cat "$here/meta/keep_failed" 2>/dev/null)" != yes ] || conclude false failed "$failed_why"
  cd "$home/current" && quickly engine_stop 120 >/dev/null 2>&1
  show_stopped
  conclude false stopped "$failed_why"
}
