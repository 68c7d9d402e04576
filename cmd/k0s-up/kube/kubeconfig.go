package kube

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"
)

// kubeconfig holds the fields of a kubeconfig file that k0s writes. A value is inline,
// or in a file.
type (
	kubeconfig struct {
		CurrentContext string `json:"current-context"`
		Contexts       []struct {
			Name    string
			Context struct{ Cluster, User string }
		}
		Clusters []struct {
			Name    string
			Cluster cluster
		}
		Users []struct {
			Name string
			User user
		}
	}
	cluster struct {
		Server     string
		ServerName string `json:"tls-server-name"`
		CA         string `json:"certificate-authority"`
		CAData     []byte `json:"certificate-authority-data"`
	}
	user struct {
		Cert     string `json:"client-certificate"`
		CertData []byte `json:"client-certificate-data"`
		Key      string `json:"client-key"`
		KeyData  []byte `json:"client-key-data"`
		Token    string
	}
)

// current returns the cluster and the user of the current context.
func (k *kubeconfig) current() (c cluster, u user) {
	for _, x := range k.Contexts {
		if x.Name != k.CurrentContext {
			continue
		}
		for _, named := range k.Clusters {
			if named.Name == x.Context.Cluster {
				c = named.Cluster
			}
		}
		for _, named := range k.Users {
			if named.Name == x.Context.User {
				u = named.User
			}
		}
	}
	return c, u
}

// parse returns the client for a kubeconfig whose relative paths start at dir.
func parse(text []byte, dir string, server netip.AddrPort) (*Client, error) {
	var k kubeconfig
	if err := yaml.Unmarshal(text, &k); err != nil {
		return nil, errors.New("not a kubeconfig") // the decoder's error may repeat a secret
	}
	cluster, user := k.current()
	at, err := url.Parse(cluster.Server)
	if err != nil || at.Host == "" {
		return nil, errors.New("no server in the kubeconfig")
	}
	ca, noCA := content(dir, cluster.CA, cluster.CAData)
	cert, noCert := content(dir, user.Cert, user.CertData)
	key, noKey := content(dir, user.Key, user.KeyData)
	if err := errors.Join(noCA, noCert, noKey); err != nil {
		return nil, err
	}
	config := &tls.Config{ServerName: cluster.ServerName}
	if len(ca) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("no certificate in certificate-authority-data")
		}
	}
	if len(cert) > 0 {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if server.IsValid() {
		at.Host = server.String()
		config.ServerName = "kubernetes" // every API server's certificate has that name
	}
	transport := &http.Transport{TLSClientConfig: config, IdleConnTimeout: time.Minute}
	return &Client{server: at.Scheme + "://" + at.Host, token: user.Token, http: &http.Client{Transport: transport}}, nil
}

// content returns a value that a kubeconfig holds inline or in a file.
func content(dir, path string, inline []byte) ([]byte, error) {
	if len(inline) > 0 || path == "" {
		return inline, nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return os.ReadFile(path)
}
