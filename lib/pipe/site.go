package pipe

import (
	"net/netip"
	"time"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// Site is the information that records hold about a site's registry.
type Site struct {
	At       ref.Site         // where oci-push sent images
	Registry *record.Registry // the last one; nil if there is none
	Images   []record.Image   // those whose tag and digest are known
	Failed   int              // images that could not be pushed
	Pushed   time.Time        // when the last image was pushed; zero if that is not known
}

// Take records the information in a record. It ignores other kinds.
func (s *Site) Take(line record.Line) error {
	switch line.Kind {
	case record.Registry{}.Kind():
		s.Registry = new(record.Registry)
		return line.Decode(s.Registry)
	case record.Image{}.Kind():
		var r record.Image
		if err := line.Decode(&r); err != nil {
			return err
		}
		if r.Status == record.StatusFailed {
			s.Failed++
		} else if r.Tag != "" && r.Digest != "" {
			s.Images = append(s.Images, record.Image{Repository: r.Repository, Tag: r.Tag, Digest: r.Digest, Reference: r.Reference})
		}
		if at, err := time.Parse(time.RFC3339, r.PushedAt); err == nil && at.After(s.Pushed) {
			s.Pushed = at
		}
		if at := At(r); at.Host != "" {
			s.At = at
		}
	}
	return nil
}

// Address returns where nodes and pods reach the registry, or no site if no
// record names one: where oci-push sent images or, if that is loopback or
// unknown, where oci-serve listens. A registry that listens on all addresses is
// reached at own, the address of this host.
func (s Site) Address(own netip.Addr) ref.Site {
	at := s.At
	if s.Registry == nil || at.Host != "" && !ref.Loopback(at.Host) {
		return at
	}
	at.Host = s.Registry.Address
	if address, err := netip.ParseAddrPort(at.Host); err == nil {
		if address.Addr().IsUnspecified() && own.IsValid() {
			address = netip.AddrPortFrom(own, address.Port())
		}
		at.Host = address.String()
	}
	return at
}
