package main

import (
	"encoding/json"
	"errors"
	"fmt"
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
	AWS       []awsCredential       `yaml:"aws"`
	Azure     []azureCredential     `yaml:"azure"`
	GCP       []gcpCredential       `yaml:"gcp"`
	OpenStack []openstackCredential `yaml:"openstack"`
	VSphere   []vsphereCredential   `yaml:"vsphere"`
	Metal3    []metal3Credential    `yaml:"metal3"`
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

type gcpCredential struct {
	Name              string        `yaml:"name" need:"yes"`
	ServiceAccountKey config.Secret `yaml:"serviceAccountKey" need:"yes"`
}

type vsphereCredential struct {
	Name       string        `yaml:"name" need:"yes"`
	Username   string        `yaml:"username" need:"yes"`
	Password   config.Secret `yaml:"password" need:"yes"`
	Datacenter string        `yaml:"datacenter" need:"yes"`
}

type metal3Credential struct {
	Name     string          `yaml:"name" need:"yes"`
	Machines []bmcCredential `yaml:"machines"`
}

type bmcCredential struct {
	Name     string        `yaml:"name" need:"yes"`
	Username string        `yaml:"username" need:"yes"`
	Password config.Secret `yaml:"password" need:"yes"`
}

func (c *credentials) empty() bool { return len(c.logins()) == 0 }

// objectName matches names of Kubernetes objects that leave room for a suffix.
var objectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)

// check returns what is missing or invalid, by path.
func (c *credentials) check() []string {
	var problems []string
	names, machines := make(map[string]string), make(map[string]string)
	each := func(path string, v any, names map[string]string) {
		r := reflect.ValueOf(v)
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
			problems = append(problems, fmt.Sprintf("%s.name: already used by %s", path, other))
		}
		if name != "" && !objectName.MatchString(name) {
			problems = append(problems, fmt.Sprintf("%s.name %q: must be at most 42 lower-case letters, digits and hyphens", path, name))
		}
		names[name] = path
	}
	for i, v := range c.AWS {
		each(fmt.Sprintf("aws[%d]", i), v, names)
	}
	for i, v := range c.Azure {
		each(fmt.Sprintf("azure[%d]", i), v, names)
	}
	for i, v := range c.GCP {
		each(fmt.Sprintf("gcp[%d]", i), v, names)
		if text := v.ServiceAccountKey.Text(); text != "" && !isServiceAccountKey(text) {
			problems = append(problems, fmt.Sprintf("gcp[%d].serviceAccountKey: must be the JSON text of a service account's key file", i))
		}
	}
	for i, v := range c.VSphere {
		each(fmt.Sprintf("vsphere[%d]", i), v, names)
	}
	for i, v := range c.Metal3 {
		each(fmt.Sprintf("metal3[%d]", i), v, names)
		if len(v.Machines) == 0 {
			problems = append(problems, fmt.Sprintf("metal3[%d].machines is missing", i))
		}
		for j, m := range v.Machines {
			each(fmt.Sprintf("metal3[%d].machines[%d]", i, j), m, machines)
		}
	}
	for i, v := range c.OpenStack {
		each(fmt.Sprintf("openstack[%d]", i), v, names)
		byApp := v.ApplicationCredentialID != "" && v.ApplicationCredentialSecret.Text() != ""
		byUser := v.Username != "" && v.Password.Text() != "" && v.ProjectName != ""
		if !byApp && !byUser {
			problems = append(problems, fmt.Sprintf("openstack[%d]: requires applicationCredentialID and applicationCredentialSecret, or username, password and projectName", i))
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

// logins returns the credentials to create.
func (c *credentials) logins() []cluster.Credential {
	var all []cluster.Credential
	for _, v := range c.AWS {
		all = append(all, cluster.AWS{
			Name: v.Name, Region: v.Region,
			AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey.Text(), SessionToken: v.SessionToken.Text(),
		})
	}
	for _, v := range c.Azure {
		all = append(all, cluster.Azure{
			Name: v.Name, SubscriptionID: v.SubscriptionID,
			ClientID: v.ClientID, ClientSecret: v.ClientSecret.Text(), TenantID: v.TenantID,
		})
	}
	for _, v := range c.GCP {
		all = append(all, cluster.GCP{Name: v.Name, ServiceAccountKey: v.ServiceAccountKey.Text()})
	}
	for _, v := range c.OpenStack {
		all = append(all, cluster.OpenStack{
			Name: v.Name, AuthURL: v.AuthURL, Region: v.Region,
			ApplicationCredentialID: v.ApplicationCredentialID, ApplicationCredentialSecret: v.ApplicationCredentialSecret.Text(),
			Username: v.Username, Password: v.Password.Text(), ProjectName: v.ProjectName, DomainName: v.DomainName,
		})
	}
	for _, v := range c.VSphere {
		all = append(all, cluster.VSphere{Name: v.Name, Username: v.Username, Password: v.Password.Text(), Datacenter: v.Datacenter})
	}
	for _, v := range c.Metal3 {
		set := cluster.Metal3{Name: v.Name}
		for _, m := range v.Machines {
			set.Machines = append(set.Machines, cluster.BMC{Name: m.Name, Username: m.Username, Password: m.Password.Text()})
		}
		all = append(all, set)
	}
	return all
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
	warning, err := config.Private("--credentials "+path, f)
	if err == nil && warning != "" {
		err = errors.New(warning)
	}
	if err != nil {
		return found, cli.Misuse("%w", err)
	}
	return found, nil
}
