#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# litedfs-protocol(7) says what messages.def and err.def say.  In the page each message is an item
# or a subsection named by its op (".It Ic directory.create" or ".Ss directory.create"), each record
# one named by its name, each error word an item; what stands below it up to the next such name is
# its description.  There each field must be named, as a word, with an effect other than READS, and
# no item of a field's name may stand there that the table does not have.  Tables say of each field
# what the codec does: ".It Ic path Ta required Ta text 1..4096", in this order, below a row
# ".It Sy Request ...", Reply, or Field for a record.  Each error's row has its two numbers, and each
# op has a row there with the words that it may be refused with (".It Ic file.delete Ta not_found, ...").
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

# "OWNER SECTION FIELD | DEFAULT | TYPE BOUNDS" for each field, as the page and as the codec has it.
in_page=$(awk '
    /^\.S[hs] / {owner = $2; section = ""}
    /^\.It Sy (Request|Reply|Field) / {section = tolower($3)}
    /^\.It Ic [a-z0-9_]+ Ta / && section != "" {
        field = $3
        split(substr($0, index($0, " Ta ") + 4), part, " Ta ")
        print owner, section, field " | " part[1] " | " part[2]
    }' "$page" | grep -v '^ENVELOPE ')
in_codec=$([ ! -x "$top_builddir/tests/lint/describe" ] || "$top_builddir/tests/lint/describe" |
    awk -F '\t' '$2 ~ /^(request|reply|record)$/ {
        bounds = $6 == "-" ? "" : " " $6
        if ($4 == "word") gsub(/[|]/, " | ", bounds)
        print $1, ($2 == "record" ? "field" : $2), $3 " | " \
            ($5 == "required" ? $5 : $7 == "-" ? "absent" : $7) " | " $4 bounds
    }')
if [ -z "$in_codec" ]; then
    skip "the tables say of each field what the codec does" "tests/lint/describe is not built yet"
else
    verdict "the tables say of each field what the codec does" "$(diff <(echo "$in_codec" |
        LC_ALL=C sort) <(echo "$in_page" | LC_ALL=C sort) || true)"
fi

words=$(sed -n 's/^ERROR ([A-Z_]*, *-[0-9]*, "\([a-z_]*\)".*/\1/p' src/base/err.def)
verdict "every error word is an item" "$(for word in $words; do
    grep -qE "^\.It ([A-Z][a-z] )?$word( |\$)" "$page" || echo "$word"
done)"
verdict "every error has its exit status and its HTTP status" "$(
    sed -n 's/^ERROR ([A-Z_]*, *-[0-9]*, "\([a-z_]*\)", *\([0-9]*\), \([0-9]*\),.*/\1 \2 \3/p' \
        src/base/err.def | while read -r word exit http; do
        grep -qE "^\.It Ic $word Ta $exit Ta $http Ta " "$page" || echo "$word: $exit, $http"
    done)"

# "OP WORDS" for each row of the table of what requests are refused with.
refusals=$(sed -n '/^\.Sh ERROR WORDS/,/^\.Sh EXAMPLES/s/^\.It Ic \([a-z]*\.[a-z_]*\) Ta /\1 /p' "$page")
verdict "every message has a row with the words that it may be refused with" "$(LC_ALL=C comm -3 \
    <(awk '$1 == "op" {print $2}' <<<"$rows" | LC_ALL=C sort) <(sed 's/ .*//' <<<"$refusals" | LC_ALL=C sort) |
        sed -e 's/^\t\(.*\)/\1: a row too many/; t' -e 's/$/: no row/')"
verdict "the words of these rows are error words" "$(while read -r op said; do
    for word in $(sed -e 's/([^)]*)//g; s/[ ,]\{1,\}/ /g; s/^none$//; s/^see there$//; s/^no reply$//' <<<"$said"); do
        grep -qx "$word" <<<"$words" || echo "$op: $word"
    done
done <<<"$refusals")"
finish
