#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The model of the replica chain holds, in every order of events that there is; and it can find faults: with
# a rule of the chain taken out it does not hold.  MODEL=full has two faults at a time, which takes minutes
# and 3 GB.
set -uo pipefail

model=$top_srcdir/tests/model/chain.pml
compiler=${CC:-cc}
limit=1800 # MiB
optimise=-O0 # small searches are shorter than a compiler that thinks

# What it holds with: what is looked for, faults of nodes, faults of messages.  "ends" is two searches for
# spin: for states without a way on and broken assertions, and for circles.
checks="steps,1,0 steps,0,1 circles,1,0 circles,0,1"
if [ "${MODEL-}" = full ]; then
    checks="steps,2,0 steps,1,1 steps,0,2 circles,2,0 circles,0,2"
    limit=6000
    optimise=-O2
fi

# Rules of the chain, and the least with which the model shows what they are for.
rules="COMMITS_EARLY,steps,1,0 SAYS_EARLY,steps,1,0 RELAY_HOLDS,steps,1,0 TAKES_GAPS,steps,1,0
LETS_GO_EARLY,steps,1,0 JUDGES_SLOWNESS,steps,0,1 NO_ASKING,steps,0,1 NO_LINK,circles,1,0
RELAY_AGAIN,circles,2,0"

skip_all () {
    echo "1..0 # SKIP $1"
    exit 0
}

command -v spin >/dev/null || skip_all "no spin: apt-get install spin"
command -v "$compiler" >/dev/null || skip_all "no C compiler"
[ "${SANITIZE:-no}" = no ] || skip_all "a build without sanitizers checks the model"

work=$(mktemp -d "${TMPDIR:-/tmp}/litedfs-model-XXXXXX")
trap 'rm -rf "$work"' EXIT

# KIND NODE_FAULTS MESSAGE_FAULTS [RULE]: search everything; what spin says in "$work/said".  Succeeds if the
# search was complete and found nothing, 1 if it found something, 2 if it could not be done.
search () {
    options=(-DNODE_FAULTS="$2" -DMESSAGE_FAULTS="$3" ${4:+-D$4})
    if [ "$1" = circles ]; then how=-DNP how_to_run=-l; else how=-DSAFETY how_to_run=; fi
    rm -rf "$work/build" && mkdir "$work/build" && cd "$work/build" || return 2
    {
        spin -a "${options[@]}" "$model" &&
            "$compiler" "$optimise" -w "$how" -DMEMLIM="$limit" -o pan pan.c &&
            ./pan -m1000000 -n ${how_to_run:+"$how_to_run"}
    } >"$work/said" 2>&1 || return 2
    grep -qE '^pan:.*(assertion violated|invalid end state|non-progress cycle)' "$work/said" && return 1
    grep -q 'errors: 0$' "$work/said" && ! grep -q 'Search not completed' "$work/said" || return 2
}

number=0
failed=0
verdict () { # WHETHER WHAT
    number=$((number + 1))
    if [ "$1" = yes ]; then
        echo "ok $number - $2"
    else
        sed 's/^/# /' "$work/said"
        echo "not ok $number - $2"
        failed=1
    fi
}

# shellcheck disable=SC2086 # lists of words
set -- $checks $rules
echo "1..$#"
for check in $checks; do
    IFS=, read -r kind nodes messages <<<"$check"
    search "$kind" "$nodes" "$messages" && holds=yes || holds=no
    states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' "$work/said")
    verdict "$holds" "$kind, with $nodes faults of nodes and $messages of messages: ${states:-no} states"
done
for rule in $rules; do
    IFS=, read -r name kind nodes messages <<<"$rule"
    search "$kind" "$nodes" "$messages" "$name"
    [ $? -eq 1 ] && found=yes || found=no
    verdict "$found" "without its rule, $name, it does not hold"
done
exit "$failed"
