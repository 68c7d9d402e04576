package registry

import "sync"

// Share divides a number of places, or bytes, among holders: a holder may have as
// many as are still free. So one alone gets half of them, the next one half of the
// rest, and however many there are, each newcomer finds a place.
type Share struct {
	Limit int

	mu   sync.Mutex
	used int
	held map[string]int
}

// Acquire reserves n places for a holder, and reports whether they were free.
func (s *Share) Acquire(holder string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
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

// Release frees n of a holder's places.
func (s *Share) Release(holder string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
	if s.held[holder] -= n; s.held[holder] == 0 {
		delete(s.held, holder)
	}
}

// Used returns how many places are taken.
func (s *Share) Used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}
