package acceptance

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rivals is how many clients want the same thing at the same time.
const rivals = 100

// eitherCase spells a text in capitals for every other client: keys that differ in case only are the same.
func eitherCase(i int, text string) string {
	if i%2 == 1 {
		return strings.ToUpper(text)
	}
	return text
}

// TestUniqueUnderConcurrency lets many clients create what only one of them can have.
func TestUniqueUnderConcurrency(t *testing.T) {
	t.Parallel()
	s := start(t)
	school, id := s.school(t), "5f1c6a0e-93a4-4f7b-8b8c-7d4f3a2b1c0d"
	tests := map[string]struct {
		path, target string
		body         func(i int) entity
	}{
		"the username of a user": {"/users", "onPremisesSamAccountName", func(i int) entity {
			return with(aUser(), entity{"onPremisesSamAccountName": eitherCase(i, "max")})
		}},
		"the username of a user in a school": {"/schools/" + school + "/users", "onPremisesSamAccountName", func(i int) entity {
			return with(aUser(), entity{"onPremisesSamAccountName": eitherCase(i, "moritz")})
		}},
		"the externalId of a user in a school": {"/schools/" + school + "/users", "externalId", func(i int) entity {
			return with(aUser(), entity{"externalId": eitherCase(i, "u4711")})
		}},
		"the externalId of a user without a school": {"/users", "externalId", func(i int) entity {
			return with(aUser(), entity{"externalId": eitherCase(i, "alone")})
		}},
		"the externalId of a user who names the school": {"/users", "externalId", func(i int) entity {
			return with(aUser(), entity{"externalId": eitherCase(i, "bound"), "schools@odata.bind": []string{"/schools/" + school}})
		}},
		"the number of a school": {"/schools", "schoolNumber", func(i int) entity {
			return with(aSchool(), entity{"schoolNumber": eitherCase(i, "n0042")})
		}},
		"the name of a school": {"/schools", "displayName", func(i int) entity {
			return entity{"displayName": eitherCase(i, "Ada  Lovelace") + strings.Repeat(" ", i%3)}
		}},
		"the externalId of a school": {"/schools", "externalId", func(i int) entity {
			return with(aSchool(), entity{"externalId": eitherCase(i, "straße")})
		}},
		"the id of a school": {"/schools", "id", func(i int) entity {
			return with(aSchool(), entity{"id": eitherCase(i, id)})
		}},
		"the externalId of a class in a school": {"/schools/" + school + "/classes", "externalId", func(i int) entity {
			return with(aClass(), entity{"externalId": eitherCase(i, "5a")})
		}},
		"the externalId of a class without a school": {"/classes", "externalId", func(i int) entity {
			return with(aClass(), entity{"externalId": eitherCase(i, "6b")})
		}},
	}
	if s.backend != nil && s.backend.givesIDsTwice {
		delete(tests, "the id of a school")
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answers := make([]*answer, rivals)
			inParallel(rivals, rivals, func(i int) { answers[i] = s.mustTry(t, http.MethodPost, test.path, test.body(i)) })
			winner := onlyWinner(t, answers, http.StatusCreated, test.target)
			if winner == nil {
				return
			}
			value := winner.entity().text(test.target)
			set := "/" + test.path[strings.LastIndex(test.path, "/")+1:]
			found := s.get(t, set+filtered(test.target+" eq "+odataLiteral(value))).ids()
			if diff := cmp.Diff([]string{winner.id()}, found); diff != "" {
				t.Errorf("the entities with this %s (-want +got):\n%s", test.target, diff)
			}
		})
	}
	s.checkReferences(t)
	s.stop(t)
	s.checkFile(t)
	s.startAgain(t)
}

// onlyWinner expects exactly one success, and that every other answer says what is taken. It returns the success.
func onlyWinner(t *testing.T, answers []*answer, success int, target string) *answer {
	t.Helper()
	var winners []*answer
	for _, got := range answers {
		switch {
		case got == nil:
		case got.status == success:
			winners = append(winners, got)
		default:
			if said := got.fault(); got.status != http.StatusConflict || said.Code != "nameAlreadyExists" || said.Target != target {
				t.Errorf("got %d %s, want a conflict about %s", got.status, got.body, target)
			}
		}
	}
	if len(winners) != 1 {
		t.Errorf("%d clients succeeded, want 1", len(winners))
		return nil
	}
	return winners[0]
}

