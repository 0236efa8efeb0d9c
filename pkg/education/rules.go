package education

import (
	"regexp"
	"time"

	"github.com/opencloud-eu/education/pkg/odata"
)

// Values of Rules.
const (
	OneSchool          = "one"
	ManySchools        = "many"
	ScopeSchool        = "school"
	ScopeGlobal        = "global"
	UsernameMatchEmail = "default"
	UsernameMatchNone  = "none"
)

// Rules are the choices that an operator makes for the whole service.
type Rules struct {
	// Compatible gives the answers of OpenCloud's graph service where they depart from the contract.
	Compatible bool
	// SchoolsPerUser is OneSchool or ManySchools.
	SchoolsPerUser string
	// ExternalIDScope is ScopeSchool, where each school has its own externalIds, or ScopeGlobal.
	ExternalIDScope string
	// UsernameMatch is UsernameMatchEmail, which asks for the local part of an e-mail address with an optional
	// domain, or UsernameMatchNone, which permits every text.
	UsernameMatch string
	// TerminationGraceDays is the number of days a school's termination date must at least lie ahead when it is set.
	TerminationGraceDays int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

func (r Rules) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// UniqueScope returns the scope in which a property of a set is unique under the rules. OpenCloud's graph service
// names a class's entry by its externalId, so in compatibility mode that is unique everywhere.
func (r Rules) UniqueScope(set *EntitySet, property *Property) Scope {
	if property.Unique == PerSchool && (r.ExternalIDScope == ScopeGlobal || r.Compatible && set == Classes) {
		return Everywhere
	}
	return property.Unique
}

// emailUsername is what OpenCloud's graph service accepts as a username by default: a letter or underscore, then the
// characters of an e-mail address's local part (RFC 5322, section 3.4.1), and perhaps a domain.
var emailUsername = regexp.MustCompile("^[A-Za-z_][A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]*(@[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)*)?$")

// checkUser is the Rule of users.
func checkUser(change *Change, rules Rules) error {
	if rules.UsernameMatch == UsernameMatchNone {
		return nil
	}
	if name, ok := change.Text(username); ok && !emailUsername.MatchString(name) {
		return odata.Errorf(odata.InvalidRequest, username,
			"%s must begin with a letter or underscore and look like the local part of an e-mail address", username)
	}
	return nil
}

// checkSchool is the Rule of schools: a termination date lies ahead, far enough for people to object.
func checkSchool(change *Change, rules Rules) error {
	value, _ := change.Value(change.Set.Property(terminationDate))
	date, ok := value.(time.Time)
	if !ok {
		return nil
	}
	earliest := rules.now()
	if !date.After(earliest) {
		return odata.Errorf(odata.InvalidRequest, terminationDate, "%s must not be in the past", terminationDate)
	}
	if !date.After(earliest.AddDate(0, 0, rules.TerminationGraceDays)) {
		return odata.Errorf(odata.InvalidRequest, terminationDate,
			"%s must be at least %d days in the future", terminationDate, rules.TerminationGraceDays)
	}
	return nil
}

// CheckDeletion returns why an entity may not be deleted, or nil. A school must have a termination date that has
// passed; everything else may go at any time.
func (r Rules) CheckDeletion(entity *Entity) error {
	if entity.Set != Schools {
		return nil
	}
	date, ok := entity.Value(Schools.Property(terminationDate)).(time.Time)
	refused := odata.Errorf(odata.NotAllowed, terminationDate, "set a terminationDate first; the school can be deleted once it has passed")
	refused.Allow = []string{"GET", "PATCH"}
	if !ok {
		return refused
	}
	if date.After(r.now()) {
		refused.Message = "the school can be deleted once its terminationDate has passed"
		return refused
	}
	return nil
}

// CheckOpen returns why nothing can be added to an entity, or nil. A school whose termination date has passed takes no
// users and classes any more, so that its deletion comes to an end while others keep adding.
func (r Rules) CheckOpen(entity *Entity) error {
	if entity.Set != Schools {
		return nil
	}
	date, ok := entity.Value(Schools.Property(terminationDate)).(time.Time)
	if !ok || date.After(r.now()) {
		return nil
	}
	return odata.Errorf(odata.Conflict, terminationDate, "the school's %s has passed; it takes no users and classes any more", terminationDate)
}

// MayEnd reports whether an entity may be deleted by others as soon as it pleases them. A school without a termination date
// cannot.
func MayEnd(entity *Entity) bool {
	return entity.Set != Schools || entity.Value(Schools.Property(terminationDate)) != nil
}
