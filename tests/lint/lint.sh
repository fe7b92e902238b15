# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the lints share.  A lint sources this file, which puts it into the source tree; for each rule
# it collects findings, a line each, and calls verdict; at its end, finish.

set -euo pipefail
: "${top_srcdir:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
: "${top_builddir:=$top_srcdir}"
cd "$top_srcdir"
cases=0

# verdict RULE FINDINGS: the rule holds if there are no findings.
verdict () {
    cases=$((cases + 1))
    if [ -z "$2" ]; then
        echo "ok $cases - $1"
    else
        echo "not ok $cases - $1: $(head -n 1 <<<"$2" | tr '#' '%')"
        printf '%s\n' "$2" | sed 's/^/# /'
    fi
}

# skip RULE REASON: the rule cannot be checked here.
skip () {
    cases=$((cases + 1))
    echo "ok $cases - $1 # SKIP $2"
}

finish () {
    echo "1..$cases"
}

# Our sources and headers, by path, in C alone.
c_files () { # DIR...
    find "$@" -name '*.[ch]' -type f -not -path 'tests/stage/*' | LC_ALL=C sort
}
