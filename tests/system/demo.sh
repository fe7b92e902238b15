#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `make demo`: one litename and three litedata as real processes on this machine, and the main job:
# upload, list, move, raise the replicas, kill a node, download, compare, go on without the node, have it
# back.  It says what it does, and cleans up.
set -euo pipefail

PATH=$LITEDFS_BIN:$PATH
root=$(mktemp -d "${TMPDIR:-/tmp}/litedfs-demo-XXXXXX")
pids=()

finish () {
    status=$?
    trap - EXIT
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    if [ "$status" -ne 0 ]; then
        echo "The demo failed.  The end of each log:" >&2
        tail -n 15 "$root"/*/logs/*.log >&2 || true
    fi
    rm -rf "$root"
    exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM

say () { printf '\n== %s\n' "$*"; }
show () { printf '$ %s\n' "$*"; "$@"; }

# Ports that are free now.  `used` keeps them apart.
used=" "
free_port () {
    while :; do
        port=$((20000 + RANDOM % 10000))
        case $used in *" $port "*) continue ;; esac
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    used="$used$port "
}

configure () { # KEY VALUE FILE
    sed -i "s|^$1:.*|$1: $2|" "$3"
}

await () { # WHAT COMMAND...: until it succeeds, at most 20 s
    what=$1
    shift
    for _ in $(seq 200); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    echo "not within 20 s: $what" >&2
    return 1
}

answers () { [ "$(curl -s "localhost:$1")" != "" ]; }
online () { curl -s "localhost:$name_port/cluster/info" | grep -q "\"number_of_online_nodes\": $1,"; }

start_node () { # NUMBER
    litedata -c "$root/data$1/configuration.yml" &
    pids+=($!)
    node_pid[$1]=$!
}

say "Generate the configurations of a name node and three data nodes"
free_port; name_port=$port
litename -g "$root/name" --http-port "$name_port" --block-size 16777216
free_port; configure tcp_port "$port" "$root/name/configuration.yml"
declare -A node_port node_pid
for n in 1 2 3; do
    free_port; node_port[$n]=$port
    litedata -g "$root/data$n" --http-port "$port" --name-node "localhost:$name_port"
    free_port; configure tcp_port "$port" "$root/data$n/configuration.yml"
    free_port; configure chain_port "$port" "$root/data$n/configuration.yml"
    configure storage_preserve_space 16M "$root/data$n/configuration.yml"
    configure retry_interval 1 "$root/data$n/configuration.yml"
done

say "Start the four daemons"
litename -c "$root/name/configuration.yml" &
pids+=($!)
for n in 1 2 3; do start_node "$n"; done
await "the name node answers" answers "$name_port"
await "three data nodes are online" online 3
show curl -s "localhost:$name_port"; echo
show curl -s "localhost:${node_port[1]}"; echo
show litedfs "localhost:$name_port" cluster info

copies () { # PATH NUMBER: whether each block of the file has so many copies on nodes that are online
    litedfs "$a" file info -r "$1" | grep -q "^current_replica: $2\$"
}

equal () { # PATH: download it, and compare
    show litedfs "$a" file download -r "$1" -l "$root/back.tar.gz" --force
    show cmp "$root/examples.tar.gz" "$root/back.tar.gz"
    echo "equal: $(sha256sum <"$root/back.tar.gz" | cut -c1-16)..."
}

say "Make a file of 110 MB and upload it with two copies: seven blocks of 16 MiB"
head -c 110237727 /dev/urandom >"$root/examples.tar.gz"
a="localhost:$name_port"
show litedfs "$a" directory create -r /test
show litedfs "$a" file create -r /test/test.tar.gz -l "$root/examples.tar.gz" -R 2
show litedfs "$a" directory list -r /test
show litedfs "$a" file info -r /test/test.tar.gz

say "Move it"
show litedfs "$a" directory create -r /test2
show litedfs "$a" file move -s /test/test.tar.gz -t /test2
show litedfs "$a" directory list -r /test2

say "Three copies instead of two; only what lacks is copied, from node to node"
show litedfs "$a" file create -r /test2/test.tar.gz -l "$root/examples.tar.gz" -R 3
await "there are three copies of each block" copies /test2/test.tar.gz 3
show litedfs "$a" file info -r /test2/test.tar.gz

say "kill -9 data node 2"
kill -9 "${node_pid[2]}"
wait "${node_pid[2]}" 2>/dev/null || true
await "it is seen offline" online 2
show litedfs "$a" cluster info
await "two copies are left" copies /test2/test.tar.gz 2

say "Download and compare"
equal /test2/test.tar.gz

say "Without the node, write with three copies: as many as there are nodes now"
show litedfs "$a" file create -r /test2/again.tar.gz -l "$root/examples.tar.gz" -R 3
show litedfs "$a" file info -r /test2/again.tar.gz

say "Start the node again: it has its copies, and gets those that it missed"
start_node 2
await "it is online again" online 3
await "there are three copies of each block" copies /test2/again.tar.gz 3
show litedfs "$a" file info -r /test2/again.tar.gz

say "kill -9 the two others, and read from the one that was away"
kill -9 "${node_pid[1]}" "${node_pid[3]}"
wait "${node_pid[1]}" "${node_pid[3]}" 2>/dev/null || true
await "they are seen offline" online 1
equal /test2/again.tar.gz

say "Done"
