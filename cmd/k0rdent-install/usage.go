package main

const usage = `usage: k0rdent-install --registry HOST[:PORT][/PREFIX] --ca FILE [flags]
       k0rdent-install --upgrade | --uninstall | --print-values [flags]

Install k0rdent on a Kubernetes cluster, with everything from the site's
registry, and wait until it is ready. What is missing is listed before anything
is changed. The cluster is the one of k0s-up's record on stdin, the one of this
host, or that of --kubeconfig. Records of bundle-version, oci-push and oci-serve
fill in what no flag says.

  --plan               change nothing, show what would be done; the cluster need
                       not exist yet
  --upgrade            bring the platform to the release in the registry
  --uninstall          remove k0rdent from the cluster
  --print-values       print the values for the chart as YAML, and exit
  --config-init        print a commented configuration file, and exit
  --config-check       check the configuration file and flags, and exit

  --kubeconfig FILE    the cluster: any Kubernetes from 1.30 on (default: that of
                       k0s-up's record, or of the k0s controller on this host)
  --registry HOST[:PORT][/PREFIX]
                       where the images and charts of the release are
  --ca FILE            authorities that the registry's certificate is signed by
  --username NAME      log in to the registry
  --password-file FILE with the password in FILE
  --plain-http         the registry speaks HTTP; the platform does not get
                       ready from such a one
  --answer-timeout DURATION
                       how long to wait for its first answer (default 30s)
  --online             take images from where the chart has them, and the chart
                       from the vendor's registry, or from --registry
  --chart REPOSITORY   the platform's chart (default charts/k0rdent-enterprise)
  --release VERSION    which release, if the registry has several

  --release-file FILE  with --upgrade: release.yaml, if it was published beside
                       the bundle (default: the one in chart kcm-templates)

  --values FILE        values for the chart, over all that are derived;
                       repeatable, the last one wins
  --set PATH=VALUE     one value, in Helm's syntax; over all files; repeatable
  --credentials FILE   cloud credentials (YAML), in a file for its owner only
  --k0s-url URL        where child clusters fetch k0s (default: /k0s of the
                       registry, if it has that)
  --atomic             roll back a chart that did not install

  --timeout DURATION   how long to wait for k0rdent (default 45m)
  --helm-timeout DURATION
                       how long each of k0rdent's parts may take (default 20m)
  --ignore CHECK       let a check of the preflight only warn: cpu, disk, images,
                       loopback or memory; repeatable, or with commas
  --yes                do not ask before --uninstall

  --format FORMAT      json (default), table, or a template: '{{.name}}'
  --quiet              no progress, warnings and errors only
  --verbose            log what is done to stderr
  --config FILE        settings in YAML (default /etc/k0rdentd/k0rdentd.yaml)
  --help               print this text
  --version            print the version

Every flag is also a variable: K0RDENT_INSTALL_REGISTRY for --registry.
Exit codes: 0 done, 1 failed or something is missing, 2 misuse, 75 the registry
or the cluster does not answer, 130 interrupted.

  k0rdent-install --registry 10.0.0.5:5000 --ca /root/ca.pem --plan
  k0rdent-install --registry 10.0.0.5:5000 --ca /root/ca.pem
`
