#!/bin/sh
# Pack what a workspace has that was not sent to it into $here/out: gather.sh TARGET STACK [whole | changes]
#
# Runs where nothing but the workspace and the payload can be reached (see jail.sh), as the owner of the workspace.
# Payload: known/ and withheld, as they were sent last. Prints `packed`, or why not.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=clone.sh
. "$here/clone.sh"

refuse() {
  echo "$1"
  exit 1
}

# aside_git ARG...: run git on our own references and objects, with access to the clone's objects.
# shellcheck disable=SC2086 # the flags are words
aside_git() {
  alone "GIT_DIR=$plain" "GIT_OBJECT_DIRECTORY=$aside" "GIT_ALTERNATE_OBJECT_DIRECTORIES=$p_git/objects" \
    "GIT_AUTHOR_DATE=${when:-}" "GIT_COMMITTER_DATE=${when:-}" git $safely "$@"
}

# find_tip: set tip to a commit that contains everything. It has the time of its parent, so that the same content
# gives the same commit.
find_tip() {
  head=$(here_head) tip=$head
  tree=$(look) || return
  [ "$head" != "$p_head" ] || [ "$tree" != "$p_tree" ] || return 0
  tree=$(whole_tree "$head") || return
  [ -z "$head" ] || [ "$tree" != "$(refs rev-parse "$head^{tree}")" ] || return 0
  when=$([ -z "$head" ] || refs cat-file commit "$head" | sed -n '/^$/q; s/^committer .*> \([0-9]*\) .*/@\1 +0000/p')
  when=${when:-@0 +0000}
  tip=$(echo "Changes in the workspace of $stack" | aside_git commit-tree "$tree" ${head:+-p "$head"})
}

# collect: write the bundle of a part, if it has new commits.
collect() {
  is_clone || refuse "${p_path:+"\`$p_path\` in "}the workspace is no longer a clone"
  find_tip 2>"$here/errors" || refuse "could not read the workspace: $(last_lines "$here/errors" 2)"
  [ -n "$tip" ] && [ "$tip" != "$p_head" ] || return 0
  if [ -f "$p_git/shallow" ]; then cp "$p_git/shallow" "$plain/shallow"; else rm -f "$plain/shallow"; fi
  # The last source may have been sent to another folder of this stack: then this clone does not have its commits.
  set --
  [ -z "$p_head" ] || ! aside_git cat-file -e "$p_head^{commit}" 2>/dev/null || set -- "^$p_head"
  [ -n "$(aside_git rev-list --max-count=1 "$tip" "$@")" ] || return 0
  [ -z "$word" ] || set --
  box=$here/out/parts/${part##*/}
  mkdir -p "$box" && printf %s "$p_path" >"$box/path" && echo "$tip" >"$box/tip" && echo "$p_head" >"$box/sent"
  { aside_git update-ref refs/heads/pulled "$tip" &&
    aside_git bundle create --quiet "$box/bundle" refs/heads/pulled "$@"; } 2>"$here/errors" ||
    refuse "could not pack the commits: $(last_lines "$here/errors" 2)"
}

# find_changes: write what differs from the last commit as a patch.
find_changes() {
  is_clone || refuse "${p_path:+"\`$p_path\` in "}the workspace is no longer a clone"
  { head=$(here_head) || head=''; } 2>/dev/null
  { look >/dev/null && tree=$(whole_tree "$head"); } 2>"$here/errors" || refuse "could not read the workspace: $(last_lines "$here/errors" 2)"
  if [ -n "$head" ]; then before=$head; else before=$(aside_git hash-object -w -t tree /dev/null); fi
  [ "$tree" != "$(aside_git rev-parse "$before^{tree}")" ] || return 0
  [ -z "$p_path" ] || refuse "\`$p_path\` has uncommitted changes, and those of submodules are not copied"
  aside_git diff --binary --full-index --no-color --no-ext-diff --no-textconv --no-renames --ignore-submodules=all \
    "$before" "$tree" >"$here/out/patch" 2>"$here/errors" || refuse "could not read the changes: $(last_lines "$here/errors" 2)"
}

use_target "$1"
stack=$2 word=${3:-}
umask 022
make_plain || refuse 'could not create the folder for new objects'
way=$(in_the_way)
[ -z "$way" ] || refuse "$way"
mkdir -p "$here/out/parts"
: >"$here/out/patch"
for each in "$here"/known/*/; do
  use_part "${each%/}"
  if [ "$word" = changes ]; then find_changes; else collect; fi
done
echo packed
