package kube

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// kubeconfig holds the fields of a kubeconfig file that k0s writes.
type kubeconfig struct {
	CurrentContext string `json:"current-context"`
	Clusters       []struct {
		Name    string
		Cluster struct {
			Server        string
			CA            string `json:"certificate-authority"`
			CAData        []byte `json:"certificate-authority-data"`
			TLSServerName string `json:"tls-server-name"`
		}
	}
	Contexts []struct {
		Name    string
		Context struct{ Cluster, User string }
	}
	Users []struct {
		Name string
		User struct {
			Cert     string `json:"client-certificate"`
			CertData []byte `json:"client-certificate-data"`
			Key      string `json:"client-key"`
			KeyData  []byte `json:"client-key-data"`
			Token    string
		}
	}
}

// parse returns the client for a kubeconfig whose relative paths start at dir.
func parse(text []byte, dir string, server netip.AddrPort) (*Client, error) {
	var k kubeconfig
	if err := yaml.Unmarshal(text, &k); err != nil {
		return nil, errors.New("not a kubeconfig") // the decoder's error may repeat a secret
	}
	c := &Client{}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if err := errors.Join(c.trust(&k, dir, config), c.login(&k, dir, config)); err != nil {
		return nil, err
	}
	u, err := url.Parse(c.server)
	if err != nil || u.Host == "" {
		return nil, errors.New("no server in the kubeconfig")
	}
	if server.IsValid() {
		c.server = u.Scheme + "://" + server.String()
		config.ServerName = "kubernetes" // every API server's certificate has that name
	}
	c.http = &http.Client{Transport: &http.Transport{
		TLSClientConfig: config, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute,
	}}
	return c, nil
}

// current returns the names of the cluster and the user of the current context.
func (k *kubeconfig) current() (cluster, user string) {
	for _, x := range k.Contexts {
		if x.Name == k.CurrentContext {
			return x.Context.Cluster, x.Context.User
		}
	}
	return "", ""
}

// trust sets the server and the authorities that it is verified with.
func (c *Client) trust(k *kubeconfig, dir string, config *tls.Config) error {
	cluster, _ := k.current()
	for _, x := range k.Clusters {
		if x.Name != cluster {
			continue
		}
		c.server, config.ServerName = strings.TrimSuffix(x.Cluster.Server, "/"), x.Cluster.TLSServerName
		ca, err := content(dir, x.Cluster.CA, x.Cluster.CAData)
		if err != nil {
			return err
		}
		if len(ca) > 0 {
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(ca) {
				return errors.New("no certificate in certificate-authority-data")
			}
		}
	}
	return nil
}

// login sets the credentials.
func (c *Client) login(k *kubeconfig, dir string, config *tls.Config) error {
	_, user := k.current()
	for _, x := range k.Users {
		if x.Name != user {
			continue
		}
		c.token = x.User.Token
		cert, err := content(dir, x.User.Cert, x.User.CertData)
		if err != nil {
			return err
		}
		key, err := content(dir, x.User.Key, x.User.KeyData)
		if err != nil {
			return err
		}
		if len(cert) > 0 {
			pair, err := tls.X509KeyPair(cert, key)
			if err != nil {
				return err
			}
			config.Certificates = []tls.Certificate{pair}
		}
	}
	return nil
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
