#!/bin/sh
# List the releases of stacks: releases.sh [STACK]...; without a name, of every stack on this host.
#
# Events: per release one `release` {stack, id, version, commit, performer, at, good, state, phase, reason, missing, is_current,
# is_last_good, is_before}, latest deploy first, then `result` {ok, reason}. `state` is how its last change ended (see switch.sh), empty if
# it never did; `missing` are its images that no longer exist; `is_before`: the target of a rollback without a version.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=history.sh
. "$here/history.sh"
# shellcheck source-path=SCRIPTDIR source=images.sh
. "$here/images.sh"

# find_missing [STACK]...: set missing to the images of all releases of these stacks that are gone, asking for each
# once.
find_missing() {
  missing=
  # shellcheck disable=SC2046 # references have no spaces
  missing=" $(missing_images $(for name; do cat "$base/$name"/releases/*/.kamal-dev/images 2>/dev/null; done | sort -u) | tr '\n' ' ')"
}

missing_of() {
  set --
  for image in $(known "$release" images); do
    case $missing in *" $image "*) set -- "$@" "$image" ;; esac
  done
  json_list "$@"
}

# ended RELEASE KEY: print a value from the result of its last deploy or rollback.
ended() { known "$1" result | sed -n "s/.*\"$2\":\"\(\([^\"\\\\]\|\\\\.\)*\)\".*/\1/p"; }

tell_release() {
  printf '{"type":"release","stack":"%s","id":"%s","version":%s,"commit":%s,"performer":%s,"at":"%s","good":%s,' \
    "$stack" "$release" "$(json_text "$(known "$release" version)")" "$(json_text "$(known "$release" commit)")" \
    "$(json_text "$(known "$release" performer)")" "$(deployed_at "$release")" "$(truth is_good "$release")"
  # Values of a result are JSON already.
  printf '"state":"%s","phase":"%s","reason":"%s","missing":%s,"is_current":%s,"is_last_good":%s,"is_before":%s}\n' \
    "$(ended "$release" state)" "$(ended "$release" phase)" "$(ended "$release" reason)" "$(missing_of)" \
    "$(truth test "$release" = "$current")" "$(truth test "$release" = "$last")" "$(truth test "$release" = "$before")"
}

truth() { if "$@"; then echo true; else echo false; fi; }

# shellcheck disable=SC2046 # stacks are words
[ $# -gt 0 ] || set -- $(all_stacks)
for name; do
  use_stack "$name"
  [ -z "$(by_age)" ] || require_engine releases
done
find_missing "$@"
for name; do
  use_stack "$name"
  current=$(current_release) last=$(last_good)
  before=$(good_before "$current")
  for release in $(by_age); do tell_release; done
done
emit result ok: true phase releases
