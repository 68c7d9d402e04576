package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/textfile"
	"k0rdent-airgap/tests/clitest"
	"k0rdent-airgap/tests/machine"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// result is the outcome of a run.
type result struct {
	out, err string
	code     int
}

// runs runs the tool as its main does.
func runs(t *testing.T, stdin io.Reader, args ...string) result {
	t.Helper()
	return runsIn(t, context.Background(), stdin, args...)
}

func runsIn(t *testing.T, ctx context.Context, stdin io.Reader, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	err := run(ctx, args, stdin, &out, &errs)
	cli.Report(&errs, "bundle-verify", err)
	return result{out.String(), errs.String(), cli.Code(err)}
}

// bundleOf returns the only record that a run wrote.
func bundleOf(t *testing.T, out string) record.Bundle {
	t.Helper()
	var b record.Bundle
	if strings.Count(out, "\n") != 1 || json.Unmarshal([]byte(out), &b) != nil {
		t.Fatalf("want one record, got %q", out)
	}
	return b
}

const data = "testdata/"

// Everything that cosign signs verifies, and each record names the key.
func TestGood(t *testing.T) {
	type row struct{ key, signature string }
	var rows []row
	for _, pattern := range []string{"v2/*.*", "v3/*.*"} {
		files, _ := filepath.Glob(data + pattern)
		for _, f := range files {
			name, _, _ := strings.Cut(filepath.Base(f), ".")
			if _, err := os.Stat(data + name + ".pub"); err == nil {
				rows = append(rows, row{name + ".pub", f})
			}
		}
	}
	if len(rows) != 15+18+5 {
		t.Fatalf("%d vectors", len(rows))
	}
	rows = append(rows, row{"p384.crt", data + "v3/p384.sig"}, row{"rsa2048-pkcs1.pub", data + "v3/rsa2048.sig"},
		row{"p384.pub", data + "v3/certificate.sigstore.json"}, row{"p384.crt", data + "v3/certificate.sigstore.json"})
	fingerprints := map[string]string{}
	for _, r := range rows {
		got := runs(t, nil, "--key", data+r.key, "--signature", r.signature, data+"bundle.tgz")
		if got.code != 0 {
			t.Errorf("%s with %s: %d, %s", r.signature, r.key, got.code, got.err)
			continue
		}
		b := bundleOf(t, got.out)
		path, _ := filepath.Abs(data + "bundle.tgz")
		signature, _ := filepath.Abs(r.signature)
		if b.Signature != "good" || b.Path != path || b.SignatureFile != signature || b.Format != "tar.gz" || b.Size != 158 {
			t.Errorf("%s: %+v", r.signature, b)
		}
		name := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(r.key, ".pub"), ".crt"), "-pkcs1")
		if f, ok := fingerprints[name]; ok && f != b.Key || !strings.HasPrefix(b.Key, "sha256:") {
			t.Errorf("%s: key %s, and %s", r.key, b.Key, f)
		}
		fingerprints[name] = b.Key
	}
	if len(fingerprints) != 6 {
		t.Errorf("%d keys", len(fingerprints))
	}
}

