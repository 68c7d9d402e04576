package main

import (
	"fmt"
	"sync"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
)

// refusals is how many repositories a registry may refuse, without having
// accepted anything, before it is assumed to refuse all of them; and how many
// times in a row it may be busy.
const refusals = 3

// health tracks how a registry responds to the requests of a run.
type health struct {
	reg *client.Registry

	mu      sync.Mutex
	refused map[string]bool // repositories that the registry refused to write to
	busy    int             // times in a row that it was busy
}

func newHealth(reg *client.Registry) *health {
	return &health{reg: reg, refused: make(map[string]bool)}
}

// note adds the result of a request for a repository. It returns an error that
// ends the run if every other request would fail as well.
func (h *health) note(repository string, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil:
		h.busy = 0
		return nil
	case h.reg.Fatal(err):
	case h.reg.Refused(err):
		if h.refused[repository] = true; len(h.refused) < refusals {
			return nil
		}
	case cli.Code(err) == cli.CodeTryAgain:
		if h.busy++; h.busy < refusals {
			return nil
		}
	default:
		return nil
	}
	return fmt.Errorf("registry %s: %w", h.reg.Host(), err)
}
