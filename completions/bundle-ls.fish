# fish completion for bundle-ls(1)

complete -c bundle-ls -l map -r -F -d 'references for entries, from a file'
complete -c bundle-ls -l blobs -d 'print a record for each blob as well'
complete -c bundle-ls -l format -x -a 'json table' -d 'json, table or a template'
complete -c bundle-ls -l quiet -d 'print only warnings and errors'
complete -c bundle-ls -l verbose -d 'log each action to stderr'
complete -c bundle-ls -l config -r -F -d 'read flags from a file'
complete -c bundle-ls -l help -d 'print the usage'
complete -c bundle-ls -l version -d 'print the version'
