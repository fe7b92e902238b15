#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# litename(8) and litedata(8) say what metric.def says.  Below .Ss Metrics each metric that the daemon has
# is an item with its type and labels, and its help text stands there word for word:
#
#   .It Ic litedfs_requests_total Pq counter by op , outcome
#   Requests that were answered.
. "$(dirname "$0")/lint.sh"
program=${top_builddir:?}/tests/lint/metrics

# The items of a page as the program prints the table.
items () { # PAGE
    awk '
        function give () {
            if (name != "")
                print name "\t" type "\t" labels "\t" help
            name = ""
        }
        /^\.S[hs] / {give (); on = $0 == ".Ss Metrics"; next}
        !on {next}
        /^\.It Ic / {
            give ()
            name = $3; type = $5; labels = "-"; help = ""
            if ($6 == "by") {
                labels = $0
                sub(/.* by /, "", labels)
                gsub(/ , /, ", ", labels)
            }
            next
        }
        /^\.El/ {give (); next}
        {help = help (help == "" ? "" : " ") $0}
        END {give ()}' "$1"
}

for daemon in litename litedata; do
    rule="$daemon(8) has each metric, with its type, its labels and its help"
    if [ ! -x "$program" ]; then
        skip "$rule" "tests/lint/metrics is not built yet"
        continue
    fi
    verdict "$rule" "$(diff <("$program" "$daemon") <(items "man/$daemon.8") |
        sed -n 's/^</in metric.def:/p; s/^>/in the page:/p')"
done

table=src/base/metric.def
names=$(sed -n 's/^METRIC ([A-Z_]*, [A-Z_]*, "\([^"]*\)".*/\1/p' "$table")
verdict "a name of ours begins with litedfs_, one of the process's with process_" "$(
    grep -vE '^(litedfs|process)(_[a-z]+)+$' <<<"$names" || true)"
verdict "no name stands twice" "$(LC_ALL=C sort <<<"$names" | uniq -d)"
finish
