package client

import (
	"log/slog"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pemfile"
	"k0rdent-airgap/lib/ref"
)

// SiteNames are the flags that cli.Registry declares for the site's registry.
var SiteNames = Names{
	At: "--registry", CA: "--ca", PlainHTTP: "--plain-http", Timeout: "--answer-timeout",
	Username: "--username", PasswordFile: "--password-file",
}

// FromFlags returns the options that the flags of a tool set.
func FromFlags(f cli.Registry, tool string, log *slog.Logger, progress *cli.Progress) Options {
	return Options{
		At: f.At, Names: SiteNames, PlainHTTP: f.PlainHTTP, SkipVerify: f.SkipVerify, CAFile: f.CA,
		Username: f.Username, PasswordFile: f.PasswordFile, Timeout: f.Timeout,
		LoginFiles: cli.LoginFiles(), Agent: cli.Agent(tool), Log: log,
		Notice: func(text string) { progress.Warn("%s", text) },
	}
}

// Site prepares the registry of a site by the flags of a tool, and asks nothing of
// it. It also returns the certificates of --ca, in PEM.
func Site(o Options) (r *Registry, site ref.Site, ca []byte, err error) {
	if site, err = ParseSite(o.Names, o.At); err != nil {
		return nil, site, nil, err
	}
	if o.CAFile != "" {
		if _, ca, err = pemfile.Certificates(o.CAFile); err != nil {
			return nil, site, nil, cli.Misuse("--ca: %w", err)
		}
	}
	o.Jobs = 8
	r, err = New(o)
	return r, site, ca, err
}
