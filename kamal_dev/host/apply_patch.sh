#!/bin/sh
# Apply $here/patch to the files of a workspace: apply_patch.sh TARGET
#
# Runs where nothing but the workspace and the payload can be reached (see jail.sh), as the owner of the workspace. Prints `applied`,
# or why not.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=clone.sh
. "$here/clone.sh"

use_target "$1"
umask 022
make_plain || { echo 'could not create a folder' && exit 1; }
# shellcheck disable=SC2086 # the flags are words
alone "GIT_DIR=$plain" "GIT_WORK_TREE=$target" git -C "$target" $safely apply --whitespace=nowarn "$here/patch" >"$here/errors" 2>&1 ||
  { last_lines "$here/errors" 3 | sed 's/^error: //' | paste -sd ';' - && exit 1; }
echo applied
