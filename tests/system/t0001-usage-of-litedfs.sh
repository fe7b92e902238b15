#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# litedfs without a cluster: help on every level, the version, wrong usage of every kind, with their
# exit statuses; nothing on stdout when it fails, one line on stderr.
set -u
: "${LITEDFS:=litedfs}"
: "${top_srcdir:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
nowhere=127.0.0.1:1 # nobody listens on port 1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
cd "$root" || exit 1
cases=0

# verdict TITLE PROBLEMS: a case of TAP; it holds if there are no problems.
verdict () {
    cases=$((cases + 1))
    if [ -z "$2" ]; then
        echo "ok $cases - $1"
    else
        echo "not ok $cases - $1: $(head -n 1 <<<"$2" | tr '#' '%')"
        printf '%s\n' "$2" | sed 's/^/# /'
    fi
}

# run STATUS ARGUMENT...: run litedfs; say what is wrong with its end.  out and err hold what it said.
run () {
    local wanted=$1 status=0
    shift
    "$LITEDFS" "$@" >out 2>err </dev/null || status=$?
    [ "$status" -eq "$wanted" ] || echo "litedfs $*: status $status, not $wanted: $(cat err)"
    if [ "$wanted" -ne 0 ]; then
        [ ! -s out ] || echo "litedfs $*: something on stdout"
        [ "$(wc -l <err)" -eq 1 ] || echo "litedfs $*: $(wc -l <err) lines on stderr"
        grep -q '^litedfs: ' err || echo "litedfs $*: the line does not begin with litedfs:"
    else
        [ ! -s err ] || echo "litedfs $*: something on stderr: $(cat err)"
        [ -s out ] || echo "litedfs $*: nothing on stdout"
    fi
}

# says TEXT FILE
says () {
    grep -qF -- "$1" "$2" || echo "'$1' is not in: $(cat "$2")"
}

verbs="file create
file delete
file info
file move
file rename
file update
file download
file why
directory create
directory delete
directory move
directory rename
directory list
path info
cluster check
cluster info
cluster balance
node list
node drain
node undrain
node remove
node maintenance
lock list"

# --- help and version

verdict "litedfs -h names each command" "$(
    run 0 -h
    while read -r verb; do says "  $verb" out; done <<<"$verbs")"
verdict "ADDRESS -h is the same help" "$(run 0 -h; mv out all; run 0 "$nowhere" --help; cmp all out)"
verdict "ADDRESS OBJECT -h names its operations and no others" "$(
    run 0 "$nowhere" file -h
    says "  file create -r REMOTE -l LOCAL" out
    ! grep -q '^  directory' out || cat out)"
verdict "each command has a help with its options" "$(
    while read -r object operation; do
        run 0 "$nowhere" "$object" "$operation" -h
        says "usage: litedfs ADDRESS $object $operation" out
        for option in --column-width --version --help; do says "$option" out; done
    done <<<"$verbs")"
verdict "help needs no address" "$(run 0 file create -h; says "usage: litedfs ADDRESS file create" out)"
verdict "help may stand anywhere" "$(run 0 -h "$nowhere" file create; says "file create -r" out)"
verdict "the version is printed on each level" "$(
    run 0 -v
    grep -qE '^litedfs [0-9]+\.[0-9]+\.[0-9]+$' out || cat out
    run 0 --version
    run 0 "$nowhere" -v
    run 0 "$nowhere" file --version
    run 0 "$nowhere" file create -v)"

# --- wrong usage

verdict "nothing at all is wrong usage" "$(run 2; says "ADDRESS" err)"
verdict "an object must follow" "$(run 2 "$nowhere"; says "file, directory, path, cluster, node, lock" err)"
verdict "an operation must follow" "$(run 2 "$nowhere" lock; says "one of list" err)"
verdict "a missing address is told" "$(run 2 file create -r /a -l b; says "ADDRESS" err)"
verdict "the nearest object is named" "$(run 2 "$nowhere" fiel create; says "did you mean file?" err)"
verdict "the nearest operation is named" "$(
    run 2 "$nowhere" file downlaod -r /a -l b
    says "did you mean download?" err)"
verdict "what is near to nothing lists what there is" "$(
    run 2 "$nowhere" file xyzzyxyzzy
    says "create, delete, info, move, rename, update, download" err)"
