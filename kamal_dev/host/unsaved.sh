#!/bin/sh
# Print what a workspace has that exists nowhere else, or `saved`: unsaved.sh TARGET
#
# Runs where nothing but the workspace and the payload can be reached (see jail.sh), as the owner of the workspace.
# Payload: known/ and withheld, as they were sent last. Commits count as saved if a remote branch contains them, as git has recorded
# after a push or a fetch, and what was sent by `dev` exists where it came from. Ignored files do not count.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=clone.sh
. "$here/clone.sh"

tell() {
  echo "$1"
  exit
}

# has_changes: whether the files or the index differ from the commit, and from what was sent. Fails also if they cannot be read.
has_changes() {
  tree=$(look)
  [ -n "$tree" ] || tell "could not read ${whose:-the workspace}"
  index_tree=$(staged)
  if [ "$head" = "$p_head" ]; then
    [ "$tree" != "$p_tree" ] || [ "$index_tree" != "$p_index" ]
    return
  fi
  [ -n "$head" ] || return 0
  commit_tree=$(refs rev-parse "$head^{tree}")
  [ "$(whole_tree "$head")" != "$commit_tree" ] || [ "$index_tree" != "$commit_tree" ]
}

# has_commits: whether there are commits, also of other branches and stashes, that were neither sent nor are in a remote branch.
has_commits() {
  set -- --branches --glob=refs/stash HEAD --not --remotes
  [ -z "$p_head" ] || ! refs cat-file -e "$p_head^{commit}" 2>/dev/null || set -- "$@" "$p_head"
  new_commit=$(refs rev-list --max-count=1 "$@") || tell "could not read the commits of ${whose:-the workspace}"
  [ -n "$new_commit" ]
}

look_at_part() {
  whose=${p_path:+"\`$p_path\`"}
  is_clone || tell "${whose:-the workspace} is no longer a clone"
  head=$(here_head)
  ! has_changes || tell "uncommitted changes in ${whose:-the workspace}"
  [ -z "$head" ] || ! has_commits || tell "unpushed commits in ${whose:-the workspace}"
}

use_target "$1"
umask 022
make_plain || tell 'could not create the folder for new objects'
way=$(in_the_way)
[ -z "$way" ] || tell "$way"
for each in "$here"/known/*/; do
  use_part "${each%/}"
  look_at_part
done
echo saved
