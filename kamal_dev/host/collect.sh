#!/bin/sh
# Print a tar of what a workspace has that was not sent to it: collect.sh STACK FOLDER [whole | changes]
#
# The tar has parts/N/: path, tip, sent, bundle, for each clone with commits or changes of its own; the bundle names the
# commits `refs/heads/pulled`, after those that were sent, or from their beginning (`whole`). Changes that are not
# committed become one commit. With `changes`, a patch is printed instead: what differs from the last commit. Changes
# nothing in the workspace. If it fails, stdout has one event: `result`.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=feed.sh
. "$here/feed.sh"

begin "$@"
[ -d "$source/parts" ] || give_up collect "the workspace is not a clone created by \`dev\`"
command -v git >/dev/null 2>&1 || give_up collect 'git is not installed on the host'
lock_events=2
hold_stack collect
{ cp -R "$source/parts" "$here/known" && cp "$source/withheld" "$here/withheld"; } || give_up collect "could not write to $here"
answer=$(confine gather.sh "$target" "$stack" "$word" 2>"$here/confined.err")
code=$?
[ "$answer" = packed ] || give_up collect "${answer:-"could not read the workspace: $(why_confined "$code" "$here/confined.err")"}"
if [ "$word" = changes ]; then cat "$here/out/patch"; else tar -cf - -C "$here/out" parts; fi
