# fish completion for bundle-ls(1)

complete -c bundle-ls -l map -r -F -d 'file of references for entries'
complete -c bundle-ls -l blobs -d 'also print a record for each blob'
complete -c bundle-ls -l registry -x -d 'list this registry instead of a bundle'
complete -c bundle-ls -l du -d 'with --registry, print the space used by each repository'
complete -c bundle-ls -l ca -r -F -d 'authority of the registry'
complete -c bundle-ls -l plain-http -d 'use plain HTTP'
complete -c bundle-ls -l answer-timeout -x -d 'how long to wait for the first answer'
complete -c bundle-ls -l insecure-skip-tls-verify -d 'do not check the certificate'
complete -c bundle-ls -l username -x -d 'user name, instead of a login file'
complete -c bundle-ls -l password-file -r -F -d "file that holds the user's password"
complete -c bundle-ls -l format -x -a 'auto json table' -d 'auto, json, table or a template'
complete -c bundle-ls -l quiet -d 'print only warnings and errors'
complete -c bundle-ls -l verbose -d 'log each action to stderr'
complete -c bundle-ls -l config -r -F -d 'read flags from a file'
complete -c bundle-ls -l help -d 'print the usage'
complete -c bundle-ls -l version -d 'print the version'
