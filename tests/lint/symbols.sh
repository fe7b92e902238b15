#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The shared library shows what litedfs.h declares, and nothing else.
. "$(dirname "$0")/lint.sh"
builddir=${top_builddir:?}

library=$builddir/.libs/liblitedfs.so
if [ ! -e "$library" ]; then
    skip "the library exports what litedfs.h declares" "there is no shared library in this build"
elif ! command -v nm >/dev/null; then
    skip "the library exports what litedfs.h declares" "no nm: apt-get install binutils"
else
    exported=$(nm -D --defined-only "$library" | awk '{print $NF}' | LC_ALL=C sort -u)
    declared=$(sed -e 's,//.*,,' src/litedfs.h | tr '\n' ' ' | sed -e 's,/\*,\n&,g' -e 's,\*/,&\n,g' |
        grep -v '^/\*' | grep -oE 'litedfs_[a-z0-9_]+ \(' | tr -d ' (' | LC_ALL=C sort -u)
    verdict "the library exports what litedfs.h declares" "$(
        LC_ALL=C comm -3 <(echo "$exported") <(echo "$declared") |
            sed -e 's/^\t\(.*\)/\1: declared, not exported/; t' -e 's/$/: exported, not declared/')"
fi
finish
