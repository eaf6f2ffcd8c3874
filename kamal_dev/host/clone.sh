# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Clones in a workspace, and records about them. Sourced after lib.sh in confined scripts; runs nothing by itself.
#
#   $here/known/N/     one repository each: path folder head branch index tree boundary, and `look`, an index of its files
#   $here/plain/       a git folder with no configuration but ours
#
# The people in the container own these clones and their configuration. Everything that reads or writes files
# therefore uses the git folder `plain/`, so that none of their filters, hooks or programs runs on the host.

# use_target TARGET: select the workspace for everything below.
use_target() {
  target=$1
  plain=$here/plain
  aside=$here/aside
}

# --- git

# alone [NAME=VALUE]... ARG...: run git without any configuration of this machine; it does not prompt, fetch or run
# hooks.
alone() {
  env -i "PATH=$PATH" "HOME=$here" "TMPDIR=$here" GIT_CONFIG_NOSYSTEM=1 GIT_NO_LAZY_FETCH=1 GIT_TERMINAL_PROMPT=0 GIT_ALLOW_PROTOCOL=none GIT_OPTIONAL_LOCKS=0 \
    GIT_LITERAL_PATHSPECS=1 GIT_AUTHOR_NAME=kamal-dev GIT_AUTHOR_EMAIL=kamal-dev@localhost GIT_COMMITTER_NAME=kamal-dev \
    GIT_COMMITTER_EMAIL=kamal-dev@localhost "$@"
}
safely='-c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.alternateRefsCommand=false -c gc.auto=0'
safely="$safely -c advice.addEmbeddedRepo=false -c pack.windowMemory=32m -c core.bigFileThreshold=32m"
# git would map a whole pack into memory.
safely="$safely -c core.packedGitWindowSize=8m -c core.packedGitLimit=64m -c core.deltaBaseCacheLimit=16m"

# Files are written by as many processes as there are processors: one takes as long to write a gigabyte as its transfer took.
safely="$safely -c checkout.workers=0 -c checkout.thresholdForParallelism=4"

# refs ARG...: git on the clone's references and objects.
# shellcheck disable=SC2086 # the flags are words
refs() { alone "GIT_DIR=$p_git" git $safely "$@"; }

# on_files INDEX ARG...: run git on the clone's files with our own index; new objects are written to `objects`.
on_files() {
  index=$1
  shift
  # shellcheck disable=SC2086 # the flags are words
  alone "GIT_DIR=$plain" "GIT_WORK_TREE=$p_work" "GIT_INDEX_FILE=$index" "GIT_OBJECT_DIRECTORY=$objects" \
    "GIT_ALTERNATE_OBJECT_DIRECTORIES=$p_git/objects" git -C "$p_work" $safely "$@"
}

# use_format FOLDER: make it a git folder with the hash length of the source.
use_format() {
  echo 'ref: refs/heads/none' >"$1/HEAD"
  # The hashes of a SHA-256 repository have 64 digits.
  long=$(grep -hsE '^.{64}$' "$here"/parts/*/tree "$here"/known/*/tree | head -n 1)
  if [ -n "$long" ]; then
    printf '[core]\n\trepositoryformatversion = 1\n\tbare = false\n[extensions]\n\tobjectformat = sha256\n'
  else
    printf '[core]\n\trepositoryformatversion = 0\n\tbare = false\n'
  fi >"$1/config"
}

# make_plain: create the git folder that contains only our configuration.
make_plain() {
  mkdir -p "$plain/objects" "$plain/refs" "$plain/info" "$aside" && use_format "$plain" || return
  # Files are compared byte by byte, like on the machine that sent them.
  echo '* -text -filter -ident -working-tree-encoding' >"$plain/info/attributes"
}

# --- parts

# use_part FOLDER: read the description of a part; p_work and p_git are its paths in the workspace.
use_part() {
  part=$1
  p_path=$(cat "$1/path") p_head=$(cat "$1/head") p_branch=$(cat "$1/branch")
  p_index=$(cat "$1/index") p_tree=$(cat "$1/tree")
  p_work=$target${p_path:+/$p_path}
  p_git=$target/$(cat "$1/folder")
  objects=$aside
}

