package embedded

// attributeRow declares an attribute type (RFC 4512, section 4.1.2). Empty rules and an empty syntax are those of the
// superior.
type attributeRow struct {
	oid string
	// names are separated by blanks. The first is how entries spell the attribute.
	names      string
	superior   string
	equality   string
	ordering   string
	substrings string
	syntax     string
	traits     trait
}

// trait is what is special about an attribute type.
type trait uint8

const (
	// single allows one value at most.
	single trait = 1 << iota
	// operational attributes are kept by the store. No client can write them, and only a search that names them
	// gets them.
	operational
	// computed attributes are not kept but found out when they are asked for.
	computed
	// unindexed attributes have no equality index: nobody looks an entry up by them, or they are as long as a book.
	unindexed
	// link attributes name entries of the directory. Their values follow those entries: see links.go.
	link
	// unique attributes have no value in common in two entries.
	unique
	// parted attributes have an index within each school as well: those that tell few of its users or classes from all others,
	// for whoever may see that school alone.
	parted
)

// The syntaxes of RFC 4517, section 3.3, RFC 4523 and RFC 4530 that attributes use.
const (
	syntaxAttributeType   = "1.3.6.1.4.1.1466.115.121.1.3"
	syntaxBitString       = "1.3.6.1.4.1.1466.115.121.1.6"
	syntaxBoolean         = "1.3.6.1.4.1.1466.115.121.1.7"
	syntaxCertificate     = "1.3.6.1.4.1.1466.115.121.1.8"
	syntaxDN              = "1.3.6.1.4.1.1466.115.121.1.12"
	syntaxDeliveryMethod  = "1.3.6.1.4.1.1466.115.121.1.14"
	syntaxDirectoryString = "1.3.6.1.4.1.1466.115.121.1.15"
	syntaxFacsimileNumber = "1.3.6.1.4.1.1466.115.121.1.22"
	syntaxGeneralizedTime = "1.3.6.1.4.1.1466.115.121.1.24"
	syntaxIA5String       = "1.3.6.1.4.1.1466.115.121.1.26"
	syntaxInteger         = "1.3.6.1.4.1.1466.115.121.1.27"
	syntaxJPEG            = "1.3.6.1.4.1.1466.115.121.1.28"
	syntaxMatchingRule    = "1.3.6.1.4.1.1466.115.121.1.30"
	syntaxNumericString   = "1.3.6.1.4.1.1466.115.121.1.36"
	syntaxObjectClass     = "1.3.6.1.4.1.1466.115.121.1.37"
	syntaxOID             = "1.3.6.1.4.1.1466.115.121.1.38"
	syntaxOctetString     = "1.3.6.1.4.1.1466.115.121.1.40"
	syntaxPostalAddress   = "1.3.6.1.4.1.1466.115.121.1.41"
	syntaxPrintableString = "1.3.6.1.4.1.1466.115.121.1.44"
	syntaxTelephone       = "1.3.6.1.4.1.1466.115.121.1.50"
	syntaxLDAPSyntax      = "1.3.6.1.4.1.1466.115.121.1.54"
	syntaxSubstrings      = "1.3.6.1.4.1.1466.115.121.1.58"
	syntaxUUID            = "1.3.6.1.1.16.1"
)

// The object identifiers that OpenCloud's schema and this project's own one begin with. The second is a UUID under the
// arc that X.667 sets apart for them.
const (
	openCloudArc = "1.3.6.1.4.1.63016.1."
	educationArc = "2.25.203626552249717368959401315789241744051."
)

// Attributes that the store itself works with.
const (
	attributeObjectClass       = "objectClass"
	attributeStructuralClass   = "structuralObjectClass"
	attributeEntryUUID         = "entryUUID"
	attributeEntryDN           = "entryDN"
	attributeChangeStamp       = "entryCSN"
	attributeCreateTimestamp   = "createTimestamp"
	attributeModifyTimestamp   = "modifyTimestamp"
	attributeHasSubordinates   = "hasSubordinates"
	attributeSubschemaSubentry = "subschemaSubentry"
	attributeUserPassword      = "userPassword"
	attributeUUID              = "openCloudUUID"
	attributeMemberOfSchool    = "openCloudMemberOfSchool"
	classSchool                = "openCloudEducationSchool"
)

