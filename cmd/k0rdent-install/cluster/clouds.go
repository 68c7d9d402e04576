package cluster

import (
	"embed"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"k0rdent-airgap/lib/config"
)

// Credential is a credential for a cloud or for machines.
type Credential interface {
	fmt.Stringer
	login() login
}

// A login holds the objects of a Credential that kcm, the provider and Sveltos read.
type login struct {
	name, description string // of the Credential

	// secrets are in kcm's namespace. The Credential refers to the first one, unless
	// there is an identity.
	secrets     []Secret
	identity    *unstructured.Unstructured // the provider's object that refers to the Secret
	versions    []string                   // of the identity, in order of preference; nil if it has only one
	inNamespace bool                       // whether the identity belongs to kcm's namespace, although its kind has none
	needs       *unstructured.Unstructured // of a kind without which the login is useless
	template    string                     // of the objects in a child cluster
}

// reference returns the object that the Credential refers to.
func (l login) reference() *unstructured.Unstructured {
	if l.identity != nil {
		return l.identity
	}
	return object("v1", "Secret", Namespace, l.secrets[0].Name)
}

// handover holds, by cloud, the template of the objects that a child cluster's cloud
// provider and CSI driver read. kcm's cluster templates refer to them by name.
//
//go:embed handover/*.yaml
var handover embed.FS

func handoverOf(cloud string) string {
	text, err := handover.ReadFile("handover/" + cloud + ".yaml")
	if err != nil {
		panic(err) // it is compiled in
	}
	return string(text)
}

// The keys of these types are those of the configuration file. A field whose tag has
// need must be set.

// AWS is an access key.
type AWS struct {
	Name            string        `yaml:"name" need:"yes"`
	Region          string        `yaml:"region"`
	AccessKeyID     string        `yaml:"accessKeyID" need:"yes"`
	SecretAccessKey config.Secret `yaml:"secretAccessKey" need:"yes"`
	SessionToken    config.Secret `yaml:"sessionToken"`
}

// Azure is a service principal.
type Azure struct {
	Name           string        `yaml:"name" need:"yes"`
	SubscriptionID string        `yaml:"subscriptionID" need:"yes"`
	ClientID       string        `yaml:"clientID" need:"yes"`
	ClientSecret   config.Secret `yaml:"clientSecret" need:"yes"`
	TenantID       string        `yaml:"tenantID" need:"yes"`
}

// GCP is a service account with its key, as the JSON file that Google issues.
type GCP struct {
	Name              string        `yaml:"name" need:"yes"`
	ServiceAccountKey config.Secret `yaml:"serviceAccountKey" need:"yes"`
}

