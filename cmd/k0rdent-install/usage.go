package main

const usage = `usage: k0rdent-install --registry HOST[:PORT][/PREFIX] --ca FILE [flags]
       k0rdent-install --rehearse | --upgrade | --uninstall [flags]
       k0rdent-install --print-values [flags]

  k0rdent-install --registry 10.0.0.5:5000 --ca /root/ca.pem --plan
  k0rdent-install --registry 10.0.0.5:5000 --ca /root/ca.pem

Install k0rdent on a Kubernetes cluster, with everything from the site's
registry, and wait until it is ready. Missing images are listed before anything
is changed. The cluster is the one in k0s-up's record on stdin, the one of
this host, or that of --kubeconfig. Records of bundle-version, oci-push and
oci-serve fill in missing flags.

What to do:
  --plan               show what would be done, and change nothing; the cluster
                       need not exist yet
  --rehearse           check whether machines of child clusters will become
                       nodes, and change nothing; needs no cluster
  --upgrade            upgrade k0rdent to the release in the registry
  --uninstall          remove k0rdent from the cluster
  --print-values       print the values for the chart as YAML, and exit
  --config-init        print a commented configuration file, and exit
  --config-check       check the configuration file and flags, and exit

Registry:
  --registry HOST[:PORT][/PREFIX]
                       the registry that has the images and charts
  --ca FILE            certificate authorities of the registry, in PEM
  --username NAME      user name for the registry
  --password-file FILE file that contains the password
  --plain-http         use plain HTTP; k0rdent cannot become ready with such a
                       registry
  --answer-timeout DURATION
                       how long to wait for its first answer (default 30s)
  --online             pull the images from the registries that the chart
                       names, and the chart from the vendor's or --registry

Cluster and release:
  --kubeconfig FILE    the cluster, Kubernetes 1.30 or later (default: that of
                       k0s-up's record, or of the k0s controller on this host)
  --chart REPOSITORY   the platform's chart (default charts/k0rdent-enterprise)
  --release VERSION    which release, if the registry has several
  --release-file FILE  with --upgrade: release.yaml, if it was published with
                       the bundle (default: the one in chart kcm-templates)

Values:
  --values FILE        values for the chart, which override derived ones;
                       repeatable, the last one wins
  --set PATH=VALUE     one value, in Helm's syntax; overrides files; repeatable
  --credentials FILE   credentials for clouds and machines (YAML), in a file
                       that only its owner can read
  --k0s-url URL        where child clusters download k0s (default: /k0s of the
                       registry, if that exists; over plain HTTP if machines
                       would not trust the registry)

Checks and waiting:
  --ignore CHECK       only warn about a check: cpu, disk, images, loopback or
                       memory; repeatable, or with commas
  --timeout DURATION   how long to wait for k0rdent (default 45m)
  --helm-timeout DURATION
                       how long each component of k0rdent may take (default
                       20m)
  --atomic             roll back a chart that failed to install
  --yes                do not ask before --uninstall

Output:
  --format FORMAT      auto (default), json, table, or a template: '{{.name}}'
  --quiet              print only warnings and errors
  --verbose            log each action to stderr

General:
  --config FILE        settings in YAML (default /etc/k0rdentd/k0rdentd.yaml)
  --help, -h           print this text
  --version            print the version

Every flag is also an environment variable: K0RDENT_INSTALL_REGISTRY for
--registry.
Exit codes: 0 done, 1 failed or something is missing, 2 misuse, 75 the registry
or the cluster does not answer, 130 interrupted.
`
