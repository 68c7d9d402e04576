# Completes each command line on stdin as fish does, and prints what it offers:
# the line, a tab, a candidate. Completions are in the directory $argv[1].
for file in $argv[1]/*.fish
    source $file
end
while read --local line
    for offer in (complete --do-complete $line)
        printf '%s\t%s\n' $line (string split --max 1 \t -- $offer)[1]
    end
end
