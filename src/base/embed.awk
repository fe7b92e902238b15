# SPDX-License-Identifier: MIT
#
# Turns the files of conf/templates/ into a C table of {name, text}, for scaffold.c.
function quote(line) {
    gsub(/\\/, "\\\\", line)
    gsub(/"/, "\\\"", line)
    return "    \"" line "\\n\""
}
FNR == 1 {
    if (NR > 1)
        print "    },"
    n = split(FILENAME, part, "/")
    print "    {\"" part[n] "\","
}
{ print quote($0) }
END { print "    }," }
