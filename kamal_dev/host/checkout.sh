#!/bin/sh
# Update the files of a workspace to the source that was sent: checkout.sh TARGET STAMP [force]
#
# Runs where nothing but the workspace and the payload can be reached (see jail.sh), as the owner of the workspace.
# Payload: that of workspace.sh; known/ is what was last sent. `open` is a folder for backups. If there is a folder beside/, a new
# clone is left there as `clone`.
# Prints three lines: state, backup, reason. `state` is that of workspace.sh; `other`: it is not a clone of this source and was
# not changed; `refused`: nothing was changed; `failed`.
# shellcheck disable=SC2317 # each_part calls what it is given
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=clone.sh
. "$here/clone.sh"

# answer STATE [REASON]
answer() {
  printf '%s\n' "$1" "${backup:-}" "$(printf %s "${2:-}" | tr '\n' ' ')"
  exit
}

# refuse WHAT: end with the last words of git, which are in $here/errors.
refuse() { answer refused "$1: $(last_lines "$here/errors" 2)"; }

# --- what a part gets

# receive: move the objects that were sent, if the clone has their base. Git finds a pack by its index, therefore indexes are
# moved last.
receive() {
  while read -r commit; do
    refs cat-file -e "$commit^{commit}" || { echo "lacks $commit" >&2 && return 1; }
  done <"$part/needs"
  [ -d "$part/store" ] || return 0
  (cd "$part/store/objects" && find . -type f ! -name '*.idx' && find . -type f -name '*.idx') >"$here/arrived" || return
  while read -r name; do
    next=$p_git/objects/${name#./}
    mkdir -p "${next%/*}" && mv "$part/store/objects/$name" "$next.new" && mv "$next.new" "$next" || return
  done <"$here/arrived"
  rm -rf "$part/store"
}

# take_boundary: let a shallow history end where that of the source ends.
take_boundary() {
  rm -f "$p_git/shallow"
  [ ! -s "$part/boundary" ] || cp "$part/boundary" "$p_git/shallow"
}

# take_index: stage in the clone what is staged in the source. Unchanged files are not read again.
take_index() {
  # mktemp gives a name that nobody could have created in advance.
  next=$(mktemp "$p_git/index.XXXXXX") && chmod 644 "$next" && cp "$part/look" "$next" || return
  [ "$p_index" = "$p_tree" ] || stage_differences "$next" || { rm -f "$next"; return 1; }
  # Files that were not sent would count as deleted, therefore git skips them.
  [ ! -s "$part/skipped" ] || on_files "$next" update-index -z --skip-worktree --stdin <"$part/skipped" || { rm -f "$next"; return 1; }
  mv "$next" "$p_git/index"
}

# stage_differences INDEX: bring an index from the tree of the files to the staged one. `read-tree` would visit all folders. What
# is removed comes first: a folder may have taken the place of a file.
stage_differences() {
  on_files "$1" diff-tree -r --raw -z --no-abbrev --no-renames "$p_tree" "$p_index" >"$here/raw" || return
  tr '\0\n' '\n\001' <"$here/raw" | LC_ALL=C awk '
    NR % 2 { mode = $2; hash = $4; next }
    mode ~ /^0+$/ { print mode " " hash "\t" $0; next }
    { kept[++count] = mode " " hash "\t" $0 }
    END { for (each = 1; each <= count; each++) print kept[each] }' | tr '\n\001' '\0\n' |
    on_files "$1" update-index -z --replace --index-info
}

take_head() {
  if [ -z "$p_branch" ]; then
    refs update-ref --no-deref -m 'kamal-dev: sent' HEAD "$p_head"
  else
    [ -z "$p_head" ] || refs update-ref -m 'kamal-dev: sent' "refs/heads/$p_branch" "$p_head" || return
    refs symbolic-ref -m 'kamal-dev: sent' HEAD "refs/heads/$p_branch"
  fi
}

# take_names: add new tags, and move the remote branch. An existing tag may be somebody's own.
take_names() {
  refs for-each-ref --format='%(refname)' refs/tags >"$here/tags"
  awk 'FILENAME == ARGV[1] { known[$1] = 1; next } !($2 in known) { print "update", $2, $1 }' "$here/tags" "$part/names" |
    refs update-ref --stdin
}

# take_settings: add the configuration of new submodules.
take_settings() {
  alone git config -f "$part/config" --name-only --get-regexp '^submodule[.]' | while IFS= read -r name; do
    refs config --get "$name" >/dev/null || refs config "$name" "$(alone git config -f "$part/config" --get "$name")"
  done
}

# make_clone: create the clone of a part.
make_clone() {
  mkdir -p "$p_work" "$p_git" && alone git init --quiet --bare ${long:+--object-format=sha256} --template= "$p_git" || return
  refs config core.bare false && refs config core.logAllRefUpdates true || return
  if [ -n "$p_path" ]; then
    refs config core.worktree "$(realpath --relative-to="$p_git" "$p_work")"
    printf 'gitdir: %s\n' "$(realpath --relative-to="$p_work" "$p_git")" >"$p_work/.git"
  fi
  cat "$part/config" >>"$p_git/config"
  take_boundary
  receive && on_files "$part/look" read-tree --reset -u "$p_tree" && take_index && take_head && take_names
}

# --- a workspace that is not a clone yet

is_empty() { [ -z "$(ls -A "$target" 2>/dev/null)" ]; }

# fill: create the clone next to the workspace, move existing files to the backup, and move the clone into place. What is created
# in beside/ has the objects that were sent without a copy of them, because they are on the same mount.
fill() {
  rm -rf "${target%/*}"/.new.*
  filled=$target target=${target%/*}/.new.$stamp
  [ ! -d "$here/beside" ] || target=$here/beside/clone
  for each in "$here"/parts/*/; do
    use_part "${each%/}"
    make_clone 2>"$here/errors" >&2 || not_filled
  done
  [ ! -d "$here/beside" ] || answer new
  made=$target target=$filled
  is_empty || put_aside
  if [ -d "$target" ]; then
    # A container may have the folder mounted already: it must stay the same folder.
    move_into "$target" "$made" && rmdir "$made"
  else
    mv -T "$made" "$target"
  fi || answer failed 'could not move the clone into place'
  answer new
}

# not_filled: end without a change of the workspace. If the clone was deleted, the base of the objects is missing: all is sent again.
not_filled() {
  rm -rf "$target"
  ! grep -q '^lacks ' "$here/errors" || answer missing
  refuse 'could not create the clone'
}

# put_aside: move all files of a workspace that is not a clone to the backup.
put_aside() {
  backup=$aside_folder
  if [ -d "$target" ] && [ ! -L "$target" ]; then move_into "$backup" "$target"; else mv "$target" "$backup/"; fi ||
    answer failed "could not move the existing files to $backup"
}

# move_into FOLDER FROM: move all files of FROM to FOLDER.
move_into() { find "$2" -mindepth 1 -maxdepth 1 -exec mv -t "$1" '{}' +; }

# --- a workspace that people work in

# each_part COMMAND: run it for every part that came; old is what is known of the part, empty where it is new.
# shellcheck disable=SC2317 # what it is given is called
each_part() {
  for each in "$here"/parts/*/; do
    old=$(known_part "$(cat "$each/path")") || old=
    use_part "${each%/}"
    "$1" || return
  done
}

# is_dirty: whether some files are neither as they were sent nor as they are committed.
is_dirty() {
  look >/dev/null || return
  for each_tree in "$p_tree" "$(here_head)"; do
    on_files "$(seen_by "$part")" diff-index --cached --name-only "$each_tree"
  done | sort | uniq -d | grep -q .
}

examine() {
  if [ -n "$old" ]; then
    use_part "$old"
    found=$(changed 2>>"$here/errors")
    case $found in
      *' has commits of its own' | *' is on another branch')
        ! is_dirty 2>>"$here/errors" || found="$found, and changes that are not committed"
        ;;
    esac
  else
    found=$([ ! -e "$p_work/.git" ] || echo "\`$p_path\` already exists")
  fi
  reason=${reason:-$found}
}

# catch_up: copy the objects; fails if their base is missing.
catch_up() {
  [ -n "$old" ] && is_clone || return 0
  [ "$(cat "$part/is_cut")" = no ] || take_boundary
  receive || return
  before=$(cat "$old/head")
  refs cat-file -e "$before" 2>/dev/null || before=
  refs rev-list --quiet --objects ${p_head:+"$p_head"} "$p_index" "$p_tree" ${before:+"^$before"}
}

# stand_in_way: print the files that were not sent and would be overwritten.
stand_in_way() {
  on_files "$(seen_by "$old")" diff-index --cached --name-only --diff-filter=D -z "$p_tree" >"$here/coming"
  (cd "$p_work" && xargs -0 -r sh -c "$existing" sh <"$here/coming")
}
# shellcheck disable=SC2016 # for another shell
existing='for name; do if [ -L "$name" ] || { [ -e "$name" ] && [ ! -d "$name" ]; }; then printf "%s\0" "$name"; fi; done'

# examine_ahead: find what an update would overwrite: a branch of the same name, and ignored files.
examine_ahead() {
  [ -n "$old" ] && is_clone || return 0
  if own_branch; then reason=${reason:-"the branch \`$p_branch\` in the workspace has commits of its own"}; fi
  found=$(stand_in_way | tr '\0\n' '\n ' | head -n 1)
  [ -z "$found" ] || reason=${reason:-"\`$found\` is ignored by git in the workspace, and would be overwritten"}
}

# own_branch: whether the branch to be updated has commits that are neither in the source nor in HEAD.
own_branch() {
  [ -n "$p_branch" ] && [ "$(here_branch)" != "$p_branch" ] || return
  own_tip=$(refs rev-parse --quiet --verify "refs/heads/$p_branch") && ! refs merge-base --is-ancestor "$own_tip" "$p_head"
}

# offer: publish the new commits as a remote branch, for people with changes of their own.
offer() {
  [ -n "$old" ] && is_clone || return 0
  [ -z "$p_head" ] || refs update-ref "refs/remotes/kamal-dev/${p_branch:-detached}" "$p_head"
}

# back_up: save everything that is not ignored in a branch: commits, staged changes, files.
back_up() {
  [ -n "$old" ] || return 0
  use_part "$old"
  head=$(here_head)
  tree=$(look) && tree=$(whole_tree "$head") || return
  set -- ${head:+-p "$head"}
  staged_tree=$(staged)
  cp -R "$aside/." "$p_git/objects/" || return
  [ -z "$staged_tree" ] || set -- "$@" -p "$(echo 'What was staged' | refs commit-tree "$staged_tree" ${head:+-p "$head"})"
  refs update-ref "refs/heads/$backup" "$(echo 'The workspace before dev sync --force' | refs commit-tree "$tree" "$@")" || return
  use_part "${each%/}"
  ! own_branch || refs update-ref "refs/heads/$backup-branch" "refs/heads/$p_branch" || return
  stand_in_way >"$here/ignored"
  [ ! -s "$here/ignored" ] ||
    tar -cf "$aside_folder/ignored$(echo "$p_path" | tr -c 'A-Za-z0-9\n' _).tar" -C "$p_work" --null --files-from="$here/ignored"
}

# move: update the files, the index and HEAD to the source. Changes nothing if a file would be overwritten.
move() {
  if [ -z "$old" ]; then
    make_clone
    return
  fi
  cp "$(seen_by "$old")" "$part/look" || return
  if [ -n "$word" ]; then set -- --reset; else set -- -m; fi
  on_files "$part/look" read-tree "$@" -u "$p_tree" || return
  if [ -n "$word" ]; then
    rm -rf "$p_git/MERGE_HEAD" "$p_git/CHERRY_PICK_HEAD" "$p_git/REVERT_HEAD" "$p_git/rebase-merge" "$p_git/rebase-apply"
  fi
  take_settings
  take_index && take_head && take_names && refs update-ref -d "refs/remotes/kamal-dev/${p_branch:-detached}"
}

update() {
  reason=
  each_part examine
  each_part catch_up 2>>"$here/errors" || answer missing
  if [ -z "$reason" ] || [ -n "$word" ]; then each_part examine_ahead 2>>"$here/errors"; fi
  if [ -n "$reason" ] && [ -z "$word" ]; then
    each_part offer 2>>"$here/errors"
    answer skipped "$reason"
  fi
  if [ -n "$reason" ]; then
    backup=kamal-dev/backup-$stamp
    each_part back_up 2>"$here/errors" || refuse 'could not create a backup'
  fi
  each_part move 2>"$here/errors" >&2 || refuse 'could not update the workspace'
  answer moved
}

# --- main

use_target "$1"
stamp=$2 word=${3:-} aside_folder=${1%/*/*}/backups/$2 backup=''
umask 022
: >"$here/errors"
make_plain || answer refused 'could not create the folder for new objects'
! is_empty || fill
reason='the workspace is not a clone of this source'
if use_known && is_clone; then
  reason=$(in_the_way)
  [ -n "$reason" ] || update
fi
[ -n "$word" ] || answer other "$reason"
fill
