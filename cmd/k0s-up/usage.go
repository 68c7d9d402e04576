package main

const usage = `usage: k0s-up --registry HOST[:PORT][/PREFIX] --ca FILE [flags]
       k0s-up --join ROLE --token-file FILE [flags]
       k0s-up --token ROLE | --upgrade | --reset [flags]

  k0s-up --registry 10.0.0.5:5000 --ca /root/ca.pem --plan
  k0s-up --registry 10.0.0.5:5000 --ca /root/ca.pem

Make this host, which has k0s on disk, a node of a cluster: the first controller
of a new cluster, or a node that joins one. Everything is checked before the
host is changed. Records of oci-push, oci-serve and k0s-mirror-config on stdin
fill in missing flags. k0rdent-install reads the cluster record on stdout.

What to do:
  --plan               show what would be done, and change nothing
  --join ROLE          join a cluster as a worker or controller
  --token ROLE         create a token with which a worker or controller can join
  --upgrade            upgrade k0s to the version on disk, or to --k0s-from
  --reset              remove this host from its cluster, and k0s with its data
  --config-init        print a commented configuration file, and exit
  --config-check       check the configuration file and flags, and exit

Registry:
  --registry HOST[:PORT][/PREFIX]
                       the site's registry, which has k0s's images
  --ca FILE            certificate authorities of the registry, in PEM
  --username NAME      user name for the registry
  --password-file FILE file that contains the password
  --plain-http         use plain HTTP
  --answer-timeout DURATION
                       how long to wait for its first answer (default 30s)
  --online             pull k0s's images from the public registries

k0s:
  --k0s FILE           the k0s program (default /usr/local/bin/k0s)
  --k0s-version V      the version it must have
  --k0s-from FILE      with --upgrade: the new k0s to install
  --k0s-yaml FILE      with --join controller: start from another controller's
                       k0s.yaml if this host has none
  --k0s-images HOW     mirror (default): by their public names, through
                       containerd's mirrors; registry: by the registry's names
  --storage-type TYPE  etcd (default), or kine, which no controller can join

Network:
  --api-address IP     the address of this host for other nodes and pods
  --api-external-address HOST
                       the load balancer in front of several controllers
                       (default: k0s balances on each node, if the registry has
                       envoy)
  --api-port PORT      the port of the Kubernetes API (default 6443)
  --san NAME           another name or address of the API; repeatable
  --network-provider P kuberouter (default), calico or custom
  --pod-cidr CIDR      pod network (default 10.244.0.0/16)
  --service-cidr CIDR  service network (default 10.96.0.0/12)
  --etcd-peer-address IP
                       the address of this host for other etcd members

Joining and leaving:
  --token-file FILE    the token to join with, or the file to write a token to
                       (default /var/lib/k0rdentd/ROLE-token)
  --expiry DURATION    how long a new token is valid (default 24h)
  --last-controller    with --reset: continue even if the cluster may have other
                       controllers; they are lost for good
  --yes                do not ask before --reset

Checks and waiting:
  --ignore CHECK       only warn about a check, or not at all if it only warns
                       anyway: apparmor, dns, fapolicyd, files, fips, firewalld,
                       hosts, images, inotify, ipv6, latency, loopback, memory,
                       mirror, modules, mounts, name, network, platform, ports,
                       proxy, selinux, swap, sysinfo, system or time;
                       repeatable, or with commas
  --timeout DURATION   how long to wait for the node (default 45m)

Output:
  --format FORMAT      auto (default), json, table, or a template: '{{.name}}'
  --quiet              print only warnings and errors
  --verbose            log each action to stderr

General:
  --config FILE        settings in YAML (default /etc/k0rdentd/k0rdentd.yaml)
  --help, -h           print this text
  --version            print the version

Every flag is also an environment variable: K0S_UP_REGISTRY for --registry.
Exit codes: 0 done, 1 failed or something is missing, 2 misuse, 75 the registry
does not answer or another run is in progress, 130 interrupted.
`
