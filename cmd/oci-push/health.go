package main

import (
	"fmt"
	"sync"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
)

// refusals is how many repositories a registry may refuse, without having taken
// anything, before it is believed to refuse all of them; and how many times in a
// row it may have no time.
const refusals = 3

// health is what the requests of a run tell of a registry.
type health struct {
	reg *client.Registry

	mu      sync.Mutex
	refused map[string]bool // repositories that the registry takes nothing into
	busy    int             // times in a row that it had no time
}

// note adds what became of something in a repository. It returns an error to end
// the run with if everything else would meet the same one.
func (h *health) note(repository string, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil:
		h.busy = 0
		return nil
	case h.reg.Hopeless(err):
	case h.reg.Refused(err):
		if h.refused == nil {
			h.refused = make(map[string]bool)
		}
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