// What differs from what was signed is bad: the record says so, for the tools
// behind, and the message gives the reason, if it can be known.
func TestBad(t *testing.T) {
	for _, tt := range []struct {
		key, signature, file string
		want                 string // in the message
	}{
		{"p256.pub", "v3/p256.sig", "flipped.tgz", "bad signature: it is not what the owner of testdata/p256.pub signed\nhint: the file may be altered or truncated (it has 158 bytes)"},
		{"p256.pub", "v3/p256.sig", "truncated.tgz", "truncated (it has 157 bytes)"},
		{"p256.pub", "v3/p256.sig", "other.tgz", "the signature may be for another file, or the key may not be the vendor's"},
		{"p256.pub", "v3/p256.sig", "empty", "hint: the file is empty"},
		{"p256.pub", "v3/other.sig", "bundle.tgz", "the signature may be for another file"},
		{"p256.pub", "v3/emptyfile.sig", "bundle.tgz", "the signature may be for another file"},
		{"stranger.pub", "v3/p256.sig", "bundle.tgz", "not what the owner of testdata/stranger.pub signed"},
		{"stranger.pub", "v3/p256.sigstore.json", "bundle.tgz", "wrong key: "},
		{"stranger.pub", "v2/p256.bundle", "bundle.tgz", "not what the owner of testdata/stranger.pub signed"},
		{"p256.pub", "v3/p256.sigstore.json", "flipped.tgz", "belongs to another file: its digest is "},
		{"p256.pub", "v3/p256.sigstore.json", "truncated.tgz", "belongs to another file: its digest is "},
		{"p256.pub", "v3/other.sigstore.json", "bundle.tgz", "other.sigstore.json belongs to another file"},
		{"p384.pub", "v3/p384.sig", "flipped.tgz", "bad signature"},
		{"p384.pub", "v2/p384.sigstore.json", "flipped.tgz", "bad signature"},
		{"p521.pub", "v3/p521.sig", "flipped.tgz", "bad signature"},
		{"rsa2048.pub", "v3/rsa2048.sig", "flipped.tgz", "bad signature"},
		{"rsa4096.pub", "v3/rsa4096.sig", "truncated.tgz", "bad signature"},
		{"ed25519.pub", "v3/ed25519.sig", "flipped.tgz", "bad signature"},
		{"ed25519.pub", "v3/ed25519.sigstore.json", "truncated.tgz", "bad signature"},
		{"p384.pub", "v3/certificate.sigstore.json", "other.tgz", "bad signature"},
	} {
		got := runs(t, nil, "--key", data+tt.key, "--signature", data+tt.signature, data+tt.file)
		if b := bundleOf(t, got.out); got.code != 1 || b.Signature != "bad" || b.Digest == "" || b.Key == "" {
			t.Errorf("%s of %s: %d, %+v", tt.signature, tt.file, got.code, b)
		}
		if !strings.Contains(got.err, tt.want) {
			t.Errorf("%s of %s: %s, want %q", tt.signature, tt.file, got.err, tt.want)
		}
	}
	// A bundle that names the right digest and key, with another file's signature.
	forged, _ := os.ReadFile(data + "v3/p256.sigstore.json")
	other, _ := os.ReadFile(data + "v3/other.sig")
	path := filepath.Join(t.TempDir(), "forged")
	os.WriteFile(path, regexp.MustCompile(`"signature":"[^"]*"`).ReplaceAll(forged, []byte(`"signature":"`+string(other)+`"`)), 0o644)
	if got := runs(t, nil, "--key", data+"p256.pub", "--signature", path, data+"bundle.tgz"); got.code != 1 || !strings.Contains(got.err, "has not signed it") {
		t.Errorf("forged: %d, %s", got.code, got.err)
	}
	if got := runs(t, nil, "--key", data+"p256.pub", "--signature", data+"v3/emptyfile.sig", data+"empty"); got.code != 0 {
		t.Errorf("an empty file can be signed: %s", got.err)
	}
}

