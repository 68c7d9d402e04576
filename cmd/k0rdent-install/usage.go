package main

const usage = `usage: k0rdent-install --registry HOST[:PORT][/PREFIX] --ca FILE [flags]
       k0rdent-install --online [flags]
       k0rdent-install --token ROLE | --join ROLE --token-file FILE [flags]
       k0rdent-install --upgrade | --uninstall | --print-values [flags]

Take this host, which has k0s on disk, to a cluster on which k0rdent is ready,
with everything from the site's registry. Or stop before the host is touched,
and say what is missing. Records on stdin, of bundle-version, oci-push,
oci-serve and the tools before it in a pipe, fill in what no flag says.

  --plan               touch nothing, show what would be done
  --upgrade            bring a running site to the release in the registry
  --uninstall          remove k0rdent, k0s and our own files from this host
  --join ROLE          join a cluster as a worker or controller
  --token ROLE         make a token with which a worker or controller can join
  --print-values       show the values for the chart as YAML, and end
  --config-init        print a commented configuration file, and end
  --config-check       check the configuration file and flags, and end

  --registry HOST[:PORT][/PREFIX]
                       where the images and charts of the release are
  --ca FILE            authorities that the registry's certificate is signed by
  --username NAME      log in to the registry
  --password-file FILE with the password in FILE
  --plain-http         the registry speaks HTTP; the platform does not get
                       ready from such a one
  --answer-timeout DURATION
                       how long to wait for its first answer (default 30s)
  --single-host-test   let the registry be localhost, which no pod can reach
  --online             take images from where the chart has them, k0s from its
                       makers, and the chart from the vendor's registry, or
                       from the one that --registry names
  --chart REPOSITORY   the platform's chart (default charts/k0rdent-enterprise)
  --release VERSION    which release, if the registry has several

  --release-file FILE  with --upgrade: release.yaml, if it was published beside
                       the bundle (default: the one in chart kcm-templates)

  --values FILE        values for the chart, over all that are derived; repeat
                       it for several files, of which the last one wins
  --set PATH=VALUE     one value, as helm takes it; over all files; repeat it
  --credentials FILE   cloud credentials (YAML), in a file for its owner only
  --k0s-url URL        where child clusters fetch k0s (default: /k0s of the
                       registry, if it has that)
  --atomic             take a chart away again that did not install

  --k0s FILE           the k0s program (default /usr/local/bin/k0s)
  --k0s-version V      the version that it must have; with --online, that is
                       downloaded
  --k0s-download URL   where --online finds k0s's releases
  --replace-k0s        let --online replace a k0s of another version
  --k0s-from FILE      with --upgrade: the new k0s, to be put in place
  --k0s-images HOW     mirror (default): by their public names, through
                       containerd's mirrors; registry: by the registry's names
  --api-address IP     the address of this host for other nodes and pods
  --api-external-address HOST
                       the load balancer before several controllers (default:
                       k0s balances on each node, if the registry has envoy)
  --api-port PORT      the port of the Kubernetes API (default 6443)
  --san NAME           a further name or address of the API; repeat it
  --network-provider P kuberouter (default), calico or custom
  --pod-cidr CIDR      network of the pods (default 10.244.0.0/16)
  --service-cidr CIDR  network of the services (default 10.96.0.0/12)
  --storage-type TYPE  etcd (default), which others can join, or kine
  --etcd-peer-address IP
                       the address of this host for other etcd members

  --token-file FILE    the token to join with, or the file that a token is
                       written to (default /var/lib/k0rdentd/ROLE-token)
  --expiry DURATION    how long a new token is good (default 24h)
  --timeout DURATION   how long to wait for k0s and k0rdent (default 45m)
  --helm-timeout DURATION
                       how long each of k0rdent's parts may take (default 20m)
  --ignore CHECK       let a check of the preflight only warn: cpu, disk,
                       memory, network, ports, images, sysinfo, system or
                       time; repeat it, or use commas
  --yes                do not ask before --uninstall
  --last-controller    with --uninstall: go on where the cluster cannot be asked
                       whether it has other controllers; they are lost for good
  --purge              with --uninstall: remove the registry's storage, too

  --format FORMAT      json (default), table, or a template: '{{.name}}'
  --quiet              no progress, warnings and errors only
  --verbose            log what is done to stderr
  --config FILE        settings in YAML (default /etc/k0rdentd/k0rdentd.yaml)
  --help               print this text
  --version            print the version

Every flag is also a variable: K0RDENT_INSTALL_REGISTRY for --registry.
Exit codes: 0 done, 1 failed or something is missing, 2 misuse, 75 the registry
does not answer or another run is at work, 130 interrupted.

  k0rdent-install --registry 10.0.0.5:5000 --ca /root/ca.pem --plan
  k0rdent-install --registry 10.0.0.5:5000 --ca /root/ca.pem
`
