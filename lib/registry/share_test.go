package registry

import (
	"context"
	"testing"
)

func TestShareWait(t *testing.T) {
	s := Share{Limit: 3}
	if !s.Acquire("a", 2) || s.Acquire("a", 1) {
		t.Fatal("a holder has more than was free")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if s.Wait(ended, "b", 2) {
		t.Error("Wait reports 2 places of 1")
	}
	got := make(chan bool)
	go func() { got <- s.Wait(t.Context(), "b", 2) }()
	s.Release("a", 1)
	if !<-got {
		t.Error("Wait ended without the place that was released")
	}
	if s.Release("a", 1); !s.Wait(ended, "c", 1) || s.Used() != 3 {
		t.Errorf("%d places are taken, want 3", s.Used())
	}
}
