# shellcheck shell=sh
# Further hosts: install.sh packs an archive on the first host, and joins another one to
# the cluster with it.

# export_node packs the tools and files that made this host a node. It works in a
# directory of root's, since others may replace files elsewhere.
export_node() {
  role=${mode#export-} archive=$(absolute "$archive")
  site
  begin
  [ -z "$plan" ] || echo "# what is packed has a digest, which a run prints"
  perform "$mode" pack
  if [ -n "$plan" ]; then
    run "rm -rf $pack"
    return
  fi
  digest=$(sha256sum <$pack/archive | cut -c 1-64)
  rm -rf $pack
  say "copy $archive to the $role, where nobody else can read it, and run there:"
  say "  install.sh --$role $(basename -- "$archive") --digest sha256:$digest"
  say 'the digest authenticates the archive: write it down, or send it by a different route'
}

pack() {
  run "rm -rf $pack && mkdir -m 700 $pack"
  run "$(quote k0s-up --quiet --token "$role" --token-file $pack/token) </dev/null"
  run "$(quote cp $bin/k0s) $(for tool in $packed; do printf '%s ' "$(quote "$(command -v "$tool")")"; done)$pack/"
  run "$(quote cp "$self" $pack/install.sh) && $(quote cp -r "$lib" $pack/install)"
  run "cat $state/pushed 2>/dev/null >$pack/records || true"
  [ -z "$authority" ] || run "$(quote cp "$authority" $pack/ca.pem)"
  [ -z "$username" ] || run "$(quote cp "$password" $pack/password)"
  [ "$role" = worker ] || run "cp /etc/k0s/k0s.yaml $pack/"
  run "$(quote printf '%s\n' "$(join_script)") >$pack/join.sh"
  run "tar --owner=0 --group=0 --numeric-owner -czf $state/archive.new -C $pack . && mv $state/archive.new $pack/archive"
  run "$(quote install -m 600 $pack/archive "$archive.new") && $(quote mv -f "$archive.new" "$archive")"
}

# join_script prints the script that makes the other host a node.
join_script() {
  login=${authority:+ --ca ca.pem}${username:+ $(quote --username "$username") --password-file password}
  known=''
  [ "$role" = worker ] || known=' --k0s-yaml k0s.yaml'
  [ ! -e $state/pushed ] || known="$known --registry $far$login"
  cat <<END
#!/bin/sh
# Makes this host a $role of the cluster, with the files next to this one. The variables
# of the tools apply. Run again, it completes what is missing.
set -eu
role=$role
cd -- "\$(dirname -- "\$0")"
PATH=\$PWD:\$PATH
k0s-extract --from "\$PWD/k0s" </dev/null
k0s-mirror-config --mirror https://$far$login </dev/null
k0s-up --join \$role --token-file "\$PWD/token"$known <records
rm -f token
END
}

# join makes this host a node, from the archive that unpack has verified.
join() {
  begin
  if [ -n "$plan" ]; then
    export K0S_EXTRACT_PLAN=true K0S_MIRROR_CONFIG_PLAN=true K0S_UP_PLAN=true
    export K0S_MIRROR_CONFIG_K0S="$room/node/k0s" K0S_UP_K0S="$room/node/k0s"
    export K0S_UP_IGNORE="${K0S_UP_IGNORE:+$K0S_UP_IGNORE,}mirror" # which a plan does not write
    code=0
    sh "$room/node/join.sh" >"$room/planned" || code=$?
    sed -E "$passing" "$room/planned"
    return "$code"
  fi
  perform "$mode" joined
  say "$archive contains a join token: remove it, or keep it where nobody else can read it"
}

# joined keeps the tools on the host that --uninstall needs later.
joined() {
  for tool in $packed; do put "$room/node/$tool" "$bin/$tool" 755; done
  keep
  [ -e $bin/k0s ] || ours $bin/k0s
  run "$(quote sh "$room/node/join.sh")"
}
