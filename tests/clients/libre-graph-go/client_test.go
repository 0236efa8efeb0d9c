package libregraphgo

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	libregraph "github.com/opencloud-eu/libre-graph-api-go"
)

func TestUserLivesAndDies(t *testing.T) {
	t.Parallel()
	c := newClient(t, "life")
	user := c.user()
	user.SetDisplayName("Zoë O’Brien")
	user.SetGivenName("Zoë")
	user.SetSurname("Zander")
	user.SetAccountEnabled(true)
	identity := libregraph.NewObjectIdentity()
	identity.SetIssuer("https://idp.example.org")
	identity.SetIssuerAssignedId("zoe")
	user.SetIdentities([]libregraph.ObjectIdentity{*identity})
	password := libregraph.NewPasswordProfile()
	password.SetPassword("Correct horse 1")
	user.SetPasswordProfile(*password)

	created := c.createUser(user)
	user.Id, user.UserType, user.PasswordProfile = created.Id, created.UserType, nil
	if !reflect.DeepEqual(*created, user) {
		t.Errorf("created %+v, want %+v", *created, user)
	}
	for _, key := range []string{created.GetId(), created.GetOnPremisesSamAccountName()} {
		got, response, err := c.EducationUserApi.GetEducationUser(t.Context(), key).Execute()
		c.wantStatus(response, err, http.StatusOK)
		if !reflect.DeepEqual(got, created) {
			t.Errorf("under %s there is %+v, want %+v", key, got, created)
		}
	}

	change := libregraph.NewEducationUser()
	change.SetSurname("O’Brien")
	change.SetAccountEnabled(false)
	changed, response, err := c.EducationUserApi.UpdateEducationUser(t.Context(), created.GetId()).EducationUser(*change).Execute()
	c.wantStatus(response, err, http.StatusOK)
	if changed.GetSurname() != "O’Brien" || changed.GetAccountEnabled() || changed.GetGivenName() != "Zoë" {
		t.Errorf("changed to %+v", changed)
	}

	c.wantNothing(c.EducationUserApi.DeleteEducationUser(t.Context(), created.GetId()).Execute())
	_, response, err = c.EducationUserApi.GetEducationUser(t.Context(), created.GetId()).Execute()
	c.wantRefused(response, err, http.StatusNotFound, "itemNotFound")
}

func TestClassLivesAndDies(t *testing.T) {
	t.Parallel()
	c := newClient(t, "group")
	created := c.createClass()
	got, response, err := c.EducationClassApi.GetClass(t.Context(), created.GetId()).Execute()
	c.wantStatus(response, err, http.StatusOK)
	if !reflect.DeepEqual(got, created) {
		t.Errorf("got %+v, want %+v", got, created)
	}
	got.SetDescription("All of them")
	_, response, err = c.EducationClassApi.UpdateClass(t.Context(), created.GetId()).EducationClass(*got).Execute()
	c.wantStatus(response, err, http.StatusNoContent)
	changed, response, err := c.EducationClassApi.GetClass(t.Context(), created.GetId()).Execute()
	c.wantStatus(response, err, http.StatusOK)
	if !reflect.DeepEqual(changed, got) {
		t.Errorf("changed to %+v, want %+v", changed, got)
	}
	c.wantNothing(c.EducationClassApi.DeleteClass(t.Context(), created.GetId()).Execute())
	_, response, err = c.EducationClassApi.GetClass(t.Context(), created.GetId()).Execute()
	c.wantRefused(response, err, http.StatusNotFound, "itemNotFound")
}

func TestSchoolLivesAndDies(t *testing.T) {
	t.Parallel()
	c := newClient(t, "tenant")
	created := c.createSchool()
	response, err := c.EducationSchoolApi.DeleteSchool(t.Context(), created.GetId()).Execute()
	c.wantRefused(response, err, http.StatusMethodNotAllowed, "notAllowed")

	// The service keeps whole seconds.
	closed := time.Now().Add(2 * time.Second).Truncate(time.Second)
	change := libregraph.NewEducationSchool()
	change.SetTerminationDate(closed)
	changed, response, err := c.EducationSchoolApi.UpdateSchool(t.Context(), created.GetId()).EducationSchool(*change).Execute()
	c.wantStatus(response, err, http.StatusOK)
	if !changed.GetTerminationDate().Equal(closed) || changed.GetDisplayName() != created.GetDisplayName() {
		t.Errorf("changed to %+v, want the date %s", changed, closed)
	}
	time.Sleep(time.Until(closed.Add(50 * time.Millisecond)))
	c.wantNothing(c.EducationSchoolApi.DeleteSchool(t.Context(), created.GetId()).Execute())
	_, response, err = c.EducationSchoolApi.GetSchool(t.Context(), created.GetId()).Execute()
	c.wantRefused(response, err, http.StatusNotFound, "itemNotFound")
}