# known_part PATH: print the folder with what is known about this path; fails if there is none.
known_part() {
  for known in "$here"/known/*/; do
    if [ -f "$known/path" ] && [ "$(cat "$known/path")" = "$1" ]; then
      echo "${known%/}"
      return
    fi
  done
  return 1
}

# use_known: use the first known part, which is the workspace itself; fails if there is none or it was never
# completed.
use_known() {
  known=$(known_part '') && [ -s "$known/tree" ] && [ -s "$known/look" ] && use_part "$known"
}

# is_clone: whether the part exists as a repository and no link points elsewhere.
is_clone() { [ -d "$p_git" ] && [ ! -L "$p_git" ] && [ -d "$p_work" ] && [ ! -L "$p_work" ] && [ -f "$p_git/HEAD" ]; }

# in_the_way: print what in a clone's git folder is neither a file nor a folder but would be read or written here, and
# the pipes in its worktree that git would wait for when it reads rules.
in_the_way() {
  found=''
  for each in "$here"/known/*/; do
    use_part "${each%/}"
    is_clone || continue
    # shellcheck disable=SC2046,SC2086 # the names have no spaces
    found=$(cd "$p_git" && find $own_names ! -type f ! -type d 2>/dev/null | head -n 1)
    found=${found:+"$p_git/$found"}
    found=${found:-$(find "$p_work" -name .git -prune -o -name '.git*' ! -type f ! -type d ! -type l -print 2>/dev/null | head -n 1)}
    [ -z "$found" ] || break
  done
  [ -n "$found" ] || return 0
  where=${found#"$target/"}
  if [ -L "$found" ]; then echo "a link is in the way: \`$where\`"
  else echo "\`$where\` is in the way: it is not a regular file"
  fi
}
own_names='HEAD config config.worktree index packed-refs shallow commondir gitdir refs logs objects info'

here_head() { refs rev-parse --quiet --verify 'HEAD^{commit}'; }
here_branch() { refs symbolic-ref --quiet HEAD | sed 's|^refs/heads/||'; }

# seen_by PART: print the index used by `look`: a copy, because new objects are deleted when this script ends.
seen_by() { echo "$here/look.${1##*/}"; }

# look: print the tree of the current files, without the withheld ones.
look() {
  seen=$(seen_by "$part")
  [ -f "$seen" ] || cp "$part/look" "$seen" || return
  : >"$plain/info/exclude"
  [ ! -f "$p_git/info/exclude" ] || cat "$p_git/info/exclude" >"$plain/info/exclude"
  cat "$(rules_of "$part")" >>"$plain/info/exclude"
  on_files "$seen" add --all . >&2 || return
  # Unchanged files are not read again, unless their objects are gone.
  on_files "$seen" write-tree 2>/dev/null || { read_again >&2 && on_files "$seen" write-tree; }
}

# read_again: read every file that is in the index, and all others.
read_again() {
  on_files "$seen" ls-files -z >"$here/all_names" && rm -f "$seen" &&
    on_files "$seen" update-index -z --add --remove --stdin <"$here/all_names" && on_files "$seen" add --all .
}

# rules_of PART: print the file with the rules for withheld files; earlier versions sent one for all parts.
rules_of() {
  if [ -f "$1/rules" ]; then echo "$1/rules"
  elif [ -n "$p_path" ]; then echo /dev/null
  else echo "$here/withheld"
  fi
}

# entries_of INDEX [ARG]...: print entries of an index, one per line; newlines in names are replaced.
entries_of() { on_files "$@" | tr '\0\n' '\n\001'; }

# kept_out: print committed entries whose difference in the worktree is no change: withheld files, and skipped files
# that are as they were sent. Call `look` first.
kept_out() {
  on_files "$here/head" ls-files -z --stage --cached --ignored --exclude-from="$(rules_of "$part")" || return
  [ -s "$part/skipped" ] || return 0
  tr '\0\n' '\n\001' <"$part/skipped" >"$here/skipped"
  entries_of "$seen" diff-index --cached --name-only -z "$p_tree" >"$here/touched"
  entries_of "$here/head" ls-files -z --stage | LC_ALL=C awk -v touched="$here/touched" '
    FILENAME == ARGV[1] { skipped[$0] = 1; next }
    FILENAME == touched { delete skipped[$0]; next }
    { path = $0; sub(/^[^\t]*\t/, "", path) } path in skipped' "$here/skipped" "$here/touched" - | tr '\n\001' '\0\n'
}

# whole_tree HEAD: print the tree of the files, with the entries of kept_out as they were committed. Call `look`
# first.
whole_tree() {
  seen=$(seen_by "$part")
  cp "$seen" "$here/whole" || return
  if [ -n "$1" ]; then
    rm -f "$here/head"
    on_files "$here/head" read-tree "$1" || return
    kept_out | on_files "$here/whole" update-index -z --replace --index-info || return
  fi
  on_files "$here/whole" write-tree
}

# staged: print the tree of the index; fails in the middle of a merge.
staged() {
  rm -f "$here/staged"
  [ ! -f "$p_git/index" ] || cp "$p_git/index" "$here/staged"
  on_files "$here/staged" write-tree 2>/dev/null
}

# changed: print what people have changed in a part since it was sent; nothing if they changed nothing.
changed() {
  whose="\`$p_path\`"
  [ -n "$p_path" ] || whose='the workspace'
  if ! is_clone; then echo "$whose is no longer a clone"
  elif [ "$(here_branch)" != "$p_branch" ]; then echo "$whose is on another branch"
  elif [ "$(here_head)" != "$p_head" ]; then echo "$whose has commits of its own"
  elif [ -e "$p_git/MERGE_HEAD" ] || [ "$(staged)" != "$p_index" ] || [ "$(look)" != "$p_tree" ]; then echo "$whose has changes"
  fi
}
