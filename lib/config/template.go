package config

// Template is what --config-init prints: every key, with its default or an
// example.
const Template = `# /etc/k0rdentd/k0rdentd.yaml: settings of k0s-up and k0rdent-install.
#
# A flag takes precedence over its variable, which takes precedence over this
# file. Lines with a leading "#" are examples or defaults. Next to the keys
# below, every flag of either tool can be set by its name, such as
# "timeout: 1h". A file with secrets must be readable only by its owner: chmod 600.

k0s:
  # binary: /usr/local/bin/k0s
  # version: v1.32.8+k0s.0       # reject any other version
  # images: mirror               # mirror: public names through containerd's mirrors;
  #                              # registry: names in the registry
  # api:
  #   address: 10.0.0.10         # of this host, for other nodes and for pods
  #   port: 6443
  #   sans: [mgmt.example.org]   # additional names of the API
  #   externalAddress: ""        # of a load balancer for several controllers
  # network:
  #   provider: kuberouter       # or calico, custom
  #   podCIDR: 10.244.0.0/16
  #   serviceCIDR: 10.96.0.0/12
  # storage:
  #   type: etcd                 # or kine, which other controllers cannot join
  #   etcd:
  #     peerAddress: 10.0.0.10

k0rdent:
  # version: 1.2.3               # if the registry has several
  # helm:
  #   chart: charts/k0rdent-enterprise
  #   namespace: kcm-system      # the only supported one
  #   values:                    # override those derived from the chart
  #     controller:
  #       replicas: 1
  # credentials:
  #   aws:
  #     - name: aws-prod
  #       region: eu-central-1
  #       accessKeyID: AKIAEXAMPLE
  #       secretAccessKey: example
  #       sessionToken: example  # only for temporary keys
  #   azure:
  #     - name: azure-prod
  #       subscriptionID: 00000000-0000-0000-0000-000000000000
  #       clientID: 00000000-0000-0000-0000-000000000000
  #       clientSecret: example
  #       tenantID: 00000000-0000-0000-0000-000000000000
  #   gcp:
  #     - name: gcp-prod
  #       # the text of a service account's key file
  #       serviceAccountKey: '{"type": "service_account", "client_email": "example", "private_key": "example"}'
  #   vsphere:
  #     - name: vsphere-prod
  #       username: k0rdent@vsphere.local
  #       password: example
  #       datacenter: DC0
  #   metal3:
  #     - name: rack-1
  #       machines:              # the login of each machine's BMC
  #         - name: node-1       # Secret node-1-bmc-secret, for its BareMetalHost
  #           username: example
  #           password: example
  #   openstack:
  #     - name: openstack-prod
  #       authURL: https://keystone.example.org:5000/v3
  #       region: RegionOne
  #       applicationCredentialID: example
  #       applicationCredentialSecret: example
  #       # or instead of these two:
  #       # username: example
  #       # password: example
  #       # projectName: example
  #       # domainName: Default

airgap:
  # k0sURL: https://10.0.0.5:5000/k0s  # where child clusters fetch k0s
  # registry:
  #   address: 10.0.0.5:5000     # HOST[:PORT][/PREFIX]
  #   ca: /etc/k0rdentd/ca.pem
  #   insecure: false            # true: use plain HTTP
  #   username: k0rdent
  #   passwordFile: /etc/k0rdentd/registry-password

# join:                          # on a host that joins a cluster
#   mode: worker                 # or controller
#   server: https://10.0.0.10:6443  # reject a token for another one
#   tokenFile: /root/worker-token
#   token: example               # the token itself, instead of the file

# debug: false                   # the same as --verbose
# logLevel: info
`