// What cannot be verified at all is rejected with a message of its own, without a
// record.
func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	put := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := data + "bundle.tgz"
	p256 := []string{"--key", data + "p256.pub"}
	with := func(signature string) []string { return append(p256, "--signature", signature, file) }
	key := func(name string) []string { return []string{"--key", name, "--signature", data + "v3/p256.sig", file} }
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{append(p256, file), 1, "no signature: neither bundle.tgz.sig nor bundle.tgz.sigstore.json exists\nhint: get it where the file came from"},
		{append(p256, "-"), 1, "stdin: no signature\nhint: name its file with --signature"},
		{append(p256, dir), 1, "a directory; the vendor signs a single file\nhint: "},
		{append(p256, "/nonexistent/b.tgz"), 1, "bundle-verify: open /nonexistent/b.tgz: no such file or directory\n"},
		{with("/nonexistent/b.sig"), 1, "no signature: open /nonexistent/b.sig"},
		{with(data + "empty"), 1, "the file is empty"},
		{with(data + "garbage.sig"), 1, "not a signature: 300 bytes that are neither base64 nor binary"},
		{with(put("html", "<!DOCTYPE html><title>404</title>")), 1, "HTML or XML"},
		{with(put("short", "MEUCIQ==")), 1, "not a signature: 8 bytes"},
		{with(put("big", strings.Repeat("x", textfile.Max+1))), 1, "larger than 4194304 bytes"},
		{with(dir), 1, "is a directory"},
		{with(data + "v3/rsa2048.sig"), 1, "wrong key type: the signature is one of RSA 2048, the key is ECDSA P-256"},
		{with(data + "v3/ed25519.raw.sig"), 1, "wrong key type: the signature is one of Ed25519, the key is ECDSA P-256"},
		{with(data + "v3/p384.sigstore.json"), 1, "wrong key type: the signature is one of ECDSA P-384, the key is ECDSA P-256"},
		{with(data + "v3/attestation.sigstore.json"), 1, "an attestation about the file"},
		{with(put("json", `{"a":1}`)), 1, "JSON without a signature"},
		{with(put("cut", `{"mediaType":"application/vnd.dev.sigst`)), 1, "not a signature bundle: unexpected end"},
		{key("/nonexistent/k.pub"), 1, "key: open /nonexistent/k.pub"},
		{key(dir), 1, "key: "},
		{key(data + "empty"), 1, "the file is empty"},
		{key(data + "garbage.sig"), 1, "no certificate or key in PEM or DER form"},
		{key(data + "private.key"), 1, "a private key\nhint: give the public key"},
		{key(data + "rsa1024.pub"), 1, "wrong key type: RSA 1024 is too short"},
		{key(data + "p224.pub"), 1, "wrong key type: ECDSA P-224"},
		{key(data + "x25519.pub"), 1, "wrong key type: "},
		{key(put("pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")), 1, "pem: "},
		{[]string{"--key", data + "rsa2048.pub", "--signature", data + "v3/rsa4096.sig", file}, 1, "the signature is one of RSA 4096, the key is RSA 2048"},
		{[]string{file}, 2, "nothing to check"},
		{[]string{"--signature", "x", file}, 2, "no key"},
		{p256, 2, "no file to verify"},
		{[]string{"--digest", "sha256:12", file}, 2, "64 hexadecimal digits"},
		{[]string{"--digest", "md5:" + strings.Repeat("0", 32), file}, 2, "must be sha256:"},
	} {
		got := runs(t, nil, tt.args...)
		if got.code != tt.code || !strings.Contains(got.err, tt.want) || got.out != "" {
			t.Errorf("%q: %d, %s%s, want %d and %q", tt.args, got.code, got.out, got.err, tt.code, tt.want)
		}
	}
}

