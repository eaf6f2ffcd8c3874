# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Clones in a workspace, and what is known of them. Sourced after lib.sh and stack.sh; runs nothing by itself.
#
#   ~/.kamal-dev/<stack>/source/   what the workspace was sent last:
#       state       its record, as JSON          offered   the record of what was not taken, because of changes
#       parts/N/    one repository each: path folder head branch index tree boundary, and `look`, an index of its files
#       plain/      a git folder with no configuration but ours
#
# The people in the container own these clones and their configuration. Whatever reads or writes files therefore
# has `plain/` as its git folder, so that no filter, hook or program that they have named runs on the host.

# use_workspace FOLDER: name the workspace that everything below is about.
use_workspace() {
  case $1 in '' | . | .. | */*) give_up arguments "\`$1\` cannot be a folder of the workspace" ;; esac
  target=$home/workspace/$1
  source=$home/source
  plain=$source/plain
  aside=$here/aside
}

# become_owner SCRIPT ARG...: start again as root where the files belong to somebody else.
become_owner() {
  caller=${KAMAL_DEV_CALLER:-$uid:$(id -g)}
  owner=$(stat -c %u:%g "$target" 2>/dev/null) || owner=$(stat -c %u:%g "$home/workspace" 2>/dev/null) || owner=$caller
  if is_root || [ "${owner%:*}" = "$uid" ]; then return; fi
  [ "$(privilege)" = sudo ] ||
    give_up workspace "its files belong to user ${owner%:*}, and \`$(id -un)\` may not use sudo without a password"
  exec sudo -n -- env "HOME=$HOME" "PATH=$PATH" "KAMAL_DEV_CALLER=$caller" sh "$@"
}

# give_back_files MARK: what root made since MARK goes to the owner of the workspace, and our notes to the caller.
give_back_files() {
  is_root || return 0
  [ ! -d "$target" ] || [ "$owner" = 0:0 ] || find "$target" -uid 0 -cnewer "$1" -exec chown -h "$owner" '{}' +
  [ "$caller" = 0:0 ] || chown -R "$caller" "$source" "$here"
}

# --- git

# alone [NAME=VALUE]... ARG...: run git with no configuration of this machine; it neither asks, nor fetches, nor runs hooks.
alone() {
  env -i "PATH=$PATH" "HOME=$source" GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 GIT_ALLOW_PROTOCOL=none GIT_OPTIONAL_LOCKS=0 \
    GIT_LITERAL_PATHSPECS=1     GIT_AUTHOR_NAME=kamal-dev GIT_AUTHOR_EMAIL=kamal-dev@localhost GIT_COMMITTER_NAME=kamal-dev \
    GIT_COMMITTER_EMAIL=kamal-dev@localhost "$@"
}
safely='-c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.alternateRefsCommand=false -c gc.auto=0'
safely="$safely -c advice.addEmbeddedRepo=false -c pack.windowMemory=256m -c core.bigFileThreshold=32m"

# refs ARG...: git on the clone's references and objects.
# shellcheck disable=SC2086 # the flags are words
refs() { alone "GIT_DIR=$p_git" git $safely "$@"; }

# on_files INDEX ARG...: git on the clone's files by an index of ours; new objects go to `objects`.
on_files() {
  index=$1
  shift
  # shellcheck disable=SC2086 # the flags are words
  alone "GIT_DIR=$plain" "GIT_WORK_TREE=$p_work" "GIT_INDEX_FILE=$index" "GIT_OBJECT_DIRECTORY=$objects" \
    "GIT_ALTERNATE_OBJECT_DIRECTORIES=$p_git/objects" git -C "$p_work" $safely "$@"
}

# make_plain: make the git folder that has no configuration but ours.
make_plain() {
  mkdir -p "$plain/objects" "$plain/refs" "$plain/info" "$aside" || return
  echo 'ref: refs/heads/none' >"$plain/HEAD"
  printf '[core]\n\trepositoryformatversion = 0\n\tbare = false\n' >"$plain/config"
  # Bytes as they are, as they were read where they come from.
  echo '* -text -filter -ident -working-tree-encoding' >"$plain/info/attributes"
}

# --- parts

# use_part FOLDER: read the description of a part; p_work and p_git are where it is in the workspace.
use_part() {
  part=$1
  p_path=$(cat "$1/path") p_head=$(cat "$1/head") p_branch=$(cat "$1/branch")
  p_index=$(cat "$1/index") p_tree=$(cat "$1/tree")
  p_work=$target${p_path:+/$p_path}
  p_git=$target/$(cat "$1/folder")
  objects=$aside
}

# known_part PATH: print the folder of what is known of this path; fails where nothing is.
known_part() {
  for known in "$source"/parts/*/; do
    if [ -f "$known/path" ] && [ "$(cat "$known/path")" = "$1" ]; then
      echo "${known%/}"
      return
    fi
  done
  return 1
}

# is_clone: whether the part is there as a repository that nobody has put elsewhere.
is_clone() { [ -d "$p_git" ] && [ ! -L "$p_git" ] && [ -d "$p_work" ] && [ ! -L "$p_work" ] && [ -f "$p_git/HEAD" ]; }

here_head() { refs rev-parse --quiet --verify 'HEAD^{commit}'; }
here_branch() { refs symbolic-ref --quiet HEAD | sed 's|^refs/heads/||'; }

# seen_by PART: name the index that `look` works on: a copy, because new objects go when this script ends.
seen_by() { echo "$here/look.${1##*/}"; }

# look: print the tree of the files as they are now. What is withheld is not seen.
look() {
  seen=$(seen_by "$part")
  [ -f "$seen" ] || cp "$part/look" "$seen" || return
  : >"$plain/info/exclude"
  [ ! -f "$p_git/info/exclude" ] || cat "$p_git/info/exclude" >"$plain/info/exclude"
  [ -n "$p_path" ] || cat "$source/withheld" >>"$plain/info/exclude" 2>/dev/null
  on_files "$seen" add --all . >&2 || return
  # What nobody has touched is not read again; where its objects were thrown away, it must be.
  on_files "$seen" write-tree 2>/dev/null || { read_again >&2 && on_files "$seen" write-tree; }
}

# read_again: read every file that the index knows of, and all others.
read_again() {
  on_files "$seen" ls-files -z >"$here/known" && rm -f "$seen" &&
    on_files "$seen" update-index -z --add --remove --stdin <"$here/known" && on_files "$seen" add --all .
}

# staged: print the tree of what is staged; fails in the middle of a merge.
staged() {
  cp "$p_git/index" "$here/staged" 2>/dev/null || rm -f "$here/staged"
  on_files "$here/staged" write-tree 2>/dev/null
}

# changed: print what people have done to a part since it was sent; nothing where they have done nothing.
changed() {
  whose="\`$p_path\`"
  [ -n "$p_path" ] || whose='the workspace'
  if ! is_clone; then echo "$whose is no clone any more"
  elif [ "$(here_branch)" != "$p_branch" ]; then echo "$whose is on another branch"
  elif [ "$(here_head)" != "$p_head" ]; then echo "$whose has commits of its own"
  elif [ -e "$p_git/MERGE_HEAD" ] || [ "$(staged)" != "$p_index" ] || [ "$(look)" != "$p_tree" ]; then echo "$whose has changes"
  fi
}
