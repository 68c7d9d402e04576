package k0s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// EtcdMembers returns the members of this controller's etcd, name to peer URL.
func (b Binary) EtcdMembers(ctx context.Context, limit time.Duration) (map[string]string, error) {
	out, err := b.run(ctx, limit, nil, "etcd", "member-list")
	if err != nil {
		return nil, err
	}
	return parseMembers(out)
}

// parseMembers parses the output of "k0s etcd member-list".
func parseMembers(out string) (map[string]string, error) {
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
	return answer.Members, nil
}

// EtcdLeave removes the member with this peer address from etcd. If etcd refuses
// only for the moment, Settling reports true for the error.
func (b Binary) EtcdLeave(ctx context.Context, peer string) error {
	_, err := b.run(ctx, servicePatience, nil, "etcd", "leave", "--peer-address", peer)
	return err
}

// Settling reports whether etcd may agree later: it refuses to lose a member that
// has been connected to the others for less than five seconds, and refuses while it
// elects a leader (etcd-io/etcd, api/v3rpc/rpctypes, ErrGRPCUnhealthy and
// ErrGRPCLeaderChanged).
func Settling(err error) bool { return printed(err, "unhealthy cluster", "leader changed") }
