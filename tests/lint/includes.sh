#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Includes follow the house: a folder includes itself and what is below it, and each third-party
# library is included where the house gives it a place and nowhere else.
. "$(dirname "$0")/lint.sh"

# FILE HEADER for each include in src; quoted ones with their quote.
includes () {
    c_files src | xargs awk '
        match($0, /^#[ \t]*include[ \t]*[<"][^>"]+/) {
            header = substr($0, 1, RLENGTH)
            sub(/^#[ \t]*include[ \t]*/, "", header)
            sub(/^</, "", header)
            print FILENAME, header
        }'
}

layers=$(includes | awk '
    BEGIN {
        may["base"] = "base"
        may["wire"] = "wire base"
        may["rpc"] = "rpc wire base"
        may["client"] = "client rpc wire base"
        may["cli"] = "cli base"
        may["web"] = "web rpc wire base"
        may["namenode"] = "namenode web rpc wire base"
        may["datanode"] = "datanode web rpc wire base"
        may["cluster"] = "cluster namenode datanode web client rpc wire base"
    }
    $2 ~ /^"/ {
        header = substr($2, 2)
        if (header == "litedfs.h")
            next
        split($1, at, "/")
        if (split(header, part, "/") < 2)
            print $1 ": \"" header "\": write it from src: \"folder/file.h\""
        else if (index(" " may[at[2]] " ", " " part[1] " ") == 0)
            print $1 ": \"" header "\": " at[2] " may include: " may[at[2]]
    }')
verdict "layers point down" "$layers"

# place HEADER FILES: only files that match may include headers that do (extended regular expressions)
place () {
    verdict "<$1> is included in $2 only" "$(includes |
        awk -v header="^($1)" -v files="^src/($2)" '$2 ~ header && $1 !~ files {print $1 ": " $2}')"
}

place 'yaml[.]h' 'base/'
place 'msgpack' 'wire/'
place 'lmdb[.]h' 'namenode/metastore|datanode/blockstore'
place 'microhttpd[.]h' 'web/'
place 'czmq[.]h|zmq[.]h' 'base/(actor|context|process_czmq)[.]|rpc/|web/|client/|namenode/|datanode/|cluster/'
place 'libdeflate[.]h|zlib[.]h' 'base/'
place 'jansson[.]h' 'client/|cli/|web/|rpc/endpoint[.]'
place 'systemd/' 'base/|(namenode|datanode)/main[.]c'

pure='namenode/(namespace|placement)[.]'
verdict "pure files know no socket and no thread" "$(includes |
    awk -v files="^src/(wire/|$pure)" '$1 ~ files && $2 ~ /^(czmq|zmq|pthread|threads|sys\/socket)[.]h/ {print $1 ": " $2}')"
finish
