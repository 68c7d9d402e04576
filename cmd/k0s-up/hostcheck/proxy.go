package hostcheck

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// environ parses the environment of a process, /proc/PID/environ.
func environ(text string) map[string]string {
	found := make(map[string]string)
	for pair := range strings.SplitSeq(text, "\x00") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			found[name] = value
		}
	}
	return found
}

// unitEnviron adds the variables of a setting, such as Environment, in a file of
// systemd: pairs NAME=VALUE, separated by blanks and possibly quoted. An empty
// setting removes all earlier ones.
func unitEnviron(found map[string]string, text, setting string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.TrimSpace(name) != setting {
			continue
		}
		if value = strings.TrimSpace(value); value == "" {
			clear(found)
		}
		for _, word := range words.FindAllString(value, -1) {
			if name, value, ok := strings.Cut(unquote.Replace(word), "="); ok {
				found[name] = value
			}
		}
	}
}

// words matches the parts of a text between blanks outside quotes, and unquote removes
// the quotes: neither a proxy nor a host has any.
var (
	words   = regexp.MustCompile(`("[^"]*"|'[^']*'|[^\s"'])+`)
	unquote = strings.NewReplacer(`"`, "", `'`, "")
)

// proxyOf returns the proxy settings of an environment, as Go programs read them.
func proxyOf(env map[string]string) httpproxy.Config {
	get := func(name string) string { return cmp.Or(env[name], env[strings.ToLower(name)]) }
	return httpproxy.Config{HTTPProxy: get("HTTP_PROXY"), HTTPSProxy: get("HTTPS_PROXY"), NoProxy: get("NO_PROXY")}
}

// proxied returns the hosts and networks that are reached through a proxy.
func proxied(c httpproxy.Config, hosts []string, networks []netip.Prefix) []string {
	proxy := c.ProxyFunc()
	uses := func(host string) bool {
		p, err := proxy(&url.URL{Scheme: "https", Host: host})
		return err != nil || p != nil
	}
	var all []string
	for _, h := range hosts {
		if uses(h) {
			name := h
			if host, _, err := net.SplitHostPort(h); err == nil {
				name = host
			}
			all = append(all, strings.Trim(name, "[]"))
		}
	}
	for _, n := range networks {
		if n.IsValid() && uses(net.JoinHostPort(n.Masked().Addr().Next().String(), "443")) {
			all = append(all, n.String())
		}
	}
	return all
}

// proxies finds proxies that the site's own traffic would use. A proxy may let it
// pass, so this is a warning. The shell's environment affects k0s-up alone; that of
// systemd affects containerd, kubelet and the API server.
func (f *findings) proxies() {
	shell, err := os.ReadFile(f.Proc + "/self/environ")
	if err != nil {
		f.unknown(f.Proc+"/self/environ", err)
	}
	if bad := proxied(proxyOf(environ(string(shell))), f.Internal, nil); len(bad) > 0 {
		f.warn("shell", "export NO_PROXY=$NO_PROXY,"+strings.Join(bad, ","), "this shell's environment sets a proxy, and NO_PROXY does not list %s", strings.Join(bad, ", "))
	}
	env := f.serviceEnviron()
	c := proxyOf(env)
	bad := proxied(c, slices.Concat(f.Internal, []string{f.Name}), f.Networks)
	if len(bad) == 0 {
		return
	}
	list := strings.Trim(c.NoProxy+","+strings.Join(append(bad, ".svc", ".cluster.local"), ","), ",")
	f.warn("systemd", `for s in k0scontroller k0sworker; do mkdir -p /etc/systemd/system/$s.service.d && printf '[Service]\nEnvironment="NO_PROXY=`+list+`"\n' >/etc/systemd/system/$s.service.d/no-proxy.conf; done && systemctl daemon-reload`,
		"systemd passes a proxy to k0s, and NO_PROXY does not list %s", strings.Join(bad, ", "))
}

// serviceEnviron returns the environment of k0s's service: that of systemd itself,
// DefaultEnvironment, and the service's drop-ins.
func (f *findings) serviceEnviron() map[string]string {
	manager, _ := f.read(f.Proc + "/1/environ")
	env := environ(manager)
	files := f.glob("/etc/systemd/system.conf")
	for _, dir := range []string{"/usr/lib", "/run", "/etc"} {
		files = append(files, f.glob(dir+"/systemd/system.conf.d/*.conf")...)
	}
	for _, file := range files {
		text, _ := f.read(file)
		unitEnviron(env, text, "DefaultEnvironment")
	}
	for _, unit := range []string{"k0scontroller", "k0sworker"} {
		for _, file := range f.glob("/etc/systemd/system/" + unit + ".service.d/*.conf") {
			text, _ := f.read(file)
			unitEnviron(env, text, "Environment")
		}
		text, _ := f.read(f.Root + "/etc/sysconfig/" + unit)
		for name, value := range assignments(text) {
			env[name] = strings.Trim(value, `"'`)
		}
	}
	return env
}
