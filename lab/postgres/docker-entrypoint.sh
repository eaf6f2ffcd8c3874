#!/bin/bash
# Keeps the contract of the official image: makes the cluster on first start from POSTGRES_USER,
# POSTGRES_PASSWORD (or _FILE) and POSTGRES_DB, runs /docker-entrypoint-initdb.d once, then serves.
set -euo pipefail

from_file() {
  local file="${1}_FILE"
  if [[ -n "${!file:-}" ]]; then export "$1=$(<"${!file}")"; fi
}

make_cluster() {
  if [[ -z "${POSTGRES_PASSWORD:-}" && "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]]; then
    echo 'error: POSTGRES_PASSWORD is not set' >&2
    exit 1
  fi
  local -a arguments
  read -ra arguments <<<"${POSTGRES_INITDB_ARGS:-}"
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-}") "${arguments[@]}"
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
}

query() { psql --no-psqlrc -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password "$@"; }

run_first_scripts() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sh) if [[ -x "$file" ]]; then "$file"; else
        # shellcheck source=/dev/null
        . "$file"
      fi ;;
      *.sql) query --dbname "$POSTGRES_DB" --file "$file" ;;
      *.sql.gz) gunzip -c "$file" | query --dbname "$POSTGRES_DB" ;;
    esac
  done
}

# The first server has no network: nobody is served before the scripts are done.
fill_cluster() {
  PGUSER="$POSTGRES_USER" pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  if [[ "$POSTGRES_DB" != postgres ]]; then
    query --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
  fi
  run_first_scripts
  PGUSER="$POSTGRES_USER" pg_ctl -D "$PGDATA" -m fast -w stop
}

[[ "${1:-}" != -* ]] || set -- postgres "$@"
[[ "${1:-}" == postgres ]] || exec "$@"

if [[ "$(id -u)" == 0 ]]; then
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
  export HOME=/var/lib/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

from_file POSTGRES_PASSWORD
from_file POSTGRES_USER
from_file POSTGRES_DB
: "${POSTGRES_USER:=postgres}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
if [[ ! -s "$PGDATA/PG_VERSION" ]]; then
  make_cluster
  fill_cluster
fi
unset POSTGRES_PASSWORD
exec "$@"
