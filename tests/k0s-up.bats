#!/usr/bin/env bats
# The tools in one pipe on a bare host, up to where k0s would start a cluster; k0s-up
# killed, interrupted, twice at once, and the host reset. tests/cluster tests what
# follows, with a real cluster.
# shellcheck disable=SC2154 # output and stderr are set by run

load lib/helper
load lib/host
load lib/filled

# steps FILE: "name status" of each step.
steps() { jq -r 'select(.kind == "step") | "\(.name) \(.status)"' "$1" | paste -sd,; }

# calls: what k0s was run for on the host.
calls() { on a sh -c 'grep -E "^(install|start|stop|reset)" /root/k0s.log | paste -sd,'; }

# signal NAME: sends it to the run on host a.
signal() { on a sh -c "kill -$1 \$(cat /run/k0s-up.lock)"; }

# left: the new files on host a.
left() { on a find /written ! -type d ! -path '/written/root/*' ! -path '/written/srv/*' | sort | xargs; }

@test "k0s-up, k0rdent-install: after all other tools, as a plan and as a run" {
  site
  # shellcheck disable=SC2016 # for the shell over there
  cat >media/chain <<'END'
set -o pipefail
ca=/srv/registry/tls/ca.pem
{ cat /root/serve.json; bundle-version --all /media/bundle.tgz; bundle-ls --quiet /media/bundle.tgz; } |
  oci-push --to 127.0.0.1:5000 --ca $ca --quiet | k0s-extract --quiet |
  k0s-mirror-config --mirror https://10.55.0.5:5000 --ca $ca --quiet |
  k0s-up --ca $ca --timeout 2s "$@" | tee /root/up | k0rdent-install --ca $ca --timeout 2s "$@"
END
  on a bash /media/chain --plan >plan 2>err || { cat err; return 1; }
  [ "$(steps plan)" = 'preflight unchanged,notes planned,k0s.yaml planned,k0s-install planned,k0s-start planned,k0s-ready planned,preflight unchanged,secrets planned,helm planned,ready planned,credentials skipped,report planned' ]
  [[ $(jq -r 'select(.name == "preflight").detail' plan | paste -sd';') == 'node a at 10.55.0.5, k0s v1.32.8+k0s.0, 1'?' images of k0s;k0rdent-enterprise 1.2.3, '*' images, charts and artifacts'* ]]
  same '/var/lib/k0s/pki/admin.conf a 10.55.0.5 v1.32.8+k0s.0 v1.32.8 planned' \
    "$(jq -r 'select(.kind == "cluster") | "\(.kubeconfig) \(.node) \(.address) \(.k0s) \(.kubernetes) \(.status)"' plan)"
  grep -qx 'values:   globalRegistry: 10.55.0.5:5000' err
  grep -qx 'values:   templatesRepoURL: oci://10.55.0.5:5000/charts' err
  [ "$(jq -r .kind plan | sort | uniq -c | awk '$2 == "image" || $2 == "registry" { print $2 $1 }' | xargs)" = 'image226 registry1' ]
  [ -z "$(calls)" ]
  run -1 on a bash /media/chain
  [[ $(echo "$output" | jq -rR 'fromjson? | select(.kind == "step") | .name + " " + .status' | paste -sd,) == *'k0s.yaml done,k0s-install done,k0s-start done,k0s-ready failed'* ]]
  [ "$(on a cat /etc/k0s/k0s.yaml | sed -n 's/^ *address: //p')" = '"10.55.0.5"' ]
  [ "$(on a stat -c %a /etc/k0s/k0s.yaml)" = 600 ]
  [ "$(calls)" = 'install controller --enable-worker --no-taints,start' ]
  # All of that is removed, including the files of the other tools.
  run -0 on a k0s-up --reset --yes </dev/null
  echo "left: $(left)"
  [ -z "$(left)" ]
}

@test "k0s-up: killed at each step, the next run has the same result" {
  local step
  filled
  for step in preflight notes k0s.yaml k0s-install k0s-start; do
    rm -f records
    mkfifo records
    on a k0s-up "${flags[@]}" </dev/null >records 2>>err &
    pid=$!
    # shellcheck disable=SC2094 # the fifo is read once
    while read -r line; do
      [[ $line != *"\"name\":\"$step\""* ]] || { signal KILL; break; }
    done <records
    wait "$pid" || true
  done
  run -1 on a k0s-up "${flags[@]}" </dev/null
  [[ $output == *'k0s has not created /var/lib/k0s/pki/admin.conf'* ]]
  [ "$(calls)" = 'install controller --enable-worker --no-taints,start' ]
  [ "$(on a find /etc /usr/local /var/lib/k0rdentd -name '.*.new')" = '' ]
  run -0 on a k0s-up --reset --yes </dev/null
  run ! on a test -e /var/lib/k0rdentd
  run ! on a test -e /etc/k0s/k0s.yaml
}

