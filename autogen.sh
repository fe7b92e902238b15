#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes ./configure.  With --install-deps it first installs the Debian packages below that are
# missing, with sudo when it does not run as root.
set -eu

# The packages that build and test LiteDFS on Debian 12, and why: the only list of them.
packages () {
    sed -e 's/#.*//' <<'END'
autoconf             # configure.ac to configure
automake             # Makefile.am to Makefile.in, and the TAP driver of the tests
libtool              # the shared library
pkg-config           # finds the libraries below
gcc                  # compiles
make                 # builds
libc6-dev            # the C library
libzmq3-dev          # messages between all processes and threads
libczmq-dev          # actors, timers and poll loops on top of it
libmsgpack-dev       # the coding of messages
libyaml-dev          # configuration files
liblmdb-dev          # metadata of the name node, index of a data node
libjansson-dev       # JSON: --json, the HTTP answers
libdeflate-dev       # CRC-32 at the speed of memory
zlib1g-dev           # joining CRC-32s
libmicrohttpd-dev    # HTTP in the daemons
libsystemd-dev       # sd_notify
check                # unit tests
binutils             # nm: tests what the library exports
python3              # scripted clients in the tests
python3-zmq          # their sockets
python3-msgpack      # their messages
mandoc               # checks the man pages
curl                 # HTTP tests
iproute2             # network namespaces: tests of who may connect
procps               # ps: tests of memory
spin                 # checks the model of the replica chain
END
}

missing () {
    for package in $(packages); do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || printf '%s ' "$package"
    done
}

as_root () {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif command -v sudo >/dev/null; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        echo "autogen.sh: root is needed, and there is no sudo, for: $*" >&2
        exit 1
    fi
}

install_deps () {
    if ! command -v apt-get >/dev/null; then
        echo "autogen.sh: --install-deps needs apt-get; install what these Debian packages hold:" >&2
        packages >&2
        exit 1
    fi
    wanted=$(missing)
    [ -n "$wanted" ] || return 0
    echo "autogen.sh: installing $wanted"
    as_root apt-get update
    # shellcheck disable=SC2086 # a list of words
    as_root apt-get install -y --no-install-recommends $wanted
}

case "$#:${1-}" in
0:) ;;
1:--install-deps) install_deps ;;
*)
    echo "usage: ./autogen.sh [--install-deps]" >&2
    exit 2
    ;;
esac

cd "$(dirname "$0")"
mkdir -p build-aux
exec autoreconf -fi