// TestUniqueUnderConcurrentChanges lets many clients change an entity to have what only one can have.
func TestUniqueUnderConcurrentChanges(t *testing.T) {
	t.Parallel()
	s := start(t)
	school := s.school(t)
	tests := map[string]struct {
		create, target, value string
	}{
		"the username of users":               {"/users", "onPremisesSamAccountName", "max"},
		"the externalId of users of a school": {"/schools/" + school + "/users", "externalId", "4711"},
		"the number of schools":               {"/schools", "schoolNumber", "0042"},
		"the name of schools":                 {"/schools", "displayName", "Ada Lovelace"},
		"the externalId of classes":           {"/schools/" + school + "/classes", "externalId", "5a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			set := "/" + test.create[strings.LastIndex(test.create, "/")+1:]
			fresh := map[string]func() entity{"/users": aUser, "/schools": aSchool, "/classes": aClass}[set]
			paths, answers := make([]string, rivals), make([]*answer, rivals)
			inParallel(rivals, workers, func(i int) {
				if made := s.mustTry(t, http.MethodPost, test.create, fresh()); made != nil && made.wantStatus(http.StatusCreated) {
					paths[i] = set + "/" + made.id()
				}
			})
			inParallel(rivals, rivals, func(i int) {
				answers[i] = s.mustTry(t, http.MethodPatch, paths[i], entity{test.target: eitherCase(i, test.value)})
			})
			onlyWinner(t, answers, http.StatusOK, test.target)
		})
	}
	s.checkReferences(t)
}

// TestSameExternalIDInTwoSchools creates what each school may have once, in two schools at the same time.
func TestSameExternalIDInTwoSchools(t *testing.T) {
	t.Parallel()
	s := start(t)
	schools := []string{s.school(t), s.school(t)}
	for set, fresh := range map[string]func() entity{"users": aUser, "classes": aClass} {
		t.Run(set, func(t *testing.T) {
			const ids = 20
			inParallel(2*ids, 2*ids, func(i int) {
				body := with(fresh(), entity{"externalId": fmt.Sprintf("%s%d", set, i/2)})
				if got := s.mustTry(t, http.MethodPost, "/schools/"+schools[i%2]+"/"+set, body); got != nil {
					got.wantStatus(http.StatusCreated)
				}
			})
			for _, school := range schools {
				if got := len(s.get(t, "/schools/"+school+"/"+set).ids()); got != ids {
					t.Errorf("school %s has %d %s, want %d", school, got, set, ids)
				}
			}
			// A key that two entities have is never the first of them.
			got := s.get(t, "/"+set+"(externalId='"+set+"0')").want(http.StatusConflict).fault()
			if len(got.Details) != 2 {
				t.Errorf("the conflict names %d entities, want 2", len(got.Details))
			}
		})
	}
}

// TestOneSchoolUnderConcurrency puts users into two schools at the same time and expects that each ends up in one.
func TestOneSchoolUnderConcurrency(t *testing.T) {
	t.Parallel()
	s := start(t)
	schools := []string{s.school(t), s.school(t)}

	t.Run("with $ref", func(t *testing.T) {
		for range 5 {
			user := s.user(t)
			answers := make([]*answer, rivals)
			inParallel(rivals, rivals, func(i int) {
				answers[i] = s.mustTry(t, http.MethodPost, "/schools/"+schools[i%2]+"/users/$ref", ref("/users/"+user))
			})
			in := s.schoolOf(t, user, schools)
			for i, got := range answers {
				want := http.StatusConflict
				if schools[i%2] == in {
					want = http.StatusNoContent
				}
				if got != nil {
					got.wantStatus(want)
				}
			}
		}
	})
	t.Run("with moves", func(t *testing.T) {
		user := s.user(t)
		inParallel(rivals, 16, func(i int) {
			move := entity{"schools@odata.bind": []string{"/schools/" + schools[i%2]}}
			got := s.mustTry(t, http.MethodPatch, "/users/"+user, move)
			if got != nil && got.status != http.StatusOK && got.status != http.StatusServiceUnavailable {
				t.Errorf("%s: %d %s", got.what, got.status, got.body)
			}
		})
		s.schoolOf(t, user, schools)
	})
	t.Run("with moves, adds and removals", func(t *testing.T) {
		user := s.user(t)
		inParallel(rivals, 16, func(i int) {
			school := "/schools/" + schools[i%2]
			switch i / 2 % 3 {
			case 0:
				s.mustTry(t, http.MethodPatch, "/users/"+user, entity{"schools@odata.bind": []string{school}})
			case 1:
				s.mustTry(t, http.MethodPost, school+"/users/$ref", ref("/users/"+user))
			default:
				s.mustTry(t, http.MethodDelete, school+"/users/"+user+"/$ref", nil)
			}
		})
		s.patch(t, "/users/"+user, entity{"schools@odata.bind": []string{"/schools/" + schools[0]}}).want(http.StatusOK)
		s.schoolOf(t, user, schools)
	})
	s.checkReferences(t)
}

