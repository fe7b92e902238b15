#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The manual is mdoc that mandoc has nothing to say about, what it names of the source is there, and
# liblitedfs(3) has all of litedfs.h.
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

# What a program may call, and what it gives and gets: litedfs.h without comments, on one line.
header=$(sed -e 's,//.*,,' src/litedfs.h | tr '\n' ' ' | sed -e 's,/\*,\n&,g' -e 's,\*/,&\n,g' |
    grep -v '^/\*' | tr '\n' ' ')
only () { # LIST OF THE HEADER, LIST OF THE PAGE: what one of them alone has
    LC_ALL=C comm -3 <(LC_ALL=C sort -u <<<"$1") <(LC_ALL=C sort -u <<<"$2") |
        sed -e 's/^\t\(.*\)/\1: in the page alone/; t' -e 's/$/: in the header alone/'
}
verdict "liblitedfs(3) has each function of litedfs.h, and no other" "$(LC_ALL=C comm -3 \
    <(grep -oE '(litedfs_[a-z0-9_]+ |\(litedfs_[a-z_]+_fn\) )\(' <<<"$header" | tr -d ' ()' | LC_ALL=C sort -u) \
    <(sed -n '/^.Sh SYNOPSIS/,/^.Sh DESCRIPTION/p' man/liblitedfs.3 |
        grep -oE '^\.F[on] litedfs_[a-z0-9_]+' | sed 's/.* //' | LC_ALL=C sort -u))"

# Each struct is a subsection (".Ss litedfs_list_t"), each of its members an item there (".It Va entries", or
# several, with commas); each enumerator and constant is an item wherever it belongs.
members=$(grep -oE 'typedef struct \{[^}]*\} *[a-z_]+_t' <<<"$header" | while IFS= read -r struct; do
    body=${struct#*\{}
    tr ';' '\n' <<<"${body%\}*}" | grep -oE '[a-z0-9_]+(\[[^]]*\])? *$' |
        sed -e 's/[[ ].*//' -e "s/^/${struct##*[\} ]} /"
done)
constants=$(grep -oE 'enum [a-z_]* *\{[^}]*\}' <<<"$header" | grep -oE 'LITEDFS_[A-Z_]+'
    sed -n 's/^#define \(LITEDFS_[A-Z_]*\) .*/\1/p' src/litedfs.h)
verdict "liblitedfs(3) has each member of each struct of litedfs.h, and no other" "$(only "$members" "$(awk '
    /^\.S[hs] / {struct = $2 ~ /^litedfs_.*_t$/ ? $2 : ""}
    /^\.It Va / && struct != "" {for (i = 3; i <= NF; i++) if ($i != ",") print struct, $i}' man/liblitedfs.3)")"
verdict "liblitedfs(3) has each enumerator and constant of litedfs.h, and no other" "$(only "$constants" \
    "$(grep -oE '^\.It (Li|Dv) LITEDFS_[A-Z_]+' man/liblitedfs.3 | sed 's/.* //')")"
finish
