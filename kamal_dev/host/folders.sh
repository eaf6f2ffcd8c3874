#!/bin/sh
# Make the folders of a workspace that containers see: folders.sh WORKSPACE [FOLDER]...
#
# Runs where nothing but the workspace can be reached (see jail.sh), as its owner. A folder behind a link that leads
# out of the workspace is refused: the engine would follow the link as root. Prints the first folder that could not be created, and why.
umask 022
workspace=$1
shift
for folder; do
  case /$folder/ in *//* | */../*) continue ;; esac
  path=$workspace/$folder
  [ ! -L "$path" ] || [ -e "$path" ] || { echo "\`$folder\` is a symbolic link out of the workspace"; exit 1; }
  [ -d "$path" ] || [ ! -e "$path" ] || { echo "\`$folder\` exists and is not a folder"; exit 1; }
  mkdir -p "$path" 2>/dev/null || { echo "could not create \`$folder\`"; exit 1; }
  case $(realpath "$path")/ in
    "$workspace"/*) ;;
    *) echo "\`$folder\` is a symbolic link out of the workspace"; exit 1 ;;
  esac
done
