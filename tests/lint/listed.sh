#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# No file is forgotten: what is not in a list of the build is not distributed, and a test that is not
# is never run.
. "$(dirname "$0")/lint.sh"

# The words of the lists; variables are as good as what they stand for, since each is set there too.
words=" $(find src tests man conf -name Makefile.inc -not -path 'tests/stage/*' -print0 |
    xargs -0 cat Makefile.am | sed 's/^ *#.*//' | tr -s '=\\\n\t ' ' ') "

# FILE, or the folder that it is in.
listed () {
    case $words in
    *" $1 "* | *" ${1%/*} "*) return 0 ;;
    esac
    return 1
}

sources () {
    find src tests man conf .ci -type f \
        \( -name '*.[ch1-9]' -o -name '*.def' -o -name '*.awk' -o -name '*.sh' -o -name '*.py' \
        -o -name '*.json' -o -name '*.supp' -o -name '*.pml' -o -name '*.in' -o -path 'conf/*' -o -path '.ci/*' \) \
        -not -path 'tests/stage/*' -not -path '*/.libs/*' -not -path '*/.deps/*' \
        -not -path 'tests/fuzz/found/*' -not -name Makefile.inc | LC_ALL=C sort
}

verdict "each source file is in a Makefile.inc" "$(sources | while read -r file; do
    # config.status makes these, and automake knows it.
    case $file in
    *.in) ! grep -qF "${file%.in}" configure.ac || continue ;;
    esac
    listed "$file" || echo "$file"
done)"

# Programs and scripts run because their name is in a list that ends up in TESTS.
verdict "each test is in a list of tests" "$( (
    grep -rlE '^UNIT_MAIN|^LLVMFuzzerTestOneInput' tests --include='*.c' | sed 's/[.]c$/.t/'
    find tests/system tests/clients tests/lint -name 't[0-9]*.sh' -o -name '*.py' -not -name litedfs_client.py -o \
        -path 'tests/lint/*.sh' -not -name lint.sh -o -path 'tests/model/*.sh'
) | LC_ALL=C sort | while read -r test; do
    cat tests/*/Makefile.inc | sed -e ':a' -e '/\\$/N; s/\\\n//; ta' |
        grep -E '^[A-Z_]*(TESTS|LINTS|REPLAYS) *[+]?=' | tr -s '\t ' '\n' |
        grep -Fx "$test" >/dev/null || echo "$test"
done)"

verdict "each source file of base, wire and rpc has its Check program" "$(
    find src/base src/wire src/rpc -name '*.c' | LC_ALL=C sort | while read -r file; do
        program=tests/unit/$(basename "$(dirname "$file")")_$(basename "$file")
        [ -e "$program" ] || echo "$file: no $program"
    done)"
finish
