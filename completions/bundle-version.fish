# fish completion for bundle-version(1)

complete -c bundle-version -l all -d 'read the whole bundle, to list its k0s versions'
complete -c bundle-version -l format -x -a 'auto json table' -d 'auto, json, table or a template'
complete -c bundle-version -l quiet -d 'print only warnings and errors'
complete -c bundle-version -l verbose -d 'log each action to stderr'
complete -c bundle-version -l config -r -F -d 'read flags from a file'
complete -c bundle-version -l help -d 'print the usage'
complete -c bundle-version -l version -d 'print the version'
