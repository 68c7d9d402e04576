// Command helm-pull pulls one chart with Helm's own registry client, over
// plain HTTP, and loads it as `helm install` would. It prints the manifest's
// digest, the chart's name and version, and the names of its subcharts.
package main

import (
	"bytes"
	"fmt"
	"os"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/registry"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: helm-pull HOST:PORT/REPOSITORY:TAG")
		os.Exit(2)
	}
	if err := pull(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "helm-pull:", err)
		os.Exit(1)
	}
}

func pull(reference string) error {
	client, err := registry.NewClient(registry.ClientOptPlainHTTP())
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
