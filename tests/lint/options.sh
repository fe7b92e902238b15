#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The manual says what the option tables say.  Configuration: each key of a daemon's table is an item
# (".It Ic block_size") of litename.yml(5) or litedata.yml(5), whose text holds default and range as
# conf_table_print words them, and there is no other item.  Command line: each row of an opt_row
# table is there as ".Fl r" and ".Fl -remote-path" in the program's page.
. "$(dirname "$0")/lint.sh"
builddir=${top_builddir:?}

# The keys of a table that are not obsolete: rows that begin {"key", and end in false}.
keys () { # FILE
    tr '\n' ' ' <"$1" | grep -oE '\{"[a-z_]+", (NULL|"[a-z_]*"), OPTION_[^{}]*\}' |
        grep -v 'true}$' | sed 's/^{"\([a-z_]*\)".*/\1/' | LC_ALL=C sort
}

items () { # PAGE
    sed -nE 's/^\.It (Ic|Cm|Sy|Li|Va|Ql) ([a-z_]+)$/\2/p' "$1" | LC_ALL=C sort
}

# The text of an item on one line, without macros.
item () { # PAGE KEY
    awk -v key="$2" '
        /^\.It / {on = $NF == key; next}
        /^\.(El|Sh)/ {on = 0}
        on {sub(/^\.[A-Z][a-z] /, ""); sub(/^\.[A-Z][a-z]$/, ""); printf "%s ", $0}' "$1" | tr -s ' '
}

# Rows that the page words differently; $builddir/tests/lint/options prints the table.
different () { # DAEMON PAGE
    "$builddir/tests/lint/options" "$1" | while IFS=$'\t' read -r key default range; do
        text=$(item "$2" "$key")
        for wanted in "$default" "$range"; do
            case $text in
            *"$wanted"*) ;;
            *) echo "$key: the page does not say '$wanted'" ;;
            esac
        done
    done
}

configuration () { # DAEMON FOLDER
    source=src/$2/config.c
    page=man/$1.yml.5
    if [ ! -e "$source" ] || [ ! -e "$page" ]; then
        skip "$1.yml(5) has each key" "$source and $page do not both exist yet"
        return
    fi
    verdict "$1.yml(5) has each key, and no other" "$(
        LC_ALL=C comm -3 <(keys "$source") <(items "$page") |
            sed -e 's/^\t\(.*\)/\1: in the page alone/; t' -e 's/$/: in the table alone/')"
    if [ ! -x "$builddir/tests/lint/options" ]; then
        skip "$1.yml(5) has defaults and ranges" "tests/lint/options is not built yet"
    else
        verdict "$1.yml(5) has defaults and ranges" "$(different "$1" "$page")"
    fi
}

command_line () { # PAGE FILE...
    page=$1
    shift
    if [ ! -e "$page" ] || [ ! -e "$1" ]; then
        skip "$page has each option" "$page and $1 do not both exist yet"
        return
    fi
    found=$(cat "$@" | tr '\n' ' ' | tr -d '\\\\' | tr -s ' ' |
        grep -oE "\{ ?('.'|0), \"[a-z][a-z-]*\"," | LC_ALL=C sort -u)
    verdict "$page has each option" "$(while read -r row; do
        [ -n "$row" ] || continue
        name=$(sed 's/.*"\(.*\)".*/\1/' <<<"$row")
        letter=$(sed -n "s/{ *'\(.\)'.*/\1/p" <<<"$row")
        # grep reads all of it: with -q it would end early, and sed by a signal.
        sed 's/\\//g' "$page" | grep -E "(Fl|,) (-|Fl )$name( |\$)" >/dev/null || echo "--$name"
        [ -z "$letter" ] || grep -qE "(Fl|,) $letter( |\$)" "$page" || echo "-$letter"
    done <<<"$found")"
}

configuration litename namenode
configuration litedata datanode
command_line man/litename.8 src/namenode/main.c src/namenode/tasks.h src/base/daemon.h
command_line man/litedata.8 src/datanode/main.c src/base/daemon.h
command_line man/litecluster.1 src/cluster/main.c
# shellcheck disable=SC2046 # a list of files
command_line man/litedfs.1 src/cli/main.c $(find src/cli -name '*.c')
finish
