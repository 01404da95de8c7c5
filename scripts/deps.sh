#!/usr/bin/env bash
# Installs what the build needs and this machine lacks (Debian and its relatives, as root or with password-less sudo);
# anywhere else says what to install and fails. Usage: deps.sh [swift command]
set -euo pipefail

swift=${1:-swift}
fail() {
  echo "nomadd: $*" >&2
  exit 1
}

# package, file that proves it
needed=(
  "libuv1-dev uv.h"
  "liblmdb-dev lmdb.h"
  "libssl-dev openssl/evp.h"
  "libhttp-parser-dev http_parser.h"
  "zlib1g-dev zlib.h"
)

has_header() {
  local directory
  for directory in /usr/include /usr/local/include; do
    [ -e "$directory/$1" ] && return 0
  done
  return 1
}

missing=()
for entry in "${needed[@]}"; do
  read -r package header <<<"$entry"
  has_header "$header" || missing+=("$package")
done
for tool in "git git" "binutils strip"; do
  read -r package command <<<"$tool"
  command -v "$command" >/dev/null || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  install=(apt-get install -y -qq --no-install-recommends "${missing[@]}")
  refresh=(apt-get update -qq)
  if ! command -v apt-get >/dev/null; then
    fail "install the development files of libuv, LMDB, OpenSSL 3, http-parser and zlib, git and binutils" \
      "(Debian calls what is missing here: ${missing[*]})"
  elif [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      install=(sudo -n "${install[@]}")
      refresh=(sudo -n "${refresh[@]}")
    else
      fail "missing: ${missing[*]}. Install with: sudo apt-get install ${missing[*]}"
    fi
  fi
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  "${install[@]}" >/dev/null 2>&1 || { "${refresh[@]}" && "${install[@]}" >/dev/null; } ||
    fail "cannot install ${missing[*]}; install them by hand and try again"
fi

command -v "$swift" >/dev/null || fail "missing: Swift 6.2 or newer. Install it as https://www.swift.org/install says."
version=$("$swift" --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
case $version in
[0-5].* | 6.0 | 6.1 | "") fail "Swift 6.2 or newer is needed, '$swift --version' says '${version:-nothing}'" ;;
esac