@test "k0s-up: of two at once the second fails; a signal ends the first, and the next resumes" {
  filled
  # The service starts slowly.
  there+=('K0S_START=: >/root/starting; until [ -e /root/go ]; do sleep 0.1; done')
  on a k0s-up "${flags[@]}" --timeout 1h </dev/null >first 2>first.err &
  first=$!
  until on a test -e /root/starting; do kill -0 "$first"; done
  run -75 --separate-stderr on a k0s-up "${flags[@]}" </dev/null
  [[ $stderr == *'another run is in progress on this host (process '*')'*'hint: '* ]]
  run -0 on a k0s-up "${flags[@]}" --plan --quiet </dev/null
  on a touch /root/go
  until grep -q '"name":"k0s-start","status":"done"' first; do kill -0 "$first"; done
  signal TERM
  status=0
  wait "$first" || status=$?
  [ "$status" = 130 ]
  [[ $(tail -n 1 first.err) == 'k0s-up: interrupted' ]]
  run -1 on a k0s-up "${flags[@]}" </dev/null
  [[ $output == *'"name":"k0s-start","status":"unchanged"'* ]]
  [ "$(calls)" = 'install controller --enable-worker --no-taints,start' ]
}

@test "k0s-up, k0rdent-install: what is missing is reported before anything is changed" {
  site
  on a sh -c "k0s-extract --quiet /media/bundle.tgz && k0s-mirror-config --mirror https://10.55.0.5:5000 --ca $ca --quiet" >/dev/null
  on a sh -c "bundle-ls --quiet /media/bundle.tgz | grep -v -e velero/velero -e k0sproject/coredns | oci-push --to 127.0.0.1:5000 --ca $ca --quiet" >/dev/null
  local at=(--registry 10.55.0.5:5000 --ca "$ca")
  before=$(left)
  run -1 --separate-stderr on a k0rdent-install "${at[@]}" --plan </dev/null
  [[ $stderr == *'velero/velero:v1.17.0: not in the registry; required by Deployment '* ]]
  [[ $stderr == *'1 problem (see above); nothing was changed' ]]
  same velero/velero:v1.17.0 "$(echo "$output" | jq -r 'select(.kind == "image") | .reference')"
  run -1 --separate-stderr on a k0s-up "${at[@]}" </dev/null
  [[ $stderr == *'quay.io/k0sproject/coredns:1.12.2: not in the registry; required by k0s v1.32.8+k0s.0'* ]]
  [[ $stderr == *'1 problem (see above); nothing was changed' ]]
  same quay.io/k0sproject/coredns:1.12.2 "$(echo "$output" | jq -r 'select(.kind == "image") | .reference')"
  [ "$(left)" = "$before" ]
  [ -z "$(calls)" ]
  # A value of another type than the chart's wins, and Helm's log is discarded.
  run --separate-stderr on a k0rdent-install "${at[@]}" --print-values --set regional.velero.image=4 </dev/null
  echo "$stderr"
  [[ $output$stderr == *velero* && $stderr != *'warning: '* ]]
  # A registry that is gone is different: a script may try again.
  on a sh -c "kill \$(pidof oci-serve)"
  for tool in k0s-up 'k0rdent-install --plan'; do
    # shellcheck disable=SC2086 # a flag
    run -75 --separate-stderr on a $tool "${at[@]}" </dev/null
    [[ $stderr == *'registry: 10.55.0.5:5000: '* ]]
  done
  # With a bad signature there is nothing to check.
  run -1 --separate-stderr on a k0s-up "${at[@]}" <<<'{"kind":"bundle","path":"/b.tgz","signature":"bad"}'
  [[ $stderr == *'its signature is bad'* ]]
}

@test "k0s-up: a hardened host, with the remedy for each" {
  filled
  # findings: what a plan finds wrong, apart from this machine's own clock, modules and limits.
  findings() {
    run --separate-stderr on a k0s-up "${flags[@]}" --plan "$@" </dev/null
    echo "$output" | jq -r 'select(.kind == "finding" and ([.check] | inside(["mounts","hosts","name","network"]))) | "\(.check) \(.status)"' | paste -sd,
  }
  same '' "$(findings)"
  on a mkdir -p /opt/cni/bin
  on a mount -t tmpfs -o noexec,nodev hardened /opt/cni
  on a hostname Node-A
  nsenter --target "${hosts[a]}" --net ip route del default
  on a sh -c 'echo "::1 localhost" >/etc/hosts'
  same 'network failed,mounts failed,name warning,hosts failed' "$(findings)"
  run -1 --separate-stderr on a k0s-up "${flags[@]}" --plan </dev/null
  echo "$stderr"
  [[ $stderr == *'k0s-up: mounts: /opt/cni/bin is mounted with noexec on /opt/cni: '*'hint: mount -o remount,exec /opt/cni, and change it in /etc/fstab'* ]]
  [[ $stderr == *'hint: hostnamectl set-hostname node-a'* ]]
  same 'network warning,mounts warning,name warning,hosts warning' "$(findings --ignore network,mounts,hosts,name)"
  # What the remedies say helps.
  on a mount -o remount,exec /opt/cni
  on a hostname node-a
  on a sh -c 'echo "127.0.0.1 localhost" >>/etc/hosts'
  nsenter --target "${hosts[a]}" --net ip route add default via 10.55.0.1
  same '' "$(findings)"
  on a hostname "$(printf '%064d' 0)"
  [[ $(findings) == 'name failed' ]]
  [ -z "$(calls)" ]
}
