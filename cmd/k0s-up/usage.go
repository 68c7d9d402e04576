package main

const usage = `usage: k0s-up --registry HOST[:PORT][/PREFIX] --ca FILE [flags]
       k0s-up --join ROLE --token-file FILE [flags]
       k0s-up --token ROLE | --upgrade | --reset [flags]

Make this host, which has k0s on disk, a node of a cluster: the first controller
of a new one, or one that joins. Everything is checked before the host is
changed. Records on stdin, of oci-push, oci-serve and k0s-mirror-config, fill in
what no flag says. The record of the cluster is for k0rdent-install.

  --plan               change nothing, show what would be done
  --join ROLE          join a cluster as a worker or controller
  --token ROLE         make a token with which a worker or controller can join
  --upgrade            bring k0s to the version on disk, or to --k0s-from
  --reset              remove this host from its cluster, k0s and its data
  --config-init        print a commented configuration file, and exit
  --config-check       check the configuration file and flags, and exit

  --registry HOST[:PORT][/PREFIX]
                       the site's registry, which has k0s's images
  --ca FILE            authorities that the registry's certificate is signed by
  --username NAME      log in to the registry
  --password-file FILE with the password in FILE
  --plain-http         the registry speaks HTTP
  --answer-timeout DURATION
                       how long to wait for its first answer (default 30s)
  --online             take k0s's images from the public registries

  --k0s FILE           the k0s program (default /usr/local/bin/k0s)
  --k0s-version V      the version that it must have
  --k0s-from FILE      with --upgrade: the new k0s, to be put in place
  --k0s-yaml FILE      with --join controller: the k0s.yaml of another controller,
                       to start from where there is none
  --k0s-images HOW     mirror (default): by their public names, through
                       containerd's mirrors; registry: by the registry's names
  --api-address IP     the address of this host for other nodes and pods
  --api-external-address HOST
                       the load balancer before several controllers (default:
                       k0s balances on each node, if the registry has envoy)
  --api-port PORT      the port of the Kubernetes API (default 6443)
  --san NAME           a further name or address of the API; repeatable
  --network-provider P kuberouter (default), calico or custom
  --pod-cidr CIDR      network of the pods (default 10.244.0.0/16)
  --service-cidr CIDR  network of the services (default 10.96.0.0/12)
  --storage-type TYPE  etcd (default), which others can join, or kine
  --etcd-peer-address IP
                       the address of this host for other etcd members

  --token-file FILE    the token to join with, or the file to write a token to
                       (default /var/lib/k0rdentd/ROLE-token)
  --expiry DURATION    how long a new token is valid (default 24h)
  --timeout DURATION   how long to wait for the node (default 45m)
  --ignore CHECK       let a check only warn: images, loopback, memory, mirror,
                       network, platform, ports, sysinfo, system or time;
                       repeatable, or with commas
  --yes                do not ask before --reset
  --last-controller    with --reset: continue even if it is unknown whether the
                       cluster has other controllers; they are lost for good

  --format FORMAT      json (default), table, or a template: '{{.name}}'
  --quiet              no progress, warnings and errors only
  --verbose            log what is done to stderr
  --config FILE        settings in YAML (default /etc/k0rdentd/k0rdentd.yaml)
  --help               print this text
  --version            print the version

Every flag is also a variable: K0S_UP_REGISTRY for --registry.
Exit codes: 0 done, 1 failed or something is missing, 2 misuse, 75 the registry
does not answer or another run is at work, 130 interrupted.

  k0s-up --registry 10.0.0.5:5000 --ca /root/ca.pem --plan
  k0s-up --registry 10.0.0.5:5000 --ca /root/ca.pem
`
