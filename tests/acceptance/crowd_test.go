package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// crowdClients is how many clients fill a service at the same time. Writes that wait for each other go to the disk together. More
// than the service runs at a time wait for their turn, and are refused where that takes longer than ten seconds, as it can
// under the race detector.
const crowdClients = 128

// crowd is what fill has put into a service.
type crowd struct {
	schools []string
	// users are the ids of the users, whose names are those of crowdUser. User i is in school i modulo their number.
	users []string
}

// fill creates schools and users in them, as many as there are clients at a time and without a look at the contract.
func (s *server) fill(t testing.TB, schools, users int) crowd {
	t.Helper()
	c := crowd{schools: make([]string, schools), users: make([]string, users)}
	for i := range c.schools {
		c.schools[i] = s.school(t)
	}
	inParallel(users, crowdClients, func(i int) {
		status, body, err := s.raw(http.MethodPost, "/schools/"+c.schools[i%schools]+"/users", crowdUser(i))
		var made struct{ ID string }
		if err == nil {
			err = json.Unmarshal(body, &made)
		}
		if c.users[i] = made.ID; err != nil || status != http.StatusCreated {
			t.Errorf("user %d: %d %.200s (%v)", i, status, body, err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return c
}

// crowdUser is the body that creates user i.
func crowdUser(i int) string {
	role := "student"
	if isTeacher(i) {
		role = "teacher"
	}
	return fmt.Sprintf(`{"displayName":"%s","onPremisesSamAccountName":"user%[2]d","mail":"user%[2]d@example.org","givenName":"Given %[2]d",
		"surname":"Surname %[2]d","primaryRole":"%[3]s","externalId":"ext-%[2]d"}`, crowdName(i), i, role)
}

// isTeacher says which role user i has.
func isTeacher(i int) bool { return i%4 == 3 }

// crowdName is the name of user i. The order of names has nothing to do with that of numbers.
func crowdName(i int) string { return fmt.Sprintf("User %06d", i*7919%1_000_003) }

// raw sends a request whose answer nobody compares with the contract.
func (s *server) raw(method, path, body string) (status int, content []byte, err error) {
	request, err := s.request(method, path, body)
	if err != nil {
		return 0, nil, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	content, err = io.ReadAll(response.Body)
	return response.StatusCode, content, firstError(err, response.Body.Close())
}

// request returns a request that raw sends. A path that is a whole URL, as of the next page, stays what it is.
func (s *server) request(method, path, body string) (*http.Request, error) {
	if !strings.Contains(path, "://") {
		path = "http://" + s.http + s.root + "/v1.0/education" + path
	}
	request, err := http.NewRequest(method, path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, nil
}
