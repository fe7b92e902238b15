# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Completion of litecluster(1) for bash: options and directories.

_litecluster () {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()

    case $previous in
    -n | --nodes | -p | --http-port) return ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--nodes --http-port --version --help' -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        compopt -o filenames 2>/dev/null
    fi
}

complete -F _litecluster litecluster
