package education

// Checks, as validator tags. "text" refuses control characters, "plain" refuses values without a visible character,
// and "notuuid" refuses values that a path could mistake for an id. Lengths are in characters: a property that
// identifies an entity is short enough for odata.MaxKeyLength, whatever it is made of.
const (
	checkKey      = "plain,text,max=256"
	checkHumanKey = checkKey + ",notuuid"
	checkText     = "plain,text,max=512"
	checkProse    = "plain,prose,max=512"
)

// attributeMemberOfSchool holds the ids of an entry's schools.
const attributeMemberOfSchool = "openCloudMemberOfSchool"

// Schools are the tenants.
var Schools = (&EntitySet{
	Name: "schools", Singular: "school", Type: "educationSchool",
	Aliases:       []string{"schools", "administrativeUnits", "directoryObjects"},
	ObjectClass:   "openCloudEducationSchool",
	ObjectClasses: []string{"top", "organizationalUnit", "openCloudObject", "openCloudEducationSchool", classEducationObject},
	Rule:          checkSchool,
	Properties: []*Property{
		{Name: "id", Type: UUID, Attribute: attributeID, Access: CreateOnly, Check: "isuuid", Filter: ByValue, Key: true},
		{
			Name: "displayName", Type: String, Attribute: "ou", Required: true, Check: checkKey, Filter: ByText, Searchable: true, Prose: true, Substrings: true,
			Unique: Everywhere, UniqueName: "displayName", Key: true,
		},
		{
			Name: "schoolNumber", Type: String, Attribute: "openCloudEducationSchoolNumber", Check: checkHumanKey,
			Filter: ByText, Searchable: true, Unique: Everywhere, UniqueName: "number", Key: true,
		},
		{
			Name: "externalId", Type: String, Attribute: attributeExternalID, Check: checkKey, Filter: ByText, Searchable: true,
			Unique: Everywhere, UniqueName: "externalId", Key: true,
		},
		{
			Name: terminationDate, Type: DateTime, Attribute: "openCloudEducationSchoolTerminationTimestamp",
			Filter: ByOrder,
		},
		{Name: "createdDateTime", Type: DateTime, Attribute: "createTimestamp", Access: ReadOnly, Filter: ByOrder},
		{Name: "lastModifiedDateTime", Type: DateTime, Attribute: "modifyTimestamp", Access: ReadOnly, Filter: ByOrder},
	},
}).indexed("schoolNumber")

// Users are the people of the schools.
var Users = (&EntitySet{
	Name: "users", Singular: "user", Type: "educationUser",
	Aliases:     []string{"users", "directoryObjects"},
	ObjectClass: "openCloudEducationUser",
	ObjectClasses: []string{
		"top", "person", "organizationalPerson", "inetOrgPerson",
		"openCloudObject", "openCloudUser", "openCloudEducationUser", classEducationObject,
	},
	// A person entry must have cn and sn (RFC 4519, section 3.12).
	StandIns: []StandIn{{Attribute: "cn", Property: username}, {Attribute: "sn", Property: username}},
	Rule:     checkUser,
	Properties: []*Property{
		{Name: "id", Type: UUID, Attribute: attributeID, Access: ReadOnly, Filter: ByValue, Key: true},
		{Name: "displayName", Type: String, Attribute: "displayName", Required: true, Check: checkText, Filter: ByText, Searchable: true, Prose: true, Substrings: true},
		{
			Name: username, Type: String, Attribute: "uid", Required: true, Check: checkHumanKey, Filter: ByText, Searchable: true, Substrings: true,
			Unique: Everywhere, UniqueName: "username", Key: true,
		},
		{Name: "mail", Type: String, Attribute: "mail", Check: "email,ascii,mailbox,max=256", Filter: ByText, Searchable: true, Substrings: true},
		{Name: "givenName", Type: String, Attribute: "givenName", Check: checkText, Filter: ByText, Searchable: true, Substrings: true},
		{Name: "surname", Type: String, Attribute: "sn", Check: checkText, Filter: ByText, Searchable: true, Substrings: true},
		{
			Name: "userType", Type: String, Attribute: "openCloudUserType", Check: "oneofci=Member Guest", Default: "Member",
			Filter: ByText,
		},
		{Name: "primaryRole", Type: String, Attribute: "userClass", Check: checkText, Filter: ByText, Substrings: true},
		{
			Name: "externalId", Type: String, Attribute: attributeExternalID, Check: checkKey, Filter: ByText, Searchable: true,
			Unique: PerSchool, UniqueName: "externalId", Key: true,
		},
		{Name: "accountEnabled", Type: Boolean, Attribute: "openCloudUserEnabled", Filter: ByValue},
		{Name: "identities", Type: Identities, Attribute: "openCloudExternalIdentity", Check: "text,max=512"},
		{Name: "passwordProfile", Type: PasswordSecrets, Attribute: "userPassword", Access: WriteOnly, Check: "text,max=512"},
		{Name: "createdDateTime", Type: DateTime, Attribute: "createTimestamp", Access: ReadOnly, Filter: ByOrder},
		{Name: "lastModifiedDateTime", Type: DateTime, Attribute: "modifyTimestamp", Access: ReadOnly, Filter: ByOrder},
	},
}).indexed(username)

