package registry

import "sync"

// Share divides a number of places among holders: a holder may have as many as
// are still free. So one alone gets half of them, the next one half of the rest,
// and however many there are, each newcomer finds a place.
type Share struct {
	Limit int

	mu   sync.Mutex
	used int
	held map[string]int
}

// Acquire reserves a place for a holder, and reports whether one was free.
func (s *Share) Acquire(holder string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[holder] >= s.Limit-s.used {
		return false
	}
	if s.held == nil {
		s.held = make(map[string]int)
	}
	s.held[holder]++
	s.used++
	return true
}

// Release frees a holder's place.
func (s *Share) Release(holder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
	if s.held[holder]--; s.held[holder] == 0 {
		delete(s.held, holder)
	}
}

// Used returns how many places are taken.
func (s *Share) Used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}
