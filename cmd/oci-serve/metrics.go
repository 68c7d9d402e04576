package main

import (
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"k0rdent-airgap/lib/registry"
)

// usageEvery is how old the size of the storage may be in the metrics. Computing
// it requires a stat of every blob.
const usageEvery = time.Minute

// metrics holds the figures of /metrics.
type metrics struct {
	all      *prometheus.Registry
	requests *prometheus.CounterVec
	in, out  prometheus.Counter
	failures prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		all: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oci_serve_requests_total", Help: "Requests answered, by kind and HTTP status."}, []string{"kind", "status"}),
		in: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "oci_serve_received_bytes_total", Help: "Bytes of request bodies."}),
		out: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "oci_serve_sent_bytes_total", Help: "Bytes of answers' bodies."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "oci_serve_auth_failures_total", Help: "Requests with a wrong user name or password."}),
	}
	m.all.MustRegister(m.requests, m.in, m.out, m.failures)
	return m
}

// observe is for registry.Options.
func (m *metrics) observe(o registry.Observation) {
	m.requests.WithLabelValues(o.Kind.String(), strconv.Itoa(o.Status)).Inc()
	m.in.Add(float64(o.In))
	m.out.Add(float64(o.Out))
}

func (m *metrics) gauge(name, help string, value func() float64) {
	m.all.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// follow adds the figures that are computed on request. certs is nil without TLS.
func (m *metrics) follow(h *registry.Handler, size *storageSize, certs certificates) {
	m.gauge("oci_serve_uploads", "Blobs and manifests that are being received.", func() float64 { return float64(h.Receiving()) })
	m.gauge("oci_serve_storage_blobs", "Blobs in the storage, as of at most a minute ago.", func() float64 { return float64(size.get().Blobs) })
	m.gauge("oci_serve_storage_bytes", "Bytes of all blobs, as of at most a minute ago.", func() float64 { return float64(size.get().Bytes) })
	m.gauge("oci_serve_storage_free_bytes", "Bytes free for the storage, as of at most a minute ago.", func() float64 { return float64(size.get().Free) })
	if certs != nil {
		m.gauge("oci_serve_certificate_expiry_seconds", "When the TLS certificate ends, in seconds since 1970.", func() float64 { return float64(certs.get().Leaf.NotAfter.Unix()) })
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.all, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// storageSize caches the size of the storage.
type storageSize struct {
	disk *registry.Disk
	log  *slog.Logger

	mu    sync.Mutex
	known registry.Usage
	at    time.Time
}

func (s *storageSize) get() registry.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.at) > usageEvery {
		usage, err := s.disk.Usage()
		if err != nil {
			s.log.Error("storage size", "error", err)
		}
		s.known, s.at = usage, now
	}
	return s.known
}
