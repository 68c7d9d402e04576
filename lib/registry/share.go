package registry

import (
	"context"
	"sync"
)

// Share divides places, or bytes, among holders: a holder may have as many as are
// still free. One alone gets half, the next one half of the rest, and so on, so that
// each newcomer finds a place.
type Share struct {
	Limit int

	mu    sync.Mutex
	used  int
	held  map[string]int
	freed chan struct{} // closed when places are released; nil while nobody waits
}

// Acquire reserves n places for a holder and reports whether it could.
func (s *Share) Acquire(holder string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acquire(holder, n)
}

func (s *Share) acquire(holder string, n int) bool {
	if s.held[holder]+n > s.Limit-s.used {
		return false
	}
	if s.held == nil {
		s.held = make(map[string]int)
	}
	s.held[holder] += n
	s.used += n
	return true
}

// Wait is like Acquire, but waits for places until ctx ends.
func (s *Share) Wait(ctx context.Context, holder string, n int) bool {
	for {
		s.mu.Lock()
		acquired := s.acquire(holder, n)
		if s.freed == nil {
			s.freed = make(chan struct{})
		}
		freed := s.freed
		s.mu.Unlock()
		if acquired {
			return true
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return false
		}
	}
}

// Release frees n of a holder's places.
func (s *Share) Release(holder string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
	if s.held[holder] -= n; s.held[holder] == 0 {
		delete(s.held, holder)
	}
	if s.freed != nil {
		close(s.freed)
		s.freed = nil
	}
}

// Used returns how many places are taken.
func (s *Share) Used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}
