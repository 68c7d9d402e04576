package main

import (
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/config"
)

// fileSchema is the schema of the configuration file.
type fileSchema struct {
	config.Common `yaml:",inline"`
	config.Flags  `yaml:",inline"`
	K0rdent       yaml.Node `yaml:"k0rdent"`
	K0s           struct {
		Binary  string `yaml:"binary"`
		Version string `yaml:"version"`
		Images  string `yaml:"images"`
		API     struct {
			Address         string   `yaml:"address"`
			Port            int      `yaml:"port"`
			SANs            []string `yaml:"sans"`
			ExternalAddress string   `yaml:"externalAddress"`
		} `yaml:"api"`
		Network struct {
			Provider    string `yaml:"provider"`
			PodCIDR     string `yaml:"podCIDR"`
			ServiceCIDR string `yaml:"serviceCIDR"`
		} `yaml:"network"`
		Storage struct {
			Type string `yaml:"type"`
			Etcd struct {
				PeerAddress string `yaml:"peerAddress"`
			} `yaml:"etcd"`
		} `yaml:"storage"`
	} `yaml:"k0s"`
	Join struct {
		Mode      string        `yaml:"mode"`
		Server    string        `yaml:"server"`
		Token     config.Secret `yaml:"token"`
		TokenFile string        `yaml:"tokenFile"`
	} `yaml:"join"`
}

// fileConfig holds settings of the configuration file that no flag has.
type fileConfig struct {
	read       bool
	joins      bool // it has join.mode
	joinToken  config.Secret
	joinServer string
	warnings   []string
}

// settings returns the values that this tool's sections set.
func (s *fileSchema) settings() []config.Setting {
	k, port := s.K0s, ""
	if k.API.Port != 0 {
		port = strconv.Itoa(k.API.Port)
	}
	return []config.Setting{
		config.One("k0s.binary", "k0s", k.Binary), config.One("k0s.version", "k0s-version", k.Version),
		config.One("k0s.images", "k0s-images", k.Images),
		config.One("k0s.api.address", "api-address", k.API.Address), config.One("k0s.api.port", "api-port", port),
		{Key: "k0s.api.sans", Flag: "san", Values: k.API.SANs},
		config.One("k0s.api.externalAddress", "api-external-address", k.API.ExternalAddress),
		config.One("k0s.network.provider", "network-provider", k.Network.Provider),
		config.One("k0s.network.podCIDR", "pod-cidr", k.Network.PodCIDR),
		config.One("k0s.network.serviceCIDR", "service-cidr", k.Network.ServiceCIDR),
		config.One("k0s.storage.type", "storage-type", k.Storage.Type),
		config.One("k0s.storage.etcd.peerAddress", "etcd-peer-address", k.Storage.Etcd.PeerAddress),
		config.One("join.mode", "join", s.Join.Mode), config.One("join.tokenFile", "token-file", s.Join.TokenFile),
	}
}

// parseFile reads the configuration file.
func (c *settings) parseFile(r io.Reader, set cli.Setter) error {
	var s fileSchema
	text, err := config.Decode(r, &s)
	if err != nil {
		return err
	}
	c.file.read = true
	if len(text) == 0 {
		return nil
	}
	if err := s.Apply(set, s.settings(), s.Flags, (&settings{}).flags(), config.PlatformFlags); err != nil {
		return err
	}
	c.file.joins = s.Join.Mode != ""
	c.file.joinToken, c.file.joinServer = s.Join.Token, s.Join.Server
	if s.Join.Token.Text() == "" {
		return nil
	}
	return config.Private("config", r, &c.file.warnings)
}
