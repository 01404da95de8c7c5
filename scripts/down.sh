#!/usr/bin/env bash
# Stops the cluster that up.sh started: SIGTERM, and SIGKILL for what is still there after ten seconds.
set -euo pipefail
# shellcheck source=scripts/cluster.sh
. "$(dirname "$0")/cluster.sh"

stopped=0
for name in "${agents[@]}"; do
  if pid=$(pid_of "$name"); then
    kill -TERM "$pid" 2>/dev/null || true
    stopped=$((stopped + 1))
  fi
done
deadline=$(($(date +%s) + 10))
for name in "${agents[@]}"; do
  while pid=$(pid_of "$name"); do
    if [ "$(date +%s)" -ge "$deadline" ]; then
      echo "nomadd: $name (process $pid) does not end; killing it" >&2
      kill -KILL "$pid" 2>/dev/null || true
      sleep 0.1
    fi
    sleep 0.02
  done
  rm -f "$run/$name.pid"
done
echo "$stopped agents stopped"
