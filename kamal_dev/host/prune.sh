#!/bin/sh
# Remove leftovers of deploys of a stack: prune.sh STACK [dry-run]
#
# These are releases beyond meta/retain, images of its repositories (meta/repositories, and those of its releases) that no
# release of any stack here and no container names, half-written releases, and runs that ended more than a day ago.
# Volumes and data of others are not changed. Payload: meta/retain, meta/repositories (one per line), meta/performer, and
# meta/pieces: the only pieces that may be removed (`KIND NAME` per line, empty for all).
# Events: per piece one `leftover` {kind, name, bytes, ok, reason}, then `result` {ok, phase, reason}.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=history.sh
. "$here/history.sh"
# shellcheck source-path=SCRIPTDIR source=audit.sh
. "$here/audit.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"
# shellcheck source-path=SCRIPTDIR source=images.sh
. "$here/images.sh"
# shellcheck source-path=SCRIPTDIR source=retention.sh
. "$here/retention.sh"
# shellcheck source-path=SCRIPTDIR source=run.sh
. "$here/run.sh"

# drop KIND NAME BYTES COMMAND...: run the command, unless this is a dry run, and print the event.
drop() {
  dropped=$1 named_as=$2 bytes=$3 drop_ok=true
  shift 3
  # A deploy may have left more behind since the user agreed to these pieces.
  [ ! -s "$here/meta/pieces" ] || grep -qxF -- "$dropped $named_as" "$here/meta/pieces" || return 0
  [ -n "$dry_run" ] || "$@" >/dev/null 2>"$here/drop.err" || drop_ok=false
  emit leftover kind "$dropped" name "$named_as" bytes: "${bytes:-0}" ok: "$drop_ok" \
    reason "$("$drop_ok" || last_lines "$here/drop.err" 1)" | tee -a "$here/dropped"
}

size_of() { du -sk "$1" 2>/dev/null | awk '{ printf "%.0f", $1 * 1024 }'; }

drop_folder() { drop "$1" "${2##*/}" "$(size_of "$2")" rm -rf -- "$2"; }

drop_releases() {
  for old; do drop release "$old" "$(size_of "$releases/$old")" remove_release "$old"; done
  for half in "$releases"/.new.*; do
    [ ! -d "$half" ] || drop_folder unfinished "$half"
  done
}

# repositories: print the repositories that this project builds, as the engine lists them.
repositories() {
  {
    cat "$here/meta/repositories"
    for each in $(by_age); do known "$each" built | sed -e 's|@.*||' -e 's|:[^:/]*$||'; done
  } | familiar | sort -u
}

# drop_images: remove unused images of our repositories. An image without a tag is known by its digest.
drop_images() {
  image_list >"$here/listed" || return
  image_sizes >"$here/sizes"
  # An image with several digests is listed once for each, under the same tag.
  awk '{ name = $2 != "<none>" ? $1 ":" $2 : $1 "@" $3 } name !~ /@<none>$/ && !seen[name]++ { print $1, $4, name }' \
    "$here/listed" >"$here/names"
  while read -r repository id name; do
    grep -qxF -- "$repository" "$here/repositories" || continue
    ! is_needed "$repository" "$id" "$name" || continue
    drop image "$name" "$(sed -n "s/^$id //p" "$here/sizes" | head -n 1)" image_remove "$name"
  done <"$here/names"
}

# is_needed REPOSITORY ID NAME: whether a release or a container needs this name of an image. An unused tag stays only
# if it is the last one of an image that runs by digest, because the engine forgets the digest with the last tag.
is_needed() {
  case $3 in
    *@*) is_digest_named "${3#*@}" || is_digest_named "$2"; return ;;
  esac
  ! is_named "$3" || return 0
  awk -v repository="$1" -v id="$2" '$1 == repository && $4 == id { print $1 "@" $3 }' "$here/listed" >"$here/digests"
  grep -qF -f "$here/digests" "$here/named" && ! has_named_tag "$1" "$2"
}

# has_named_tag REPOSITORY ID: whether a used tag keeps the image.
has_named_tag() {
  awk -v repository="$1" -v id="$2" 'NR == FNR { sub(/@.*/, ""); named[$0]; next }
    $1 == repository && $4 == id && ($1 ":" $2) in named { found = 1 } END { exit !found }' "$here/named" "$here/listed"
}

drop_runs() {
  find "$runs" -mindepth 2 -maxdepth 2 -name rc -mtime +0 2>/dev/null | while IFS= read -r old; do drop_folder run "${old%/rc}"; done
}

use_stack "$1"
dry_run=${2:-}
retain=$(cat "$here/meta/retain")
: >"$here/dropped"
require_engine prune
if [ -z "$dry_run" ] && [ -d "$home" ]; then
  lock_stack prune
  trap unlock_stack EXIT
  trap 'exit 143' HUP INT TERM
fi
repositories >"$here/repositories"
# shellcheck disable=SC2046 # ids are words
set -- $(surplus)
going=$*
list_containers || give_up prune 'could not list the images of containers'
lock_images || give_up prune 'images of this host are being removed by another process'
name_images
drop_releases "$@"
drop_images
exec 8<&-
drop_runs
[ -n "$dry_run" ] || [ ! -d "$home" ] || [ ! -s "$here/dropped" ] || record prune ok: true state pruned count: "$(grep -c . "$here/dropped")"
if grep -q '"ok":false' "$here/dropped"; then give_up prune 'could not remove everything' incomplete; fi
emit result ok: true phase prune
