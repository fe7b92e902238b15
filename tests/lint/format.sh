#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The code is as clang-format 14 leaves it (another version leaves it in another way).
. "$(dirname "$0")/lint.sh"

rule="sources are formatted (clang-format -i FILE)"
formatter=
for candidate in clang-format-14 clang-format; do
    if "$candidate" --version 2>/dev/null | grep -q 'version 14\.'; then
        formatter=$candidate
        break
    fi
done
if [ -z "$formatter" ]; then
    skip "$rule" "no clang-format 14: apt-get install clang-format"
else
    verdict "$rule" "$(c_files src tests |
        xargs -n 16 -P "$(nproc)" "$formatter" --style=file --dry-run 2>&1 |
        sed -n 's/^\([^ :]*\):[0-9].*\[-Wclang-format-violations\]$/\1/p' | LC_ALL=C sort -u)"
fi
finish
