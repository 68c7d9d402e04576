# fish completion for oci-push(1)

# Lists the repositories of bundles that are directories, which takes no time.
function __oci_push_names
    for word in (commandline --tokenize)
        test -d "$word"
        and bundle-ls --quiet --format '{{.repository}}=' $word 2>/dev/null
    end
end

complete -c oci-push -l to -x -d 'registry, and a prefix for every repository'
complete -c oci-push -l from -x -d 'copy from this registry instead of a bundle'
complete -c oci-push -l jobs -x -d 'uploads at a time'
complete -c oci-push -l memory -x -a '64MiB 256MiB 1GiB' -d 'memory budget for blobs'
complete -c oci-push -l platform -x -a 'linux/amd64 linux/arm64' -d 'omit other platforms from indexes'
complete -c oci-push -l verified-by -r -F -d 'publish only if the bundle record in this file is good'
complete -c oci-push -l alias -x -a '(__oci_push_names)' -d 'also tag FROM as TO, after pushing'
complete -c oci-push -l files -x -a '(__fish_complete_directories)' -d 'write files for an HTTP server below this directory'
complete -c oci-push -l plan -d 'report what would be sent, and send nothing'
complete -c oci-push -l ca -r -F -d 'certificate authority of the registry, in PEM'
complete -c oci-push -l plain-http -d 'use plain HTTP'
complete -c oci-push -l answer-timeout -x -a '30s 2m' -d 'how long to wait for the first answer'
complete -c oci-push -l insecure-skip-tls-verify -d 'do not check the certificate of the registry'
complete -c oci-push -l username -x -d 'user name for the registry'
complete -c oci-push -l password-file -r -F -d 'file with the password'
complete -c oci-push -l from-username -x -d 'user name for the registry of --from'
complete -c oci-push -l from-password-file -r -F -d 'file with that password'
complete -c oci-push -l format -x -a 'auto json table' -d 'auto, json, table or a template'
complete -c oci-push -l quiet -d 'print only warnings and errors'
complete -c oci-push -l verbose -d 'log each action to stderr'
complete -c oci-push -l config -r -F -d 'read flags from a file'
complete -c oci-push -l help -d 'print the usage'
complete -c oci-push -l version -d 'print the version'
