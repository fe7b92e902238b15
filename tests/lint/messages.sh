#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# litedfs-protocol(7) says what messages.def and err.def say.  In the page each message is an item
# or a subsection named by its op (".It Ic directory.create" or ".Ss directory.create"), each record
# one named by its name, each error word an item; what stands below it up to the next such name is
# its description.  There each field must be named, as a word, with an effect other than READS, and
# no item of a field's name may stand there that the table does not have.
. "$(dirname "$0")/lint.sh"

page=man/litedfs-protocol.7
table=src/wire/messages.def
for file in "$page" "$table" src/base/err.def; do
    if [ ! -e "$file" ]; then
        skip "the protocol is described as it is" "$file does not exist yet"
        finish
        exit 0
    fi
done

# "op OP EFFECT", "record NAME", "field OWNER KEY" for each row of messages.def.
rows=$(awk '
    {sub(/^[ \t]+/, "")}
    /^\/\*/ {comment = 1}
    comment {if (/\*\//) comment = 0; next}
    /^#/ {next}
    match($0, /^[A-Z_]+ \(/) {
        kind = substr($0, 1, RLENGTH - 2)
        rest = substr($0, RLENGTH + 1)
        gsub(/[")]/, "", rest)
        split(rest, part, /, */)
        if (kind == "RECORD") {owner = part[1]; print "record", owner}
        else if (kind == "REQUEST") {owner = part[2]; print "op", owner, tolower(part[5])}
        else if (kind ~ /^(UINT|BOOL|TEXT|BYTES|ID|WORD|UINTS|LIST)$/) print "field", owner, part[1]
    }' "$table" | LC_ALL=C sort -u)

# "name NAME" and "word NAME WORD": the described names, and the words below each.
said=$(awk -v rows="$rows" '
    BEGIN {
        n = split(rows, row, "\n")
        for (i = 1; i <= n; i++) {split(row[i], w, " "); if (w[1] != "field") known[w[2]] = 1}
    }
    /^\.\\"/ {next}
    /^\.(Sh|Ss|It) / {
        name = $2
        if ($2 ~ /^[A-Z][a-z]$/) name = $3
        if ($1 == ".Sh") owner = ""
        else if (name in known && !($1 == ".It" && owner != "" && depth > base)) {owner = name; base = depth; print "name", name; next}
        else if (name ~ /^[a-z]+[.][a-z_]+$/) {owner = ""; print "name", name}
        else if ($1 == ".It" && owner != "" && depth > base) print "item", owner, name
    }
    /^\.Bl/ {depth++}
    /^\.El/ {depth--; if (owner != "" && depth < base) owner = ""}
    owner != "" {
        text = $0
        gsub(/[^A-Za-z0-9_.]/, " ", text)
        m = split(text, w, " ")
        for (i = 1; i <= m; i++) {sub(/[.]$/, "", w[i]); print "word", owner, w[i]}
    }' "$page" | LC_ALL=C sort -u)

ops=$(awk '$1 != "field" {print $2}' <<<"$rows" | LC_ALL=C sort -u)
names=$(awk '$1 == "name" {print $2}' <<<"$said" | LC_ALL=C sort -u)
verdict "every message and record is described" "$(LC_ALL=C comm -23 <(echo "$ops") <(echo "$names"))"
verdict "no message is described that there is not" "$(LC_ALL=C comm -13 <(echo "$ops") <(echo "$names"))"

described () { # rows wanted, as "OWNER WORD": those that the page does not say
    LC_ALL=C comm -23 <(LC_ALL=C sort -u) \
        <(awk '$1 == "word" || $1 == "item" {print $2, $3}' <<<"$said" | LC_ALL=C sort -u)
}
verdict "every field is named below its message" \
    "$(awk '$1 == "field" {print $2, $3}' <<<"$rows" | described)"
verdict "every effect is named below its message" \
    "$(awk '$1 == "op" && $3 != "reads" {print $2, $3}' <<<"$rows" | described)"
verdict "no field is described that there is not" "$(LC_ALL=C comm -23 \
    <(awk '$1 == "item" && $3 ~ /^[a-z][a-z0-9_]*$/ {print $2, $3}' <<<"$said" | LC_ALL=C sort -u) \
    <(awk '$1 == "field" {print $2, $3}' <<<"$rows" | LC_ALL=C sort -u))"

words=$(sed -n 's/^ERROR ([A-Z_]*, *-[0-9]*, "\([a-z_]*\)".*/\1/p' src/base/err.def)
verdict "every error word is an item" "$(for word in $words; do
    grep -qE "^\.It ([A-Z][a-z] )?$word( |\$)" "$page" || echo "$word"
done)"
finish
