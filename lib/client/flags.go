package client

import (
	"log/slog"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pemfile"
	"k0rdent-airgap/lib/ref"
)

// SiteNames are the flags that cli.Registry declares.
var SiteNames = flagNames("--registry")

// flagNames are those flags of a tool that names the registry by the flag at.
func flagNames(at string) Names {
	return Names{
		At: at, CA: "--ca", PlainHTTP: "--plain-http", Timeout: "--answer-timeout",
		Username: "--username", PasswordFile: "--password-file",
	}
}

// FlagOptions returns the settings that a tool's flags stand for, except for the
// registry, which the flag at names.
func FlagOptions(f cli.Registry, at, tool string, log *slog.Logger, notice func(string)) Options {
	return Options{
		Names: flagNames(at), PlainHTTP: f.PlainHTTP, CAFile: f.CA, Timeout: f.Timeout,
		Username: f.Username, PasswordFile: f.PasswordFile,
		LoginFiles: cli.LoginFiles(), Agent: cli.Agent(tool), Log: log, Notice: notice,
	}
}

// Site prepares the registry of a site by the flags of a tool, and asks nothing of
// it. It also returns the certificates of --ca, in PEM.
func Site(f cli.Registry, at, tool string, log *slog.Logger, notice func(string)) (r *Registry, site ref.Site, ca []byte, err error) {
	if err := cli.CheckProxies(); err != nil {
		return nil, site, nil, err
	}
	if site, err = ParseSite(SiteNames, at); err != nil {
		return nil, site, nil, err
	}
	if f.CA != "" {
		if _, ca, err = pemfile.Certificates(f.CA); err != nil {
			return nil, site, nil, cli.Misuse("--ca: %w", err)
		}
	}
	o := FlagOptions(f, SiteNames.At, tool, log, notice)
	o.At, o.Jobs = at, 8
	r, err = New(o)
	return r, site, ca, err
}
