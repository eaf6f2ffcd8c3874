# shellcheck shell=sh disable=SC2154 # variables cross the files that source each other
# Let connections into a container's network: DIRECTORY CONTAINER PID IMAGE RELAY TARGET...
#
# For each TARGET (`host:port`, as the container sees it) there is a socket in DIRECTORY, `0`, `1` …, for ssh to
# forward to. A short-lived container shares the network of CONTAINER, so that servers on its loopback address and
# its host names can be reached; it uses the programs of the host, so IMAGE needs none. Access to the engine is enough.
# Follows lib.sh and engine.sh in one text, because stdin is used: the script ends when stdin is closed, and when the
# container ends, whose first process is PID. Prints `ready` when the sockets exist.
directory=$1 container=$2 pid=$3 image=$4 relay=$5
shift 5

# pulse: print a line now and then, while our stdin is open and the container runs.
pulse() {
  cat <&3 >/dev/null &
  reader=$!
  # A host may hide processes of other users.
  watched=/proc/$pid
  [ -d "$watched" ] || watched=/
  while [ -d "$watched" ] && kill -0 "$reader" && echo; do sleep 1; done 2>/dev/null
  kill "$reader" 2>/dev/null
}

[ -x /usr/bin/perl ] || give_up forward 'port forwarding needs /usr/bin/perl on the host'
mkdir -m 700 -- "$directory" || give_up forward "could not create $directory"
trap 'rm -rf -- "$directory"' EXIT
trap 'exit 143' HUP INT TERM
trap '' PIPE
set -- "$image" -e "$relay" "$directory" "$@"
for folder in /usr /lib /lib64; do
  [ ! -d "$folder" ] || set -- --volume "$folder:$folder:ro" "$@"
done
# Variables that the image sets for its own libraries would break the host's programs.
for name in LD_PRELOAD LD_LIBRARY_PATH PERL5LIB PERL5OPT; do set -- --env "$name=" "$@"; done
exec 3<&0
pulse | engine_run 0 --interactive --network "container:$container" --cap-drop ALL --security-opt no-new-privileges \
  --user "$uid:$(id -g)" --volume "$directory:$directory" --label kamal-dev.forward=true --entrypoint /usr/bin/perl "$@"