// Classes are groups of users with teachers.
var Classes = (&EntitySet{
	Name: "classes", Singular: "class", Type: "educationClass",
	Aliases:       []string{"classes", "groups", "directoryObjects"},
	ObjectClass:   "openCloudEducationClass",
	ObjectClasses: []string{"top", "groupOfNames", "openCloudObject", "openCloudEducationClass", classEducationObject},
	Properties: []*Property{
		{Name: "id", Type: UUID, Attribute: attributeID, Access: ReadOnly, Filter: ByValue, Key: true},
		{Name: "displayName", Type: String, Attribute: "cn", Required: true, Check: checkText, Filter: ByText, Searchable: true, Prose: true, Substrings: true},
		{
			Name: "classification", Type: String, Attribute: "openCloudEducationClassType", Required: true, Check: checkText,
			Filter: ByText,
		},
		{
			Name: "externalId", Type: String, Attribute: attributeExternalID, Check: checkKey, Filter: ByText, Searchable: true,
			Unique: PerSchool, UniqueName: "externalId", Key: true,
		},
		{Name: "description", Type: String, Attribute: "description", Check: checkProse, Filter: ByText, Searchable: true, Prose: true, Substrings: true},
		{Name: "createdDateTime", Type: DateTime, Attribute: "createTimestamp", Access: ReadOnly, Filter: ByOrder},
		{Name: "lastModifiedDateTime", Type: DateTime, Attribute: "modifyTimestamp", Access: ReadOnly, Filter: ByOrder},
	},
}).indexed("externalId")

// EntitySets are all entity sets.
var EntitySets = []*EntitySet{Schools, Users, Classes}

// Navigations are all navigation properties. Each link is held by one entry and shown from both ends.
var Navigations = []*Navigation{
	{
		Name: "users", Owner: Schools, Target: Users, Attributes: []string{attributeMemberOfSchool},
		Ref: true, Create: true, SilentRemoval: true,
	},
	{
		Name: "classes", Owner: Schools, Target: Classes, Attributes: []string{attributeMemberOfSchool},
		Ref: true, Create: true, SilentRemoval: true,
	},
	{
		Name: "members", Owner: Classes, Target: Users, OwnerHolds: true, Attributes: []string{"member"}, ByDN: true,
		Ref: true, Bind: true,
	},
	{
		Name: "teachers", Owner: Classes, Target: Users, OwnerHolds: true,
		Attributes: []string{"openCloudEducationTeacherMember"}, ByDN: true, Ref: true, Bind: true,
	},
	{
		Name: "schools", Owner: Users, Target: Schools, OwnerHolds: true, Attributes: []string{attributeMemberOfSchool},
		Bind: true,
	},
	{
		Name: "schools", Owner: Classes, Target: Schools, OwnerHolds: true, Attributes: []string{attributeMemberOfSchool},
		Bind: true,
	},
	// Graph counts the classes that a user teaches among the user's classes.
	{
		Name: "classes", Owner: Users, Target: Classes,
		Attributes: []string{"member", "openCloudEducationTeacherMember"}, ByDN: true,
	},
	{
		Name: "taughtClasses", Owner: Users, Target: Classes,
		Attributes: []string{"openCloudEducationTeacherMember"}, ByDN: true,
	},
}

// Names that rules or several rows refer to.
const (
	username            = "onPremisesSamAccountName"
	terminationDate     = "terminationDate"
	attributeID         = "openCloudUUID"
	attributeExternalID = "openCloudEducationExternalId"

	classEducationObject = "educationObject"
)