// OpenStack is an application credential, or a user with a project.
type OpenStack struct {
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

// VSphere is a user of a vCenter, and the datacenter that child clusters use.
type VSphere struct {
	Name       string        `yaml:"name" need:"yes"`
	Username   string        `yaml:"username" need:"yes"`
	Password   config.Secret `yaml:"password" need:"yes"`
	Datacenter string        `yaml:"datacenter" need:"yes"`
}

// Metal3 is a set of bare-metal machines, each with the login of its BMC.
type Metal3 struct {
	Name     string `yaml:"name" need:"yes"`
	Machines []BMC  `yaml:"machines"`
}

// BMC is the login of a machine's board management controller.
type BMC struct {
	Name     string        `yaml:"name" need:"yes"`
	Username string        `yaml:"username" need:"yes"`
	Password config.Secret `yaml:"password" need:"yes"`
}

func (c AWS) String() string       { return "credential " + c.Name }
func (c Azure) String() string     { return "credential " + c.Name }
func (c GCP) String() string       { return "credential " + c.Name }
func (c OpenStack) String() string { return "credential " + c.Name }
func (c VSphere) String() string   { return "credential " + c.Name }
func (c Metal3) String() string    { return "credential " + c.Name }

// described returns the description of a Credential. It includes a value that no object
// of the provider has a field for, and that every ClusterDeployment requires.
func described(cloud, what, value string) string {
	if value == "" {
		return cloud
	}
	return fmt.Sprintf("%s, %s %s", cloud, what, value)
}

// opaque returns a Secret that kcm backs up and copies with a Credential.
func opaque(name string, data map[string]string) Secret {
	s := Secret{Name: name, Type: corev1.SecretTypeOpaque, Labels: map[string]string{componentLabel: "kcm"}, Data: map[string][]byte{}}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

// When kcm copies a credential to a child cluster, it looks for the Secret of an identity
// by the identity's name with the suffix -secret.

func (c AWS) login() login {
	s := opaque(c.Name+"-identity-secret", map[string]string{"AccessKeyID": c.AccessKeyID, "SecretAccessKey": c.SecretAccessKey.Text(), "SessionToken": c.SessionToken.Text()})
	u := object("infrastructure.cluster.x-k8s.io/v1beta2", "AWSClusterStaticIdentity", "", c.Name+"-identity")
	u.Object["spec"] = map[string]any{"secretRef": s.Name, "allowedNamespaces": map[string]any{}}
	return login{name: c.Name, description: described("AWS", "region", c.Region), secrets: []Secret{s}, identity: u} // a child cluster's machines have roles instead
}

func (c Azure) login() login {
	s := opaque(c.Name+"-identity-secret", map[string]string{"clientSecret": c.ClientSecret.Text()})
	u := object("infrastructure.cluster.x-k8s.io/v1beta1", "AzureClusterIdentity", Namespace, c.Name+"-identity")
	u.Object["spec"] = map[string]any{
		"type": "ServicePrincipal", "tenantID": c.TenantID, "clientID": c.ClientID,
		"clientSecret":      map[string]any{"name": s.Name, "namespace": Namespace},
		"allowedNamespaces": map[string]any{},
	}
	return login{
		name: c.Name, description: described("Azure", "subscription", c.SubscriptionID),
		secrets: []Secret{s}, identity: u, template: handoverOf("azure"),
	}
}

func (c GCP) login() login {
	s := opaque(c.Name+"-config", map[string]string{"credentials": c.ServiceAccountKey.Text()})
	return login{name: c.Name, description: "GCP", secrets: []Secret{s}, template: handoverOf("gcp")}
}

func (c OpenStack) login() login {
	auth := map[string]any{"auth_url": c.AuthURL}
	cloud := map[string]any{"auth": auth, "interface": "public", "identity_api_version": 3}
	global := [][2]string{{"auth-url", c.AuthURL}, {"region", c.Region}}
	if c.Region != "" {
		cloud["region_name"] = c.Region
	}
	if c.ApplicationCredentialID != "" {
		cloud["auth_type"] = "v3applicationcredential"
		auth["application_credential_id"] = c.ApplicationCredentialID
		auth["application_credential_secret"] = c.ApplicationCredentialSecret.Text()
		global = append(global, [2]string{"application-credential-id", c.ApplicationCredentialID}, [2]string{"application-credential-secret", c.ApplicationCredentialSecret.Text()})
	} else {
		cloud["auth_type"] = "v3password"
		auth["username"], auth["password"], auth["project_name"] = c.Username, c.Password.Text(), c.ProjectName
		auth["user_domain_name"], auth["project_domain_name"] = c.DomainName, c.DomainName
		global = append(global, [2]string{"username", c.Username}, [2]string{"password", c.Password.Text()}, [2]string{"tenant-name", c.ProjectName}, [2]string{"domain-name", c.DomainName})
	}
	text, _ := yaml.Marshal(map[string]any{"clouds": map[string]any{"openstack": cloud}}) // of texts, which cannot fail
	// The provider reads clouds.yaml, a child cluster's cloud provider only cloud.conf.
	s := opaque(c.Name+"-config", map[string]string{"clouds.yaml": string(text), "cloud.conf": section("Global", global)})
	return login{
		name: c.Name, description: described("OpenStack", "region", c.Region),
		secrets: []Secret{s}, template: handoverOf("openstack"),
	}
}

// section returns a section of a cloud provider's configuration, without empty values.
func section(name string, keys [][2]string) string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "[%s]\n", name)
	for _, k := range keys {
		if k[1] != "" {
			fmt.Fprintf(text, "%s=%q\n", k[0], k[1])
		}
	}
	return text.String()
}

func (c VSphere) login() login {
	s := opaque(c.Name+"-identity-secret", map[string]string{"username": c.Username, "password": c.Password.Text()})
	u := object("infrastructure.cluster.x-k8s.io/v1beta1", "VSphereClusterIdentity", "", c.Name+"-identity")
	u.Object["spec"] = map[string]any{"secretName": s.Name, "allowedNamespaces": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{}}}}
	template := "{{- $datacenter := " + strconv.Quote(c.Datacenter) + " -}}\n" + handoverOf("vsphere")
	return login{
		name: c.Name, description: described("vSphere", "datacenter", c.Datacenter),
		secrets: []Secret{s}, identity: u, versions: []string{"v1beta1", "v1beta2"}, inNamespace: true, template: template,
	}
}

func (c Metal3) login() login {
	// The provider needs no login of its own: each machine's BareMetalHost refers to
	// the machine's. kcm requires a Credential nevertheless.
	l := login{
		name: c.Name, description: "bare metal",
		secrets: []Secret{opaque(c.Name+"-config", nil)}, needs: object("metal3.io/v1alpha1", "BareMetalHost", Namespace, ""),
	}
	for _, m := range c.Machines {
		l.secrets = append(l.secrets, opaque(m.Name+"-bmc-secret", map[string]string{"username": m.Username, "password": m.Password.Text()}))
	}
	return l
}
