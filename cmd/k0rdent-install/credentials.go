package main

import (
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"reflect"
	"regexp"
	"strings"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/config"
	"k0rdent-airgap/lib/textfile"
)

// credentials holds credentials for clouds and machines. The keys of aws, azure and
// openstack are those of k0rdentd's configuration.
type credentials struct {
	AWS       []cluster.AWS       `yaml:"aws"`
	Azure     []cluster.Azure     `yaml:"azure"`
	GCP       []cluster.GCP       `yaml:"gcp"`
	OpenStack []cluster.OpenStack `yaml:"openstack"`
	VSphere   []cluster.VSphere   `yaml:"vsphere"`
	Metal3    []cluster.Metal3    `yaml:"metal3"`
}

// all returns the credentials, by their paths in the file.
func (c *credentials) all() iter.Seq2[string, cluster.Credential] {
	return func(yield func(string, cluster.Credential) bool) {
		lists := reflect.ValueOf(c).Elem()
		for field, list := range lists.Fields() {
			for i := range list.Len() {
				path := fmt.Sprintf("%s[%d]", field.Tag.Get("yaml"), i)
				if !yield(path, list.Index(i).Interface().(cluster.Credential)) {
					return
				}
			}
		}
	}
}

// logins returns the credentials to create.
func (c *credentials) logins() []cluster.Credential {
	var all []cluster.Credential
	for _, l := range c.all() {
		all = append(all, l)
	}
	return all
}

// objectName matches names of Kubernetes objects that leave room for a suffix.
var objectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)

// check returns what is missing or invalid, by path.
func (c *credentials) check() []string {
	var problems []string
	names, machines := make(map[string]string), make(map[string]string)
	each := func(path string, v any, names map[string]string) {
		r := reflect.ValueOf(v)
		for field, value := range r.Fields() {
			text := value.String()
			if s, ok := value.Interface().(config.Secret); ok {
				text = s.Text()
			}
			if field.Tag.Get("need") != "" && text == "" {
				problems = append(problems, path+"."+field.Tag.Get("yaml")+" is missing")
			}
		}
		name := r.FieldByName("Name").String()
		if other := names[name]; other != "" && name != "" {
			problems = append(problems, fmt.Sprintf("%s.name: already used by %s", path, other))
		}
		if name != "" && !objectName.MatchString(name) {
			problems = append(problems, fmt.Sprintf("%s.name %q: must be at most 42 lower-case letters, digits and hyphens", path, name))
		}
		names[name] = path
	}
	for path, l := range c.all() {
		each(path, l, names)
		switch l := l.(type) {
		case cluster.GCP:
			if text := l.ServiceAccountKey.Text(); text != "" && !isServiceAccountKey(text) {
				problems = append(problems, path+".serviceAccountKey: must be the JSON text of a service account's key file")
			}
		case cluster.OpenStack:
			byApp := l.ApplicationCredentialID != "" && l.ApplicationCredentialSecret.Text() != ""
			byUser := l.Username != "" && l.Password.Text() != "" && l.ProjectName != ""
			if !byApp && !byUser {
				problems = append(problems, path+": requires applicationCredentialID and applicationCredentialSecret, or username, password and projectName")
			}
		case cluster.Metal3:
			if len(l.Machines) == 0 {
				problems = append(problems, path+".machines is missing")
			}
			for i, m := range l.Machines {
				each(fmt.Sprintf("%s.machines[%d]", path, i), m, machines)
			}
		}
	}
	return problems
}

// isServiceAccountKey reports whether a text is a key file that Google issues.
func isServiceAccountKey(text string) bool {
	var key struct {
		Type       string `json:"type"`
		PrivateKey string `json:"private_key"`
		Email      string `json:"client_email"`
	}
	return json.Unmarshal([]byte(text), &key) == nil && key.Type == "service_account" && key.PrivateKey != "" && key.Email != ""
}

// readCredentials returns the credentials in the file of --credentials, or in the
// configuration file.
func (c *settings) readCredentials() (credentials, error) {
	if c.credentials == "" {
		return c.file.credentials, nil
	}
	return textfile.Patiently(c.credentials, func() (credentials, error) { return readCredentialsFile(c.credentials) })
}

func readCredentialsFile(path string) (found credentials, err error) {
	f, err := os.Open(path)
	if err != nil {
		return found, cli.Misuse("--credentials: %w", err)
	}
	defer f.Close()
	if _, err := config.Decode(f, &found); err != nil {
		return found, cli.Misuse("--credentials %s: %w", path, err)
	}
	if problems := found.check(); len(problems) > 0 {
		return found, cli.Misuse("--credentials %s: %s", path, strings.Join(problems, "; "))
	}
	if err := config.Private("--credentials "+path, f, nil); err != nil {
		return found, cli.Misuse("%w", err)
	}
	return found, nil
}
