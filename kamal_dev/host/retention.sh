# shellcheck shell=sh disable=SC2154 # variables cross the files that source each other
# Which releases of a stack are removed, and which images with them. Sourced after history.sh and images.sh.
#
# `retain` is the number of releases to keep. Images are removed by the references in `built` of the releases, without force,
# and never if a remaining release of any stack here, or any container, names them.

# surplus: print the ids of the releases to remove. The current one, the last good one, and a rollback's target are
# kept.
surplus() {
  set -- "$releases"/*/.kamal-dev/digest
  [ $# -gt "$retain" ] || return 0
  current=$(current_release)
  set -- "$current" "$(last_good)" "$(good_before "$current")" "${previous:-}" "${release:-}"
  by_age | tail -n "+$((retain + 1))" | while IFS= read -r old; do
    case " $* " in *" $old "*) ;; *) echo "$old" ;; esac
  done
}

# forget_releases: remove the releases in `outdated`, and set unused to the images built for them.
forget_releases() {
  unused=$(for old in $outdated; do known "$old" built; done | sort -u)
  for old in $outdated; do remove_release "$old"; done
  outdated=''
}

# forget_images: remove the images in `unused` that no tag names any longer.
forget_images() {
  lock_images || return
  name_images
  # shellcheck disable=SC2046 # references have no spaces
  image_remove $(for image in $unused; do droppable "$image"; done) >/dev/null 2>&1
  exec 8<&-
}

# lock_images: take descriptor 8 as the lock on removing images of this host: between listing the images in use and removing
# the others, no other stack decides that it has all it needs (see await_removal).
lock_images() { exec 8<"$base" && wait_for_lock 120 8; }

# forget_images_later: do that after this script, in a separate process, because the engine takes a while to delete
# layers. The payload is removed meanwhile.
forget_images_later() {
  exec </dev/null >/dev/null 2>&1
  here=$(mktemp -d) || return
  forget_images
  rm -rf "$here"
}

# Folders that Compose creates for missing binds belong to root.
remove_release() { rm -rf "${releases:?}/$1" 2>/dev/null || as_root rm -rf "${releases:?}/$1"; }

# name_images: write to `named` the images named by containers, by releases of any stack here (without this stack's
# releases in `going`), and by the release of this deploy. Call list_containers first.
going=
name_images() {
  set -- "${listed:-/dev/null}"
  for about in "$base"/*/releases/*/.kamal-dev; do
    about=${about%/.kamal-dev}
    case " $going " in *" ${about##*/} "*) [ "${about%/*}" != "$releases" ] || continue ;; esac
    [ ! -f "$about/.kamal-dev/images" ] || set -- "$@" "$about/.kamal-dev/images"
  done
  { cat "$@" && printf '%s\n' "$container_list" | cut -d'|' -f6; } | familiar >"$here/named"
}

# is_named TAG: whether a tag is named, with any digest.
is_named() { [ ! -f "$here/named" ] || awk -v tag="$1" '$0 == tag || index($0, tag "@") == 1 { found = 1 } END { exit !found }' "$here/named"; }

# is_digest_named DIGEST: whether an image is named by its digest, or is running.
is_digest_named() { [ ! -f "$here/named" ] || grep -qF -- "$1" "$here/named"; }

# droppable REFERENCE: print the references to remove if nothing names the image: its tag, or, with a digest, all of
# its unnamed tags and then the digest. The engine forgets the digest with the last tag, and releases run by digest.
droppable() {
  set -- "$(printf '%s\n' "$1" | familiar)"
  case $1 in
    *@*) ! is_digest_named "${1#*@}" || return ;;
    *) is_named "$1" || echo "$1"; return ;;
  esac
  set -- "$(pinned "$1")"
  its_tags=$(image_inspect tags "$1") || return 0
  printf '%s\n' "$its_tags" | while IFS= read -r tag; do
    case $tag in "${1%@*}":*) is_named "$tag" || echo "$tag" ;; esac
  done
  echo "$1"
}
