#!/bin/sh
# Make a release the current one, or leave what was there: apply.sh STACK RELEASE DIGEST TIMEOUT WINDOW [SERVICE]...
#
# TIMEOUT and WINDOW are milliseconds; SERVICEs are those to start, none means all.
# Payload: files/ (the release), meta/version, meta/images, meta/pull (those to pull; else those that are missing) and
# meta/workspace (one per line), meta/user, meta/performer, registry/, exec/ and lifecycle/ (see exec.sh and lifecycle.sh).
# Events: `phase` {name, seconds once it is over}, `image`, `container`, `hook`, and at the end `result`
#   {ok, state, phase, reason, release, version, previous, current, restored, observed_ms}. `state` says what runs now:
#   same      the release was there already, and healthy       kept      nothing was touched
#   new       the release                                      restored  the previous release again
#   stopped   nothing: a first release, stopped but kept       broken    see the containers; nothing could be put back
#   unfinished  the release, but a lifecycle command failed
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"
# shellcheck source-path=SCRIPTDIR source=audit.sh
. "$here/audit.sh"
# shellcheck source-path=SCRIPTDIR source=images.sh
. "$here/images.sh"
# shellcheck source-path=SCRIPTDIR source=owner.sh
. "$here/owner.sh"
# shellcheck source-path=SCRIPTDIR source=observe.sh
. "$here/observe.sh"
# shellcheck source-path=SCRIPTDIR source=exec.sh
. "$here/exec.sh"
# shellcheck source-path=SCRIPTDIR source=lifecycle.sh
. "$here/lifecycle.sh"

retain=5

# --- the end

# conclude OK STATE REASON: say how it ended, write it down, and go.
conclude() {
  ended_in=${fell_in:-${phase_name:-}}
  phase
  result=$(emit result ok: "$1" state "$2" phase "$ended_in" reason "$3" stack "$stack" release "$release" version "$version" \
    previous "$previous" current "$(current_release)" restored: "$([ "$2" = restored ] && echo true || echo false)" \
    observed_ms: "$window_spent")
  printf '%s\n' "$result"
  write_down "$1" "$2" "$3"
  concluded=true
  [ "$1" = true ]
  exit
}

write_down() {
  clock
  record apply release "$release" version "$version" previous "$previous" ok: "$1" state "$2" reason "$3" \
    seconds: "$(seconds $((now - began)))"
  [ -d "$releases/$release" ] || return
  cp "$here/../log" "$releases/$release/.kamal-dev/log" 2>/dev/null
  printf '%s\n' "$result" >"$releases/$release/.kamal-dev/result"
}

concluded=false
# shellcheck disable=SC2317 # called by the trap
leave() {
  forget_login
  end_commands
  [ "$concluded" = true ] || tell_early_end "$(if $is_kept; then echo unfinished; elif $is_switched; then echo broken; else echo kept; fi)"
  unlock_stack
}

# shellcheck disable=SC2317 # called by the trap
tell_early_end() {
  result=$(emit result ok: false state "$1" phase "${phase_name:-}" reason 'the script on the host ended before its time' \
    release "$release" previous "$previous")
  printf '%s\n' "$result"
  write_down false "$1" 'it ended before its time'
}

# --- the phases

# is_same: whether the release is the current one already, and stands.
is_same() {
  [ "$(known "$shown" digest)" = "$digest" ] || return 1
  # shellcheck disable=SC2086,SC2154 # ids are words, which refuse_foreign has set
  look_at_containers $ids
  # shellcheck disable=SC2046 # references have no spaces
  is_as_good "$shown" "$found" && [ -z "$(missing_images $(cat "$here/meta/images"))" ]
}

upload() {
  phase upload
  if [ -d "$releases/$release" ]; then
    [ "$(known "$release" digest)" = "$digest" ] || conclude false kept "a release \`$release\` with another content is there already"
    touch "$releases/$release"
    return
  fi
  rm -rf "$releases"/.new.*
  new=$releases/.new.$$
  mkdir -p "$releases"
  if ! { assemble "$new" && mv -T "$new" "$releases/$release"; } 2>"$here/upload.err"; then
    rm -rf "$new"
    conclude false kept "the release could not be written: $(last_lines "$here/upload.err" 1)"
  fi
}

# assemble FOLDER: put the release together where nobody looks yet.
assemble() {
  mv "$here/files" "$1" && mkdir "$1/.kamal-dev" && cp "$here/meta/version" "$here/meta/images" "$here/meta/user" "$1/.kamal-dev/" || return
  printf '%s\n' "$digest" >"$1/.kamal-dev/digest" && chmod 700 "$1" || return
  [ ! -f "$1/.env" ] || chmod 600 "$1/.env"
}

# What a container sees of these folders is its own business, so they are not private as their parent is.
make_workspace() {
  while IFS= read -r folder; do
    case /$folder/ in *//* | */../*) continue ;; esac
    (umask 022 && mkdir -p "$home/workspace/$folder") || conclude false kept "the workspace \`$folder\` could not be made"
  done <"$here/meta/workspace"
}

