package acceptance

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/opencloud-eu/education/internal/ldapserver"
)

// TestMigratedTree takes a tree as OpenCloud writes it, in OpenCloud's schema, through what docs/migration.md says, while the
// service runs: the service's schema is loaded, 'education migrate' adds the keys, and then everybody goes on.
func TestMigratedTree(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	require(t, "ldap-utils", ldapPrograms...)
	directory := ldapserver.OpenLDAP(t, ldapserver.PlainSchema())
	p := provisioning{server: startOn(t, asOpenCloud(t, directory)), T: t, root: "/graph/v1.0/education"}
	schools := p.provision()
	class := p.server.class(t, entity{"externalId": "5a", "members@odata.bind": []string{"/users/dennis"}})
	names := p.namesOfEntries()

	ldapTool(t, directory.URI, "", credentials{directory.Admin.DN, directory.Admin.Password}, "",
		"ldapadd", "-f", "../../deploy/openldap/schema/education.ldif").want(t, 0)
	p.migrate(true, "schools: 2; 2 got unique keys", "users: 5; 5 got unique keys", "classes: 1; 1 got unique keys")
	p.migrate(false, "schools: 2; 2 up to date", "users: 5; 5 up to date", "classes: 1; 1 up to date")
	p.server.restart(t)
	for id, name := range p.namesOfEntries() {
		if names[id] != name {
			t.Errorf("the entry of %s was called %q and is called %q", id, names[id], name)
		}
	}
	p.verify(schools)
	p.server.patch(t, "/users/dennis", entity{"onPremisesSamAccountName": "dmr"}).want(http.StatusOK)
	world{T: t, server: p.server}.wantIDs("/classes/"+class+"/members", p.server.get(t, "/users/dmr").id())
	p.deprovision(schools)
	world{T: t, server: p.server}.wantIDs("/classes/" + class + "/members")
}

// migrate runs 'education migrate' with the settings of the service, and expects it to say some things.
func (p provisioning) migrate(apply bool, texts ...string) {
	p.Helper()
	command := exec.Command(binary, "migrate", fmt.Sprintf("--apply=%t", apply))
	command.Env, command.Dir = p.env, p.TempDir()
	output, err := command.CombinedOutput()
	if err != nil {
		p.Fatalf("education migrate: %v\n%s", err, output)
	}
	for _, text := range texts {
		if !strings.Contains(string(output), text) {
			p.Errorf("education migrate does not say %q:\n%s", text, output)
		}
	}
}

// namesOfEntries returns the DNs of users, classes and schools by their ids, none of which is named by it.
func (p provisioning) namesOfEntries() map[string]string {
	p.Helper()
	names := map[string]string{}
	for _, set := range entitySets {
		for _, entry := range below(p, p.administrator(p), set.base) {
			names[entry.GetAttributeValue("openCloudUUID")] = entry.DN
			if strings.HasPrefix(entry.DN, "openCloudUUID=") {
				p.Errorf("there is an entry %s", entry.DN)
			}
		}
	}
	return names
}
