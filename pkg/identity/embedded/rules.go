package embedded

import (
	"slices"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// complete adds what follows from the object classes and then proves that the entry is one that the schema allows
// (RFC 4512, sections 2.4 and 3.3).
func (d *draft) complete() error {
	classes, err := d.classes()
	if err != nil {
		return err
	}
	chain, err := structuralClass(classes)
	if err != nil {
		return err
	}
	if have := d.values(attributeStructuralClass); len(have) > 0 && have[0] != chain.name {
		return wire.Errorf(wire.ResultObjectClassModsProhibited, "the structural object class of an entry cannot change from %s to %s", have[0], chain.name)
	}
	d.setText(attributeStructuralClass, chain.name)
	return d.checkAttributes(classes)
}

// classes returns the object classes of the entry. Superclasses that the entry does not name are added to it
// (RFC 4512, section 3.3).
func (d *draft) classes() ([]*class, error) {
	var classes []*class
	var names []string
	for _, name := range d.values(attributeObjectClass) {
		c := directory.class(name)
		if c == nil {
			return nil, wire.Errorf(wire.ResultObjectClassViolation, "the schema has no object class %q", name)
		}
		for ; c != nil && !slices.Contains(classes, c); c = c.superior {
			classes, names = append(classes, c), append(names, c.name)
		}
	}
	if len(classes) > len(d.values(attributeObjectClass)) {
		d.set(directory.attribute(attributeObjectClass), names)
	}
	return classes, nil
}

// structuralClass returns the most special structural class. All other structural classes must be above it.
func structuralClass(classes []*class) (*class, error) {
	var most *class
	for _, c := range classes {
		if c.kind == structural && (most == nil || c.within(most)) {
			most = c
		}
	}
	if most == nil {
		return nil, wire.Errorf(wire.ResultObjectClassViolation, "the entry has no structural object class")
	}
	for _, c := range classes {
		if c.kind == structural && !most.within(c) {
			return nil, wire.Errorf(wire.ResultObjectClassViolation, "%s and %s cannot both be structural object classes of one entry", most.name, c.name)
		}
	}
	return most, nil
}

func (d *draft) checkAttributes(classes []*class) error {
	for _, c := range classes {
		for _, a := range c.must {
			if len(d.values(a.name)) == 0 {
				return wire.Errorf(wire.ResultObjectClassViolation, "object class %s demands %s", c.name, a.name)
			}
		}
	}
	for _, have := range d.attributes {
		a := directory.attribute(have.Type)
		if !a.is(operational) && !isAllowed(classes, a) {
			return notAllowed(a)
		}
		if a.is(single) && len(have.Values) > 1 {
			return wire.Errorf(wire.ResultConstraintViolation, "%s has one value only", a.name)
		}
	}
	for _, a := range directory.links {
		if !isAllowed(classes, a) && d.hasLinks(a) {
			return notAllowed(a)
		}
	}
	return nil
}

func isAllowed(classes []*class, a *attribute) bool {
	return slices.ContainsFunc(classes, func(c *class) bool {
		return slices.Contains(c.must, a) || slices.Contains(c.may, a)
	})
}

func notAllowed(a *attribute) error {
	return wire.Errorf(wire.ResultObjectClassViolation, "no object class of the entry allows %s", a.name)
}

// checkNeighbours proves what the entry and the others must keep together: unique values, and references that lead
// to schools. before is the entry as it is in the file.
func (d *draft) checkNeighbours(before *record) error {
	for _, a := range directory.uniques {
		if err := d.checkUnique(a, before); err != nil {
			return err
		}
	}
	if err := d.checkSchools(before); err != nil {
		return err
	}
	if wasSchool, id := schoolUUID(before); wasSchool {
		if is, now := schoolUUID(&d.record); !is || now != id {
			return checkNotReferred(d, before.id, id)
		}
	}
	return nil
}

func (d *draft) checkUnique(a *attribute, before *record) error {
	values := d.values(a.name)
	if slices.Equal(values, before.values(a.name)) {
		return nil
	}
	for _, value := range values {
		for _, id := range holders(d.tx, a, canonical(a, value), 2) {
			if id != d.id {
				return wire.Errorf(wire.ResultConstraintViolation, "another entry has a value of %s", a.name)
			}
		}
	}
	return nil
}

// checkSchools proves that each new value of openCloudMemberOfSchool is the id of a school.
func (d *draft) checkSchools(before *record) error {
	reference := directory.attribute(attributeMemberOfSchool)
	known := canonicals(reference, before.values(reference.name))
	for _, value := range d.values(reference.name) {
		id := canonical(reference, value)
		if known[id] {
			continue
		}
		found := holders(d.tx, directory.attribute(attributeUUID), id, 1)
		if len(found) == 0 {
			return noSuchSchool()
		}
		school, err := load(d.tx, found[0])
		if err != nil {
			return err
		}
		if is, _ := schoolUUID(school); !is {
			return noSuchSchool()
		}
	}
	return nil
}

func noSuchSchool() error {
	return wire.Errorf(wire.ResultConstraintViolation, "%s names a school that does not exist", attributeMemberOfSchool)
}

// schoolUUID says whether an entry is a school that can be referred to, and by which normalised id.
func schoolUUID(r *record) (is bool, id string) {
	ids := r.values(attributeUUID)
	if len(ids) == 0 || !slices.Contains(r.values(attributeObjectClass), classSchool) {
		return false, ""
	}
	return true, canonical(directory.attribute(attributeUUID), ids[0])
}

// checkNotReferred refuses what would leave references to a school behind.
func checkNotReferred(d *draft, self uint64, id string) error {
	for _, holder := range holders(d.tx, directory.attribute(attributeMemberOfSchool), id, 2) {
		if holder != self {
			return wire.Errorf(wire.ResultUnwillingToPerform, "entries still refer to the school by %s", attributeMemberOfSchool)
		}
	}
	return nil
}