func TestListsAreWhole(t *testing.T) {
	t.Parallel()
	c := newClient(t, "whole")
	var ids []string
	for range 120 {
		user := c.createUser(c.user())
		ids = append(ids, user.GetId())
	}
	list, response, err := c.EducationUserApi.ListEducationUsers(t.Context()).Execute()
	c.wantStatus(response, err, http.StatusOK)
	got := idsOf(list.Value)
	for _, id := range ids {
		if !slices.Contains(got, id) {
			t.Errorf("user %s is not in the list of %d", id, len(got))
		}
	}
	class, school := c.createClass(), c.createSchool()
	classes, response, err := c.EducationClassApi.ListClasses(t.Context()).Execute()
	c.wantStatus(response, err, http.StatusOK)
	if !slices.ContainsFunc(classes.Value, func(other libregraph.EducationClass) bool { return other.GetId() == class.GetId() }) {
		t.Errorf("class %s is not in the list", class.GetId())
	}
	schools, response, err := c.EducationSchoolApi.ListSchools(t.Context()).Execute()
	c.wantStatus(response, err, http.StatusOK)
	if !slices.ContainsFunc(schools.Value, func(other libregraph.EducationSchool) bool { return other.GetId() == school.GetId() }) {
		t.Errorf("school %s is not in the list", school.GetId())
	}
}

