#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The manual is mdoc that mandoc has nothing to say about.
. "$(dirname "$0")/lint.sh"

pages=$(find man -name '*.[1-8]' | LC_ALL=C sort)
if [ -z "$pages" ]; then
    skip "manual pages are clean mdoc" "there are none yet"
elif ! command -v mandoc >/dev/null; then
    skip "manual pages are clean mdoc" "no mandoc: apt-get install mandoc"
else
    for page in $pages; do
        verdict "$page is clean mdoc" "$(mandoc -T lint -W warning "$page" 2>&1 || true)"
    done
fi
finish
