package identitytest

import (
	"context"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

var versionTests = []conformanceTest{
	{"versions tell the states of an entity apart", defaults, testVersions},
	{"a write for another version changes nothing", defaults, testOtherVersion},
	{"of many writes for one version one is made", defaults, testOneWriteForAVersion},
	{"a school is deleted in the version that is meant, or keeps its users", defaults, testDeleteSchoolVersion},
}

// testVersions changes entities in every way, faster than the clock of a directory that counts seconds.
func testVersions(s *subject) {
	school := s.create(schools, fields{})
	user := s.create(users, fields{"schools@odata.bind": bind(school)})
	class := s.create(classes, fields{})
	for _, entity := range []*education.Entity{school, user, class} {
		if entity.Version == "" {
			s.Fatalf("a new %s has no version", entity.Set.Singular)
		}
		if got := s.get(entity.Set, idOf(entity)).Version; got != entity.Version {
			s.Errorf("a %s that nobody has changed: got version %q, then %q", entity.Set.Singular, entity.Version, got)
		}
	}
	seen := map[string]bool{user.Version: true}
	next := func(what string, version string) {
		s.Helper()
		if version == "" || seen[version] {
			s.Errorf("%s: got version %q, want one of its own", what, version)
		}
		seen[version] = true
	}
	next("a changed displayName", s.update(user, fields{"displayName": "A"}).Version)
	next("the displayName from before", s.update(user, fields{"displayName": user.Text("displayName")}).Version)
	next("a changed unique value", s.update(user, fields{"externalId": "1"}).Version)
	next("a password", s.update(user, fields{"passwordProfile": fields{"password": "canary-1"}}).Version)
	s.removeRef(schoolUsers, school, user)
	next("left the school", s.get(users, idOf(user)).Version)
	s.addRef(schoolUsers, school, user)
	next("back in the school", s.get(users, idOf(user)).Version)

	current := s.get(users, idOf(user))
	if got := s.update(user, fields{"externalId": "1"}).Version; got != current.Version {
		s.Errorf("a change to the value that is there: got version %q, want %q", got, current.Version)
	}
	for entity, err := range s.list(users, &odata.Query{Select: []string{"mail"}}) {
		if err != nil {
			s.Fatal(err)
		}
		if entity.Version != current.Version {
			s.Errorf("in a list: got version %q, want %q", entity.Version, current.Version)
		}
	}
}

func testOtherVersion(s *subject) {
	ctx := context.Background()
	for _, set := range education.EntitySets {
		s.each(set.Name, func(s *subject) {
			first := s.create(set, fields{})
			second := s.update(first, fields{"displayName": "second"})
			change, err := s.tryChange(set, education.UpdateEntity, fields{"displayName": "third"})
			if err != nil {
				s.Fatal(err)
			}
			outdated, none := idOf(first), idOf(first)
			outdated.Versions, none.Versions = []string{first.Version, "another"}, []string{}
			for _, key := range []education.Key{outdated, none} {
				_, err = s.directory.Update(ctx, set, key, change)
				s.wantError("update", err, odata.ResourceModified, set.Name)
				s.wantError("delete", s.directory.Delete(ctx, set, key), odata.ResourceModified, set.Name)
				_, err = s.directory.Get(ctx, set, key, nil)
				s.wantError("get", err, odata.ResourceModified, set.Name)
			}
			s.wantSame(s.get(set, idOf(first)), second)

			current := idOf(first)
			current.Versions = []string{"another", second.Version}
			third, err := s.directory.Update(ctx, set, current, change)
			if err != nil {
				s.Fatalf("update of the version that is there: %v", err)
			}
			s.wantValue(third, "displayName", "third")
			if set == schools {
				return // It cannot be deleted before its time.
			}
			current.Versions = []string{third.Version}
			if err := s.directory.Delete(ctx, set, current); err != nil {
				s.Errorf("delete of the version that is there: %v", err)
			}
			s.wantGone(first)
			s.wantError("delete again", s.directory.Delete(ctx, set, current), odata.ItemNotFound, set.Name)
		})
	}
}

// testOneWriteForAVersion lets many clients change what each of them has read.
func testOneWriteForAVersion(s *subject) {
	const rounds, writers = 10, 8
	user := s.create(users, fields{})
	for range rounds {
		key := idOf(user)
		key.Versions = []string{user.Version}
		errs := inParallel(writers, func(i int) error {
			change, err := s.tryChange(users, education.UpdateEntity, fields{"displayName": user.Version + string(rune('a'+i))})
			if err == nil {
				_, err = s.directory.Update(context.Background(), users, key, change)
			}
			return err
		})
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
				continue
			}
			s.wantError("update", err, odata.ResourceModified, users.Name)
		}
		if made != 1 {
			s.Errorf("%d of %d writes for one version were made", made, writers)
		}
		user = s.get(users, idOf(user))
	}
}

func testDeleteSchoolVersion(s *subject) {
	school := s.create(schools, fields{"terminationDate": jsonOf(time.Now().UTC().Add(time.Hour))})
	user := s.create(users, fields{"schools@odata.bind": bind(school)})
	s.wait(2 * time.Hour)
	renamed := s.update(school, fields{"displayName": "renamed"})
	outdated, current := idOf(school), idOf(school)
	outdated.Versions, current.Versions = []string{school.Version}, []string{renamed.Version}
	s.wantError("delete another version", s.directory.Delete(context.Background(), schools, outdated), odata.ResourceModified, schools.Name)
	s.wantRelated(schoolUsers, school, user)
	if err := s.directory.Delete(context.Background(), schools, current); err != nil {
		s.Fatalf("delete the version that is there: %v", err)
	}
	s.wantGone(school)
	s.wantRelated(userSchools, user)
}
