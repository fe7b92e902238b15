#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A function has at most 80 lines, a file at most 600.  A function is what stands between a brace
# alone in the first column and the next closing one there.
. "$(dirname "$0")/lint.sh"

verdict "functions have at most 80 lines" "$(c_files src tests | xargs awk '
    FNR == 1 {open = 0; head = ""}
    /^\{$/ {open = FNR; next}
    /^\}/ && open {
        if (FNR - open + 1 > 80)
            print FILENAME ":" open ": " head ": " FNR - open + 1 " lines"
        open = 0
    }
    !open && /^[a-zA-Z_].*\(/ {head = $0}')"

verdict "files have at most 600 lines" "$( (
    c_files src tests
    find tests \( -name '*.sh' -o -name '*.py' \) -not -path 'tests/stage/*' -type f
) | xargs awk 'FNR == 601 {print FILENAME}')"
finish
