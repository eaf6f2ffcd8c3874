# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Install Docker Engine and Compose by apt. Sourced by bootstrap.sh; runs nothing by itself.

lock_deadline=300
script_url=https://get.docker.com

# install_docker: with Docker's script, or from the distribution's packages if the script cannot be downloaded.
install_docker() {
  read_system
  case $system in debian | ubuntu) ;; *) has_docker || fail system "this host runs $system_name; Docker can be installed automatically on Debian and Ubuntu only" ;; esac
  ! has_docker || ! has_compose || return 0
  command -v apt-get >/dev/null 2>&1 || fail system "this host runs $system_name and has no apt-get; install Docker Engine and Compose manually"
  changed=true
  refresh
  if has_docker; then
    add_compose
  else
    add_pools
    install_by_script || install_from_distribution
  fi
}

read_system() {
  system=$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null | tr -d "\"'")
  codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release 2>/dev/null | tr -d "\"'")
  system_name=$(sed -n 's/^PRETTY_NAME=//p' /etc/os-release 2>/dev/null | tr -d "\"'")
  system_name=${system_name:-an unknown system}
}

# --- apt

# apt ARG...: run apt-get without prompts; it waits for the dpkg lock, and its output goes to a file.
apt() {
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a LC_ALL=C apt-get -q -y \
    -o "DPkg::Lock::Timeout=$lock_deadline" -o Acquire::Retries=2 -o Acquire::http::Timeout=20 \
    -o Dpkg::Options::=--force-confold "$@" >"$here/apt.log" 2>&1
}

# refresh [OPTION]...: read the package lists. Their lock, unlike dpkg's, is not waited for by apt itself.
refresh() {
  clock
  give_until=$((now + lock_deadline * 1000))
  until apt "$@" update; do
    grep -q 'Could not get lock' "$here/apt.log" || break
    clock
    [ "$now" -lt "$give_until" ] || fail packages "another program has held the apt lock for $lock_deadline s"
    sleep 3
  done
}

# install_packages NAME...: install them, or end with the reason.
install_packages() {
  apt install --no-install-recommends "$@" || refuse_packages
}

refuse_packages() {
  reason=$(grep -E '^(E|Err|dpkg):' "$here/apt.log" | tail -n 4 | cut -b1-300)
  case $(cat "$here/apt.log") in
    *'Failed to fetch'* | *'Temporary failure resolving'* | *'Could not connect'* | *'Unable to connect'*)
      fail network "could not download packages: $reason" ;;
    *'Could not get lock'* | *'Unable to acquire the dpkg'*)
      fail packages "another program has held the dpkg lock for $lock_deadline s" ;;
    *'Unable to locate package'* | *'has no installation candidate'*)
      fail packages "$system_name has no such package, or its package lists could not be read: $reason" ;;
    *) fail packages "apt-get failed: ${reason:-$(last_lines "$here/apt.log" 4)}" ;;
  esac
}

# --- the vendor's script

fetch() {
  if command -v curl >/dev/null 2>&1; then
    timeout 60 curl -fsSL --connect-timeout 5 --max-time 30 --output "$2" "$1" 2>/dev/null
  else
    timeout 60 wget -q --connect-timeout=5 --read-timeout=15 --tries=1 -O "$2" "$1" 2>/dev/null
  fi
}

install_by_script() {
  command -v curl >/dev/null 2>&1 || command -v wget >/dev/null 2>&1 ||
    apt install --no-install-recommends curl ca-certificates || return
  fetch "$script_url" "$here/get-docker.sh" && grep -q '^#!' "$here/get-docker.sh" || return
  log "Installing Docker Engine and Compose with $script_url"
  # The script's own apt-get calls wait for the lock through this file.
  printf 'DPkg::Lock::Timeout "%s";\nAcquire::Retries "2";\nAcquire::http::Timeout "20";\n' "$lock_deadline" >"$here/apt.conf"
  as_root env APT_CONFIG="$here/apt.conf" timeout 900 sh "$here/get-docker.sh" >"$here/apt.log" 2>&1 && return
  log "Installation failed: $(last_lines "$here/apt.log" 1)"
  # Its package source would make every later apt-get fail.
  as_root rm -f /etc/apt/sources.list.d/docker.list /etc/apt/sources.list.d/docker.sources /etc/apt/keyrings/docker.asc
  refresh
  return 1
}

# --- the distribution's packages

install_from_distribution() {
  log "Installing Docker Engine and Compose from $system_name packages"
  case $system:$codename in
    debian:bookworm)
      add_next_suite
      install_packages iptables ca-certificates docker.io/trixie docker-cli/trixie docker-buildx/trixie docker-compose/trixie ;;
    debian:bullseye | debian:buster | debian:stretch)
      fail network "$system_name has no Compose v2 package, and $script_url is not reachable" ;;
    debian:*) install_packages iptables ca-certificates docker.io docker-cli docker-buildx docker-compose ;;
    *) install_packages iptables ca-certificates docker.io docker-buildx docker-compose-v2 ;;
  esac
}

# add_compose: add the Compose that belongs to the packages of the installed engine.
add_compose() {
  log 'Installing Compose'
  if dpkg --status docker-ce >/dev/null 2>&1; then install_packages docker-compose-plugin
  elif dpkg --status docker.io >/dev/null 2>&1; then install_from_distribution
  else fail compose "Docker was not installed with apt, and Compose is ${have:-missing}; 2.24.4 or later is required"
  fi
}

# add_next_suite: Debian 12 has Compose v1 only. The next suite is read from the configured mirror, whatever the
# format of the sources, and pinned low, so that nothing else is installed from it.
add_next_suite() {
  mirror=$(apt-cache policy base-files | sed -n 's|^ *[0-9]* \([^ ]*\) bookworm/main .*|\1|p' | head -n 1)
  [ -n "$mirror" ] || fail network 'could not read package lists: no mirror has suite bookworm'
  key=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -f "$key" ] && key=" [signed-by=$key]" || key=
  echo "deb$key $mirror trixie main" | as_root tee /etc/apt/sources.list.d/kamal-dev-trixie.list >/dev/null
  printf 'Package: *\nPin: release n=trixie*\nPin-Priority: 100\n' |
    as_root tee /etc/apt/preferences.d/kamal-dev-trixie >/dev/null
  refresh -o Dir::Etc::SourceList=/etc/apt/sources.list.d/kamal-dev-trixie.list -o Dir::Etc::SourceParts=/dev/null \
    -o APT::Get::List-Cleanup=0
}
