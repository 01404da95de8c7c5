#!/usr/bin/env bash
# Forms a cluster of three servers and a client on 127.0.0.1 to 127.0.0.4 with the configurations of
# deploy/examples/dev, and shows it. Data and logs are in run/. Agents that run already are left as they are.
set -euo pipefail
# shellcheck source=scripts/cluster.sh
. "$(dirname "$0")/cluster.sh"

bin=${NOMADD_BIN_DIR:-$root/.build/dist}
export NOMAD_ADDR=http://127.0.0.1:4646

mkdir -p "$run"
for name in "${agents[@]}"; do
  pid_of "$name" >/dev/null && continue
  config=$root/deploy/examples/dev/$name.hcl
  setsid "$bin/nomadd" --config "$config" --data-dir "$run/$name" >"$run/$name.log" 2>&1 </dev/null &
  echo $! >"$run/$name.pid"
done
start=$(date +%s%3N)

formed() {
  local members nodes
  members=$("$bin/nomad" server members 2>/dev/null) || return 1
  [ "$(awk '$4 == "alive"' <<<"$members" | wc -l)" = 3 ] || return 1
  [ "$(awk '$5 == "true"' <<<"$members" | wc -l)" = 1 ] || return 1
  nodes=$("$bin/nomad" node status 2>/dev/null) || return 1
  [ "$(awk '$NF == "ready"' <<<"$nodes" | wc -l)" = 1 ]
}

until formed; do
  for name in "${agents[@]}"; do
    pid_of "$name" >/dev/null && continue
    echo "nomadd: $name ended; its last output (all of it is in $run/$name.log):" >&2
    tail -n 10 "$run/$name.log" >&2
    "$root/scripts/down.sh" >/dev/null
    exit 1
  done
  if [ $(($(date +%s%3N) - start)) -gt 30000 ]; then
    echo "nomadd: no cluster after 30 s; logs are in $run/*.log, make down stops the agents" >&2
    "$bin/nomad" server members >&2 || true
    exit 1
  fi
  sleep 0.02
done
took=$(($(date +%s%3N) - start))

show() {
  echo
  echo "\$ $*"
  "$bin/$1" "${@:2}"
}

echo "Three servers and a client formed a cluster in $took ms."
show nomad server members
show nomad operator raft list-peers
show nomad node status
cat <<TEXT

Logs and data: run/          Stop: make down          Stop and remove: make clean
Look around:   $bin/nomad -h
Add a server:  $bin/nomadd --server --bind 127.0.0.5 --data-dir $run/server4 --name server4 --retry-join 127.0.0.1
TEXT
