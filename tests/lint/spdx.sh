#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Each file says its licence in its first line, or in the second after a #! or a mode line (templates
# become files of the user and say nothing); headers have the include guard of their path; nothing is
# left for later; no line ends in blanks.
. "$(dirname "$0")/lint.sh"

ours () {
    find src tests conf man .ci autogen.sh configure.ac Makefile.am -type f \
        -not -path 'tests/stage*' -not -path 'tests/fuzz/corpus/*' -not -path 'tests/fuzz/found/*' \
        -not -path 'tests/vectors/*' -not -path 'conf/templates/*' \
        -not -name templates.inc -not -path '*/.deps/*' -not -path '*/.libs/*' \
        -not -name '*.l[ao]' -not -name '*.[ot]' -not -name '*.log' -not -name '*.trs' \
        -not -name '*.pc' -not -name '.dirstamp' -not -path '*/__pycache__/*' | LC_ALL=C sort
}

verdict "the licence is named at the top" "$(ours |
    grep -E '[.](c|h|def|sh|py|awk|inc|ac|am|[1-8])$' |
    xargs awk 'FNR == 1 {if (file && !named) print file; file = FILENAME; named = 0}
               FNR <= 2 && /SPDX-License-Identifier: MIT/ {named = 1}
               END {if (file && !named) print file}')"

guard () { # FILE: src/base/err.h has LITEDFS_BASE_ERR_H, src/litedfs.h has LITEDFS_H
    name=${1#src/}
    name=${name%.h}
    name=$(printf '%s' "$name" | tr 'a-z/.-' 'A-Z___')
    case $name in
    LITEDFS) echo LITEDFS_H ;;
    TESTS_*) echo "LITEDFS_TESTS_${name##*_}_H" ;;
    *) echo "LITEDFS_${name}_H" ;;
    esac
}

verdict "include guards are named after their file" "$(find src -name '*.h' | sort |
    while read -r file; do
        grep -q "^#ifndef $(guard "$file")\$" "$file" || echo "$file: $(guard "$file")"
    done)"

later='TO''DO|FIX''ME|XX''X'
verdict "nothing is left for later" "$(ours | xargs grep -InwE "$later" || true)"
verdict "no line ends in blanks" "$(ours | xargs grep -InE '[[:blank:]]+$' || true)"
finish
