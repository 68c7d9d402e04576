// Command cri-pull pulls images through CRI, as a kubelet does, and prints a line
// "REFERENCE ID" for each.
//
//	cri-pull unix:///run/containerd/containerd.sock REFERENCE...
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "cri-pull:", err)
		os.Exit(1)
	}
}

func run(socket string, references []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := grpc.NewClient(socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	images := cri.NewImageServiceClient(conn)
	// The socket may be there before anybody answers.
	if _, err := images.ListImages(ctx, &cri.ListImagesRequest{}, grpc.WaitForReady(true)); err != nil {
		return err
	}
	for _, ref := range references {
		got, err := images.PullImage(ctx, &cri.PullImageRequest{Image: &cri.ImageSpec{Image: ref}})
		if err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
		fmt.Println(ref, got.ImageRef)
	}
	return nil
}
