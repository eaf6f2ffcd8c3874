# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Images of the engine, and how it reads their names. Sourced after engine.sh; runs nothing by itself.

# has_images IMAGE...: whether the engine has all of them.
has_images() { engine image inspect --format . -- "$@" >/dev/null 2>&1; }

# image_pull [--quiet] -- IMAGE: pull it within pull_deadline. The engine prints bytes only on a terminal.
image_pull() {
  pull_on=
  pull_terminal=$(command -v script) && [ -w /dev/ptmx ] && [ ! -L "$pull_terminal" ] && pull_on=terminal # BusyBox's `script` has no exit code
  engine_on=$pull_on engine_within "$pull_deadline" pull "$@"
}

# pulled_bytes LOG...: print how many bytes of how many have arrived, from the logs of pulls on a terminal: `current total`. The total is
# missing as long as the size of a layer is unknown; nothing is printed before the first bytes.
pulled_bytes() {
  awk 'BEGIN { RS = "\r"; unit["B"] = 1; unit["kB"] = 1e3; unit["MB"] = 1e6; unit["GB"] = 1e9 }
    function bytes(text,   name) { name = text; gsub(/[0-9.]/, "", name); return text * unit[name] }
    $1 !~ /^[0-9a-f]+:$/ || length($1) != 13 { next }
    { layers[$1] }
    $2 == "Downloading" && split($3, part, "/") == 2 { sofar[$1] = bytes(part[1]); size[$1] = bytes(part[2]); next }
    $2 == "Already" || $2 == "Extracting" || $3 == "complete" || $2 == "Verifying" { size[$1] += 0; sofar[$1] = size[$1] }
    END {
      for (layer in layers) if (layer in size) { current += sofar[layer]; total += size[layer] } else unknown = 1
      if (current) printf(unknown ? "%.0f\n" : "%.0f %.0f\n", current, total)
    }' "$@"
}

# image_tag IMAGE NAME
image_tag() { engine image tag "$1" "$2"; }

# image_remove [NAME]...: remove names of images, and the images that have no other name.
image_remove() { [ $# -eq 0 ] || engine_within 300 image rm --no-prune -- "$@"; }

# image_load: load the output of `docker save` from stdin, plain or compressed.
image_load() { engine_within 3600 image load --quiet; }

# image_save IMAGE...: print them as `image_load` reads them.
image_save() { engine_within 3600 image save -- "$@"; }

# image_list: print `repository tag digest id` for each name of each image.
image_list() { engine image ls --all --no-trunc --digests --format '{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}}'; }

# image_sizes: print `id bytes` for each image, without the layers shared with other images, which stay when it is
# removed.
image_sizes() {
  engine system df --verbose --format '{{range .Images}}{{.ID}} {{.UniqueSize}}{{println}}{{end}}' 2>/dev/null |
    awk '{ n = $2 + 0; f = $2 ~ /kB$/ ? 1e3 : $2 ~ /MB$/ ? 1e6 : $2 ~ /GB$/ ? 1e9 : $2 ~ /TB$/ ? 1e12 : 1; printf "%s %.0f\n", $1, n * f }'
}

# image_inspect WHAT IMAGE...: print the tags, the platform or (`facts`) the configuration as JSON of those images
# that exist.
image_inspect() {
  case $1 in
    tags) image_format='{{range .RepoTags}}{{println .}}{{end}}' ;;
    platform) image_format='{{.Os}}/{{.Architecture}}' ;;
    facts)
      image_format='{"names":[{{json .Id}}{{range .RepoTags}},{{json .}}{{end}}{{range .RepoDigests}},{{json .}}{{end}}]'
      image_format=$image_format',"metadata":{{with .Config.Labels}}{{json (index . "devcontainer.metadata")}}{{else}}""{{end}}'
      image_format=$image_format',"platform":"{{.Os}}/{{.Architecture}}"'
      image_format=$image_format',"entrypoint":{{json .Config.Entrypoint}},"command":{{json .Config.Cmd}}}' ;;
  esac
  shift
  engine image inspect --format "$image_format" -- "$@" 2>/dev/null
}

# image_layers: print the layers of all images.
image_layers() {
  # shellcheck disable=SC2046 # ids are words
  engine image inspect --format '{{range .RootFS.Layers}}{{println .}}{{end}}' -- $(engine image ls --quiet --no-trunc | sort -u)
}

# image_server IMAGE: print the registry of a reference.
image_server() {
  case $1 in
    */*) first=${1%%/*} ;;
    *) first= ;;
  esac
  case $first in
    localhost | *.* | *:*) echo "$first" ;;
    *) echo docker.io ;;
  esac
}

# familiar: shorten references on stdin as the engine does when it lists images.
familiar() { sed -e 's|^index\.docker\.io/||' -e 's|^docker\.io/||' -e 's|^library/||'; }

# registry_login FOLDER SERVER USER: log in with the password on stdin, and save the login in FOLDER.
registry_login() {
  mkdir -p "$1"
  # The current context may select the engine, and contexts are stored next to the configuration.
  [ ! -d "$engine_config/contexts" ] || ln -sfn "$engine_config/contexts" "$1/contexts"
  # Docker Hub has no name here, because its key in config.json is a URL.
  [ "$2" != docker.io ] || set -- "$1" '' "$3"
  DOCKER_CONFIG=$1 engine login --username "$3" --password-stdin ${2:+"$2"}
}

# use_login FOLDER: use the login that was saved there in all commands that follow.
use_login() { DOCKER_CONFIG=$1 && export DOCKER_CONFIG; }