// schoolOf returns the one school that a user is in, and expects that both ends of the link say so.
func (s *server) schoolOf(t *testing.T, user string, schools []string) string {
	t.Helper()
	in := s.get(t, "/users/"+user+"/schools").ids()
	if len(in) != 1 {
		t.Fatalf("the user is in the schools %v, want one", in)
	}
	for _, school := range schools {
		shown := slices.Contains(s.get(t, "/schools/"+school+"/users").ids(), user)
		if shown != (school == in[0]) {
			t.Errorf("the user is in school %s, but the list of %s shows the user: %t", in[0], school, shown)
		}
	}
	return in[0]
}

// TestClassUnderConcurrency changes the members and teachers of one class from many clients at the same time.
func TestClassUnderConcurrency(t *testing.T) {
	t.Parallel()
	s := start(t)
	class := "/classes/" + s.class(t)
	users := make([]string, rivals)
	inParallel(rivals, workers, func(i int) {
		if made := s.mustTry(t, http.MethodPost, "/users", aUser()); made != nil && made.wantStatus(http.StatusCreated) {
			users[i] = made.id()
		}
	})
	// Each user is added twice, as a member and as a teacher.
	inParallel(4*rivals, rivals, func(i int) {
		navigation := []string{"/members", "/teachers"}[i%2]
		if got := s.mustTry(t, http.MethodPost, class+navigation+"/$ref", ref("/users/"+users[i/2%rivals])); got != nil {
			got.wantStatus(http.StatusNoContent)
		}
	})
	sameIDs(t, s.get(t, class+"/members").ids(), users)
	sameIDs(t, s.get(t, class+"/teachers").ids(), users)
	// The first half leaves as members, and the first quarter is deleted meanwhile.
	left := make([]int, rivals/2)
	inParallel(rivals/2+rivals/4, rivals, func(i int) {
		if i >= rivals/2 {
			if got := s.mustTry(t, http.MethodDelete, "/users/"+users[i-rivals/2], nil); got != nil {
				got.wantStatus(http.StatusNoContent)
			}
			return
		}
		if got := s.mustTry(t, http.MethodDelete, class+"/members/"+users[i]+"/$ref", nil); got != nil {
			left[i] = got.status
		}
	})
	for i, status := range left {
		if status != http.StatusNoContent && (i >= rivals/4 || status != http.StatusNotFound) {
			t.Errorf("a user who leaves the class: %d", status)
		}
	}
	sameIDs(t, s.get(t, class+"/members").ids(), users[rivals/2:])
	sameIDs(t, s.get(t, class+"/teachers").ids(), users[rivals/4:])
	s.checkReferences(t)
}

func sameIDs(t *testing.T, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDeletionUnderConcurrency deletes a school at its end while others create users in it, put users into it and name it
// as their school, and expects that nobody is left in a school that does not exist. What comes after the end is refused.
func TestDeletionUnderConcurrency(t *testing.T) {
	t.Parallel()
	s := start(t)
	soon := time.Now().Add(3 * time.Second).UTC().Truncate(time.Second)
	school := "/schools/" + s.school(t, entity{"terminationDate": soon.Format(time.RFC3339)})
	users := make([]string, 20)
	inParallel(len(users), workers, func(i int) {
		if made := s.mustTry(t, http.MethodPost, "/users", aUser()); made != nil && made.wantStatus(http.StatusCreated) {
			users[i] = made.id()
		}
	})
	time.Sleep(time.Until(soon) - 50*time.Millisecond)
	deleted := make(chan *answer, 1)
	inParallel(4*len(users), 4*len(users), func(i int) {
		user := users[i/4]
		var got *answer
		switch {
		case i == 2*len(users):
			time.Sleep(time.Until(soon) + 5*time.Millisecond)
			deleted <- s.mustTry(t, http.MethodDelete, school, nil)
			return
		case i%4 == 0:
			got = s.mustTry(t, http.MethodPost, school+"/users", aUser())
		case i%4 == 1:
			got = s.mustTry(t, http.MethodPost, school+"/users/$ref", ref("/users/"+user))
		case i%4 == 2:
			got = s.mustTry(t, http.MethodPatch, "/users/"+user, entity{"schools@odata.bind": []string{school}})
		default:
			got = s.mustTry(t, http.MethodPost, school+"/classes", with(aClass(), entity{"members@odata.bind": []string{"/users/" + user}}))
		}
		if got != nil && got.status >= http.StatusBadRequest && got.status != http.StatusNotFound && got.fault().Target != "terminationDate" {
			t.Errorf("%s: %d %s", got.what, got.status, got.body)
		}
	})
	if got := <-deleted; got != nil && got.status == http.StatusServiceUnavailable {
		s.remove(t, school).want(http.StatusNoContent)
	} else if got != nil {
		got.wantStatus(http.StatusNoContent)
	}
	s.get(t, school).want(http.StatusNotFound)
	s.checkReferences(t)
	if got := len(s.get(t, "/users").list()); got < len(users) {
		t.Errorf("%d users are left, want at least %d", got, len(users))
	}
}
