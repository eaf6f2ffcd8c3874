#!/bin/sh
# Print a tar of what a workspace has that was not sent to it: collect.sh STACK FOLDER [whole]
#
# The tar has parts/N/: path, tip, sent, bundle, for each clone with commits or changes of its own; the bundle names the
# commits `refs/heads/pulled`, after those that were sent, or from their beginning (`whole`). Changes that are not
# committed become one commit. Changes nothing in the workspace. Where it fails, stdout is one event instead: `result`.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=audit.sh
. "$here/audit.sh"
# shellcheck source-path=SCRIPTDIR source=lock.sh
. "$here/lock.sh"
# shellcheck source-path=SCRIPTDIR source=clone.sh
. "$here/clone.sh"

# aside_git ARG...: git on references and objects of ours, with the clone's objects in reach.
# shellcheck disable=SC2086 # the flags are words
aside_git() {
  alone "GIT_DIR=$plain" "GIT_OBJECT_DIRECTORY=$aside" "GIT_ALTERNATE_OBJECT_DIRECTORIES=$p_git/objects" \
    "GIT_AUTHOR_DATE=${when:-}" "GIT_COMMITTER_DATE=${when:-}" git $safely "$@"
}

# whole_tree: print the tree of the files, with what did not travel as it was committed.
whole_tree() {
  cp "$(seen_by "$part")" "$here/whole" || return
  if [ -z "$p_path" ] && [ -n "$head" ]; then
    while IFS= read -r name; do refs ls-tree -r -z "$head" -- "$name"; done <"$here/names" |
      on_files "$here/whole" update-index -z --index-info
  fi
  on_files "$here/whole" write-tree
}

# find_tip: set tip to the commit that has everything. Its time is that of the one before, so that it is the same again.
find_tip() {
  head=$(here_head) tip=$head
  tree=$(look) || return
  [ "$head" != "$p_head" ] || [ "$tree" != "$p_tree" ] || return 0
  tree=$(whole_tree) || return
  [ -z "$head" ] || [ "$tree" != "$(refs rev-parse "$head^{tree}")" ] || return 0
  when=$([ -z "$head" ] || refs cat-file commit "$head" | sed -n '/^$/q; s/^committer .*> \([0-9]*\) .*/@\1 +0000/p')
  when=${when:-@0 +0000}
  tip=$(echo "Changes in the workspace of $stack" | aside_git commit-tree "$tree" ${head:+-p "$head"})
}

# collect: write the part's bundle, where there is something to say.
collect() {
  is_clone || give_up collect "\`${p_path:-the workspace}\` is no clone any more"
  find_tip 2>"$here/errors" || give_up collect "the workspace could not be read: $(last_lines "$here/errors" 2)"
  [ -n "$tip" ] && [ "$tip" != "$p_head" ] || return 0
  if [ -f "$p_git/shallow" ]; then cp "$p_git/shallow" "$plain/shallow"; else rm -f "$plain/shallow"; fi
  # What was sent last may have gone to another folder of this stack, and be unknown to this clone.
  set --
  [ -z "$p_head" ] || ! aside_git cat-file -e "$p_head^{commit}" 2>/dev/null || set -- "^$p_head"
  [ -n "$(aside_git rev-list --max-count=1 "$tip" "$@")" ] || return 0
  [ -z "$word" ] || set --
  box=$here/out/parts/${part##*/}
  mkdir -p "$box" && printf %s "$p_path" >"$box/path" && echo "$tip" >"$box/tip" && echo "$p_head" >"$box/sent"
  { aside_git update-ref refs/heads/pulled "$tip" &&
    aside_git bundle create --quiet "$box/bundle" refs/heads/pulled "$@"; } 2>"$here/errors" ||
    give_up collect "the commits could not be packed: $(last_lines "$here/errors" 2)"
}

use_stack "$1"
use_workspace "$2"
word=${3:-}
[ -d "$source/parts" ] || give_up collect 'the workspace is no clone that was sent there'
command -v git >/dev/null 2>&1 || give_up collect 'there is no git on the host'
become_owner "$0" "$@"
lock_events=2
lock_stack collect
trap unlock_stack EXIT
trap 'exit 143' INT TERM
: >"$here/started"
make_plain || give_up collect "$source cannot be written"
sed 's|^/||; s|\\\(.\)|\1|g' "$source/withheld" >"$here/names"
mkdir -p "$here/out/parts"
for each in "$source"/parts/*/; do
  use_part "${each%/}"
  collect
done
rm -rf "$plain/refs/heads"
give_back_files "$here/started"
tar -cf - -C "$here/out" .