verdict "each required option is asked for" "$(
    while read -r object operation option arguments; do
        # shellcheck disable=SC2086 # words
        run 2 "$nowhere" "$object" "$operation" $arguments
        says "--$option" err
    done <<<"file create remote-path -l x
file create local-path -r /x
file delete remote-path
file info remote-path
file move source-path -t /x
file move target-path -s /x
file rename new-name -r /x
file rename remote-path -n x
file update replica -r /x
file update remote-path -R 2
file download local-path -r /x
file download remote-path -l x
file why remote-path
directory create remote-path
directory delete remote-path
directory move target-path -s /x
directory rename new-name -r /x
directory list remote-path
path info remote-path")"
verdict "an unknown option is named" "$(
    run 2 "$nowhere" file delete -r /a -q
    says "-q" err
    run 2 "$nowhere" file delete --remote-pth=/a
    says "did you mean --remote-path?" err)"
verdict "an option of another command is unknown" "$(
    run 2 "$nowhere" file delete -r /a --force
    run 2 "$nowhere" cluster info -o 1)"
verdict "a value that is missing is told" "$(
    run 2 "$nowhere" file delete -r
    says "it needs a value" err)"
verdict "a value that is not wanted is told" "$(
    run 2 "$nowhere" directory list -r / --files=yes
    says "it takes no value" err)"
verdict "an option that is given twice is told" "$(run 2 "$nowhere" file delete -r /a -r /b)"
verdict "one word too many is told" "$(
    run 2 "$nowhere" file delete -r /a /b
    says "[/b]" err)"
verdict "a command that wants an operand takes one and no more" "$(
    for operation in drain undrain remove "maintenance --for 1h"; do
        # shellcheck disable=SC2086 # words
        run 2 "$nowhere" node $operation
        says "ID: it is missing" err
        # shellcheck disable=SC2086 # words
        run 2 "$nowhere" node $operation 1 2
        says "argument[2]" err
        for number in 0 -1 x "" 1.5 4294967296; do
            # shellcheck disable=SC2086 # words
            run 2 "$nowhere" node $operation -- "$number"
            says "number of a data node" err
        done
    done
    run 2 "$nowhere" node maintenance 1
    says "option --for TIME: it is missing" err
    for time in "" s 1w -1 1.5h 31d 721h 9999999999999999999 1hh h1; do
        run 2 "$nowhere" node maintenance 1 --for "$time"
        says "up to 30 days" err
    done)"
verdict "numbers are checked" "$(
    for number in 0 65 -1 x "" 1.5 99999999999999999999 " 1"; do
        run 2 "$nowhere" file update -r /a -R "$number"
        says "from 1 to 64" err
    done
    run 2 "$nowhere" file create -r /a -l b -L 0
    run 2 "$nowhere" file create -r /a -l b -L 86401
    run 2 "$nowhere" directory list -r / -o -1
    run 2 "$nowhere" directory list -r / -l many
    run 2 "$nowhere" directory list -r / -w wide)"
verdict "control characters of a word stay harmless" "$(
    run 2 "$nowhere" $'fi\nle\033[31m'
    says 'fi\nle\x1b[31m' err)"

# --- an address where nobody is: status 7 means that the line itself was understood

verdict "an address where nobody is is named" "$(
    run 7 "$nowhere" directory list -r /
    says "$nowhere" err)"
verdict "options may stand anywhere" "$(
    run 7 -r / "$nowhere" directory list
    run 7 "$nowhere" -r / directory list
    run 7 "$nowhere" directory -r/ list
    run 7 "$nowhere" directory list -r / -w 10
    run 7 -w 10 -l 5 -o 3 -fd "$nowhere" directory -r / list
    run 7 -r "$nowhere" cluster info
    run 7 "$nowhere" -r cluster info
    run 7 "$nowhere" cluster -r info
    run 7 "$nowhere" cluster info -r --json)"
verdict "long options are known" "$(
    run 7 "$nowhere" directory list --remote-path=/ --offset=1 --limit=2 --files --directories --column-width=3 --json
    run 7 "$nowhere" file move --source-path /a --target-path /b
    run 7 "$nowhere" file rename --remote-path /a --new-name b
    run 7 "$nowhere" file update --remote-path /a --replica 2
    run 7 "$nowhere" file create --remote-path /a --local-path "$LITEDFS" --replica=2 --lock-ttl=5
    run 7 "$nowhere" file download --remote-path=/a --local-path=new --force
    run 7 "$nowhere" cluster info --raw
    for time in 0 90 90s 30m 2h 30d 720h; do run 7 "$nowhere" node maintenance 1 --for "$time"; done
    run 7 "$nowhere" node drain --wait 1
    run 7 "$nowhere" node --force remove 4294967295
    run 7 "$nowhere" node undrain 1)"
