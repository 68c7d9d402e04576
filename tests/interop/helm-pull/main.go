// Command helm-pull pulls one chart with Helm's own registry client and loads
// it as `helm install` would. It prints the manifest's digest, the chart's name
// and version, and the names of its subcharts. Without --ca it speaks plain
// HTTP; without --username, credentials are those that `helm registry login` or
// `docker login` have written.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/registry"
)

func main() {
	var ca, username, passwordFile string
	flag.StringVar(&ca, "ca", "", "speak HTTPS and trust the authorities in this `FILE`")
	flag.StringVar(&username, "username", "", "user")
	flag.StringVar(&passwordFile, "password-file", "", "`FILE` that holds the user's password")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: helm-pull [flags] HOST:PORT/REPOSITORY:TAG")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	options, err := connection(ca, username, passwordFile)
	if err == nil {
		err = pull(flag.Arg(0), options)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "helm-pull:", err)
		os.Exit(1)
	}
}

// connection returns the options that `helm pull --ca-file --username --password` sets.
func connection(ca, username, passwordFile string) ([]registry.ClientOption, error) {
	options := []registry.ClientOption{registry.ClientOptWriter(io.Discard)}
	if username != "" {
		password, err := os.ReadFile(passwordFile)
		if err != nil {
			return nil, err
		}
		options = append(options, registry.ClientOptBasicAuth(username, strings.TrimRight(string(password), "\n")))
	}
	if ca == "" {
		return append(options, registry.ClientOptPlainHTTP()), nil
	}
	tls, err := registryTLS(ca)
	if err != nil {
		return nil, err
	}
	return append(options, registry.ClientOptHTTPClient(&http.Client{Transport: tls})), nil
}

func pull(reference string, options []registry.ClientOption) error {
	client, err := registry.NewClient(options...)
	if err != nil {
		return err
	}
	pulled, err := client.Pull(reference)
	if err != nil {
		return err
	}
	chart, err := loader.LoadArchive(bytes.NewReader(pulled.Chart.Data))
	if err != nil {
		return err
	}
	fmt.Print(pulled.Manifest.Digest, " ", chart.Metadata.Name, " ", chart.Metadata.Version)
	for _, sub := range chart.Dependencies() {
		fmt.Print(" ", sub.Name())
	}
	fmt.Println()
	return nil
}
