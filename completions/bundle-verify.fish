# fish completion for bundle-verify(1)

complete -c bundle-verify -l key -r -F -d 'public key or certificate, a file or a URL'
complete -c bundle-verify -l signature -r -F -d 'file with the signature'
complete -c bundle-verify -l digest -x -a 'sha256:' -d 'expected digest of the file'
complete -c bundle-verify -l plan -d 'check that everything exists, without reading the file'
complete -c bundle-verify -l format -x -a 'auto json table' -d 'auto, json, table or a template'
complete -c bundle-verify -l quiet -d 'print only warnings and errors'
complete -c bundle-verify -l verbose -d 'log each action to stderr'
complete -c bundle-verify -l config -r -F -d 'read flags from a file'
complete -c bundle-verify -l help -d 'print the usage'
complete -c bundle-verify -l version -d 'print the version'
