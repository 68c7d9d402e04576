package cli

import (
	"strings"
	"testing"
)

// A value that net/http would ignore or misread is an error that names the
// variable and does not repeat a password.
func TestProxies(t *testing.T) {
	for _, tt := range []struct{ set, want string }{
		{"", ""},
		{"HTTP_PROXY=http://proxy:3128", ""},
		{"HTTPS_PROXY=proxy:3128", ""},
		{"https_proxy=10.0.0.1:3128", ""},
		{"HTTPS_PROXY=http://user:p%40ss@proxy.site:3128/", ""},
		{"HTTPS_PROXY=socks5://[fd00::1]:1080", ""},
		{"HTTP_PROXY=http://proxy:3128 NO_PROXY=localhost,.site,10.0.0.0/8,*.x,[::1]:5000,host:5000,", ""},
		{"NO_PROXY=10.0.0.0/99", ""}, // without a proxy it does not matter

		{"HTTP_PROXY=http://proxy:port", "HTTP_PROXY: not the address of a proxy: "},
		{"HTTPS_PROXY=http://proxy:99999", "HTTPS_PROXY: not the address of a proxy: invalid port"},
		{"https_proxy=proxy:0", "https_proxy: not the address of a proxy: invalid port"},
		{"HTTPS_PROXY=ftp://proxy:21", "HTTPS_PROXY: not the address of a proxy: the scheme must be http, https or socks5"},
		{"HTTP_PROXY=http://", "HTTP_PROXY: not the address of a proxy: no host"},
		{"HTTP_PROXY=://proxy", "HTTP_PROXY: not the address of a proxy: "},
		{"HTTP_PROXY=http://user:s3c%ret@proxy:1", "HTTP_PROXY: not the address of a proxy: not a URL"},
		{"HTTP_PROXY=http:///proxy:3128", "HTTP_PROXY: not the address of a proxy: no host"},
		{"HTTP_PROXY=[fd00::1:3128", "HTTP_PROXY: not the address of a proxy: "},
		{"HTTP_PROXY=proxy:", "HTTP_PROXY: not the address of a proxy: no port"},
		{"HTTP_PROXY=p:1 NO_PROXY=10.0.0.0/99", `NO_PROXY: "10.0.0.0/99": not a network`},
		{"HTTP_PROXY=p:1 no_proxy=a,https://registry.site", `no_proxy: "https://registry.site": must be without a scheme`},
		{"HTTP_PROXY=p:1 NO_PROXY=a;b", `NO_PROXY: "a;b": more than one host`},
	} {
		env := make(map[string]string)
		for _, one := range strings.Fields(tt.set) {
			name, value, _ := strings.Cut(one, "=")
			env[name] = value
		}
		err := checkProxies(func(name string) string { return env[name] })
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.set, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || !IsMisuse(err) || HintOf(err) == "" || strings.Contains(err.Error(), "s3c") {
			t.Errorf("%s: %v, want misuse with %q", tt.set, err, tt.want)
		}
	}
}
