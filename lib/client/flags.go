package client

import (
	"log/slog"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pemfile"
	"k0rdent-airgap/lib/ref"
)

// SiteNames are the flags that cli.Registry declares.
var SiteNames = Names{
	At: "--registry", CA: "--ca", PlainHTTP: "--plain-http", Timeout: "--answer-timeout",
	Username: "--username", PasswordFile: "--password-file",
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
	r, err = New(Options{
		At: at, Names: SiteNames, PlainHTTP: f.PlainHTTP, CAFile: f.CA,
		Username: f.Username, PasswordFile: f.PasswordFile, Jobs: 8, Timeout: f.Timeout,
		LoginFiles: cli.LoginFiles(), Agent: cli.Agent(tool), Log: log, Notice: notice,
	})
	return r, site, ca, err
}
