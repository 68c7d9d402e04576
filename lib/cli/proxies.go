package cli

import (
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
)

// CheckProxies returns an error if one of the proxy variables cannot be parsed,
// since net/http would silently ignore it.
func CheckProxies() error { return checkProxies(os.Getenv) }

func checkProxies(env func(string) string) error {
	some := false
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		name, value := firstSet(env, name)
		if value == "" {
			continue
		}
		some = true
		if err := checkProxy(value); err != nil {
			return Hint(Misuse("%s: not the address of a proxy: %w", name, err), "set it to http://HOST:PORT, or unset it")
		}
	}
	name, value := firstSet(env, "NO_PROXY")
	if !some || value == "" {
		return nil
	}
	for one := range strings.SplitSeq(value, ",") {
		if err := checkExempt(strings.TrimSpace(one)); err != nil {
			return Hint(Misuse("%s: %q: %w", name, one, err), "separate hosts, .DOMAINS, addresses and networks (10.0.0.0/8) with commas")
		}
	}
	return nil
}

// firstSet returns a variable as net/http reads it: in upper case, else in
// lower case.
func firstSet(env func(string) string, name string) (set, value string) {
	if value = env(name); value != "" {
		return name, value
	}
	name = strings.ToLower(name)
	return name, env(name)
}

// checkProxy checks the address of a proxy, whose scheme is optional. Its
// errors do not repeat the address, which may contain a password.
func checkProxy(value string) error {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok && !strings.Contains(value, "@") {
			return e.Err
		}
		return errors.New("not a URL")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return errors.New("the scheme must be http, https or socks5")
	}
	switch port := u.Port(); {
	case u.Hostname() == "":
		return errors.New("no host")
	case port != "":
		if _, err := net.LookupPort("tcp", port); err != nil || port == "0" {
			return errors.New("invalid port")
		}
	case strings.HasSuffix(u.Host, ":"):
		return errors.New("no port after the colon")
	}
	return nil
}

// checkExempt checks one entry of NO_PROXY.
func checkExempt(one string) error {
	switch {
	case strings.Contains(one, "://"):
		return errors.New("must be without a scheme")
	case strings.ContainsAny(one, " \t;"):
		return errors.New("more than one host")
	case strings.Contains(one, "/"):
		if _, _, err := net.ParseCIDR(one); err != nil {
			return errors.New("not a network")
		}
	case strings.Contains(one, "@"):
		return errors.New("must be without a user")
	}
	return nil
}
