package remote_test

import (
	"context"
	"slices"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// leaveIn gives the entry of a user the ids of schools of which one is not there, as a deletion leaves it that could not look,
// when the school had gone, for who had joined meanwhile.
func (s *site) leaveIn(user *education.Entity, schools ...string) {
	s.Helper()
	connection, err := s.connect()
	if err != nil {
		s.Fatal(err)
	}
	defer connection.Close()
	request := ldap.NewModifyRequest("openCloudUUID="+user.ID()+","+s.bases.UserBase, nil)
	request.Replace("openCloudMemberOfSchool", schools)
	if err := connection.Modify(request); err != nil {
		s.Fatal(err)
	}
}

// wantSchools expects that the entry of a user has the ids of some schools, and that the user is shown as in these.
func (s *site) wantSchools(what string, user *education.Entity, want ...string) {
	s.Helper()
	connection, err := s.connect()
	if err != nil {
		s.Fatal(err)
	}
	defer connection.Close()
	found, err := connection.Search(ldap.NewSearchRequest("openCloudUUID="+user.ID()+","+s.bases.UserBase, ldap.ScopeBaseObject,
		ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"openCloudMemberOfSchool"}, nil))
	if err != nil {
		s.Fatal(err)
	}
	if got := found.Entries[0].GetAttributeValues("openCloudMemberOfSchool"); !slices.Equal(got, want) {
		s.Errorf("%s: the user is in %q, want %q", what, got, want)
	}
	shown, err := idsOf(s.truth.ListRelated(s.Context(), education.NavigationOf(education.Users, "schools"), idKey(education.Users, user.ID()), nil))
	if err != nil || !slices.Equal(shown, want) {
		s.Errorf("%s: the user is shown in %q, %v, want %q", what, shown, err, want)
	}
}

// boundTo returns the context of a token for one school, which is named by its id.
func (s *site) boundTo(school string) context.Context {
	s.Helper()
	grant := &access.Grant{Verbs: access.AllVerbs, Schools: []access.School{{ID: school}}}
	gate := &access.Gate{Schools: s.truth, Authenticators: []access.Authenticator{holder{grant}}}
	credential, err := gate.Credential(s.Context(), "")
	if err != nil {
		s.Fatal(err)
	}
	return access.With(s.Context(), credential)
}

// holder is the authenticator of a grant that every token stands for.
type holder struct{ grant *access.Grant }

func (h holder) Authenticate(context.Context, string) (*access.Grant, error) { return h.grant, nil }

// wantOutOfReach expects that a token for a school neither sees, changes nor deletes a user.
func (s *site) wantOutOfReach(what string, user *education.Entity, school string) {
	s.Helper()
	ctx, key := s.boundTo(school), idKey(education.Users, user.ID())
	if seen, err := idsOf(s.truth.List(ctx, education.Users, nil)); err != nil || len(seen) > 0 {
		s.Errorf("%s lists %q, %v", what, seen, err)
	}
	if _, err := s.truth.Get(ctx, education.Users, key, nil); !odata.Is(err, odata.ItemNotFound) {
		s.Errorf("%s: get the user: %v", what, err)
	}
	if _, err := s.truth.Update(ctx, education.Users, key, s.named("Moritz")); !odata.Is(err, odata.ItemNotFound) {
		s.Errorf("%s: change the user: %v", what, err)
	}
	if err := s.truth.Delete(ctx, education.Users, key); !odata.Is(err, odata.ItemNotFound) {
		s.Errorf("%s: delete the user: %v", what, err)
	}
}

// wantChangeable expects that a token for a school changes a user, and cannot take the user out of the school.
func (s *site) wantChangeable(what string, user *education.Entity, school string) {
	s.Helper()
	ctx, key := s.boundTo(school), idKey(education.Users, user.ID())
	if _, err := s.truth.Update(ctx, education.Users, key, s.named("Moritz")); err != nil {
		s.Errorf("%s: change the user: %v", what, err)
	}
	err := s.truth.RemoveRef(ctx, education.NavigationOf(education.Schools, "users"), idKey(education.Schools, school), key)
	if !odata.Is(err, odata.AccessDenied) {
		s.Errorf("%s: take the user out of it: got %v, want accessDenied", what, err)
	}
}

// named returns a change of a user's first name.
func (s *site) named(name string) *education.Change {
	s.Helper()
	change, err := change(education.Users, education.UpdateEntity, fields{"givenName": name})
	if err != nil {
		s.Fatal(err)
	}
	return change
}

// TestLeftInAGoneSchool has users who keep the id of a school that has been deleted. They are in no school, and get out of it
// when the deletion is repeated, before a school gets the id again, and when they join another one.
func TestLeftInAGoneSchool(t *testing.T) {
	t.Parallel()
	t.Run("with unique keys", func(t *testing.T) { checkLeftovers(newSite(t, nil)) })
	t.Run("plain", func(t *testing.T) {
		server := ldapserver.ExclusiveOpenLDAP(t, ldapserver.PlainSchema())
		checkLeftovers(newSiteOn(t, server, server.Bases, nil))
	})
}

// checkLeftovers is TestLeftInAGoneSchool in one tree.
func checkLeftovers(s *site) {
	s.Helper()
	gone := uuid.NewString()
	user := s.given(education.Users, person("left"))

	s.leaveIn(user, gone)
	s.wantOutOfReach("a token for the school that has gone", user, gone)
	if err := s.truth.Delete(s.Context(), education.Schools, idKey(education.Schools, gone)); !odata.Is(err, odata.ItemNotFound) {
		s.Errorf("the repeated deletion: got %v, want itemNotFound", err)
	}
	s.wantSchools("after the deletion has been repeated", user)

	s.leaveIn(user, gone)
	s.given(education.Schools, fields{"id": gone, "displayName": "Again"})
	s.wantSchools("after another school has got the id", user)

	another := s.given(education.Schools, fields{"displayName": "Another"})
	s.leaveIn(user, another.ID(), uuid.NewString())
	s.wantChangeable("a token for the other school", user, another.ID())
	s.leaveIn(user, uuid.NewString())
	err := s.truth.AddRef(s.Context(), education.NavigationOf(education.Schools, "users"),
		idKey(education.Schools, another.ID()), idKey(education.Users, user.ID()))
	if err != nil {
		s.Errorf("joining another school: %v", err)
	}
	s.wantSchools("after joining another school", user, another.ID())
}
