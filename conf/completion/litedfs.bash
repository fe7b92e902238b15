# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Completion of litedfs(1) for bash: objects, operations, options, local files.  It asks no cluster.

_litedfs () {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local words=() candidates='' word i
    COMPREPLY=()

    # ADDRESS OBJECT OPERATION are the words that are neither options nor their values.  A shell that
    # breaks words at ":" gives an address as several.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        : | =) ((i++)) ;;
        -l | -R | -L | -s | -t | -n | -o | -w | --local-path | --replica | --lock-ttl | \
            --source-path | --target-path | --new-name | --offset | --limit | --column-width | \
            --remote-path | --for | --timeout)
            [[ ${COMP_WORDS[i + 1]} == = ]] || ((i++))
            ;;
        -r) [[ " ${words[*]} " == *' cluster '* ]] || ((i++)) ;;
        -*) ;;
        *) words+=("$word") ;;
        esac
    done

    case ${words[1]-} in
    '') ((${#words[@]} == 0)) || candidates='file directory path cluster node lock' ;;
    file) candidates='create delete info move rename update download why' ;;
    directory) candidates='create delete move rename list' ;;
    path) candidates='info' ;;
    cluster) candidates='check info balance' ;;
    node) candidates='list drain undrain remove maintenance' ;;
    lock) candidates='list' ;;
    esac
    ((${#words[@]} < 3)) || candidates=''

    if [[ $previous == -l || $previous == --local-path ]] && [[ ${words[1]-} == file ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        compopt -o filenames 2>/dev/null
        return
    fi
    if [[ $current == -* ]]; then
        candidates='--column-width --version --help'
        case "${words[1]-} ${words[2]-}" in
        'file create') candidates+=' --remote-path --local-path --replica --lock-ttl' ;;
        'file download') candidates+=' --remote-path --local-path --force' ;;
        'file update') candidates+=' --remote-path --replica --recursive --wait --timeout' ;;
        'file info' | 'file why' | 'path info') candidates+=' --remote-path --json' ;;
        'file move' | 'directory move') candidates+=' --source-path --target-path' ;;
        'file rename' | 'directory rename') candidates+=' --remote-path --new-name' ;;
        'file delete' | 'directory create' | 'directory delete') candidates+=' --remote-path' ;;
        'directory list')
            candidates+=' --remote-path --offset --limit --files --directories --json'
            ;;
        'cluster check') candidates+=' --files --json --scrub --wait --timeout' ;;
        'cluster info') candidates+=' --raw --json' ;;
        'cluster balance') candidates+=' --on --off --dry-run --json' ;;
        'node list' | 'lock list') candidates+=' --json' ;;
        'node drain') candidates+=' --wait' ;;
        'node remove') candidates+=' --force' ;;
        'node maintenance') candidates+=' --for' ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$current")
}

complete -F _litedfs litedfs