func TestDigest(t *testing.T) {
	file := data + "bundle.tgz"
	digest := bundleOf(t, runs(t, nil, "--key", data+"p256.pub", "--signature", data+"v3/p256.sig", file).out).Digest
	wrong := "sha256:" + strings.Repeat("0", 64)
	for _, tt := range []struct {
		args      []string
		code      int
		signature string
	}{
		{[]string{"--digest", digest, file}, 0, "none"},
		{[]string{"--digest", "SHA256:" + strings.ToUpper(digest[7:]), file}, 0, "none"},
		{[]string{"--digest", digest, "-"}, 0, "none"},
		{[]string{"--digest", wrong, file}, 1, "bad"},
		{[]string{"--digest", digest, "--key", data + "p256.pub", "--signature", data + "v3/p256.sig", file}, 0, "good"},
		{[]string{"--digest", wrong, "--key", data + "p256.pub", "--signature", data + "v3/p256.sig", file}, 1, "bad"},
		{[]string{"--digest", digest, "--key", data + "stranger.pub", "--signature", data + "v3/p256.sig", file}, 1, "bad"},
	} {
		content, _ := os.ReadFile(file)
		got := runs(t, bytes.NewReader(content), tt.args...)
		b := bundleOf(t, got.out)
		if got.code != tt.code || b.Signature != tt.signature || b.Digest != digest || b.Size != 158 {
			t.Errorf("%q: %d, %+v, %s", tt.args, got.code, b, got.err)
		}
		if tt.code == 1 && tt.args[1] == wrong && !strings.Contains(got.err, "digest mismatch: want "+wrong+", got "+digest) {
			t.Errorf("%q: %s", tt.args, got.err)
		}
	}
}

// The output of sha256sum is a digest.
func TestDigestForms(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	for text, want := range map[string]string{
		"sha256:" + hex: hex, hex: hex, strings.ToUpper(hex): hex, " " + hex + "\r\n": hex,
		hex + "  bundle.tgz\n": hex, hex + " *bundle.tgz": hex, "\\" + hex + "  a\\nb": hex, "SHA256 (a b.tgz) = " + hex: hex,
		"": "", "sha256:": "", hex[1:]: "", "sha512:" + hex: "", hex + "00": "", "bundle.tgz " + hex: "",
	} {
		if got := digestDigits(text); got != want {
			t.Errorf("digestDigits(%q) = %q, want %q", text, got, want)
		}
	}
}

