package identitytest

import (
	"context"
	"fmt"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

var deletionTests = []conformanceTest{
	{"what is deleted is gone", defaults, testDelete},
	{"a deleted user leaves every class", defaults, testDeleteUser},
	{"a deleted class leaves its users", defaults, testDeleteClass},
	{"a school can be deleted once its termination date has passed", defaults, testTerminationDate},
	{"a deleted school leaves its users and classes", defaults, testDeleteSchool},
	{"a deleted school leaves users of other schools where they are", manySchools, testDeleteOneOfSchools},
	{"the deletion of a school can be repeated after it broke off", defaults, testInterruptedDeletion},
}

func testDelete(s *subject) {
	for _, set := range []*education.EntitySet{users, classes} {
		body, _ := filled(set)
		entity, other := s.create(set, body), s.create(set, nil)
		s.delete(entity)
		s.wantGone(entity)
		s.wantError("delete twice", s.tryDelete(entity), odata.ItemNotFound, set.Name)
		_, err := s.tryUpdate(entity, fields{"displayName": "x"})
		s.wantError("update", err, odata.ItemNotFound, set.Name)
		s.wantIDs(set.Name, s.list(set, nil), other)
		s.create(set, body)
	}
}

func testDeleteUser(s *subject) {
	school := s.create(schools, nil)
	user, other := s.create(users, fields{username: "max"}), s.create(users, nil)
	var all []*education.Entity
	for range 5 {
		all = append(all, s.create(classes, fields{
			"members@odata.bind": bind(user, other), "teachers@odata.bind": bind(other, user), "schools@odata.bind": bind(school),
		}))
	}
	alone := s.create(classes, fields{"members@odata.bind": bind(user), "teachers@odata.bind": bind(user)})
	s.addRef(schoolUsers, school, user)
	s.delete(user)
	for _, class := range all {
		s.wantRelated(classMembers, class, other)
		s.wantRelated(classTeachers, class, other)
	}
	s.wantRelated(classMembers, alone)
	s.wantRelated(classTeachers, alone)
	s.wantRelated(schoolUsers, school)
	s.wantRelated(schoolClasses, school, all...)
	// A new user of the same name is in no class of the old one.
	again := s.create(users, fields{username: "max"})
	s.wantRelated(userClasses, again)
	s.wantRelated(userSchools, again)
}

func testDeleteClass(s *subject) {
	school, user, teacher := s.create(schools, nil), s.create(users, nil), s.create(users, nil)
	class := s.create(classes, fields{
		"members@odata.bind": bind(user), "teachers@odata.bind": bind(teacher), "schools@odata.bind": bind(school),
	})
	s.delete(class)
	s.wantRelated(userClasses, user)
	s.wantRelated(userTaughtClasses, teacher)
	s.wantRelated(schoolClasses, school)
	s.wantIDs("users", s.list(users, nil), user, teacher)
}

// terminate sets a school's termination date and lets it pass.
func (s *subject) terminate(school *education.Entity) {
	s.Helper()
	s.update(school, fields{"terminationDate": jsonOf(time.Now().UTC().Add(s.after(time.Hour)))})
	s.wait(2 * time.Hour)
}

func testTerminationDate(s *subject) {
	const date = "terminationDate"
	school, other := s.create(schools, nil), s.create(schools, nil)
	user := s.create(users, fields{"schools@odata.bind": bind(school)})
	refused := func(what string) {
		s.Helper()
		s.wantError(what, s.tryDelete(school), odata.NotAllowed, date)
		s.wantRelated(schoolUsers, school, user)
	}
	refused("without a date")
	s.update(school, fields{date: jsonOf(time.Now().UTC().Add(time.Hour))})
	refused("with a date in the future")
	s.update(school, fields{date: nil})
	refused("with the date cleared")
	s.update(school, fields{date: jsonOf(time.Now().UTC().Add(time.Hour))})
	s.wait(2 * time.Hour)
	s.delete(school)
	s.wantGone(school)
	s.wantError("delete twice", s.tryDelete(school), odata.ItemNotFound, "schools")
	s.wantIDs("schools", s.list(schools, nil), other)

	created := s.create(schools, fields{date: jsonOf(time.Now().UTC().Add(s.after(time.Hour)))})
	s.wait(2 * time.Hour)
	s.delete(created)
}

func testDeleteSchool(s *subject) {
	school := s.create(schools, fields{"externalId": "one"})
	user := s.create(users, fields{"externalId": "4711", "schools@odata.bind": bind(school)})
	class := s.create(classes, fields{
		"externalId": "5a", "schools@odata.bind": bind(school), "members@odata.bind": bind(user), "teachers@odata.bind": bind(user),
	})
	before := s.get(users, idOf(user))
	s.terminate(school)
	s.delete(school)
	s.wantGone(school)
	s.wantOthersKept(s.get(users, idOf(user)), before)
	s.wantRelated(userSchools, user)
	s.wantRelated(classSchools, class)
	s.wantRelated(classMembers, class, user)
	s.wantRelated(userTaughtClasses, user, class)
	_, err := s.tryCreate(classes, fields{"externalId": "5a"})
	s.wantError("a class with the externalId of one that is outside of schools now", err, odata.NameAlreadyExists, "externalId")

	again := s.create(schools, fields{"externalId": "one"})
	s.wantRelated(schoolUsers, again)
	s.addRef(schoolUsers, again, user)
	s.addRef(schoolClasses, again, class)
	s.wantRelated(userSchools, user, again)
}

func testDeleteOneOfSchools(s *subject) {
	one, two := s.create(schools, nil), s.create(schools, nil)
	both := s.create(users, fields{"schools@odata.bind": bind(one, two)})
	only := s.create(users, fields{"schools@odata.bind": bind(one)})
	class := s.create(classes, fields{"schools@odata.bind": bind(one, two)})
	s.terminate(one)
	s.delete(one)
	s.wantRelated(userSchools, both, two)
	s.wantRelated(userSchools, only)
	s.wantRelated(classSchools, class, two)
	s.wantIDs("users", s.list(users, nil), both, only)
}

// testInterruptedDeletion cancels a deletion as soon as it can be seen to have begun.
func testInterruptedDeletion(s *subject) {
	const each = 150
	school := s.create(schools, nil)
	bodies := make([]fields, each)
	for i := range bodies {
		bodies[i] = fields{"externalId": fmt.Sprint(i), "schools@odata.bind": bind(school)}
	}
	people, groups := s.createMany(users, bodies), s.createMany(classes, bodies)
	s.terminate(school)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.directory.Delete(ctx, schools, idOf(school)) }()
	var err error
	for broken := false; !broken; {
		select {
		case err = <-ended:
			broken = true
		default:
			if left, listErr := tryIDs(s.related(schoolUsers, school)); listErr != nil || len(left) < each {
				cancel()
				err, broken = <-ended, true
			}
		}
	}
	if err != nil {
		s.get(schools, idOf(school))
		s.delete(school)
	} else {
		s.Log("the deletion was over before it could be broken off")
	}
	s.wantGone(school)
	s.wantIDs("users", s.list(users, nil), people...)
	s.wantIDs("classes", s.list(classes, nil), groups...)
	for _, i := range []int{0, each / 2, each - 1} {
		s.wantRelated(userSchools, people[i])
		s.wantRelated(classSchools, groups[i])
	}
	s.wantIDs("schools", s.list(schools, nil))
}
