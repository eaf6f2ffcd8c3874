#!/bin/sh
# Deploy the project beside this file without `dev`, as one would write it by hand.
#
# by_hand.sh build | release | deploy
#   build    buildx build, nothing else
#   release  push what was built, then on every host at once: compose file and .env, pull, up --wait
#   deploy   build and release
#
# REGISTRY is localhost:PORT, PROJECT names image and stack, HOSTS are names in the ssh configuration SSH_CONFIG.
# With SOURCE set, every host also has a working tree of the commit, moved forward by a push over SSH.
# One ssh per host, which is also the tunnel to the registry; no ControlMaster. Nothing is compared, nothing is put
# back: `up --wait` is believed.
set -eu

image=$REGISTRY/$PROJECT-dev:$(git rev-parse HEAD)
port=${REGISTRY##*:}

build() {
  docker buildx build --load --provenance=false --tag "$image" --file .devcontainer/Dockerfile .
}

# gather FOLDER: put together what a host gets.
gather() {
  cp -R .devcontainer/. "$1"
  { echo services: && printf '  %s:\n    build: !reset null\n    image: %s\n' app "$image" web "$image"; } \
    >"$1/compose.override.yaml"
  (umask 077 && { cat .kamal/secrets && printf 'WEB_PORT=8001\nCOMPOSE_PROJECT_NAME=%s\n' "$PROJECT"; } >"$1/.env")
}

give_source() {
  export GIT_SSH_COMMAND="ssh -F $SSH_CONFIG"
  git push --quiet "$1:$PROJECT/source" HEAD:deployed 2>/dev/null || {
    ssh -F "$SSH_CONFIG" "$1" "git init --quiet --initial-branch deployed $PROJECT/source &&
      git -C $PROJECT/source config receive.denyCurrentBranch updateInstead"
    git push --quiet "$1:$PROJECT/source" HEAD:deployed
  }
}

on_host() {
  [ -z "${SOURCE:-}" ] || give_source "$2"
  tar -C "$1" -cz . | ssh -F "$SSH_CONFIG" -R "$port:localhost:$port" "$2" "
    mkdir -p $PROJECT/.devcontainer && cd $PROJECT/.devcontainer && tar -xz &&
    docker compose pull --quiet && docker compose up --detach --wait --remove-orphans"
}

release() {
  docker push --quiet "$image"
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  gather "$folder"
  # shellcheck disable=SC2086 # hosts are words
  printf '%s\n' $HOSTS | xargs -P 10 -n 1 "$0" on-host "$folder"
}

case $1 in
  build) build ;;
  release) release ;;
  deploy) build && release ;;
  on-host) on_host "$2" "$3" ;;
esac
