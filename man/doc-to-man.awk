# SPDX-License-Identifier: GPL-3.0-or-later
# awk -v title=era-stream -v version=1.0 -v about=streams -f doc-to-man.awk docs/stream.md >era-stream.5
#
# A specification in docs/ as a manual page, so that there is one text. It knows the Markdown that these have: headings,
# paragraphs, lists, tables, `code`, **bold** and [links](file). Anything else is an error, not a page with a hole.

function fail(what) {
    print FILENAME ":" FNR ": " what >"/dev/stderr"
    failed = 1
    exit 1
}

# Text in a line: escapes first, then fonts.
function inline(text,    out, at, name, target) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/'/, "\\(aq", text)
    gsub(/\^/, "\\(ha", text)
    gsub(/~/, "\\(ti", text)
    gsub(/×/, "\\(mu", text)
    # A link to another specification is a reference to its page; others are what they are called.
    while (match(text, /\[[^]]*\]\([^)]*\)/)) {
        at = RSTART
        name = substr(text, at, RLENGTH)
        out = substr(text, at + RLENGTH)
        target = name
        sub(/^\[[^]]*\]\(/, "", target)
        sub(/\)$/, "", target)
        sub(/^\[/, "", name)
        sub(/\]\(.*$/, "", name)
        if (target == "stream.md") name = "**era\\-stream**(5)"
        else if (target == "repository.md") name = "**era\\-repository**(5)"
        else fail("where does " target " lead to?")
        text = substr(text, 1, at - 1) name out
    }
    while (match(text, /\*\*[^*]+\*\*/))
        text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 2, RLENGTH - 4) "\\fR" substr(text, RSTART + RLENGTH)
    while (match(text, /`[^`]+`/))
        text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 1, RLENGTH - 2) "\\fR" substr(text, RSTART + RLENGTH)
    if (index(text, "`")) fail("code that does not end on its line")
    while (match(text, /\*[^* ][^*]*\*/))
        text = substr(text, 1, RSTART - 1) "\\fI" substr(text, RSTART + 1, RLENGTH - 2) "\\fR" substr(text, RSTART + RLENGTH)
    # What looks like a request at the beginning of a line is none.
    if (text ~ /^[.]/) text = "\\&" text
    return text
}

# A paragraph has been collected, as code and bold may go over the end of a line.
function flush() {
    if (paragraph != "") print inline(paragraph)
    paragraph = ""
}

# The cells of a row go into cell[].
function cells(row,    count) {
    sub(/^\|[ \t]*/, "", row)
    sub(/[ \t]*\|[ \t]*$/, "", row)
    count = split(row, cell, /[ \t]*\|[ \t]*/)
    return count
}

# A table has been collected. Columns whose cells are all short keep their width, the others share what is left.
function table(    i, j, count, format, wide, columns) {
    columns = cells(row[1])
    for (j = 1; j <= columns; j++) wide[j] = 0
    for (i = 1; i <= rows; i++) {
        count = cells(row[i])
        if (count != columns) fail("a row of " count " cells in a table of " columns)
        for (j = 1; j <= columns; j++) if (length(cell[j]) > 24) wide[j] = 1
    }
    if (!fresh) print ".PP"
    print ".TS"
    print "allbox;"
    format = ""
    for (j = 1; j <= columns; j++) format = format " lb"
    print substr(format, 2)
    format = ""
    for (j = 1; j <= columns; j++) format = format (wide[j] ? " lx" : " l")
    print substr(format, 2) "."
    for (i = 1; i <= rows; i++) {
        count = cells(row[i])
        for (j = 1; j <= columns; j++) {
            if (j > 1) printf "\t"
            if (wide[j] && i > 1) printf "T{\n%s\nT}", inline(cell[j])
            else printf "%s", inline(cell[j])
        }
        printf "\n"
    }
    print ".TE"
    print ".sp"
    rows = 0
    # The blank line is there.
    fresh = 1
}

BEGIN {
    # tbl is needed, says the first line.
    print "'\\\" t"
    print ".\\\" Made of a specification in docs/ by doc-to-man.awk."
    print ".TH " toupper(title) " 5 \"\" \"era " version "\" \"File Formats Manual\""
    # Narrow columns look torn when they are adjusted.
    print ".nh"
    print ".ad l"
    print ".SH NAME"
    printf "%s \\- %s\n", title, about
    print ".SH DESCRIPTION"
    fresh = 1
}

/^<!--.*-->$/ { next }

rows && !/^\|/ { table() }

/^\|/ {
    flush()
    if ($0 !~ /^\|[ \t|-]*$/) row[++rows] = $0
    next
}

/^# / { next }
/^## / { flush(); print ".SH \"" inline(toupper(substr($0, 4))) "\""; fresh = 1; next }
/^### / { flush(); print ".SS \"" inline(substr($0, 5)) "\""; fresh = 1; next }
/^#/ { fail("a heading of that depth") }
/^    / && paragraph == "" { fail("a block of code") }

/^[ \t]*$/ {
    flush()
    in_item = 0
    need = 1
    next
}

/^- / || /^[0-9]+\. / {
    flush()
    mark = ($0 ~ /^-/) ? "\\(bu" : $1
    sub(/^(-|[0-9]+\.) /, "")
    print ".IP " mark " 4"
    in_item = 1
    need = fresh = 0
}

{
    sub(/^[ \t]+/, "")
    # After a heading a paragraph needs no beginning.
    if (paragraph == "" && need && !in_item && !fresh) print ".PP"
    need = fresh = 0
    paragraph = (paragraph == "" ? "" : paragraph " ") $0
}

END {
    if (failed) exit 1
    flush()
    if (rows) table()
    print ".SH SEE ALSO"
    others = "era(8), era-repository(5), era-stream(5)"
    sub(", " title "[(]5[)]", "", others)
    print inline(others)
}
