package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
	"k0rdent-airgap/tests/clitest"
)

// found returns the findings of a run, except those about this machine's clock,
// programs and disk.
func found(r clitest.Result) []string {
	var all []string
	for _, f := range clitest.Records[record.Finding](r) {
		if f.Check != "loopback" && f.Check != "system" && f.Check != "latency" && (f.Check != "time" || f.Status == record.StatusFailed) {
			all = append(all, f.Check+" "+f.Status+" "+f.Subject)
		}
	}
	return all
}

// TestHardenedHost finds all that hardening adds to a host at once, each with a
// remedy, and changes nothing.
func TestHardenedHost(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	clitest.Write(t, h.proc+"/sys/fs/inotify/max_user_instances", "128\n")
	clitest.Write(t, h.proc+"/self/mountinfo", "27 1 254:0 / / rw - ext4 /dev/vda rw\n28 27 254:1 / "+h.root+"/var rw,noexec - ext4 /dev/vdb rw\n")
	clitest.Write(t, h.proc+"/swaps", "Filename Type Size Used Priority\n/dev/dm-1 partition 8388604 0 -2\n")
	clitest.Write(t, h.proc+"/815/comm", "fapolicyd\n")
	clitest.Write(t, h.root+"/etc/fapolicyd/compiled.rules", "deny_audit perm=execute all : all\n")
	before := tree(t, h.root)
	r := try(t, h, "", s.args("--plan")...)
	want := []string{"fapolicyd failed /usr/local/bin/k0s", "inotify warning fs.inotify.max_user_instances", "mounts failed /var/lib/k0s", "swap warning /dev/dm-1"}
	if got := found(r); cli.Code(r.Err) != cli.CodeFailed || !slices.Equal(got, want) {
		t.Errorf("%v, found %q, want %q", r.Err, got, want)
	}
	for _, f := range clitest.Records[record.Finding](r) {
		if f.Check != "loopback" && (f.Remedy == "" || !strings.Contains(r.Stderr, "hint: "+f.Remedy)) {
			t.Errorf("%s: no remedy %q\n%s", f.Check, f.Remedy, r.Stderr)
		}
	}
	if after := tree(t, h.root); after != before {
		t.Errorf("the host was changed:\n%s\nwas\n%s", after, before)
	}
	r = try(t, h, "", append(s.args("--plan"), "--ignore", "loopback,fapolicyd,mounts,swap,inotify,time,latency")...)
	if r.Err != nil || strings.Contains(r.Stderr, "/dev/dm-1") || !strings.Contains(r.Stderr, "fapolicyd: ") {
		t.Errorf("%v, want failures as warnings and no warnings\n%s", r.Err, r.Stderr)
	}
	if got := found(r); len(got) != len(want) || got[0] != "fapolicyd warning /usr/local/bin/k0s" {
		t.Errorf("found %q, want all of them in the records", got)
	}
}

// TestClockBehindThePush reads from the records when the images were pushed.
func TestClockBehindThePush(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	at := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	r := try(t, h, `{"kind":"image","pushedAt":"`+at+`"}`+"\n", s.args("--plan")...)
	if got := found(r); !slices.Equal(got, []string{"time failed clock"}) {
		t.Errorf("found %q, want the clock", got)
	}
}

// TestIgnoredChecks compares the documented checks with those that --ignore accepts.
func TestIgnoredChecks(t *testing.T) {
	all := step.HostChecks
	if !slices.IsSorted(all) {
		t.Errorf("not sorted: %q", all)
	}
	compare := func(where, text, pattern, split string) {
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Errorf("%s has no list", where)
			return
		}
		if got := regexp.MustCompile(split).Split(strings.TrimSpace(m[1]), -1); !slices.Equal(got, all) {
			t.Errorf("%s lists %q, want %q", where, got, all)
		}
	}
	compare("usage", usage, `(?s)warns\s+anyway:(.*?);`, `,?\s+(?:or\s+)?`)
	for path, pattern := range map[string]string{
		"_k0s-up": `--ignore\[.*?:\(([^)]*)\)`, "k0s-up.bash": `--ignore\).*?-W '([^']*)'`, "k0s-up.fish": `-l ignore .*?-a '([^']*)'`,
	} {
		compare(path, read(t, "../../completions/"+path), pattern, ` `)
	}
	page, err := os.ReadFile("../../man/k0s-up.1")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), ".Ss Preflight")
	section, _, _ = strings.Cut(section, ".Ss Steps")
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^\.It Cm (\S+)$`).FindAllStringSubmatch(section, -1) {
		documented = append(documented, m[1])
	}
	documented = append(documented, "platform") // documented with --reset
	slices.Sort(documented)
	if !slices.Equal(documented, all) {
		t.Errorf("the page has %q, want %q", documented, all)
	}
}