pull() {
  phase pull
  # shellcheck disable=SC2046 # references have no spaces
  wanted=$(cat "$here/meta/pull" 2>/dev/null) || wanted=$(missing_images $(cat "$here/meta/images"))
  # shellcheck disable=SC2086 # references have no spaces
  pull_all $wanted || conclude false kept "$(last_lines "$here/pull.failed" 6)"
}

# up RELEASE MILLISECONDS: let compose make containers of what `current` names. Needs no network.
up() {
  # Compose hashes absolute paths; seen through `current` they are the same in every release.
  cd "$home/current" || return
  # shellcheck disable=SC2046 # services are words
  docker_within $(($2 / 1000 + 1)) compose --ansi never --project-name "$stack" up --detach --no-build --pull never \
    --remove-orphans $(known "$1" services) >"$here/up.log" 2>&1
  set -- $?
  cd /
  return "$1"
}

# bring_up RELEASE MILLISECONDS: up and observe. Sets why where it fails.
bring_up() {
  clock
  give_until=$((now + $2)) why=''
  there_before=" $(printf '%s' "$ids" | tr '\n' ' ') " restarts_before=
  up "$1" "$2"
  up_code=$?
  [ "$phase_name:$up_code" != up:0 ] || phase observe
  own_workspace "$(cat "$here/meta/user")"
  clock
  left=$((give_until - now))
  [ "$left" -gt $((window_wanted + 1000)) ] || left=$((window_wanted + 1000))
  [ "$up_code" = 0 ] || left=0
  observe "$left" "$window_wanted"
  window_spent=$((window_spent + window_ms))
  case $up_code:$outcome in
    0:fine) return 0 ;;
    0:*) why="$(failed_services) did not stay up" ;;
    124:*) why="compose did not finish within $(($2 / 1000)) s" ;;
    *) why=$(why_compose) ;;
  esac
  return 1
}

# Compose's progress is indented, its errors are not.
why_compose() {
  grep -v '^ ' "$here/up.log" >"$here/up.err" || cp "$here/up.log" "$here/up.err"
  last_lines "$here/up.err" 2
}

# --- the verdict

keep() {
  own_workspace "$(cat "$here/meta/user")"
  begin_lifecycle
  printf '%s\n' "$found" | standing >"$releases/$release/.kamal-dev/good"
  is_kept=true
  report_containers
  forget_old_releases
  run_lifecycle || conclude false unfinished "$hook_why"
  conclude true new ''
}

# Older ones go, but never the current, the previous, or one that may be the last known good.
forget_old_releases() {
  # shellcheck disable=SC2012 # the names are ours
  ls -1t "$releases" | tail -n "+$((retain + 1))" | while IFS= read -r old; do
    case $old in "$release" | "$previous") ;; *) rm -rf "${releases:?}/$old" ;; esac
  done
}

# give_back: after a release that fell, bring the one before back as far as there is one.
give_back() {
  failed_why=$why fell_in=$phase_name
  rm -f "$engine_known"
  report_containers
  [ "$previous" != "$release" ] || conclude false broken "$failed_why"
  [ -n "$previous" ] || stop_first
  phase restore
  shown=$previous
  switch_to "$previous"
  if bring_up "$previous" "$restore_within"; then ended_as=restored; else ended_as=broken; fi
  report_containers
  [ "$ended_as" = restored ] || failed_why="$failed_why; and the release before, \`$previous\`, could not be put back: $why"
  conclude false "$ended_as" "$failed_why"
}

# Nothing to go back to: stopped, so that it does no harm; kept, so that one can look.
stop_first() {
  cd "$home/current" && docker_within 120 compose --project-name "$stack" stop >/dev/null 2>&1
  # shellcheck disable=SC2046 # ids are words
  show_containers $(container_ids)
  conclude false stopped "$failed_why"
}

# --- the story

use_stack "$1"
release=$2 digest=$3 timeout=$4 window_wanted=$5
shift 5
case $release in '' | .* | *[!A-Za-z0-9._-]*) give_up arguments "\`$release\` is no name for a release" ;; esac
version=$(cat "$here/meta/version")
restore_within=120000 previous='' window_spent=0 is_switched=false is_kept=false

refuse_foreign
lock_stack apply
clock
began=$now
trap leave EXIT
trap 'exit 143' INT TERM
shown=$(current_release)
! is_good "$shown" || previous=$shown

failures=
if is_same; then
  report_containers
  conclude true same ''
fi
upload
printf '%s\n' "$@" >"$releases/$release/.kamal-dev/services"
make_workspace
pull
phase up
shown=$release is_switched=true
switch_to "$release" || conclude false kept "\`current\` could not be switched"
if bring_up "$release" "$timeout"; then keep; else give_back; fi
