package chaos

import (
	"bufio"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// call is a system call of a trace. begin and end are lines of the trace, the
// same ones unless another thread's call came in between.
type call struct {
	name       string
	args       []string
	ret        int
	begin, end int
}

// traced are the calls that change a storage or make a change durable, and those
// by which requests and answers pass.
const traced = "openat,mkdirat,linkat,symlinkat,renameat,renameat2,unlinkat,write,pwrite64,writev,pwritev,copy_file_range,splice," +
	"sendfile,fallocate,fsync,fdatasync,sync_file_range,syncfs,ftruncate,truncate,open,creat,mkdir,link,symlink,rename,unlink,rmdir,read"

var (
	wholeCall   = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (-?\d+)`)
	begunCall   = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumedCall = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)`)
)

// readTrace parses what strace -f -y -xx has written, in the order in which the
// calls ended.
func readTrace(t *testing.T, file string) (calls []call) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	begun := make(map[string]call)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if m := begunCall.FindStringSubmatch(line); m != nil {
			begun[m[1]] = call{name: m[2], args: []string{m[3]}, begin: n}
			continue
		}
		var c call
		var text, ret string
		if m := wholeCall.FindStringSubmatch(line); m != nil {
			c, text, ret = call{name: m[2], begin: n}, m[3], m[4]
		} else if m := resumedCall.FindStringSubmatch(line); m != nil {
			c = begun[m[1]]
			text, ret = c.args[0]+m[3], m[4]
		} else {
			continue
		}
		c.args, c.end = strings.Split(text, ", "), n
		if c.ret, err = strconv.Atoi(ret); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		calls = append(calls, c)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return calls
}

// text returns the bytes of a string argument.
func text(arg string) string {
	arg = strings.ReplaceAll(strings.Trim(arg, `"`), `\x`, "")
	data, err := hex.DecodeString(arg)
	if err != nil {
		return ""
	}
	return string(data)
}

// fdPath returns the path of a descriptor, such as 7<\x2f\x74\x6d\x70>.
func fdPath(arg string) string {
	_, path, _ := strings.Cut(strings.TrimSuffix(arg, ">"), "<")
	return text(path)
}

// at returns the path that a descriptor of a directory and a name lead to.
func at(dir, name string) string {
	if name = text(name); filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(fdPath(dir), name)
}
