# fish completion for oci-serve(8)

complete -c oci-serve -f
complete -c oci-serve -l host -x -a '0.0.0.0 127.0.0.1 ::' -d 'address to listen on'
complete -c oci-serve -l port -x -a '5000 0' -d 'port to listen on, 0 for a free one'
complete -c oci-serve -l storage -x -a '(__fish_complete_directories)' -d 'directory that everything is kept in'
complete -c oci-serve -l write -x -a 'loopback any none' -d 'who may push and delete'
complete -c oci-serve -l gc -d 'remove what no repository uses, report, and exit'
complete -c oci-serve -l format -x -a 'json table' -d 'json, table or a template'
complete -c oci-serve -l config -r -F -d 'read flags from a file'
complete -c oci-serve -l quiet -d 'errors only'
complete -c oci-serve -l verbose -d 'log each request to stderr'
complete -c oci-serve -l help -d 'print the usage'
complete -c oci-serve -l version -d 'print the version'
