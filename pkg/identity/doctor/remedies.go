package doctor

import "github.com/opencloud-eu/education/pkg/identity/remote"

// topic is what a remedy is about.
type topic int

const (
	topicAccess topic = iota
	topicBases
	topicIndexes
	topicLimits
	topicPasswords
	topicReading
	topicReferences
	topicSchema
	topicOwnSchema
	topicUnique
)

// places says for each topic where among the files that set servers up it is dealt with.
var places = map[topic]struct{ openLDAP, ds389 string }{
	topicAccess:     {"olcAccess in deploy/openldap/database.ldif", "aci in deploy/389ds/base.ldif"},
	topicBases:      {"deploy/openldap/base.ldif", "deploy/389ds/base.ldif"},
	topicIndexes:    {"olcDbIndex in deploy/openldap/database.ldif", "deploy/389ds/indexes"},
	topicLimits:     {"olcLimits in deploy/openldap/database.ldif", "nsSizeLimit and its like in deploy/389ds/base.ldif"},
	topicPasswords:  {"olcModuleLoad in deploy/openldap/config.ldif", "nsslapd-allow-hashed-passwords in deploy/389ds/config.ldif"},
	topicReading:    {"olcAccess in deploy/openldap/frontend.ldif", "nsslapd-allow-anonymous-access in deploy/389ds/config.ldif"},
	topicReferences: {"olcOverlay=refint in deploy/openldap/database.ldif", "referential integrity postoperation in deploy/389ds/config.ldif"},
	topicSchema:     {"deploy/openldap/schema/opencloud.ldif", "deploy/389ds/schema/98opencloud.ldif"},
	topicOwnSchema:  {"deploy/openldap/schema/education.ldif", "deploy/389ds/schema/99education.ldif"},
	topicUnique:     {"olcOverlay=unique in deploy/openldap/database.ldif", "education unique keys in deploy/389ds/config.ldif"},
}

// place returns where a topic is dealt with for servers of the patient's make. Every other make has OpenLDAP's files for a
// pattern.
func (p *patient) place(of topic) string {
	if p.features.Vendor == remote.Vendor389DS {
		return places[of].ds389
	}
	return places[of].openLDAP
}
