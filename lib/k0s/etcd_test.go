package k0s

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// etcdCerts writes the certificates of this host's etcd at 127.0.0.1 as k0s does
// (k0sproject/k0s, pkg/component/controller/etcd.go, setupCerts), and returns their
// authority.
func etcdCerts(t *testing.T, data string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd-ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	peer := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotAfter: ca.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	write := func(name, kind string, der []byte, err error) {
		t.Helper()
		path := filepath.Join(data, "pki/etcd", name)
		err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		if err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	write("ca.crt", "CERTIFICATE", der, err)
	roots := x509.NewCertPool()
	if made, err := x509.ParseCertificate(der); err == nil {
		roots.AddCert(made)
	}
	der, err = x509.CreateCertificate(rand.Reader, peer, ca, key.Public(), key)
	write("peer.crt", "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	write("peer.key", "PRIVATE KEY", der, err)
	return roots
}

// TestEtcdPeers asks a member that requires the certificate of a peer. Its answer is
// that of etcd v3.6.8.
func TestEtcdPeers(t *testing.T) {
	data := t.TempDir()
	roots := etcdCerts(t, data)
	own, err := tls.LoadX509KeyPair(filepath.Join(data, "pki/etcd/peer.crt"), filepath.Join(data, "pki/etcd/peer.key"))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/members" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, `[{"id":10501334649042878790,"peerURLs":["https://10.0.0.5:2380"],"name":"n1","clientURLs":["https://127.0.0.1:2379"]},{"id":1,"peerURLs":["https://10.0.0.7:2380"]}]`+"\n")
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}
	srv.StartTLS()
	defer srv.Close()
	got, err := EtcdPeers(t.Context(), data, Member{"n1", srv.URL})
	if want := []Member{{"n1", "https://10.0.0.5:2380"}, {"", "https://10.0.0.7:2380"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("EtcdPeers = %q, %v, want %q", got, err, want)
	}
	if got, err := EtcdPeers(t.Context(), data, Member{"n1", srv.URL + "/other"}); err == nil {
		t.Errorf("EtcdPeers = %q, want an error for what is not a list", got)
	}
	if got, err := EtcdPeers(t.Context(), t.TempDir(), Member{"n1", srv.URL}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without certificates: %q, %v", got, err)
	}
	elsewhere := t.TempDir()
	etcdCerts(t, elsewhere)
	if got, err := EtcdPeers(t.Context(), elsewhere, Member{"n1", srv.URL}); err == nil {
		t.Errorf("EtcdPeers = %q, want an error for a server of another authority", got)
	}
}
