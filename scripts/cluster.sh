# shellcheck shell=bash
# What up.sh and down.sh share: where the loopback cluster's files are, and which of its agents run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
run=$root/run
# shellcheck disable=SC2034 # Both read it.
agents=(server1 server2 server3 client)

# The process id of an agent, if it runs and is ours: a number in an old file may belong to another program by now.
pid_of() {
  local pid
  pid=$(cat "$run/$1.pid" 2>/dev/null) || return 1
  case $(readlink "/proc/$pid/exe" 2>/dev/null) in
  */nomadd | */nomadd\ \(deleted\)) echo "$pid" ;;
  *) return 1 ;;
  esac
}
