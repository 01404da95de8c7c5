#!/usr/bin/env bash
# Gossip pings answered a second, side by side: a bare libuv echo, ours, and HashiCorp's memberlist as Debian ships it
# (packages golang-go and golang-github-hashicorp-memberlist-dev; left out when they are missing). The first argument is
# the directory of the programs; the others go to nomad-bench gossip.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$1
shift
peer=()
library=/usr/share/gocode
if command -v go >/dev/null && [ -d "$library/src/github.com/hashicorp/memberlist" ]; then
  directory=$(mktemp -d)
  trap 'rm -rf "$directory"' EXIT
  GO111MODULE=off GOPATH=$library GOFLAGS='' go build -o "$directory/memberpool" Tests/Interop/go/memberpool/main.go
  peer=(--peer "memberlist=$directory/memberpool -host {host} -port {port} -count 1")
fi
"$bin/nomad-bench" gossip "${peer[@]}" "$@"
