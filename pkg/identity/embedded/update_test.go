package embedded

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	mustAdd(t, s, schoolRequest(900), userRequest(901))
	person := func(more ...wire.Attribute) []wire.Attribute {
		return append([]wire.Attribute{attr("objectClass", "person"), attr("cn", "a"), attr("sn", "a")}, more...)
	}
	tests := []struct {
		name    string
		request *wire.AddRequest
		want    wire.ResultCode
	}{
		{"no DN", &wire.AddRequest{DN: "user"}, wire.ResultInvalidDNSyntax},
		{"empty DN", &wire.AddRequest{DN: "", Attributes: person()}, wire.ResultNamingViolation},
		{"value of the RDN does not fit", &wire.AddRequest{DN: "openCloudUUID=1," + userBase, Attributes: person()}, wire.ResultInvalidDNSyntax},
		{"RDN without equality", &wire.AddRequest{DN: "photo=a," + userBase, Attributes: person()}, wire.ResultNamingViolation},
		{"RDN of an unknown attribute", &wire.AddRequest{DN: "x=a," + userBase, Attributes: person()}, wire.ResultUndefinedAttributeType},
		{"RDN of an operational attribute", &wire.AddRequest{DN: "entryUUID=" + testID(1) + "," + userBase, Attributes: person()}, wire.ResultNamingViolation},
		{"RDN that is empty", &wire.AddRequest{DN: "cn=," + userBase, Attributes: person()}, wire.ResultInvalidAttributeSyntax},
		{"RDN of an attribute that no class allows", &wire.AddRequest{DN: "uid=a," + userBase, Attributes: person()}, wire.ResultObjectClassViolation},
		{"name too long", &wire.AddRequest{DN: "cn=" + strings.Repeat("a", 33_000) + "," + userBase, Attributes: person()}, wire.ResultConstraintViolation},
		{"exists", userRequest(901), wire.ResultEntryAlreadyExists},
		{"exists in another spelling", &wire.AddRequest{DN: "OPENCLOUDUUID=" + testID(901) + ", OU=Users ,dc=opencloud,dc=eu", Attributes: person()}, wire.ResultEntryAlreadyExists},
		{"parent is missing", &wire.AddRequest{DN: "cn=a,ou=nowhere," + userBase, Attributes: person()}, wire.ResultNoSuchObject},
		{"another tree", &wire.AddRequest{DN: "dc=org", Attributes: []wire.Attribute{attr("objectClass", "domain")}}, wire.ResultNoSuchObject},
		{"unknown attribute", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: person(attr("shoeSize", "42"))}, wire.ResultUndefinedAttributeType},
		{"attribute option", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: person(attr("cn;lang-de", "a"))}, wire.ResultUndefinedAttributeType},
		{"attribute twice", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: person(attr("CommonName", "b"))}, wire.ResultAttributeOrValueExists},
		{"value twice", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: person(attr("title", "Dr.", "DR. "))}, wire.ResultAttributeOrValueExists},
		{"attribute without a value", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: person(attr("title"))}, wire.ResultProtocolError},
		{"empty text", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: person(attr("description", ""))}, wire.ResultInvalidAttributeSyntax},
		{"not UTF-8", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: person(attr("description", "\xff"))}, wire.ResultInvalidAttributeSyntax},
		{"operational attribute", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: person(attr("entryUUID", testID(1)))}, wire.ResultConstraintViolation},
		{"computed attribute", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: person(attr("entryDN", "cn=a"))}, wire.ResultConstraintViolation},
		{"no object class", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: []wire.Attribute{attr("sn", "a")}}, wire.ResultObjectClassViolation},
		{"unknown object class", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: []wire.Attribute{attr("objectClass", "alien")}}, wire.ResultObjectClassViolation},
		{"no structural class", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: []wire.Attribute{attr("objectClass", "openCloudObject")}}, wire.ResultObjectClassViolation},
		{"two structural classes", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: []wire.Attribute{attr("objectClass", "person", "groupOfNames"), attr("sn", "a")}}, wire.ResultObjectClassViolation},
		{"lacks what the class demands", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: []wire.Attribute{attr("objectClass", "person")}}, wire.ResultObjectClassViolation},
		{"attribute of another class", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: person(attr("mail", "a@b.de"))}, wire.ResultObjectClassViolation},
		{"member of what has none", &wire.AddRequest{DN: "cn=a," + userBase, Attributes: person(attr("member", userDN(901)))}, wire.ResultObjectClassViolation},
		{"two values of one", userRequest(1, attr("employeeNumber", "1", "2")), wire.ResultConstraintViolation},
		{"a second id", userRequest(1, attr("openCloudUUID", testID(2))), wire.ResultConstraintViolation},
		{"id of another", &wire.AddRequest{DN: "uid=a," + userBase, Attributes: append(slices.Clone(userRequest(1).Attributes), attr("openCloudUUID", strings.ToUpper(testID(901))))}, wire.ResultConstraintViolation},
		{"key of another", &wire.AddRequest{DN: userDN(1), Attributes: userRequest(901).Attributes}, wire.ResultConstraintViolation},
		{"member that does not exist", classRequest(1, attr("member", userDN(1))), wire.ResultConstraintViolation},
		{"member twice", classRequest(1, attr("member", userDN(901), strings.ToUpper(userDN(901)))), wire.ResultAttributeOrValueExists},
		{"member that is no DN", classRequest(1, attr("member", "user1")), wire.ResultInvalidAttributeSyntax},
		{"school that does not exist", userRequest(1, attr("openCloudMemberOfSchool", testID(1))), wire.ResultConstraintViolation},
		{"school that is none", userRequest(1, attr("openCloudMemberOfSchool", testID(901))), wire.ResultConstraintViolation},
		{"empty password", userRequest(1, attr("userPassword", "")), wire.ResultConstraintViolation},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := s.Add(context.Background(), test.request)
			requireCode(t, err, test.want)
		})
	}
}

