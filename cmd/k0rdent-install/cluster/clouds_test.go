package cluster

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"

	"k0rdent-airgap/lib/config"
)

// rendered is what Sveltos makes of a login for a child cluster: objects by name. Helm
// has the same template functions, except for the one that gets an object.
func rendered(t *testing.T, c Credential, infrastructure string) map[string]map[string]any {
	t.Helper()
	l := c.login()
	encoded := map[string]any{}
	for key, value := range l.secrets[0].Data {
		encoded[key] = base64.StdEncoding.EncodeToString(value)
	}
	secret := map[string]any{"data": encoded}
	identity := secret
	if l.identity != nil {
		identity = l.identity.Object
	}
	provider := map[string]any{}
	if err := yaml.Unmarshal([]byte(infrastructure), &provider); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		`getResource "InfrastructureProviderIdentitySecret"`, ".Values.secret", `getResource "InfrastructureProviderIdentity"`, ".Values.identity",
		".InfrastructureProvider.", ".Values.provider.", ".InfrastructureProvider -", ".Values.provider -",
	).Replace(l.template)
	if strings.Contains(text, "getResource") || strings.Contains(text, ".Infrastructure") {
		t.Fatalf("not all of it was replaced:\n%s", text)
	}
	ch := &chart.Chart{Metadata: &chart.Metadata{Name: "x", Version: "1.0.0", APIVersion: "v2"}, Templates: []*common.File{{Name: "templates/x.yaml", Data: []byte(text)}}}
	out, err := engine.Render(ch, common.Values{"Values": common.Values{"secret": secret, "identity": identity, "provider": provider}})
	if err != nil {
		t.Fatalf("%v: %v", c, err)
	}
	objects := make(map[string]map[string]any)
	for part := range strings.SplitSeq(out["x/templates/x.yaml"], "\n---\n") {
		var o struct {
			APIVersion, Kind string
			Metadata         struct{ Name, Namespace string }
			Data             map[string]any
		}
		if err := yaml.Unmarshal([]byte(part), &o); err != nil || o.APIVersion == "" || o.Kind != "StorageClass" && o.Metadata.Namespace != "kube-system" {
			t.Fatalf("%v: %v in\n%s", c, err, part)
		}
		for key, value := range o.Data {
			if o.Kind == "Secret" {
				decoded, err := base64.StdEncoding.DecodeString(value.(string))
				if err != nil {
					t.Fatal(err)
				}
				o.Data[key] = string(decoded)
			}
		}
		objects[o.Kind+" "+o.Metadata.Name] = o.Data
	}
	return objects
}

// equalText reports that a rendered value is not what it should be.
func equalText(t *testing.T, what string, got any, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%v\nwant\n%s", what, got, want)
	}
}

func TestHandoverOpenStack(t *testing.T) {
	user := OpenStack{Name: "o", AuthURL: "https://os/v3", Region: "R", Username: "u", Password: config.Hidden(`p"\{{`), ProjectName: "p", DomainName: "d"}
	app := OpenStack{Name: "o", AuthURL: "https://os/v3", ApplicationCredentialID: "i", ApplicationCredentialSecret: config.Hidden("s")}
	const login = "[Global]\nauth-url=\"https://os/v3\"\nregion=\"R\"\nusername=\"u\"\npassword=\"p\\\"\\\\{{\"\ntenant-name=\"p\"\ndomain-name=\"d\"\n"
	for infrastructure, want := range map[string]string{
		"{spec: {}}": login,
		"{status: {externalNetwork: {id: 1-2, name: public}}}": login + "[LoadBalancer]\nfloating-network-id=\"1-2\"\n[Networking]\npublic-network-name=\"public\"\n",
	} {
		equalText(t, infrastructure, rendered(t, user, infrastructure)["Secret openstack-cloud-config"]["cloud.conf"], want)
	}
	equalText(t, "application", rendered(t, app, "{}")["Secret openstack-cloud-config"]["cloud.conf"],
		"[Global]\nauth-url=\"https://os/v3\"\napplication-credential-id=\"i\"\napplication-credential-secret=\"s\"\n")
}

func TestHandoverGCP(t *testing.T) {
	got := rendered(t, GCP{Name: "g", ServiceAccountKey: config.Hidden(`{"type": "service_account"}`)}, "{}")
	equalText(t, "account", got["Secret gcp-cloud-sa"]["cloud-sa.json"], `{"type": "service_account"}`)
}

func TestHandoverVSphere(t *testing.T) {
	c := VSphere{Name: "v", Username: "k@v.local", Password: config.Hidden(`p"`), Datacenter: `D"C`}
	for thumbprint, check := range map[string]string{"": `insecure-flag="true"`, "AA:BB": "insecure-flag=\"false\"\nthumbprint=\"AA:BB\""} {
		got := rendered(t, c, "{metadata: {name: child}, spec: {server: vc.example, thumbprint: '"+thumbprint+"'}}")
		equalText(t, "csi", got["Secret vcenter-config-secret"]["csi-vsphere.conf"],
			"[Global]\ncluster-id=\"child\"\n"+check+"\n[VirtualCenter \"vc.example\"]\nport=\"443\"\nuser=\"k@v.local\"\npassword=\"p\\\"\"\ndatacenters=\"D\\\"C\"\n")
		equalText(t, "user", got["Secret vsphere-cloud-secret"]["vc.example.username"], "k@v.local")
		equalText(t, "password", got["Secret vsphere-cloud-secret"]["vc.example.password"], `p"`)
		var conf struct {
			Global  struct{ InsecureFlag bool }
			VCenter map[string]struct {
				Server, Thumbprint string
				Datacenters        []string
			}
		}
		if err := yaml.Unmarshal([]byte(got["ConfigMap cloud-config"]["vsphere.conf"].(string)), &conf); err != nil {
			t.Fatal(err)
		}
		if vc := conf.VCenter["vc.example"]; conf.Global.InsecureFlag != (thumbprint == "") || vc.Server != "vc.example" || vc.Thumbprint != thumbprint || len(vc.Datacenters) != 1 || vc.Datacenters[0] != c.Datacenter {
			t.Errorf("cloud provider: %+v", conf)
		}
	}
}

func TestHandoverAzure(t *testing.T) {
	const cluster = `
spec:
  azureEnvironment: AzurePublicCloud
  location: westus
  resourceGroup: child
  subscriptionID: sub
  networkSpec:
    vnet: {name: net, resourceGroup: nets}
    subnets:
    - {name: cp, role: control-plane, securityGroup: {name: cp-sg}, routeTable: {}}
    - {name: nodes, role: node, securityGroup: {name: sg}, routeTable: {name: rt}}
`
	got := rendered(t, Azure{Name: "a", SubscriptionID: "sub", ClientID: "c", ClientSecret: config.Hidden("s"), TenantID: "t"}, cluster)
	if _, ok := got["StorageClass managed-csi"]; !ok {
		t.Errorf("objects %v, want a StorageClass", got)
	}
	var config map[string]any
	if err := json.Unmarshal([]byte(got["Secret azure-cloud-provider"]["cloud-config"].(string)), &config); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"cloud": "AzurePublicCloud", "location": "westus", "tenantId": "t", "subscriptionId": "sub", "aadClientId": "c", "aadClientSecret": "s",
		"resourceGroup": "child", "vnetName": "net", "vnetResourceGroup": "nets", "subnetName": "nodes", "securityGroupName": "sg", "securityGroupResourceGroup": "nets",
		"routeTableName": "rt", "useManagedIdentityExtension": false,
	} {
		if config[key] != want {
			t.Errorf("%s = %v, want %v", key, config[key], want)
		}
	}
}