// A vendor who rotates keys publishes both in one file; either may have signed.
func TestAnyKeyOfTheFile(t *testing.T) {
	read := func(names ...string) string {
		var all []byte
		for _, name := range names {
			content, err := os.ReadFile(data + name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, content...)
		}
		path := filepath.Join(t.TempDir(), "keys.pub")
		if err := os.WriteFile(path, all, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	want := bundleOf(t, runs(t, nil, "--key", data+"p256.pub", "--signature", data+"v3/p256.sig", data+"bundle.tgz").out).Key
	for _, names := range [][]string{{"p256.pub", "stranger.pub"}, {"stranger.pub", "p256.pub"}, {"ed25519.pub", "rsa2048.pub", "p256.pub"}, {"private.key", "p256.pub"}} {
		for _, signature := range []string{"v3/p256.sig", "v3/p256.sigstore.json"} {
			got := runs(t, nil, "--key", read(names...), "--signature", data+signature, data+"bundle.tgz")
			if b := bundleOf(t, got.out); got.code != 0 || b.Key != want {
				t.Errorf("%q, %s: %d, key %s, %s, want key %s", names, signature, got.code, b.Key, got.err, want)
			}
		}
	}
	for names, tt := range map[string]struct {
		code int
		want string
	}{
		"stranger.pub ed25519.pub": {1, "bad signature"},
		"ed25519.pub rsa2048.pub":  {1, "the signature is one of ECDSA P-256, the key is Ed25519"},
	} {
		got := runs(t, nil, "--key", read(strings.Fields(names)...), "--signature", data+"v3/p256.sig", data+"bundle.tgz")
		if got.code != tt.code || !strings.Contains(got.err, tt.want) {
			t.Errorf("%s: %d, %s, want %d and %q", names, got.code, got.err, tt.code, tt.want)
		}
	}
	if got := runs(t, nil, "--key", read(slices.Repeat([]string{"p256.pub"}, maxKeys+1)...), "--signature", data+"v3/p256.sig", data+"bundle.tgz"); got.code != 1 || !strings.Contains(got.err, "more than 16 keys") {
		t.Errorf("%d, %s", got.code, got.err)
	}
}

// Keys and signatures that were saved on Windows are accepted.
func TestForeignForms(t *testing.T) {
	utf16 := func(s []byte) []byte {
		out := []byte("\xff\xfe")
		for _, b := range s {
			out = append(out, b, 0)
		}
		return out
	}
	marked := func(s []byte) []byte {
		return append([]byte("\xef\xbb\xbf"), bytes.ReplaceAll(s, []byte("\n"), []byte("\r\n"))...)
	}
	dir := t.TempDir()
	for name, change := range map[string]func([]byte) []byte{"UTF-16": utf16, "BOM": marked} {
		for _, signature := range []string{"v3/p256.sig", "v3/p256.sigstore.json", "v2/p256.bundle"} {
			key, sig := filepath.Join(dir, "key"), filepath.Join(dir, "sig")
			for from, to := range map[string]string{"p256.pub": key, signature: sig} {
				content, err := os.ReadFile(data + from)
				if err == nil {
					err = os.WriteFile(to, change(content), 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if got := runs(t, nil, "--key", key, "--signature", sig, data+"bundle.tgz"); got.code != 0 {
				t.Errorf("%s, %s: %s", name, signature, got.err)
			}
		}
	}
}

// The error for a file of the wrong kind names its kind.
func TestSwappedArguments(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	content, _ := os.ReadFile(data + "bundle.tgz")
	key, _ := os.ReadFile(data + "p256.pub")
	sig, _ := os.ReadFile(data + "v3/p256.sig")
	file, pub, sigFile := put("b.tgz", content), put("cosign.pub", key), put("b.tgz.sig", sig)
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	tar, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var twice bytes.Buffer
	w := gzip.NewWriter(&twice)
	w.Write(content)
	w.Close()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--key", pub, sigFile}, "b.tgz.sig: a signature, not a file to verify\nhint: name the file that it signs: " + file + "\n"},
		{[]string{"--key", file, pub}, "cosign.pub: a key, not a file to verify\nhint: are --key and the file to verify swapped?"},
		{[]string{"--key", file, "--signature", sigFile, pub}, "key: " + file + ": a tar.gz, not a key\nhint: are --key and the file"},
		{[]string{"--key", sigFile, file}, "b.tgz.sig: a signature, not a key\nhint: are --key and --signature swapped?"},
		{[]string{"--key", data + "v3/p256.sigstore.json", file}, "a signature, not a key\nhint: are"},
		{[]string{"--key", put("ssh.pub", []byte("ssh-ed25519 AAAA x@y\n")), file}, "OpenSSH's form\nhint: convert it: ssh-keygen"},
		{[]string{"--key", put("page", []byte("<html>")), file}, "a web page, not a key"},
		{[]string{"--key", put("note", []byte("hello")), file}, "hint: the vendor's public key begins with -----BEGIN PUBLIC KEY-----"},
		{[]string{"--key", pub, "--signature", sigFile, put("un.tgz", tar)}, "un.tgz: bad signature: it is not what the owner of " + pub + " signed\nhint: the file is a plain tar: a browser or proxy unpacked it"},
		{[]string{"--key", pub, "--signature", sigFile, put("twice.tgz", twice.Bytes())}, "hint: the file is compressed twice"},
		{[]string{"--key", pub, "--signature", sigFile, put("page.tgz", []byte("<!DOCTYPE html>"))}, "hint: the file is a web page"},
		{[]string{"--digest", strings.Repeat("0", 64), put("un.tar.gz", tar)}, "hint: the file is a plain tar"},
	} {
		got := runs(t, nil, tt.args...)
		if got.code != 1 || !strings.Contains(got.err, tt.want) || strings.Count(got.err, "\n") != 2 {
			t.Errorf("%q: %d, %s, want 1 and %q", tt.args, got.code, got.err, tt.want)
		}
	}
	// A signature next to the target of a link is found.
	link := filepath.Join(t.TempDir(), "today.tgz")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if got := runs(t, nil, "--key", pub, link); got.code != 0 || bundleOf(t, got.out).SignatureFile != sigFile {
		t.Errorf("by a link: %d, %s", got.code, got.err)
	}
}

// The signature is found next to the file, .sig first.
func TestFindsSignature(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "b")
	link := func(from, to string) {
		content, err := os.ReadFile(data + from)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(to, content, 0o644)
	}
	link("bundle.tgz", file)
	for _, tt := range []struct{ from, suffix string }{{"v3/p256.sigstore.json", ".sigstore.json"}, {"v3/p256.sig", ".sig"}} {
		link(tt.from, file+tt.suffix)
		got := runs(t, nil, "--key", data+"p256.pub", file)
		if got.code != 0 || bundleOf(t, got.out).SignatureFile != file+tt.suffix {
			t.Errorf("%s: %d, %s%s", tt.suffix, got.code, got.out, got.err)
		}
	}
	content, _ := os.ReadFile(file)
	got := runs(t, bytes.NewReader(content), "--key", data+"p256.pub", "--signature", file+".sig", "-")
	if b := bundleOf(t, got.out); got.code != 0 || b.Path != "-" || b.Format != "tar.gz" || b.Signature != "good" {
		t.Errorf("stdin: %d, %+v, %s", got.code, b, got.err)
	}
}

// A certificate or a log entry next to the signature is always mentioned.
func TestReportsWhatWasNotChecked(t *testing.T) {
	file := data + "bundle.tgz"
	got := runs(t, nil, "--quiet", "--key", data+"p384.crt", "--signature", data+"v3/certificate.sigstore.json", file)
	for _, want := range []string{"is good; not checked: the certificate of release@vendor.example from CN=signer,O=A vendor", "p384.crt is a certificate: only its key was used"} {
		if got.code != 0 || !strings.Contains(got.err, want) {
			t.Errorf("%d, %s, want %q", got.code, got.err, want)
		}
	}
	got = runs(t, nil, "--key", data+"stranger.pub", "--signature", data+"v3/certificate.sigstore.json", file)
	if got.code != 1 || !strings.Contains(got.err, "wrong key type") || !strings.Contains(got.err, "hint: the signer has the certificate of") {
		t.Errorf("%d, %s", got.code, got.err)
	}
	// Another key of the same type, as most signers with a certificate have.
	other, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	der, _ := x509.MarshalPKIXPublicKey(other.Public())
	path := filepath.Join(t.TempDir(), "k")
	os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644)
	got = runs(t, nil, "--key", path, "--signature", data+"v3/certificate.sigstore.json", file)
	for _, want := range []string{"wrong key: ", "hint: the signer has the certificate of release@vendor.example from CN=signer,O=A vendor; cosign"} {
		if got.code != 1 || !strings.Contains(got.err, want) {
			t.Errorf("%d, %s, want %q", got.code, got.err, want)
		}
	}
	for from, to := range map[string][2]string{
		"v3/p256.sigstore.json": {`"verificationMaterial":{`, `"verificationMaterial":{"tlogEntries":[{},{}],"timestampVerificationData":{"rfc3161Timestamps":[{}]},`},
		"v3/p256.bundle":        {`"base64Signature"`, `"rekorBundle":{"Payload":{}},"base64Signature"`},
	} {
		content, _ := os.ReadFile(data + from)
		path := filepath.Join(t.TempDir(), "b")
		os.WriteFile(path, bytes.Replace(content, []byte(to[0]), []byte(to[1]), 1), 0o644)
		got := runs(t, nil, "--key", data+"p256.pub", "--signature", path, file)
		if got.code != 0 || !strings.Contains(got.err, "not checked: ") || !strings.Contains(got.err, "transparency log") ||
			strings.Contains(from, "sigstore") && !strings.Contains(got.err, "2 entries of transparency logs, a signed timestamp") {
			t.Errorf("%s: %d, %s", from, got.code, got.err)
		}
	}
}

func TestKeyFromURL(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/k0rdent-enterprise/cosign.pub", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, data+"p256.pub") })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, textfile.Max+1)) })
	s := httptest.NewServer(mux)
	defer s.Close()
	args := []string{"--signature", data + "v3/p256.sig", data + "bundle.tgz"}
	got := runs(t, nil, append([]string{"--key", s.URL + "/k0rdent-enterprise/cosign.pub"}, args...)...)
	if got.code != 0 || !strings.Contains(got.err, "was just fetched, with fingerprint "+bundleOf(t, got.out).Key) {
		t.Errorf("%d, %s", got.code, got.err)
	}
	t.Setenv(keyVariable, s.URL+"/endless")
	if got := runs(t, nil, args...); got.code != 1 || !strings.Contains(got.err, "larger than") {
		t.Errorf("%d, %s", got.code, got.err)
	}
	t.Setenv("BUNDLE_VERIFY_KEY", s.URL+"/nothing")
	if got := runs(t, nil, args...); got.code != 1 || !strings.Contains(got.err, "404 Not Found\nhint: ") {
		t.Errorf("%d, %s", got.code, got.err)
	}
	t.Setenv("BUNDLE_VERIFY_KEY", "")
	t.Setenv(keyVariable, data+"p256.pub")
	if got := runs(t, nil, args...); got.code != 0 || strings.Contains(got.err, "fetched") {
		t.Errorf("%d, %s", got.code, got.err)
	}
}

func TestRedirect(t *testing.T) {
	at := func(urls ...string) (requests []*http.Request) {
		for _, u := range urls {
			requests = append(requests, httptest.NewRequest("GET", u, nil))
		}
		return requests
	}
	for _, tt := range []struct {
		next string
		via  []string
		ok   bool
	}{
		{"https://b/k", []string{"https://a/k"}, true},
		{"http://b/k", []string{"http://a/k"}, true},
		{"http://b/k", []string{"https://a/k"}, false},
		{"http://c/k", []string{"https://a/k", "https://b/k"}, false},
		{"https://a/k", slices.Repeat([]string{"https://a/k"}, redirects), false},
	} {
		if err := redirect(at(tt.next)[0], at(tt.via...)); (err == nil) != tt.ok {
			t.Errorf("%q to %s: %v", tt.via, tt.next, err)
		}
	}
}

// An interrupt ends a run that waits for bytes that never arrive.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	stdin, feed := io.Pipe()
	defer feed.Close()
	go func() {
		feed.Write([]byte("begun"))
		cancel(cli.ErrInterrupted)
	}()
	got := runsIn(t, ctx, stdin, "--digest", "sha256:"+strings.Repeat("0", 64), "-")
	if got.code != 130 || got.out != "" {
		t.Errorf("%d, %s%s", got.code, got.out, got.err)
	}
}

// A file that grows while it is read, such as one still being copied, is neither good
// nor bad.
func TestChangedWhileRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	os.WriteFile(path, []byte("half"), 0o644)
	in, err := openInput(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString(" and half")
	f.Close()
	v := &verifier{cfg: &config{}, progress: cli.NewProgress("bundle-verify", io.Discard, true)}
	if _, err := v.read(context.Background(), in, nil); err == nil || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("%v", err)
	}
}

func TestMain(m *testing.M) { os.Exit(machine.Run(m)) }

func TestDocs(t *testing.T) {
	var c config
	clitest.Docs(t, c.flags(), usage, "../..")
}

func TestGolden(t *testing.T) {
	path := data + "usage.txt"
	got := runs(t, nil, "--help").out
	if *update {
		os.WriteFile(path, []byte(got), 0o644)
	}
	if want, err := os.ReadFile(path); err != nil || got != string(want) {
		t.Errorf("%s differs (%v); -update rewrites it", path, err)
	}
}