// attributeRows are the attributes of RFC 4512 (operational), RFC 4519 (core), RFC 4524 (COSINE), RFC 2798
// (inetOrgPerson), RFC 4523 (certificates), RFC 5020 (entryDN), RFC 4530 (entryUUID), OpenCloud and this project.
//
// Names, addresses and keys have ordering and substrings rules that the RFCs and OpenCloud's schema leave out, so that
// ranges and beginnings can be asked for.
var attributeRows = []attributeRow{
	{oid: "2.5.4.0", names: "objectClass", equality: "objectIdentifierMatch", syntax: syntaxOID},
	{oid: "2.5.21.9", names: "structuralObjectClass", equality: "objectIdentifierMatch", syntax: syntaxOID, traits: single | operational | unindexed},
	{oid: "2.5.18.1", names: "createTimestamp", equality: "generalizedTimeMatch", ordering: "generalizedTimeOrderingMatch", syntax: syntaxGeneralizedTime, traits: single | operational},
	{oid: "2.5.18.2", names: "modifyTimestamp", equality: "generalizedTimeMatch", ordering: "generalizedTimeOrderingMatch", syntax: syntaxGeneralizedTime, traits: single | operational | parted},
	{oid: "2.5.18.9", names: "hasSubordinates", equality: "booleanMatch", syntax: syntaxBoolean, traits: single | operational | computed},
	{oid: "2.5.18.10", names: "subschemaSubentry", equality: "distinguishedNameMatch", syntax: syntaxDN, traits: single | operational | computed},
	{oid: "1.3.6.1.1.16.4", names: "entryUUID", equality: "uuidMatch", ordering: "uuidOrderingMatch", syntax: syntaxUUID, traits: single | operational},
	{oid: "1.3.6.1.1.20", names: "entryDN", equality: "distinguishedNameMatch", syntax: syntaxDN, traits: single | operational | computed},
	// The stamp of a change: OpenLDAP's name, because its readers know it, and a text that grows with every write.
	{oid: "1.3.6.1.4.1.4203.666.1.7", names: "entryCSN", equality: "caseExactMatch", ordering: "caseExactOrderingMatch", syntax: syntaxDirectoryString, traits: single | operational | unindexed},
	{oid: "2.5.21.5", names: "attributeTypes", equality: "objectIdentifierFirstComponentMatch", syntax: syntaxAttributeType, traits: operational | computed},
	{oid: "2.5.21.6", names: "objectClasses", equality: "objectIdentifierFirstComponentMatch", syntax: syntaxObjectClass, traits: operational | computed},
	{oid: "2.5.21.4", names: "matchingRules", equality: "objectIdentifierFirstComponentMatch", syntax: syntaxMatchingRule, traits: operational | computed},
	{oid: "1.3.6.1.4.1.1466.101.120.16", names: "ldapSyntaxes", equality: "objectIdentifierFirstComponentMatch", syntax: syntaxLDAPSyntax, traits: operational | computed},

	{oid: "2.5.4.41", names: "name", equality: "caseIgnoreMatch", ordering: "caseIgnoreOrderingMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: "2.5.4.49", names: "distinguishedName", equality: "distinguishedNameMatch", syntax: syntaxDN},
	{oid: "2.5.4.3", names: "cn commonName", superior: "name", traits: parted},
	{oid: "2.5.4.4", names: "sn surname", superior: "name", traits: parted},
	{oid: "2.5.4.42", names: "givenName gn", superior: "name", traits: parted},
	{oid: "2.5.4.43", names: "initials", superior: "name"},
	{oid: "2.5.4.44", names: "generationQualifier", superior: "name"},
	{oid: "2.5.4.12", names: "title", superior: "name"},
	{oid: "2.5.4.7", names: "l localityName", superior: "name"},
	{oid: "2.5.4.8", names: "st stateOrProvinceName", superior: "name"},
	{oid: "2.5.4.10", names: "o organizationName", superior: "name"},
	{oid: "2.5.4.11", names: "ou organizationalUnitName", superior: "name"},
	{oid: "2.5.4.5", names: "serialNumber", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxPrintableString},
	{oid: "2.5.4.9", names: "street streetAddress", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: "2.5.4.13", names: "description", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString, traits: unindexed},
	{oid: "2.5.4.15", names: "businessCategory", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: "2.5.4.16", names: "postalAddress", equality: "caseIgnoreListMatch", syntax: syntaxPostalAddress, traits: unindexed},
	{oid: "2.5.4.17", names: "postalCode", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: "2.5.4.18", names: "postOfficeBox", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: "2.5.4.19", names: "physicalDeliveryOfficeName", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: "2.5.4.20", names: "telephoneNumber", equality: "telephoneNumberMatch", syntax: syntaxTelephone},
	{oid: "2.5.4.23", names: "facsimileTelephoneNumber fax", syntax: syntaxFacsimileNumber},
	{oid: "2.5.4.24", names: "x121Address", equality: "numericStringMatch", syntax: syntaxNumericString},
	{oid: "2.5.4.25", names: "internationalISDNNumber", equality: "numericStringMatch", syntax: syntaxNumericString},
	{oid: "2.5.4.26", names: "registeredAddress", superior: "postalAddress", traits: unindexed},
	{oid: "2.5.4.27", names: "destinationIndicator", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxPrintableString},
	{oid: "2.5.4.28", names: "preferredDeliveryMethod", syntax: syntaxDeliveryMethod, traits: single},
	{oid: "2.5.4.31", names: "member", superior: "distinguishedName", traits: link},
	{oid: "2.5.4.32", names: "owner", superior: "distinguishedName"},
	{oid: "2.5.4.33", names: "roleOccupant", superior: "distinguishedName"},
	{oid: "2.5.4.34", names: "seeAlso", superior: "distinguishedName"},
	{oid: "2.5.4.35", names: "userPassword", equality: "octetStringMatch", syntax: syntaxOctetString, traits: unindexed},
	{oid: "2.5.4.36", names: "userCertificate", syntax: syntaxCertificate},
	{oid: "2.5.4.45", names: "x500UniqueIdentifier", syntax: syntaxBitString},

	{oid: "0.9.2342.19200300.100.1.1", names: "uid userid", equality: "caseIgnoreMatch", ordering: "caseIgnoreOrderingMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString, traits: parted},
	{oid: "0.9.2342.19200300.100.1.3", names: "mail rfc822Mailbox", equality: "caseIgnoreIA5Match", ordering: "caseIgnoreOrderingMatch", substrings: "caseIgnoreIA5SubstringsMatch", syntax: syntaxIA5String, traits: parted},
	{oid: "0.9.2342.19200300.100.1.6", names: "roomNumber", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: "0.9.2342.19200300.100.1.7", names: "photo", syntax: syntaxOctetString},
	{oid: "0.9.2342.19200300.100.1.8", names: "userClass", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: "0.9.2342.19200300.100.1.9", names: "host", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: "0.9.2342.19200300.100.1.10", names: "manager", equality: "distinguishedNameMatch", syntax: syntaxDN},
	{oid: "0.9.2342.19200300.100.1.20", names: "homePhone homeTelephoneNumber", equality: "telephoneNumberMatch", syntax: syntaxTelephone},
	{oid: "0.9.2342.19200300.100.1.21", names: "secretary", equality: "distinguishedNameMatch", syntax: syntaxDN},
	{oid: "0.9.2342.19200300.100.1.25", names: "dc domainComponent", equality: "caseIgnoreIA5Match", substrings: "caseIgnoreIA5SubstringsMatch", syntax: syntaxIA5String, traits: single},
	{oid: "0.9.2342.19200300.100.1.38", names: "associatedName", equality: "distinguishedNameMatch", syntax: syntaxDN},
	{oid: "0.9.2342.19200300.100.1.39", names: "homePostalAddress", equality: "caseIgnoreListMatch", syntax: syntaxPostalAddress, traits: unindexed},
	{oid: "0.9.2342.19200300.100.1.41", names: "mobile mobileTelephoneNumber", equality: "telephoneNumberMatch", syntax: syntaxTelephone},
	{oid: "0.9.2342.19200300.100.1.42", names: "pager pagerTelephoneNumber", equality: "telephoneNumberMatch", syntax: syntaxTelephone},
	{oid: "0.9.2342.19200300.100.1.55", names: "audio", syntax: syntaxOctetString},
	{oid: "0.9.2342.19200300.100.1.60", names: "jpegPhoto", syntax: syntaxJPEG},

	{oid: "1.3.6.1.4.1.250.1.57", names: "labeledURI", equality: "caseExactMatch", syntax: syntaxDirectoryString},
	{oid: "2.16.840.1.113730.3.1.1", names: "carLicense", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: "2.16.840.1.113730.3.1.2", names: "departmentNumber", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: "2.16.840.1.113730.3.1.3", names: "employeeNumber", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString, traits: single},
	{oid: "2.16.840.1.113730.3.1.4", names: "employeeType", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: "2.16.840.1.113730.3.1.39", names: "preferredLanguage", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString, traits: single},
	{oid: "2.16.840.1.113730.3.1.40", names: "userSMIMECertificate", syntax: syntaxOctetString},
	{oid: "2.16.840.1.113730.3.1.216", names: "userPKCS12", syntax: syntaxOctetString},
	{oid: "2.16.840.1.113730.3.1.241", names: "displayName", equality: "caseIgnoreMatch", ordering: "caseIgnoreOrderingMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString, traits: single | parted},

	{oid: openCloudArc + "1.1", names: "openCloudUUID", equality: "uuidMatch", ordering: "uuidOrderingMatch", syntax: syntaxUUID, traits: single | unique},
	{oid: openCloudArc + "1.2", names: "openCloudExternalIdentity", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: openCloudArc + "1.3", names: "openCloudUserEnabled", equality: "booleanMatch", syntax: syntaxBoolean, traits: single},
	{oid: openCloudArc + "1.4", names: "openCloudUserType", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString, traits: single},
	{oid: openCloudArc + "1.5", names: "openCloudLastSignInTimestamp", equality: "generalizedTimeMatch", ordering: "generalizedTimeOrderingMatch", syntax: syntaxGeneralizedTime, traits: single},
	{oid: openCloudArc + "1.6", names: "openCloudMemberOfSchool", equality: "uuidMatch", ordering: "uuidOrderingMatch", syntax: syntaxUUID},
	{oid: openCloudArc + "1.7", names: "openCloudEducationExternalId", equality: "caseIgnoreMatch", ordering: "caseIgnoreOrderingMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString, traits: parted},
	{oid: openCloudArc + "1.8", names: "openCloudEducationClassType", equality: "caseIgnoreMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: openCloudArc + "1.9", names: "openCloudEducationTeacherMember", equality: "distinguishedNameMatch", syntax: syntaxDN, traits: link},
	{oid: openCloudArc + "1.10", names: "openCloudEducationSchoolNumber", equality: "caseIgnoreMatch", ordering: "caseIgnoreOrderingMatch", substrings: "caseIgnoreSubstringsMatch", syntax: syntaxDirectoryString},
	{oid: openCloudArc + "1.11", names: "openCloudEducationSchoolTerminationTimestamp", equality: "generalizedTimeMatch", ordering: "generalizedTimeOrderingMatch", syntax: syntaxGeneralizedTime},

	{oid: educationArc + "1.1", names: "educationUniqueKey", equality: "octetStringMatch", ordering: "octetStringOrderingMatch", syntax: syntaxOctetString, traits: unique},
	{oid: educationArc + "1.2", names: "educationPlaceholder", equality: "caseIgnoreMatch", syntax: syntaxDirectoryString},
}

// classKind is the kind of an object class (RFC 4512, section 2.4).
type classKind uint8

const (
	abstract classKind = iota
	structural
	auxiliary
)

// classRow declares an object class (RFC 4512, section 4.1.1). Names of attributes are separated by blanks.
type classRow struct {
	oid      string
	name     string
	superior string
	kind     classKind
	must     string
	may      string
}

const (
	addressAttributes = "businessCategory x121Address registeredAddress destinationIndicator preferredDeliveryMethod " +
		"telephoneNumber internationalISDNNumber facsimileTelephoneNumber street postOfficeBox postalCode postalAddress " +
		"physicalDeliveryOfficeName st l"
	domainAttributes = "associatedName o description seeAlso userPassword " + addressAttributes
)

// classRows are the object classes of RFC 4512, RFC 4519, RFC 4524 and RFC 2798 that containers, people, groups and
// machine accounts use, and those of OpenCloud and of this project.
//
// groupOfNames departs from RFC 4519, section 3.5 as 389 Directory Server does: a group without members is allowed,
// because a school class is empty until somebody joins it.
var classRows = []classRow{
	{oid: "2.5.6.0", name: "top", kind: abstract, must: "objectClass"},
	{oid: "2.5.17.0", name: "subentry", superior: "top", kind: structural, must: "cn"},
	{oid: "2.5.20.1", name: "subschema", superior: "top", kind: auxiliary, may: "attributeTypes objectClasses matchingRules ldapSyntaxes"},
	{oid: "2.5.6.3", name: "locality", superior: "top", kind: structural, may: "street seeAlso st l description"},
	{oid: "2.5.6.4", name: "organization", superior: "top", kind: structural, must: "o", may: "userPassword seeAlso description " + addressAttributes},
	{oid: "2.5.6.5", name: "organizationalUnit", superior: "top", kind: structural, must: "ou", may: "userPassword seeAlso description " + addressAttributes},
	{oid: "2.5.6.6", name: "person", superior: "top", kind: structural, must: "sn cn", may: "userPassword telephoneNumber seeAlso description"},
	{oid: "2.5.6.7", name: "organizationalPerson", superior: "person", kind: structural, may: "title ou " + addressAttributes},
	{oid: "2.16.840.1.113730.3.2.2", name: "inetOrgPerson", superior: "organizationalPerson", kind: structural, may: "audio businessCategory carLicense departmentNumber " +
		"displayName employeeNumber employeeType givenName homePhone homePostalAddress initials jpegPhoto labeledURI mail manager mobile o pager " +
		"photo roomNumber secretary uid userCertificate x500UniqueIdentifier preferredLanguage userSMIMECertificate userPKCS12"},
	{oid: "2.5.6.8", name: "organizationalRole", superior: "top", kind: structural, must: "cn", may: "roleOccupant ou seeAlso description " + addressAttributes},
	{oid: "2.5.6.9", name: "groupOfNames", superior: "top", kind: structural, must: "cn", may: "member businessCategory seeAlso owner ou o description"},
	{oid: "2.5.6.11", name: "applicationProcess", superior: "top", kind: structural, must: "cn", may: "seeAlso ou l description"},
	{oid: "0.9.2342.19200300.100.4.5", name: "account", superior: "top", kind: structural, must: "uid", may: "description seeAlso l o ou host"},
	{oid: "0.9.2342.19200300.100.4.13", name: "domain", superior: "top", kind: structural, must: "dc", may: domainAttributes},
	{oid: "1.3.6.1.4.1.1466.344", name: "dcObject", superior: "top", kind: auxiliary, must: "dc"},
	{oid: "1.3.6.1.1.3.1", name: "uidObject", superior: "top", kind: auxiliary, must: "uid"},
	{oid: "0.9.2342.19200300.100.4.19", name: "simpleSecurityObject", superior: "top", kind: auxiliary, must: "userPassword"},

	{oid: openCloudArc + "2.1", name: "openCloudObject", superior: "top", kind: auxiliary, may: "openCloudUUID"},
	{oid: openCloudArc + "2.2", name: "openCloudUser", superior: "openCloudObject", kind: auxiliary, may: "openCloudExternalIdentity openCloudUserEnabled openCloudUserType openCloudLastSignInTimestamp"},
	{oid: openCloudArc + "2.3", name: "openCloudEducationUser", superior: "openCloudUser", kind: auxiliary, may: "openCloudEducationExternalId userClass openCloudMemberOfSchool"},
	{oid: openCloudArc + "2.4", name: "openCloudEducationClass", superior: "openCloudObject", kind: auxiliary, may: "openCloudEducationExternalId openCloudEducationClassType openCloudEducationTeacherMember openCloudMemberOfSchool"},
	{oid: openCloudArc + "2.5", name: "openCloudEducationSchool", superior: "openCloudObject", kind: auxiliary, may: "openCloudEducationSchoolNumber openCloudEducationSchoolTerminationTimestamp openCloudEducationExternalId"},

	{oid: educationArc + "2.1", name: "educationObject", superior: "top", kind: auxiliary, may: "educationUniqueKey educationPlaceholder"},
}
