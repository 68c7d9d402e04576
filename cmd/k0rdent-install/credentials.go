package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/config"
	"k0rdent-airgap/lib/textfile"
)

// credentials are those of clouds, with the keys of k0rdentd's configuration.
type credentials struct {
	AWS       []awsCredential       `yaml:"aws"`
	Azure     []azureCredential     `yaml:"azure"`
	OpenStack []openstackCredential `yaml:"openstack"`
}

type awsCredential struct {
	Name            string        `yaml:"name" need:"yes"`
	Region          string        `yaml:"region"`
	AccessKeyID     string        `yaml:"accessKeyID" need:"yes"`
	SecretAccessKey config.Secret `yaml:"secretAccessKey" need:"yes"`
	SessionToken    config.Secret `yaml:"sessionToken"`
}

type azureCredential struct {
	Name           string        `yaml:"name" need:"yes"`
	SubscriptionID string        `yaml:"subscriptionID" need:"yes"`
	ClientID       string        `yaml:"clientID" need:"yes"`
	ClientSecret   config.Secret `yaml:"clientSecret" need:"yes"`
	TenantID       string        `yaml:"tenantID" need:"yes"`
}

type openstackCredential struct {
	Name                        string        `yaml:"name" need:"yes"`
	AuthURL                     string        `yaml:"authURL" need:"yes"`
	Region                      string        `yaml:"region"`
	ApplicationCredentialID     string        `yaml:"applicationCredentialID"`
	ApplicationCredentialSecret config.Secret `yaml:"applicationCredentialSecret"`
	Username                    string        `yaml:"username"`
	Password                    config.Secret `yaml:"password"`
	ProjectName                 string        `yaml:"projectName"`
	DomainName                  string        `yaml:"domainName"`
}

func (c *credentials) empty() bool { return len(c.AWS)+len(c.Azure)+len(c.OpenStack) == 0 }

// objectName is a name that Kubernetes objects can have, with room for what is
// added to it.
var objectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)

// check returns what is missing, by path.
func (c *credentials) check() []string {
	var problems []string
	names := make(map[string]string)
	each := func(cloud string, i int, v any) {
		r := reflect.ValueOf(v)
		path := fmt.Sprintf("%s[%d]", cloud, i)
		for f := range r.NumField() {
			field := r.Type().Field(f)
			text := r.Field(f).String()
			if s, ok := r.Field(f).Interface().(config.Secret); ok {
				text = s.Text()
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
		byApp := v.ApplicationCredentialID != "" && v.ApplicationCredentialSecret.Text() != ""
		byUser := v.Username != "" && v.Password.Text() != "" && v.ProjectName != ""
		if !byApp && !byUser {
			problems = append(problems, fmt.Sprintf("openstack[%d]: want applicationCredentialID and applicationCredentialSecret, or username, password and projectName", i))
		}
	}
	return problems
}

// readCredentials reads those of --credentials, or returns those of the
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
	warning, err := config.Private("--credentials "+path, f)
	if err == nil && warning != "" {
		err = errors.New(warning)
	}
	if err != nil {
		return found, cli.Misuse("%w", err)
	}
	return found, nil
}
