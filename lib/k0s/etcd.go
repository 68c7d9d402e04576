package k0s

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Member is a member of etcd.
type Member struct {
	Name string // "" until it has started
	Peer string // the URL at which the others reach it
}

// Host returns the host in the member's URL.
func (m Member) Host() string {
	u, err := url.Parse(m.Peer)
	if err != nil {
		return m.Peer
	}
	return u.Hostname()
}

// EtcdMembers returns the members of this controller's etcd, by name.
func (b Binary) EtcdMembers(ctx context.Context, limit time.Duration) ([]Member, error) {
	out, err := b.run(ctx, limit, nil, "etcd", "member-list")
	if err != nil {
		return nil, err
	}
	return parseMembers(out)
}

// parseMembers parses the output of "k0s etcd member-list".
func parseMembers(out string) ([]Member, error) {
	var answer struct{ Members map[string]string }
	// Log lines may come first.
	if i := strings.Index(out, `{"members"`); i >= 0 {
		out = out[i:]
	}
	err := json.NewDecoder(strings.NewReader(out)).Decode(&answer)
	if err == nil && len(answer.Members) == 0 {
		err = errors.New("no member")
	}
	if err != nil {
		return nil, fmt.Errorf("k0s etcd member-list: %w", err)
	}
	var all []Member
	for _, name := range slices.Sorted(maps.Keys(answer.Members)) {
		all = append(all, Member{name, answer.Members[name]})
	}
	return all, nil
}

// EtcdLeave removes the member with this peer address from etcd. If etcd refuses
// only for the moment, Settling reports true for the error. After any other error the
// member may have left nevertheless: its etcd stops soon after, which can be before it
// has answered. EtcdPeers then asks another member.
func (b Binary) EtcdLeave(ctx context.Context, peer string) error {
	_, err := b.run(ctx, servicePatience, nil, "etcd", "leave", "--peer-address", peer)
	return err
}

// Settling reports whether etcd may agree later: it refuses to lose a member that
// has been connected to the others for less than five seconds, and refuses while it
// elects a leader (etcd-io/etcd, api/v3rpc/rpctypes, ErrGRPCUnhealthy and
// ErrGRPCLeaderChanged).
func Settling(err error) bool { return printed(err, "unhealthy cluster", "leader changed") }

// EtcdPeers returns the members of etcd as another member lists them. As this host's etcd
// does, it uses the peer's certificate in k0s's data directory (etcd-io/etcd,
// server/etcdserver/api/etcdhttp/peer.go).
func EtcdPeers(ctx context.Context, data string, other Member) ([]Member, error) {
	dir := filepath.Join(data, "pki", "etcd")
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if strings.HasPrefix(other.Peer, "https:") {
		ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
		if err != nil {
			return nil, err
		}
		config.RootCAs.AppendCertsFromPEM(ca)
		own, err := tls.LoadX509KeyPair(filepath.Join(dir, "peer.crt"), filepath.Join(dir, "peer.key"))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{own}
	}
	var members []struct {
		Name     string
		PeerURLs []string
	}
	if err := getJSON(ctx, &http.Transport{TLSClientConfig: config}, other.Peer+"/members", &members); err != nil {
		return nil, err
	}
	var all []Member
	for _, m := range members {
		for _, url := range m.PeerURLs {
			all = append(all, Member{m.Name, url})
		}
	}
	return all, nil
}