func TestFilterByExternalID(t *testing.T) {
	t.Parallel()
	c := newClient(t, "filter")
	user := c.user()
	user.SetExternalId("O'Brien & 50% #1 + ä/ö")
	special, plain, school := c.createUser(user), c.createUser(c.user()), c.createSchool()
	tests := []struct {
		name, externalID string
		want             []string
	}{
		{"special characters", special.GetExternalId(), []string{special.GetId()}},
		{"plain", plain.GetExternalId(), []string{plain.GetId()}},
		{"nobody's", "nobody's", nil},
	}
	for _, test := range tests {
		filter := "externalId eq '" + strings.ReplaceAll(test.externalID, "'", "''") + "'"
		list, response, err := c.EducationUserApi.ListEducationUsers(t.Context()).Filter(filter).Execute()
		c.wantStatus(response, err, http.StatusOK)
		if got := idsOf(list.Value); !slices.Equal(got, test.want) && len(got)+len(test.want) > 0 {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	schools, response, err := c.EducationSchoolApi.ListSchools(t.Context()).Filter("externalId eq '" + school.GetExternalId() + "'").Execute()
	c.wantStatus(response, err, http.StatusOK)
	if len(schools.Value) != 1 || schools.Value[0].GetId() != school.GetId() {
		t.Errorf("got %+v, want the school %s alone", schools.Value, school.GetId())
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	c := newClient(t, "order")
	for _, name := range []string{"b", "c", "a"} {
		user := c.user()
		user.SetDisplayName("Ordered " + name)
		c.createUser(user)
	}
	list, response, err := c.EducationUserApi.ListEducationUsers(t.Context()).
		Filter("startswith(displayName,'Ordered ')").Orderby([]string{"displayName desc", "mail"}).Execute()
	c.wantStatus(response, err, http.StatusOK)
	var names []string
	for _, user := range list.Value {
		names = append(names, user.GetDisplayName())
	}
	if want := []string{"Ordered c", "Ordered b", "Ordered a"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	c := newClient(t, "pages", prefer("odata.maxpagesize=2"))
	school := c.createSchool()
	var ids []string
	for i := range 7 {
		user := c.user()
		user.SetDisplayName(fmt.Sprintf("Page %d", i))
		created := c.createUser(user)
		ids = append(ids, created.GetId())
		reference := libregraph.NewEducationUserReference()
		reference.SetOdataId(root(t) + "/v1.0/education/users/" + created.GetId())
		c.wantNothing(c.EducationSchoolApi.AddUserToSchool(t.Context(), school.GetId()).EducationUserReference(*reference).Execute())
	}
	lists := map[string]func() (*libregraph.CollectionOfEducationUser, *http.Response, error){
		"users":             c.EducationUserApi.ListEducationUsers(t.Context()).Filter("startswith(displayName,'Page ')").Execute,
		"users of a school": c.EducationSchoolApi.ListSchoolUsers(t.Context(), school.GetId()).Execute,
	}
	for name, list := range lists {
		_, response, err := list()
		c.wantStatus(response, err, http.StatusOK)
		if applied := response.Header.Get("Preference-Applied"); applied != "odata.maxpagesize=2" {
			t.Errorf("%s: Preference-Applied: %q", name, applied)
		}
		var users []libregraph.EducationUser
		pages := c.follow(response, err)
		for _, page := range pages {
			users = append(users, page.Value...)
		}
		// The links are followed without the preference, which must last for the whole walk.
		if len(pages) != 4 {
			t.Errorf("%s: %d pages, want 4", name, len(pages))
		}
		c.wantIDs(users, ids...)
	}
}

func TestPreferMinimal(t *testing.T) {
	t.Parallel()
	c := newClient(t, "minimal")
	user := c.createUser(c.user())
	modest := newClient(t, "modest", prefer("return=minimal"))
	change := libregraph.NewEducationUser()
	change.SetSurname("Minimal")
	changed, response, err := modest.EducationUserApi.UpdateEducationUser(t.Context(), user.GetId()).EducationUser(*change).Execute()
	c.wantStatus(response, err, http.StatusNoContent)
	if changed != nil {
		t.Errorf("the answer is %+v, want none", changed)
	}
	got, response, err := c.EducationUserApi.GetEducationUser(t.Context(), user.GetId()).Execute()
	c.wantStatus(response, err, http.StatusOK)
	if got.GetSurname() != "Minimal" {
		t.Errorf("the surname is %q", got.GetSurname())
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	c := newClient(t, "links")
	school, class, user := c.createSchool(), c.createClass(), c.createUser(c.user())
	tests := []struct {
		name, set, id string
		add           func(reference string) (*http.Response, error)
		list          func() []string
		remove        func() (*http.Response, error)
		// silent says that OpenCloud's graph service removes what is not there with success.
		silent bool
	}{
		{
			"users of a school", "users", user.GetId(),
			func(reference string) (*http.Response, error) {
				return c.EducationSchoolApi.AddUserToSchool(t.Context(), school.GetId()).
					EducationUserReference(libregraph.EducationUserReference{OdataId: &reference}).Execute()
			},
			func() []string {
				return c.users(c.EducationSchoolApi.ListSchoolUsers(t.Context(), school.GetId()).Execute())
			},
			c.EducationSchoolApi.DeleteUserFromSchool(t.Context(), school.GetId(), user.GetId()).Execute, true,
		},
		{
			"classes of a school", "classes", class.GetId(),
			func(reference string) (*http.Response, error) {
				return c.EducationSchoolApi.AddClassToSchool(t.Context(), school.GetId()).
					ClassReference(libregraph.ClassReference{OdataId: &reference}).Execute()
			},
			func() []string { return c.classesOf(school) },
			c.EducationSchoolApi.DeleteClassFromSchool(t.Context(), school.GetId(), class.GetId()).Execute, true,
		},
		{
			"members of a class", "users", user.GetId(),
			func(reference string) (*http.Response, error) {
				return c.EducationClassApi.AddUserToClass(t.Context(), class.GetId()).
					ClassMemberReference(libregraph.ClassMemberReference{OdataId: &reference}).Execute()
			},
			func() []string {
				return c.users(c.EducationClassApi.ListClassMembers(t.Context(), class.GetId()).Execute())
			},
			c.EducationClassApi.DeleteUserFromClass(t.Context(), class.GetId(), user.GetId()).Execute, false,
		},
		{
			"teachers of a class", "users", user.GetId(),
			func(reference string) (*http.Response, error) {
				return c.EducationClassTeachersApi.AddTeacherToClass(t.Context(), class.GetId()).
					ClassTeacherReference(libregraph.ClassTeacherReference{OdataId: &reference}).Execute()
			},
			func() []string {
				return c.users(c.EducationClassTeachersApi.GetTeachers(t.Context(), class.GetId()).Execute())
			},
			c.EducationClassTeachersApi.DeleteTeacherFromClass(t.Context(), class.GetId(), user.GetId()).Execute, false,
		},
	}
	for _, test := range tests {
		entities := root(t) + "/v1.0/education/"
		c.wantNothing(test.add(entities + test.set + "/" + test.id))
		if got := test.list(); !slices.Equal(got, []string{test.id}) {
			t.Errorf("%s: %q, want %q alone", test.name, got, test.id)
		}
		c.wantNothing(test.remove())
		if got := test.list(); len(got) > 0 {
			t.Errorf("%s: %q are left", test.name, got)
		}
		response, err := test.remove()
		if compatible && test.silent {
			c.wantNothing(response, err)
		} else {
			c.wantRefused(response, err, http.StatusNotFound, "itemNotFound")
		}
		response, err = test.add(entities + test.set + "/" + unknownID)
		c.wantRefused(response, err, http.StatusNotFound, "itemNotFound")
		response, err = test.add(entities + "schools/" + school.GetId())
		c.wantRefused(response, err, http.StatusBadRequest, "invalidRequest")
	}
}

// users returns the ids of a list of users.
func (c *client) users(list *libregraph.CollectionOfEducationUser, response *http.Response, err error) []string {
	c.t.Helper()
	c.wantStatus(response, err, http.StatusOK)
	return idsOf(list.Value)
}

// classesOf returns the ids of a school's classes.
func (c *client) classesOf(school *libregraph.EducationSchool) []string {
	c.t.Helper()
	list, response, err := c.EducationSchoolApi.ListSchoolClasses(c.t.Context(), school.GetId()).Execute()
	c.wantStatus(response, err, http.StatusOK)
	var ids []string
	for _, class := range list.Value {
		ids = append(ids, class.GetId())
	}
	return ids
}

func TestMembersAreBoundAsAClassIsCreated(t *testing.T) {
	t.Parallel()
	c := newClient(t, "bound")
	first, second := c.createUser(c.user()), c.createUser(c.user())
	class := libregraph.NewEducationClass("Bound", "course")
	class.SetMembersodataBind([]string{
		root(t) + "/v1.0/education/users/" + first.GetId(), root(t) + "/v1.0/education/users/" + second.GetId(),
	})
	created := c.create(class)
	list, response, err := c.EducationClassApi.ListClassMembers(t.Context(), created.GetId()).Execute()
	c.wantStatus(response, err, http.StatusOK)
	c.wantIDs(list.Value, first.GetId(), second.GetId())
}

func TestCompressedBody(t *testing.T) {
	t.Parallel()
	c := newClient(t, "gzip", func(configuration *libregraph.Configuration) {
		configuration.HTTPClient.Transport = compressing{configuration.HTTPClient.Transport}
	})
	user := c.user()
	if created := c.createUser(user); created.GetMail() != user.GetMail() {
		t.Errorf("created %+v, want %+v", created, user)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	c := newClient(t, "refused")
	taken := c.createUser(c.user())
	create := func(change func(*libregraph.EducationUser)) func() (*libregraph.EducationUser, *http.Response, error) {
		user := c.user()
		change(&user)
		return c.EducationUserApi.CreateEducationUser(t.Context()).EducationUser(user).Execute
	}
	stranger := newClient(t, "stranger", func(configuration *libregraph.Configuration) {
		configuration.AddDefaultHeader("Authorization", "Bearer not the token")
	})
	tests := []struct {
		name         string
		call         func() (*http.Response, error)
		status       int
		code, target string
	}{
		{"get of nobody", without(c.EducationUserApi.GetEducationUser(t.Context(), unknownID).Execute), 404, "itemNotFound", ""},
		{
			"change of nobody", without(c.EducationUserApi.UpdateEducationUser(t.Context(), unknownID).EducationUser(c.user()).Execute),
			404, "itemNotFound", "",
		},
		{"deletion of nobody", c.EducationUserApi.DeleteEducationUser(t.Context(), unknownID).Execute, 404, "itemNotFound", ""},
		{"members of nothing", without(c.EducationClassApi.ListClassMembers(t.Context(), unknownID).Execute), 404, "itemNotFound", ""},
		{
			"username that is taken", without(create(func(user *libregraph.EducationUser) {
				user.OnPremisesSamAccountName = taken.OnPremisesSamAccountName
			})), 409, "nameAlreadyExists", "onPremisesSamAccountName",
		},
		{
			"externalId that is taken", without(create(func(user *libregraph.EducationUser) { user.ExternalId = taken.ExternalId })),
			409, "nameAlreadyExists", "externalId",
		},
		{
			"no display name", without(create(func(user *libregraph.EducationUser) { user.DisplayName = nil })),
			400, "invalidRequest", "displayName",
		},
		{
			"mail without a host", without(create(func(user *libregraph.EducationUser) { user.SetMail("nowhere") })),
			400, "invalidRequest", "mail",
		},
		{
			"property that cannot be set", without(create(func(user *libregraph.EducationUser) { user.SetId(unknownID) })),
			400, "invalidRequest", "id",
		},
		{
			"filter of what is not there", without(c.EducationUserApi.ListEducationUsers(t.Context()).Filter("nickname eq 1").Execute),
			400, "invalidRequest", "nickname",
		},
		{"token that is wrong", without(stranger.EducationUserApi.ListEducationUsers(t.Context()).Execute), 401, "InvalidAuthenticationToken", ""},
	}
	for _, test := range tests {
		response, err := test.call()
		refusal := c.wantRefused(response, err, test.status, test.code)
		if test.target != "" && refusal.GetTarget() != test.target {
			t.Errorf("%s: the target is %q, want %q", test.name, refusal.GetTarget(), test.target)
		}
	}
}

// without leaves the entity out of what a call returns.
func without[T any](call func() (*T, *http.Response, error)) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		_, response, err := call()
		return response, err
	}
}
