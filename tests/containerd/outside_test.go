package containerd

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// outsideAddress is where all public names lead; the name server is there too.
const outsideAddress = "203.0.113.1"

// An outside is the internet behind a worker's default route: a name server
// that knows every name, and behind all of them a registry that has nothing. It
// counts each packet that comes, so nothing that leaves a worker stays unseen.
type outside struct {
	net  *network
	ca   *authority
	mu   sync.Mutex
	seen []string
}

// newOutside makes the internet of the host in net, which has no way to
// anywhere else yet but to the site.
func newOutside(t *testing.T, host *network) *outside {
	t.Helper()
	o := &outside{net: newNetwork(t), ca: newAuthority(t)}
	host.ip(t,
		"link add outside type veth peer name host netns "+o.net.path,
		"addr add 192.0.2.2/30 dev outside",
		"link set outside up")
	o.net.ip(t,
		"addr add "+outsideAddress+"/32 dev lo",
		"addr add 192.0.2.1/30 dev host",
		"link set host up")
	host.ip(t, "route add default via 192.0.2.1")

	var names net.PacketConn
	var plain, secure net.Listener
	err := o.net.in(func() (err error) {
		if names, err = net.ListenPacket("udp4", outsideAddress+":53"); err != nil {
			return err
		}
		if plain, err = net.Listen("tcp4", outsideAddress+":80"); err != nil {
			return err
		}
		secure, err = net.Listen("tcp4", outsideAddress+":443")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	registry := &http.Server{Handler: http.HandlerFunc(o.registry), TLSConfig: &tls.Config{GetCertificate: o.certificate}}
	t.Cleanup(func() {
		names.Close()
		registry.Close()
	})
	go o.answer(names)
	go registry.Serve(plain)
	go registry.ServeTLS(secure, "", "")
	return o
}

func (o *outside) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, fmt.Sprintf(format, args...))
}

func (o *outside) registry(w http.ResponseWriter, r *http.Request) {
	o.note("%s %s%s", r.Method, r.Host, r.URL.Path)
	http.NotFound(w, r)
}

// certificate records the name that a client requests, even if the client then rejects
// the certificate.
func (o *outside) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.note("TLS %s", hello.ServerName)
	return o.ca.issue(hello.ServerName)
}

// answer answers lookups until its socket is closed.
func (o *outside) answer(c net.PacketConn) {
	packet := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(packet)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(packet[:n]); err != nil || len(m.Questions) == 0 {
			o.note("lookup that makes no sense")
			continue
		}
		q := m.Questions[0]
		o.note("lookup %s %s", strings.TrimSuffix(q.Name.String(), "."), strings.TrimPrefix(q.Type.String(), "Type"))
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		if q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(outsideAddress).To4())},
			}}
		}
		if reply, err := m.Pack(); err == nil {
			c.WriteTo(reply, from)
		}
	}
}

// packets returns the number of IP packets that have arrived, whatever their protocol
// and destination.
func (o *outside) packets(t *testing.T) int {
	t.Helper()
	var text []byte
	err := o.net.in(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string // the first line of two that start with "Ip:"
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if f[0] != "Ip:" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		if n, err := strconv.Atoi(f[slices.Index(names, "InReceives")]); err == nil {
			return n
		}
	}
	t.Fatalf("no count of packets in:\n%s", text)
	return 0
}

// take returns the requests outside since the last call.
func (o *outside) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.seen
	o.seen = nil
	return seen
}
