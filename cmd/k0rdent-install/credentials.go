package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/textfile"
)

// secret is a text that is not printed, wherever it is: methods that hide it
// would not be called inside a struct's own fields, so it is behind a function.
type secret struct{ reveal func() string }

func (s *secret) UnmarshalYAML(n *yaml.Node) error {
	var text string
	if err := n.Decode(&text); err != nil {
		return err
	}
	s.reveal = func() string { return text }
	return nil
}

// text gives what is hidden; "" if there is nothing.
func (s secret) text() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// credentials are those of clouds, with the keys of k0rdentd's configuration.
type credentials struct {
	AWS       []awsCredential       `yaml:"aws"`
	Azure     []azureCredential     `yaml:"azure"`
	OpenStack []openstackCredential `yaml:"openstack"`
}

type awsCredential struct {
	Name            string `yaml:"name" need:"yes"`
	Region          string `yaml:"region"`
	AccessKeyID     string `yaml:"accessKeyID" need:"yes"`
	SecretAccessKey secret `yaml:"secretAccessKey" need:"yes"`
	SessionToken    secret `yaml:"sessionToken"`
}

type azureCredential struct {
	Name           string `yaml:"name" need:"yes"`
	SubscriptionID string `yaml:"subscriptionID" need:"yes"`
	ClientID       string `yaml:"clientID" need:"yes"`
	ClientSecret   secret `yaml:"clientSecret" need:"yes"`
	TenantID       string `yaml:"tenantID" need:"yes"`
}

type openstackCredential struct {
	Name                        string `yaml:"name" need:"yes"`
	AuthURL                     string `yaml:"authURL" need:"yes"`
	Region                      string `yaml:"region"`
	ApplicationCredentialID     string `yaml:"applicationCredentialID"`
	ApplicationCredentialSecret secret `yaml:"applicationCredentialSecret"`
	Username                    string `yaml:"username"`
	Password                    secret `yaml:"password"`
	ProjectName                 string `yaml:"projectName"`
	DomainName                  string `yaml:"domainName"`
}

func (c *credentials) empty() bool { return len(c.AWS)+len(c.Azure)+len(c.OpenStack) == 0 }

// objectName is a name that Kubernetes objects can have, with room for what is
// added to it.
var objectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)

// check tells what is missing, by path.
func (c *credentials) check() []string {
	var problems []string
	names := make(map[string]string)
	each := func(cloud string, i int, v any) {
		r := reflect.ValueOf(v)
		path := fmt.Sprintf("%s[%d]", cloud, i)
		for f := range r.NumField() {
			field := r.Type().Field(f)
			text := r.Field(f).String()
			if s, ok := r.Field(f).Interface().(secret); ok {
				text = s.text()
			}
			if field.Tag.Get("need") != "" && text == "" {
				problems = append(problems, path+"."+field.Tag.Get("yaml")+" is missing")
			}
		}
		name := r.FieldByName("Name").String()
		if other := names[name]; other != "" && name != "" {
			problems = append(problems, fmt.Sprintf("%s.name: %s has it already", path, other))
		}
		if name != "" && !objectName.MatchString(name) {
			problems = append(problems, fmt.Sprintf("%s.name %q: want small letters, digits and hyphens, at most 42", path, name))
		}
		names[name] = path
	}
	for i, v := range c.AWS {
		each("aws", i, v)
	}
	for i, v := range c.Azure {
		each("azure", i, v)
	}
	for i, v := range c.OpenStack {
		each("openstack", i, v)
		byApp := v.ApplicationCredentialID != "" && v.ApplicationCredentialSecret.text() != ""
		byUser := v.Username != "" && v.Password.text() != "" && v.ProjectName != ""
		if !byApp && !byUser {
			problems = append(problems, fmt.Sprintf("openstack[%d]: want applicationCredentialID and applicationCredentialSecret, or username, password and projectName", i))
		}
	}
	return problems
}

// readCredentials reads those of --credentials, or gives those of the
// configuration file.
func (c *config) readCredentials() (credentials, error) {
	if c.credentials == "" {
		return c.file.credentials, nil
	}
	var found credentials
	read := func() (err error) {
		found, err = readCredentialsFile(c.credentials)
		return err
	}
	if err := textfile.Patiently(c.credentials, read); err != nil {
		return credentials{}, err
	}
	return found, nil
}

func readCredentialsFile(path string) (found credentials, err error) {
	f, err := os.Open(path)
	if err != nil {
		return found, cli.Misuse("--credentials: %w", err)
	}
	defer f.Close()
	root, err := readYAML(f)
	if err != nil {
		return found, cli.Misuse("--credentials %s: %w", path, err)
	}
	if root != nil {
		w := &walker{}
		w.table(root, "", reflect.ValueOf(&found).Elem(), nil)
		if problems := append(w.problems, found.check()...); len(problems) > 0 {
			return found, cli.Misuse("--credentials %s: %s", path, strings.Join(problems, "; "))
		}
	}
	if warning, err := private("--credentials "+path, f); err != nil || warning != "" {
		if err == nil {
			err = fmt.Errorf("%s", warning)
		}
		return found, cli.Misuse("%w", err)
	}
	return found, nil
}
