package pipe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// noInput is what a caller adds to a command whose stdin holds nothing for it.
const noInput = "</dev/null"

// peekStream returns what waits in a pipe or a socket.
func peekStream(f *os.File, isPipe bool) (data []byte, ended bool, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, true, err
	}
	peek := peekSocket
	if isPipe {
		peek = peekPipe
	}
	var failed error
	err = raw.Control(func(fd uintptr) { data, ended, failed = peek(int(fd)) })
	return data, ended, errors.Join(err, failed)
}

func peekPipe(fd int) (data []byte, ended bool, err error) {
	state := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(state, 0); err != nil && !errors.Is(err, unix.EINTR) {
		return nil, true, err
	}
	ended = state[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
	if state[0].Revents&unix.POLLIN == 0 {
		return nil, ended, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, ended, err
	}
	defer r.Close()
	defer w.Close()
	n, err := unix.Tee(fd, int(w.Fd()), peekSize, unix.SPLICE_F_NONBLOCK)
	if err != nil || n == 0 { // another process was faster
		return nil, ended, nil
	}
	data = make([]byte, n)
	_, err = io.ReadFull(r, data)
	return data, ended, err
}

func peekSocket(fd int) (data []byte, ended bool, err error) {
	data = make([]byte, peekSize)
	n, _, err := unix.Recvfrom(fd, data, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil, false, nil
	case err != nil:
		return nil, true, err
	}
	return data[:n], n == 0, nil
}

// fed reports whether another program may still write to a pipe: one in the
// same pipeline. A parent of this one, such as sshd, keeps its pipe open
// whether or not it ever writes to it.
func fed(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var ours string
	raw.Control(func(fd uintptr) { ours, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)) })
	if err != nil || !strings.HasPrefix(ours, "pipe:") && !filepath.IsAbs(ours) {
		return false
	}
	above := ancestors()
	ends, _ := filepath.Glob("/proc/[1-9]*/fd/*")
	for _, end := range ends {
		pid, _ := strconv.Atoi(strings.Split(end, "/")[2])
		if above[pid] {
			continue
		}
		if name, err := os.Readlink(end); err != nil || name != ours {
			continue
		}
		// The link's own mode shows how the descriptor was opened.
		if info, err := os.Lstat(end); err == nil && info.Mode()&0o200 != 0 {
			return true
		}
	}
	return false
}

// ancestors returns this process and its ancestors.
func ancestors() map[int]bool {
	above := map[int]bool{os.Getpid(): true}
	for pid := os.Getppid(); pid > 0 && !above[pid]; {
		above[pid] = true
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		// pid (name) state ppid: the name may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			break
		}
		pid, _ = strconv.Atoi(string(fields[1]))
	}
	return above
}
