// Command etcdpeer is the etcd of a stand-in for k0s: it starts one that is
// real, and asks it through its JSON gateway.
//
//	etcdpeer start DIR [FIRST]   start etcd with its data in DIR, as a further
//	                             member of the cluster of the host FIRST
//	etcdpeer stop DIR            end it
//	etcdpeer member-list         print the members as k0s does
//	etcdpeer add ADDRESS         add a member that never starts
//	etcdpeer leave ADDRESS       remove the member at ADDRESS
//	etcdpeer write               write something, for which a quorum is needed
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long etcd has for an answer.
const patience = 15 * time.Second

type member struct {
	ID       string
	Name     string
	PeerURLs []string
}

func main() {
	args := append(os.Args[1:], "", "")
	var err error
	switch args[0] {
	case "start":
		err = start(args[1], args[2])
	case "stop":
		err = stop(args[1])
	case "member-list":
		err = list()
	case "add":
		err = ask("127.0.0.1", "cluster/member/add", map[string]any{"peerURLs": []string{peerURL(args[1])}}, nil)
	case "leave":
		err = leave(args[1])
	case "write":
		err = ask("127.0.0.1", "kv/put", map[string]string{"key": "a2V5", "value": "dmFsdWU="}, nil)
	default:
		err = errors.New("no such command")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcdpeer:", err)
		os.Exit(1)
	}
}

// ask sends one request to the etcd of a host.
func ask(host, path string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+net.JoinHostPort(host, "2379")+"/v3/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var reply struct{ Message string }
		if json.Unmarshal(text, &reply) == nil && reply.Message != "" {
			return errors.New(reply.Message)
		}
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(text))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

func members(host string) ([]member, error) {
	var answer struct{ Members []member }
	err := ask(host, "cluster/member/list", map[string]bool{"linearizable": true}, &answer)
	return answer.Members, err
}

func list() error {
	all, err := members("127.0.0.1")
	if err != nil {
		return err
	}
	found := make(map[string]string)
	for _, m := range all {
		found[m.Name] = m.PeerURLs[0]
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"members": found})
}

func leave(address string) error {
	all, err := members("127.0.0.1")
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.PeerURLs[0] == peerURL(address) {
			return ask("127.0.0.1", "cluster/member/remove", map[string]string{"ID": m.ID}, nil)
		}
	}
	return fmt.Errorf("no member at %s", address)
}

func peerURL(address string) string { return "http://" + net.JoinHostPort(address, "2380") }

// own returns the first address of this host.
func own() (string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String(), nil
		}
	}
	return "", errors.New("this host has no address")
}

func start(dir, first string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	address, err := own()
	if err != nil {
		return err
	}
	cluster, state := name+"="+peerURL(address), "new"
	if _, err := os.Stat(filepath.Join(dir, "member")); err == nil {
		cluster, state = "", "existing" // it knows
	} else if first != "" {
		var answer struct{ Members []member }
		if err := ask(first, "cluster/member/add", map[string]any{"peerURLs": []string{peerURL(address)}}, &answer); err != nil {
			return err
		}
		var all []string
		for _, m := range answer.Members {
			if m.Name == "" {
				m.Name = name
			}
			all = append(all, m.Name+"="+m.PeerURLs[0])
		}
		cluster, state = strings.Join(all, ","), "existing"
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("etcd", "--name="+name, "--data-dir="+dir, "--initial-cluster="+cluster, "--initial-cluster-state="+state,
		"--initial-advertise-peer-urls="+peerURL(address), "--listen-peer-urls="+peerURL(address),
		"--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://"+address+":2379")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if _, err = members("127.0.0.1"); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("etcd does not come up: %w", err)
		}
	}
}

// stop ends etcd, if it has not ended by itself.
func stop(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		return err
	}
	for ; syscall.Kill(pid, syscall.SIGKILL) == nil; time.Sleep(50 * time.Millisecond) {
	}
	return nil
}
