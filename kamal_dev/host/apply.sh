#!/bin/sh
# Make a release the current one, or roll back: apply.sh STACK RELEASE DIGEST TIMEOUT WINDOW [SERVICE]...
#
# TIMEOUT and WINDOW are milliseconds; without a SERVICE, all are started.
# With meta/arrival, the token of a copy (see underway.sh), it ends with `state` created before anything is started.
# Payload: files/ (the release), meta/version, meta/commit, meta/images, meta/pull (those to pull; without it, the missing ones), meta/built and meta/workspace (one per line), meta/user, meta/performer, registry/, exec/ and lifecycle/ (see
# exec.sh and lifecycle.sh), meta/retain (how many releases to keep), meta/parts (see
# replace.sh), meta/recreate (`yes`: recreate every container), meta/watcher and its scripts (see unit.sh; without them, no watcher
# is installed), and what switch.sh and room.sh ask for.
# Events: see switch.sh.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=switch.sh
. "$here/switch.sh"
# shellcheck source-path=SCRIPTDIR source=retention.sh
. "$here/retention.sh"

# require_source: end the script if the source that was sent is missing: somebody has removed the stack since.
require_source() {
  read_meta brought
  [ -z "$brought" ] || [ -n "$(ls -A "$home/workspace/$brought" 2>/dev/null)" ] ||
    { result_code=removed && conclude false untouched 'the stack was removed from this host during the deploy'; }
}

upload() {
  phase upload
  # After a power failure a release may be incomplete: it has no digest then, and is written again.
  [ ! -e "$releases/$release" ] || [ -s "$releases/$release/.kamal-dev/digest" ] || mv -T "$releases/$release" "$releases/.new.lost.$$" 2>/dev/null
  if [ -d "$releases/$release" ]; then
    is_new=false
    has_digest "$release" "$digest" || conclude false untouched "release \`$release\` exists with other content"
    return
  fi
  discard "$releases"/.new.*
  new=$releases/.new.$$
  [ -d "$releases" ] || mkdir -p "$releases"
  if ! { assemble "$new" && mv -T "$new" "$releases/$release"; } 2>"$here/upload.err"; then
    rm -rf "$new"
    conclude false untouched "could not write the release: $(last_lines "$here/upload.err" 1)"
  fi
}

# assemble FOLDER: write the release to a temporary folder.
assemble() {
  mv "$here/files" "$1" && mkdir "$1/.kamal-dev" && carry "$1/.kamal-dev" || return
  chmod 700 "$1" || return
  [ ! -f "$1/.env" ] || chmod 600 "$1/.env"
  # A digest marks a complete release, therefore it is written after all other files are on the disk.
  printf '%s\n' "$digest" >"$here/digest"
  find "$1" -type f -exec sync '{}' + && keep_file "$here/digest" "$1/.kamal-dev/digest"
}

# begin_watcher: install the watcher in the background: no part of the release depends on it, and the pull takes longer.
# `conclude` waits for it.
begin_watcher() {
  [ -s "$here/meta/watcher" ] || return 0
  # shellcheck source-path=SCRIPTDIR source=unit.sh
  { . "$here/unit.sh" && ensure_watcher && [ -n "$unit_installed" ] && log 'Installed the watcher'; } &
}

# deployed: mark the release as the last one deployed; it may be one that existed before.
deployed() { "$is_new" || { carry "$releases/$release/.kamal-dev" && touch "$releases/$release/.kamal-dev/digest"; }; }

# hold: create the containers and volumes of a new stack without starting anything, and end: its volumes get copies of others first.
hold() {
  phase create
  switch_to "$release" || conclude false untouched "could not switch \`current\`"
  up_within=$((timeout / 1000 + 1))
  : >"$here/up.log"
  # shellcheck disable=SC2046 # services are words
  if ! { cd "$home/current" && quickly engine_up "$up_within" --no-start -- $(known "$release" services); } >"$here/up.log" 2>&1; then
    conclude false untouched "$(why_compose)"
  fi
  conclude true created ''
}

use_stack "$1"
verb=apply release=$2 digest=$3 timeout=$4 window_wanted=$5
case $release in '' | .* | *[!A-Za-z0-9._-]*) give_up arguments "\`$release\` is not a valid release name" ;; esac
shift 5
printf '%s\n' "$@" >"$here/meta/services"
read_meta retain version recreate arrival
listed=$here/meta/images is_new=true

begin
yield_to_arrival
[ -z "$arrival" ] || read_arrival || conclude false untouched 'another command has undone the copy'
begin_watcher
if [ -z "$recreate" ] && has_digest "$release" "$digest" && is_running "$release"; then
  is_new=false
  deployed
  report_containers
  conclude true same ''
fi
require_source
upload
make_workspace
outdated=$(surplus)
pull
deployed
[ -z "$arrival" ] || hold
switch
