#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The manual is mdoc that mandoc has nothing to say about, and what it names of the source is there.
. "$(dirname "$0")/lint.sh"

pages=$(find man -name '*.[1-8]' | LC_ALL=C sort)
if [ -z "$pages" ]; then
    skip "manual pages are clean mdoc" "there are none yet"
elif ! command -v mandoc >/dev/null; then
    skip "manual pages are clean mdoc" "no mandoc: apt-get install mandoc"
else
    for page in $pages; do
        # Whether the pages that it refers to are installed here is nothing about the page.
        verdict "$page is clean mdoc" "$(mandoc -T lint "$page" 2>&1 |
            grep -vE 'STYLE: referenced manual not found|: outdated mandoc.db lacks' || true)"
    done
fi

# Files and directories; sources without their directory; tests and the like, which have long_names_of_words.
verdict "files that the manual names are there" "$(
    grep -ohE '\b(src|tests|conf|man)/[A-Za-z0-9_./-]*[A-Za-z0-9_]' man/*.[1-8] | LC_ALL=C sort -u |
        while read -r path; do [ -e "$path" ] || echo "$path"; done
    grep -hv '^#include <' man/*.[1-8] | grep -ohE '\b[a-z0-9_]+\.(c|h|def)\b' | LC_ALL=C sort -u |
        while read -r file; do [ -n "$(find src tests -name "$file")" ] || echo "$file"; done)"
verdict "tests and fields that the manual names are there" "$(
    grep -ohE '\b[A-Za-z0-9]+(_[A-Za-z0-9]+){3,}\b' man/*.[1-8] | LC_ALL=C sort -u |
        while read -r name; do grep -rqw -e "$name" src tests/unit tests/actor tests/system || echo "$name"; done)"

# What a program may call.
verdict "liblitedfs(3) has each function of litedfs.h, and no other" "$(LC_ALL=C comm -3 \
    <(sed -e 's,//.*,,' src/litedfs.h | tr '\n' ' ' | sed -e 's,/\*,\n&,g' -e 's,\*/,&\n,g' | grep -v '^/\*' |
        grep -oE '(litedfs_[a-z0-9_]+ |\(litedfs_[a-z_]+_fn\) )\(' | tr -d ' ()' | LC_ALL=C sort -u) \
    <(sed -n '/^.Sh SYNOPSIS/,/^.Sh DESCRIPTION/p' man/liblitedfs.3 |
        grep -oE '^\.F[on] litedfs_[a-z0-9_]+' | sed 's/.* //' | LC_ALL=C sort -u))"
finish