verdict "long options may be cut short, and have underscores" "$(
    run 7 --column_width 9 "$nowhere" directory list --remote_path /
    run 7 "$nowhere" --source /a directory --target /b move
    run 7 "$nowhere" --new b file --remote=/a rename)"
verdict "values may look like commands and options" "$(
    run 7 "$nowhere" file rename -r file -n -h
    run 7 "$nowhere" directory list -r list
    run 7 "$nowhere" file delete -r -x
    run 7 "$nowhere" file delete -r/tmp/r)"
verdict "an address that cannot be one is wrong usage or unknown" "$(
    for address in "" "host:" "host:0" "host:70000" "host:x" "[::1" "tcp://" "tcp://host" "http://host:1"; do
        status=0
        "$LITEDFS" "$address" lock list >out 2>err || status=$?
        case $status in 2 | 7) ;; *) echo "'$address': status $status: $(cat err)" ;; esac
        [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] || echo "'$address': $(cat out err)"
    done)"

# --- the local side is looked at first

verdict "a local file that is missing is told without a cluster" "$(
    run 3 "$nowhere" file create -r /a -l missing
    says "local file[missing]" err
    says "file create[/a]" err)"
verdict "a local directory is no file" "$(
    run 1 "$nowhere" file create -r /a -l .
    run 1 "$nowhere" file download -r /a -l . --force)"
verdict "an existing local file stays" "$(
    echo old >existing
    run 4 "$nowhere" file download -r /a -l existing
    says "--force" err
    [ "$(cat existing)" = old ] || echo "it was changed")"
verdict "a download that fails leaves nothing" "$(
    mkdir empty
    run 7 "$nowhere" file download -r /a -l empty/new
    ls -A empty)"

# --- where the output goes

verdict "a full disk under stdout is told" "$(
    [ -w /dev/full ] || exit 0
    status=0
    "$LITEDFS" -h >/dev/full 2>err || status=$?
    [ "$status" -eq 6 ] || echo "status $status"
    says "standard output" err)"
verdict "a closed stdout is told" "$(
    status=0
    "$LITEDFS" -h >&- 2>err || status=$?
    [ "$status" -eq 1 ] || echo "status $status"
    says "standard output" err)"
verdict "a closed pipe is told" "$(
    status=0
    exec 7> >(exec true)
    wait $! # for the reader's end
    "$LITEDFS" -h >&7 2>err || status=$?
    [ "$status" -eq 1 ] || echo "status $status"
    says "standard output" err)"

# --- completion

verdict "the completion knows each command and each option" "$(
    file=$top_srcdir/conf/completion/litedfs.bash
    [ -e "$file" ] || { echo "$file is missing"; exit; }
    while read -r object operation; do
        "$LITEDFS" "$object" "$operation" -h | sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p' >wanted
        # shellcheck disable=SC1090,SC2030
        (. "$file"
            COMP_WORDS=(litedfs "$nowhere" "$object" "$operation" --)
            COMP_CWORD=4
            _litedfs
            printf '%s\n' "${COMPREPLY[@]}") >completed
        diff <(LC_ALL=C sort wanted) <(LC_ALL=C sort completed) >difference || {
            echo "$object $operation:"
            cat difference
        }
    done <<<"$verbs")"
verdict "the completion completes objects and operations" "$(
    complete_word () {
        # shellcheck disable=SC1091,SC2030,SC2031
        (. "$top_srcdir/conf/completion/litedfs.bash"
            COMP_WORDS=(litedfs "$@")
            COMP_CWORD=$#
            _litedfs
            echo "${COMPREPLY[*]}")
    }
    [ "$(complete_word "$nowhere" di)" = directory ] || complete_word "$nowhere" di
    [ "$(complete_word "$nowhere" file d)" = "delete download" ] || complete_word "$nowhere" file d
    [ "$(complete_word -w 10 "$nowhere" cluster "")" = "check info balance" ] || complete_word -w 10 "$nowhere" cluster "")"

echo "1..$cases"
