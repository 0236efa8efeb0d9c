package identity

import (
	"context"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// resolvedLink holds the values that link an entry to the targets of a link: their ids or their DNs.
type resolvedLink struct {
	nav    *education.Navigation
	values []string
	// loose are the values of targets that may be deleted at any time.
	loose []string
}

// resolveLink finds the targets of a link.
func (d *Directory) resolveLink(ctx context.Context, link education.Link) (*resolvedLink, error) {
	resolved := &resolvedLink{nav: link.Navigation}
	for start := 0; start < len(link.Keys); start += chunkSize {
		keys := link.Keys[start:min(start+chunkSize, len(link.Keys))]
		if err := d.findAll(ctx, resolved, keys); err != nil {
			return nil, err
		}
	}
	resolved.values = unique(resolved.values)
	return resolved, nil
}

// findAll finds the targets with the given keys in one search.
func (d *Directory) findAll(ctx context.Context, resolved *resolvedLink, keys []education.Key) error {
	nav := resolved.nav
	filters := make([]*wire.Filter, len(keys))
	for i, key := range keys {
		filters[i] = d.keyFilter(nav.Target, key)
	}
	byKey := make(map[identifier][]*wire.Entry)
	for target, err := range d.searchAll(ctx, nav.Target, anyOf(filters), nil) {
		if err == nil {
			err = d.rules.CheckOpen(target.entity)
		}
		if err != nil {
			return err
		}
		if education.MayEnd(target.entity) {
			resolved.loose = append(resolved.loose, linkValue(nav, target.entry))
		}
		for _, id := range identifiersOf(target.entity) {
			byKey[id] = append(byKey[id], target.entry)
		}
	}
	for _, key := range keys {
		entries := byKey[identifierOf(key)]
		value, err := linkTo(nav, key, entries)
		if err != nil {
			return err
		}
		education.WitnessOf(ctx).Linked(nav, entries[0].Value(nav.Target.ID.Attribute))
		resolved.values = append(resolved.values, value)
	}
	return nil
}

// identifier is a key in a form in which all spellings of it are equal.
type identifier struct {
	property *education.Property
	value    string
}

func identifierOf(key education.Key) identifier {
	return identifier{key.Property, match.CaseIgnore(key.Value)}
}

// identifiersOf returns all keys that an entity has.
func identifiersOf(entity *education.Entity) []identifier {
	var ids []identifier
	for _, property := range entity.Set.Properties {
		if text, ok := entity.Value(property).(string); ok && property.Key {
			ids = append(ids, identifierOf(education.Key{Property: property, Value: text}))
		}
	}
	return ids
}

// linkTo returns what a link to the one entry with a key is written as.
func linkTo(nav *education.Navigation, key education.Key, entries []*wire.Entry) (string, error) {
	switch len(entries) {
	case 0:
		return "", odata.Errorf(odata.ItemNotFound, nav.Name, "no such %s: %s", nav.Target.Singular, odata.Printable(key.Value))
	case 1:
		value := linkValue(nav, entries[0])
		if value == "" {
			return "", (&malformed{nav.Target.ID, "is missing"}).shown(nav.Target)
		}
		return value, nil
	}
	return "", ambiguous(nav.Target, entries)
}

// linkValue returns what a link to an entry is written as.
func linkValue(nav *education.Navigation, entry *wire.Entry) string {
	if nav.ByDN {
		return entry.DN
	}
	return entry.Value(attributeID)
}

// attributeID holds the ids of all sets, which links to schools use as well.
var attributeID = education.Schools.ID.Attribute
