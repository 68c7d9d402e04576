module k0rdent-airgap/tests/containerd

go 1.26.0

require (
	github.com/pelletier/go-toml v1.9.5
	github.com/pelletier/go-toml/v2 v2.4.3
	golang.org/x/net v0.62.0
	google.golang.org/grpc v1.83.2
	k0rdent-airgap v0.0.0-00010101000000-000000000000
	k8s.io/cri-api v0.36.3
)

require (
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260526163538-3dc84a4a5aaa // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace k0rdent-airgap => ../..