func TestAddNamesTheNearestEntry(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	_, err := s.Add(context.Background(), &wire.AddRequest{DN: "cn=a,ou=b,OU=c," + userBase})
	want := &wire.ResultError{Code: wire.ResultNoSuchObject, MatchedDN: userBase}
	if diff := cmp.Diff(want, err, cmpopts.IgnoreFields(wire.ResultError{}, "Message")); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// TestAddCompletes holds what the directory adds of its own.
func TestAddCompletes(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	request := &wire.AddRequest{
		DN:         "UID=Max + cn=Muster\\, Max , " + userBase,
		Attributes: []wire.Attribute{attr("OBJECTCLASS", "INETORGPERSON", "openclouduser"), attr("surname", "Muster"), attr("cn", "Max")},
		PostRead:   []string{"*", "entryDN", "hasSubordinates", "subschemaSubentry", "structuralObjectClass"},
	}
	got, err := s.Add(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	dn := `UID=Max+cn=Muster\, Max,` + userBase
	want := &wire.Entry{DN: dn, Attributes: []wire.Attribute{
		attr("objectClass", "inetOrgPerson", "organizationalPerson", "person", "top", "openCloudUser", "openCloudObject"),
		attr("sn", "Muster"), attr("cn", "Max", "Muster, Max"), attr("uid", "Max"),
		attr("structuralObjectClass", "inetOrgPerson"), attr("hasSubordinates", "FALSE"), attr("subschemaSubentry", "cn=Subschema"),
		attr("entryDN", dn),
	}}
	byType := cmpopts.SortSlices(func(a, b wire.Attribute) bool { return a.Type < b.Type })
	if diff := cmp.Diff(want, got, byType); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
	operational := read(t, s, dn, "entryUUID", "createTimestamp", "modifyTimestamp", "entryCSN")
	for _, name := range []string{"entryUUID", "createTimestamp", "modifyTimestamp", "entryCSN"} {
		value := operational.Value(name)
		if a := directory.attribute(name); !a.syntax.valid(value) {
			t.Errorf("%s is %q", name, value)
		}
	}
	if stamp := operational.Value("createTimestamp"); len(stamp) != len("20261122041722Z") {
		t.Errorf("createTimestamp is %q, want whole seconds", stamp)
	}
}

func TestValuesOfEveryKindAreFoundAgain(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	values := []string{
		"* ( ) \\ , + \" < > ; = #", " leading and trailing ", "umlauts äöüß", "emoji \U0001F393\u200d\U0001F3EB", "NUL \x00 inside",
		strings.Repeat("ü", 10_000), strings.Repeat("x", 300), strings.Repeat("x", 301), strings.Repeat("\x00a", 5_000), "a", "A\u0308",
	}
	for i, value := range values {
		request := &wire.AddRequest{DN: "openCloudUUID=" + testID(i) + "," + userBase, Attributes: []wire.Attribute{
			attr("objectClass", "inetOrgPerson", "openCloudObject", "educationObject"), attr("cn", value), attr("sn", value),
			attr("displayName", value), attr("educationUniqueKey", value),
		}}
		mustAdd(t, s, request)
		if i < 3 {
			// As a part of a name, too.
			mustAdd(t, s, &wire.AddRequest{DN: "cn=" + escapeForTest(value) + "," + classBase, Attributes: []wire.Attribute{attr("objectClass", "groupOfNames")}})
		}
	}
	for i, value := range values {
		want := []string{"openCloudUUID=" + testID(i)}
		for _, name := range []string{"displayName", "educationUniqueKey", "sn"} {
			if got := search(t, s, userBase, wire.Equal(name, value)); !slices.Equal(got, want) {
				t.Errorf("%s of %.40q: got %v, want %v", name, value, got, want)
			}
		}
		if got := read(t, s, want[0]+","+userBase).Value("displayName"); got != value {
			t.Errorf("got %.40q, want %.40q", got, value)
		}
	}
}

func escapeForTest(value string) string {
	var b strings.Builder
	for i := range len(value) {
		b.WriteString(`\`)
		b.WriteByte("0123456789abcdef"[value[i]>>4])
		b.WriteByte("0123456789abcdef"[value[i]&15])
	}
	return b.String()
}

func TestModify(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		changes []wire.Change
		want    wire.ResultCode
		title   []string
	}{
		{"nothing", nil, wire.ResultSuccess, []string{"Dr.", "Prof."}},
		{"add", []wire.Change{change(wire.ChangeAdd, "title", "Dipl.", "M.A.")}, wire.ResultSuccess, []string{"Dr.", "Prof.", "Dipl.", "M.A."}},
		{"add what is there", []wire.Change{change(wire.ChangeAdd, "title", "DR.")}, wire.ResultAttributeOrValueExists, nil},
		{"add nothing", []wire.Change{change(wire.ChangeAdd, "title")}, wire.ResultProtocolError, nil},
		{"delete one", []wire.Change{change(wire.ChangeDelete, "title", "dr.")}, wire.ResultSuccess, []string{"Prof."}},
		{"delete all", []wire.Change{change(wire.ChangeDelete, "title")}, wire.ResultSuccess, nil},
		{"delete each", []wire.Change{change(wire.ChangeDelete, "title", "dr.", "prof.")}, wire.ResultSuccess, nil},
		{"delete what is not there", []wire.Change{change(wire.ChangeDelete, "title", "dr.", "x")}, wire.ResultNoSuchAttribute, nil},
		{"delete an absent attribute", []wire.Change{change(wire.ChangeDelete, "initials")}, wire.ResultNoSuchAttribute, nil},
		{"replace", []wire.Change{change(wire.ChangeReplace, "title", "dr.")}, wire.ResultSuccess, []string{"dr."}},
		{"replace by nothing", []wire.Change{change(wire.ChangeReplace, "title")}, wire.ResultSuccess, nil},
		{"replace what is absent by nothing", []wire.Change{change(wire.ChangeReplace, "initials")}, wire.ResultSuccess, []string{"Dr.", "Prof."}},
		{"replace by a value twice", []wire.Change{change(wire.ChangeReplace, "title", "a", "A")}, wire.ResultAttributeOrValueExists, nil},
		{"in order", []wire.Change{
			change(wire.ChangeDelete, "title", "Dr."), change(wire.ChangeAdd, "title", "DR."), change(wire.ChangeDelete, "title", "Prof."),
		}, wire.ResultSuccess, []string{"DR."}},
		{"through a state that is not allowed", []wire.Change{
			change(wire.ChangeDelete, "sn"), change(wire.ChangeAdd, "sn", "Neu"),
		}, wire.ResultSuccess, []string{"Dr.", "Prof."}},
		{"all or none", []wire.Change{change(wire.ChangeDelete, "title"), change(wire.ChangeAdd, "nothing", "a")}, wire.ResultUndefinedAttributeType, nil},
		{"take what the class demands", []wire.Change{change(wire.ChangeDelete, "sn")}, wire.ResultObjectClassViolation, nil},
		{"take the name", []wire.Change{change(wire.ChangeReplace, "openCloudUUID", testID(77))}, wire.ResultNotAllowedOnRDN, nil},
		{"spell the name differently", []wire.Change{change(wire.ChangeReplace, "openCloudUUID", strings.ToUpper(testID(1)))}, wire.ResultSuccess, []string{"Dr.", "Prof."}},
		{"an operational attribute", []wire.Change{change(wire.ChangeReplace, "modifyTimestamp", "20260101000000Z")}, wire.ResultConstraintViolation, nil},
		{"delete an operational attribute", []wire.Change{change(wire.ChangeDelete, "entryUUID")}, wire.ResultConstraintViolation, nil},
		{"an unknown attribute", []wire.Change{change(wire.ChangeReplace, "shoeSize")}, wire.ResultUndefinedAttributeType, nil},
		{"an unknown operation", []wire.Change{change(3, "title", "a")}, wire.ResultProtocolError, nil},
		{"a value that does not fit", []wire.Change{change(wire.ChangeReplace, "title", "")}, wire.ResultInvalidAttributeSyntax, nil},
		{"another structural class", []wire.Change{change(wire.ChangeReplace, "objectClass", "groupOfNames", "openCloudObject")}, wire.ResultObjectClassModsProhibited, nil},
		{"without a class that attributes need", []wire.Change{change(wire.ChangeDelete, "objectClass", "educationObject")}, wire.ResultObjectClassViolation, nil},
		{"key of another", []wire.Change{change(wire.ChangeAdd, "educationUniqueKey", "user/username/-/user2")}, wire.ResultConstraintViolation, nil},
		{"a key more", []wire.Change{change(wire.ChangeAdd, "educationUniqueKey", "USER/username/-/user2")}, wire.ResultSuccess, []string{"Dr.", "Prof."}},
		{"no such school", []wire.Change{change(wire.ChangeAdd, "openCloudMemberOfSchool", testID(5))}, wire.ResultConstraintViolation, nil},
		{"an empty address", []wire.Change{change(wire.ChangeReplace, "mail", "")}, wire.ResultSuccess, []string{"Dr.", "Prof."}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := openTest(t)
			mustAdd(t, s, userRequest(1, attr("title", "Dr.", "Prof.")), userRequest(2))
			before := read(t, s, userDN(1), "*", "+")
			after, err := s.Modify(context.Background(), &wire.ModifyRequest{DN: userDN(1), Changes: test.changes, PostRead: []string{"title", "entryCSN"}})
			requireCode(t, err, test.want)
			if err != nil {
				if diff := cmp.Diff(before, read(t, s, userDN(1), "*", "+")); diff != "" {
					t.Errorf("a refused change left something behind (-before +after):\n%s", diff)
				}
				return
			}
			if diff := cmp.Diff(test.title, after.Values("title")); diff != "" {
				t.Errorf("title (-want +got):\n%s", diff)
			}
			if after.Value("entryCSN") <= before.Value("entryCSN") {
				t.Errorf("the stamp %q does not follow %q", after.Value("entryCSN"), before.Value("entryCSN"))
			}
		})
	}
}

func TestModifyMissingEntry(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	_, err := s.Modify(context.Background(), &wire.ModifyRequest{DN: userDN(1)})
	requireCode(t, err, wire.ResultNoSuchObject)
	_, err = s.Modify(context.Background(), &wire.ModifyRequest{DN: "x"})
	requireCode(t, err, wire.ResultInvalidDNSyntax)
}

func TestMembers(t *testing.T) {
	t.Parallel()
	const member, teacher = "member", "openCloudEducationTeacherMember"
	tests := []struct {
		name    string
		changes []wire.Change
		want    wire.ResultCode
		members []string
	}{
		{"add", []wire.Change{change(wire.ChangeAdd, member, userDN(3))}, wire.ResultSuccess, []string{userDN(1), userDN(2), userDN(3)}},
		{"add again", []wire.Change{change(wire.ChangeAdd, member, strings.ToUpper(userDN(1)))}, wire.ResultAttributeOrValueExists, nil},
		{"add a stranger", []wire.Change{change(wire.ChangeAdd, member, userDN(9))}, wire.ResultConstraintViolation, nil},
		{"add twice", []wire.Change{change(wire.ChangeAdd, member, userDN(3), userDN(3))}, wire.ResultAttributeOrValueExists, nil},
		{"delete", []wire.Change{change(wire.ChangeDelete, member, userDN(1))}, wire.ResultSuccess, []string{userDN(2)}},
		{"delete none", []wire.Change{change(wire.ChangeDelete, member, userDN(3))}, wire.ResultNoSuchAttribute, nil},
		{"delete a stranger", []wire.Change{change(wire.ChangeDelete, member, userDN(9))}, wire.ResultNoSuchAttribute, nil},
		{"delete all", []wire.Change{change(wire.ChangeDelete, member)}, wire.ResultSuccess, nil},
		{"delete all twice", []wire.Change{change(wire.ChangeDelete, member), change(wire.ChangeDelete, member)}, wire.ResultNoSuchAttribute, nil},
		{"replace", []wire.Change{change(wire.ChangeReplace, member, userDN(3), userDN(2))}, wire.ResultSuccess, []string{userDN(2), userDN(3)}},
		{"replace by nothing", []wire.Change{change(wire.ChangeReplace, member)}, wire.ResultSuccess, nil},
		{"replace and add", []wire.Change{change(wire.ChangeReplace, member, userDN(3)), change(wire.ChangeAdd, member, userDN(1))}, wire.ResultSuccess, []string{userDN(1), userDN(3)}},
		{"the empty member instead of the last", []wire.Change{change(wire.ChangeDelete, member, userDN(1), userDN(2)), change(wire.ChangeAdd, member, "")}, wire.ResultSuccess, []string{""}},
		{"itself", []wire.Change{change(wire.ChangeAdd, member, classDN(1))}, wire.ResultSuccess, []string{classDN(1), userDN(1), userDN(2)}},
		{"a teacher beside", []wire.Change{change(wire.ChangeAdd, teacher, userDN(1), "")}, wire.ResultSuccess, []string{userDN(1), userDN(2)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := openTest(t)
			mustAdd(t, s, userRequest(1), userRequest(2), userRequest(3), classRequest(1, attr(member, userDN(1), userDN(2))))
			_, err := s.Modify(context.Background(), &wire.ModifyRequest{DN: classDN(1), Changes: test.changes})
			requireCode(t, err, test.want)
			want := test.members
			if err != nil {
				want = []string{userDN(1), userDN(2)}
			}
			if diff := cmp.Diff(want, read(t, s, classDN(1)).Values(member), cmpopts.SortSlices(strings.Compare)); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
			for _, dn := range want {
				if got := search(t, s, classBase, wire.Equal(member, dn)); !slices.Equal(got, []string{firstPart(classDN(1))}) {
					t.Errorf("classes with member %q: %v", dn, got)
				}
			}
		})
	}
}

func TestClassCannotBecomeAnotherThingWithTeachers(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	mustAdd(t, s, userRequest(1), classRequest(1, attr("openCloudEducationTeacherMember", userDN(1))))
	without := []wire.Change{change(wire.ChangeDelete, "objectClass", "openCloudEducationClass")}
	_, err := s.Modify(context.Background(), &wire.ModifyRequest{DN: classDN(1), Changes: without})
	requireCode(t, err, wire.ResultObjectClassViolation)
	_, err = s.Modify(context.Background(), &wire.ModifyRequest{DN: classDN(1), Changes: append(without, change(wire.ChangeDelete, "openCloudEducationTeacherMember"))})
	requireCode(t, err, wire.ResultSuccess)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	mustAdd(t, s, schoolRequest(10), userRequest(1, attr("openCloudMemberOfSchool", testID(10))), userRequest(2),
		classRequest(20, attr("member", userDN(1), userDN(2)), attr("openCloudEducationTeacherMember", userDN(1))),
		classRequest(21, attr("member", userDN(1))), classRequest(22))
	before := read(t, s, classDN(21), "+")
	untouched := read(t, s, classDN(22), "*", "+")
	ctx := context.Background()
	for dn, want := range map[string]wire.ResultCode{
		"x": wire.ResultInvalidDNSyntax, "": wire.ResultNoSuchObject, userDN(9): wire.ResultNoSuchObject, userBase: wire.ResultNotAllowedOnNonLeaf,
		"dc=opencloud,dc=eu": wire.ResultUnwillingToPerform, schoolDN(10): wire.ResultUnwillingToPerform,
	} {
		requireCode(t, s.Delete(ctx, &wire.DeleteRequest{DN: dn}), want)
	}
	requireCode(t, s.Delete(ctx, &wire.DeleteRequest{DN: userDN(1)}), wire.ResultSuccess)
	requireCode(t, s.Delete(ctx, &wire.DeleteRequest{DN: userDN(1)}), wire.ResultNoSuchObject)
	if got := read(t, s, classDN(20)).Values("member"); !slices.Equal(got, []string{userDN(2)}) {
		t.Errorf("members after the deletion: %v", got)
	}
	if got := read(t, s, classDN(20)).Values("openCloudEducationTeacherMember"); got != nil {
		t.Errorf("teachers after the deletion: %v", got)
	}
	if after := read(t, s, classDN(21), "+"); after.Value("entryCSN") <= before.Value("entryCSN") {
		t.Error("the class that lost a member has its old stamp")
	}
	if diff := cmp.Diff(untouched, read(t, s, classDN(22), "*", "+")); diff != "" {
		t.Errorf("another class was changed (-before +after):\n%s", diff)
	}
	requireCode(t, s.Delete(ctx, &wire.DeleteRequest{DN: schoolDN(10)}), wire.ResultSuccess)
	mustAdd(t, s, userRequest(1))
	if got := search(t, s, classBase, wire.Equal("member", userDN(1))); len(got) > 0 {
		t.Errorf("a new entry with an old name is a member of %v", got)
	}
}

func TestSchoolsThatAreReferredTo(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	request := schoolRequest(10)
	request.DN = "ou=school," + schoolBase
	request.Attributes = append(request.Attributes, attr("openCloudUUID", testID(10)))
	mustAdd(t, s, request, userRequest(1, attr("openCloudMemberOfSchool", strings.ToUpper(testID(10)))))
	for name, changes := range map[string][]wire.Change{
		"another id":   {change(wire.ChangeReplace, "openCloudUUID", testID(11))},
		"no id":        {change(wire.ChangeDelete, "openCloudUUID")},
		"not a school": {change(wire.ChangeDelete, "objectClass", "openCloudEducationSchool")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Modify(context.Background(), &wire.ModifyRequest{DN: request.DN, Changes: changes})
			if name == "not a school" {
				changes = append(changes, change(wire.ChangeDelete, "openCloudUUID"))
			}
			requireCode(t, err, wire.ResultUnwillingToPerform)
		})
	}
	mustModify(t, s, request.DN, change(wire.ChangeReplace, "ou", "school", "another name"))
	mustModify(t, s, userDN(1), change(wire.ChangeDelete, "openCloudMemberOfSchool", testID(10)))
	mustModify(t, s, request.DN, change(wire.ChangeReplace, "openCloudUUID", testID(11)))
	mustModify(t, s, userDN(1), change(wire.ChangeAdd, "openCloudMemberOfSchool", testID(11)))
}

func TestModifyDN(t *testing.T) {
	t.Parallel()
	elsewhere, nowhere, below := "ou=b,"+userBase, "ou=x,"+userBase, "cn=person,ou=a,"+userBase
	tests := []struct {
		name    string
		request wire.ModifyDNRequest
		want    wire.ResultCode
		found   []string // the entries below the user base afterwards
	}{
		{"rename and keep", wire.ModifyDNRequest{DN: "ou=a," + userBase, NewRDN: "ou=c"}, 0, []string{"ou=users", "ou=c", "ou=b", "cn=person,ou=c"}},
		{"rename and delete", wire.ModifyDNRequest{DN: "ou=a," + userBase, NewRDN: "ou=c", DeleteOldRDN: true}, 0, []string{"ou=users", "ou=c", "ou=b", "cn=person,ou=c"}},
		{"other case", wire.ModifyDNRequest{DN: "ou=a," + userBase, NewRDN: "OU=A", DeleteOldRDN: true}, 0, []string{"ou=users", "OU=A", "ou=b", "cn=person,OU=A"}},
		{"move", wire.ModifyDNRequest{DN: "ou=a," + userBase, NewRDN: "ou=a", NewSuperior: &elsewhere}, 0, []string{"ou=users", "ou=a,ou=b", "ou=b", "cn=person,ou=a,ou=b"}},
		{"move a leaf", wire.ModifyDNRequest{DN: below, NewRDN: "cn=Person", DeleteOldRDN: true, NewSuperior: &elsewhere}, 0, []string{"ou=users", "ou=a", "ou=b", "cn=Person,ou=b"}},
		{"two values", wire.ModifyDNRequest{DN: below, NewRDN: `cn=a\,b+sn=c`}, 0, []string{"ou=users", "ou=a", "ou=b", `cn=a\,b+sn=c,ou=a`}},
		{"exists", wire.ModifyDNRequest{DN: "ou=a," + userBase, NewRDN: "ou=B"}, wire.ResultEntryAlreadyExists, nil},
		{"below itself", wire.ModifyDNRequest{DN: "ou=a," + userBase, NewRDN: "ou=a", NewSuperior: &below}, wire.ResultUnwillingToPerform, nil},
		{"no superior", wire.ModifyDNRequest{DN: "ou=a," + userBase, NewRDN: "ou=a", NewSuperior: &nowhere}, wire.ResultNoSuchObject, nil},
		{"no entry", wire.ModifyDNRequest{DN: nowhere, NewRDN: "ou=a"}, wire.ResultNoSuchObject, nil},
		{"naming context", wire.ModifyDNRequest{DN: "dc=opencloud,dc=eu", NewRDN: "dc=a"}, wire.ResultUnwillingToPerform, nil},
		{"no RDN", wire.ModifyDNRequest{DN: "ou=a," + userBase, NewRDN: "ou=a,ou=b"}, wire.ResultInvalidDNSyntax, nil},
		{"attribute that is not allowed", wire.ModifyDNRequest{DN: "ou=a," + userBase, NewRDN: "uid=a"}, wire.ResultObjectClassViolation, nil},
		{"takes what is demanded", wire.ModifyDNRequest{DN: below, NewRDN: "sn=a", DeleteOldRDN: true}, wire.ResultObjectClassViolation, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := openTest(t)
			for _, dn := range []string{"ou=a," + userBase, "ou=b," + userBase} {
				mustAdd(t, s, &wire.AddRequest{DN: dn, Attributes: []wire.Attribute{attr("objectClass", "organizationalUnit")}})
			}
			mustAdd(t, s, &wire.AddRequest{DN: below, Attributes: []wire.Attribute{attr("objectClass", "person"), attr("sn", "a")}},
				classRequest(1, attr("member", below)))
			requireCode(t, s.ModifyDN(context.Background(), &test.request), test.want)
			want := test.found
			if test.want != wire.ResultSuccess {
				want = []string{"ou=users", "ou=a", "ou=b", "cn=person,ou=a"}
			}
			var got []string
			collect := func(entry *wire.Entry) error {
				got = append(got, strings.TrimSuffix(strings.TrimSuffix(entry.DN, userBase), ","))
				return nil
			}
			all := &wire.SearchRequest{Base: userBase, Scope: wire.ScopeSubtree, Filter: wire.Present("objectClass")}
			if err := s.Search(context.Background(), all, collect); err != nil {
				t.Fatal(err)
			}
			got[0] = "ou=users"
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
			if members := read(t, s, classDN(1)).Values("member"); len(members) != 1 || members[0] != want[3]+","+userBase {
				t.Errorf("the class has members %v", members)
			}
		})
	}
}

func TestModifyDNOfRDNValues(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	request := userRequest(1)
	request.DN = "uid=user1," + userBase
	mustAdd(t, s, request)
	if err := s.ModifyDN(context.Background(), &wire.ModifyDNRequest{DN: request.DN, NewRDN: "uid=maxi", DeleteOldRDN: true}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, "uid=maxi,"+userBase).Values("uid"); !slices.Equal(got, []string{"maxi"}) {
		t.Errorf("uid is %v", got)
	}
	if got := search(t, s, "", wire.Equal("uid", "user1")); len(got) > 0 {
		t.Errorf("the old name finds %v", got)
	}
	if got := search(t, s, "", wire.Equal("uid", "MAXI")); !slices.Equal(got, []string{"uid=maxi"}) {
		t.Errorf("the new name finds %v", got)
	}
}
