package identity

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// TestMadeThoughNotSettled has a directory that fails as soon as a change has been made, when it is asked whether links that
// were written lead anywhere. The answer must not look like that to a write that failed, nor may the write be repeated.
func TestMadeThoughNotSettled(t *testing.T) {
	t.Parallel()
	school := keyOf(education.Schools, "id", schoolID)
	user, class := keyOf(education.Users, "id", maxID), keyOf(education.Classes, "id", classID)
	teachers := education.NavigationOf(education.Classes, "teachers")
	taught := map[string]any{"teachers@odata.bind": []string{"https://h/graph/v1.0/education/users/" + maxID}}
	for name, write := range map[string]func(d *Directory) error{
		"create": func(d *Directory) error {
			body := map[string]any{"displayName": "6b", "externalId": "6b", "classification": "course"}
			maps.Copy(body, taught)
			_, err := d.Create(t.Context(), education.Classes, newChange(t, education.Classes, education.CreateEntity, body))
			return err
		},
		"update": func(d *Directory) error {
			_, err := d.Update(t.Context(), education.Classes, class, newChange(t, education.Classes, education.UpdateEntity, taught))
			return err
		},
		"link":   func(d *Directory) error { return d.AddRef(t.Context(), teachers, class, user) },
		"delete": func(d *Directory) error { return d.Delete(t.Context(), education.Schools, school) },
	} {
		for fault, want := range map[error]bool{
			wire.Errorf(wire.ResultUnavailable, "x"): true, errors.New("broken"): true, errOutdated: true, context.Canceled: false,
		} {
			d, store := foreign(t)
			endSchool(t, store)
			d.looseLinks = true
			writes := failAfterWrite(d, store, name == "delete", fault)
			err := write(d)
			var answer *odata.Error
			says := errors.As(err, &answer) && answer.Code == odata.GatewayTimeout && strings.Contains(answer.Message, "has been made, but")
			if says != want || !want && !errors.Is(err, fault) {
				t.Errorf("%s and then %v: got %v, which says that the change has been made: %t, want %t", name, fault, err, says, want)
			}
			if *writes != 1 {
				t.Errorf("%s and then %v: written %d times, want once", name, fault, *writes)
			}
		}
	}
}

// endSchool lets the school's time have passed, so that it can be deleted.
func endSchool(t *testing.T, store Operations) {
	t.Helper()
	end := wire.Attribute{Type: "openCloudEducationSchoolTerminationTimestamp", Values: []string{"20200101000000Z"}}
	request := &wire.ModifyRequest{DN: schoolDN, Changes: []wire.Change{{Operation: wire.ChangeReplace, Attribute: end}}}
	if _, err := store.Modify(t.Context(), request); err != nil {
		t.Fatal(err)
	}
}

// failAfterWrite lets a directory's searches fail from its first write, or its first deletion, and counts those.
func failAfterWrite(d *Directory, store Operations, deletion bool, fault error) (writes *int) {
	writes = new(int)
	failing := &stub{Operations: store}
	failing.search = func(request *wire.SearchRequest, yield func(*wire.Entry) error) error {
		if *writes > 0 {
			return fault
		}
		return store.Search(context.Background(), request, yield)
	}
	failing.delete = func(request *wire.DeleteRequest) error {
		*writes++
		return store.Delete(context.Background(), request)
	}
	if !deletion {
		failing.add = func(request *wire.AddRequest) (*wire.Entry, error) {
			*writes++
			return store.Add(context.Background(), request)
		}
		failing.modify = func(request *wire.ModifyRequest) (*wire.Entry, error) {
			*writes++
			return store.Modify(context.Background(), request)
		}
	}
	d.ops = failing
	return writes
}
