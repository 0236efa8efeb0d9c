package identity

import (
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Inventory is what a directory holds, as far as bringing it up to date or moving it has to know. An entry takes about a
// kilobyte of it, however many members a class has.
type Inventory struct {
	// Holdings are the entries: schools, then users, then classes, each in the order of the directory.
	Holdings []*Holding
	// Clashes are the unique values that several entities claim, ordered by their keys.
	Clashes []Clash
	// ShowsPasswords says that the directory shows the password hash of a user at least. Where it shows none, there are none
	// or the account may not read them.
	ShowsPasswords bool
	// Schemes counts the values of userPassword by PasswordScheme, and Dropped those of them that Reading.KeepPassword has
	// not chosen.
	Schemes, Dropped map[string]int

	byID  map[string]*Holding
	users map[string]*Holding // by their DN
	// claims has one of the holdings that claim a key, contested all of them where they are several, and keepers which of them
	// keeps it.
	claims    map[string]*Holding
	contested map[string][]*Holding
	keepers   map[string]*Holding
}

// Holding is an entry of the directory.
type Holding struct {
	Set *education.EntitySet
	// ID is in small letters. It is empty if the entry has none.
	ID string
	DN string
	// Faults say, in a sentence each, what keeps the entry from being read as an entity.
	Faults []string
	// Lost are links to what does not exist, Foreign those to entries that are no users of the service.
	Lost, Foreign []LinkValue
	// Keys are the unique keys that follow from the entity's values.
	Keys []string
	// Unfinished says that a move has written a part of the entity and has broken off.
	Unfinished bool

	// lacking are those of Keys that the entry does not have. surplus says that it has others, unrevised that it has no
	// revision.
	lacking            []string
	surplus, unrevised bool
	age                age
	// blank says that a blank stands in for a value, without a note.
	blank bool
	// doubtful says that another entry has the same id.
	doubtful bool

	digest, password [sha256.Size]byte
	hasPassword      bool
	clearPassword    bool
}

// LinkValue is a link as the entry that holds it writes it.
type LinkValue struct {
	Navigation *education.Navigation
	Value      string
}

// Clash is a unique value that several entities claim.
type Clash struct {
	// Key is the value's unique key, set/property/scope/value.
	Key       string
	Claimants []*Holding
	// Holders are those of the claimants that have the key: one, or none, or several in a directory that permits it.
	Holders []*Holding
	// Keeper is the one that has the key, or is to have it, so that nobody else takes the value: the oldest of the holders,
	// or of all if there are none (docs/decisions/0013). It is nil if none of them can be found by its id.
	Keeper *Holding
}

// Reading says how an inventory is taken.
type Reading struct {
	// Links says that links and content are read too. Without it an inventory is good for RefreshKeys alone.
	Links bool
	// KeepPassword, unless nil, chooses the values of userPassword that count.
	KeepPassword func(value string) bool
	// Seen, unless nil, is told of every entry.
	Seen func(*education.EntitySet)
}

// attributeLastSignIn is OpenCloud's: no property shows it, and it belongs to the user.
const attributeLastSignIn = "openCloudLastSignInTimestamp"

// besides are the attributes that belong to an entity of a set and are no property's.
var besides = map[*education.EntitySet][]string{education.Users: {attributeLastSignIn}}

// TakeInventory reads the directory. It writes nothing.
func (d *Directory) TakeInventory(ctx context.Context, how Reading) (*Inventory, error) {
	i := &Inventory{
		byID: make(map[string]*Holding), users: make(map[string]*Holding),
		claims: make(map[string]*Holding), contested: make(map[string][]*Holding), keepers: make(map[string]*Holding),
		Schemes: make(map[string]int), Dropped: make(map[string]int),
	}
	for _, set := range education.EntitySets {
		extra := []string{"objectClass", attributeCreated, attributeUniqueKey, attributeMemberOfSchool}
		if how.Links {
			extra = append(contentAttributes(set), attributeCreated)
		}
		for found, err := range d.searchAll(ctx, set, everything, extra) {
			if err != nil {
				return nil, err
			}
			i.put(d.holding(i, found, how))
			if how.Seen != nil {
				how.Seen(set)
			}
		}
	}
	if err := d.lookForForeign(ctx, i); err != nil {
		return nil, err
	}
	i.settle()
	return i, nil
}

// contentAttributes are those beside the table's that all of an entity's content is read from.
func contentAttributes(set *education.EntitySet) []string {
	attributes := append([]string{"objectClass", attributeUniqueKey, attributePlaceholder}, besides[set]...)
	for _, property := range set.Properties {
		if property.Access == education.WriteOnly {
			attributes = append(attributes, property.Attribute)
		}
	}
	for _, nav := range heldBy(set) {
		attributes = append(attributes, nav.Attributes[0])
	}
	return attributes
}

// heldBy returns the navigation properties whose links the entries of a set hold.
func heldBy(set *education.EntitySet) []*education.Navigation {
	return slices.DeleteFunc(slices.Clone(education.Navigations), func(nav *education.Navigation) bool {
		return nav.Owner != set || !nav.OwnerHolds
	})
}

// holding makes a Holding of an entry. Links by DN that lead to no user are taken for lost until lookForForeign.
func (d *Directory) holding(i *Inventory, found *record, how Reading) *Holding {
	set, entry := found.entity.Set, found.entry
	have := entry.Values(attributeUniqueKey)
	h := &Holding{
		Set: set, ID: strings.ToLower(found.entity.ID()), DN: entry.DN, Faults: faultsOf(set, entry),
		Keys: keyTexts(d.keysOf(found.entity, entry.Values(attributeMemberOfSchool))), age: ageOf(entry),
	}
	h.lacking = without(h.Keys, have)
	h.unrevised = revisionOf(set, have) == ""
	h.surplus = len(have) > len(h.Keys)-len(h.lacking)+len(nonEmpty(revisionOf(set, have)))
	h.Unfinished = containsFold(entry.Values(attributePlaceholder), attributeMembers)
	for _, standIn := range set.StandIns {
		value := entry.Value(standIn.Attribute)
		h.blank = h.blank || value != "" && strings.TrimSpace(value) == ""
	}
	if how.Links {
		content := d.copyOf(i, found, how.KeepPassword)
		h.digest, h.password = content.digest(), digestOf(content.passwords)
		h.hasPassword = len(content.passwords) > 0
		h.clearPassword = slices.ContainsFunc(content.passwords, isClear)
		h.Lost = content.lost
		i.countPasswords(filled(entry.Values(attributePassword)), content.passwords)
	}
	return h
}

func (i *Inventory) countPasswords(all, kept []string) {
	for _, value := range all {
		scheme := PasswordScheme(value)
		i.Schemes[scheme]++
		if !slices.Contains(kept, value) {
			i.Dropped[scheme]++
		}
	}
	i.ShowsPasswords = i.ShowsPasswords || len(all) > 0
}

// filled returns the values that are not empty.
func filled(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(value string) bool { return value == "" })
}

// faultsOf returns everything that keeps an entry from being read as an entity of the set.
func faultsOf(set *education.EntitySet, entry *wire.Entry) []string {
	var faults []string
	if id := entry.Value(set.ID.Attribute); id == "" {
		faults = append(faults, set.ID.Attribute+" is missing")
	} else if !education.IsID(id) {
		faults = append(faults, set.ID.Attribute+" is not a UUID")
	}
	for _, property := range set.Properties {
		values := filled(entry.Values(property.Attribute))
		if !property.Returned() || len(values) == 0 {
			continue
		}
		if _, err := decodeValue(property, values); err != nil {
			faults = append(faults, err.Error())
		}
	}
	return faults
}

func (i *Inventory) put(h *Holding) {
	i.Holdings = append(i.Holdings, h)
	if h.Set == education.Users {
		i.users[foldDN(h.DN)] = h
	}
	if h.ID == "" {
		return
	}
	if other := i.byID[h.ID]; other == nil {
		i.byID[h.ID] = h
	} else {
		const sentence = "its id is also that of "
		h.Faults, other.Faults = append(h.Faults, sentence+other.DN), append(other.Faults, sentence+h.DN)
		h.doubtful, other.doubtful = true, true
	}
	for _, key := range h.Keys {
		i.claim(key, h)
	}
}

func (i *Inventory) claim(key string, h *Holding) {
	first := i.claims[key]
	switch {
	case first == nil:
		i.claims[key] = h
	case first == h:
	case i.contested[key] == nil:
		i.contested[key] = []*Holding{first, h}
	default:
		i.contested[key] = append(i.contested[key], h)
	}
}

// settle works out the clashes.
func (i *Inventory) settle() {
	for _, key := range slices.Sorted(maps.Keys(i.contested)) {
		clash := Clash{Key: key, Claimants: i.contested[key]}
		for _, claimant := range clash.Claimants {
			if !slices.Contains(claimant.lacking, key) {
				clash.Holders = append(clash.Holders, claimant)
			}
		}
		if clash.Keeper = oldest(clash.Holders); clash.Keeper == nil {
			clash.Keeper = oldest(clash.Claimants)
		}
		i.keepers[key] = clash.Keeper
		i.Clashes = append(i.Clashes, clash)
	}
}

// oldest returns the oldest of the holdings that can be found by their ids, or nil if none can.
func oldest(holdings []*Holding) *Holding {
	holdings = slices.DeleteFunc(slices.Clone(holdings), func(h *Holding) bool { return !h.Addressable() })
	if len(holdings) == 0 {
		return nil
	}
	return slices.MinFunc(holdings, func(a, b *Holding) int { return a.age.compare(b.age) })
}

// Keeps reports whether the entity with the id is to have a key that it claims: nobody else does, or it is the clash's
// Keeper.
func (i *Inventory) Keeps(key, id string) bool {
	keeper, contested := i.keepers[key]
	return !contested || keeper != nil && keeper.ID == id
}

// Claims reports whether the entity with the id claims a unique key.
func (i *Inventory) Claims(key, id string) bool {
	h := i.Find(id)
	return h != nil && slices.Contains(h.Keys, key)
}

// Claimant returns the entry that claims a unique key, or nil. Of several it is the keeper, if there is one.
func (i *Inventory) Claimant(key string) *Holding {
	if keeper := i.keepers[key]; keeper != nil {
		return keeper
	}
	return i.claims[key]
}

// Find returns the entry with the id, or nil. Of several with the same id it is the first.
func (i *Inventory) Find(id string) *Holding { return i.byID[id] }

// Addressable reports whether the entry can be found by its id: it has one, and is alone with it.
func (h *Holding) Addressable() bool { return h.ID != "" && !h.doubtful }

// lookForForeign looks at the links by DN that lead to no user. Those to entries that exist, and those that lead out of the
// tree of users, where this service may not see everything, are foreign.
func (d *Directory) lookForForeign(ctx context.Context, i *Inventory) error {
	exists := make(map[string]bool)
	for _, h := range i.Holdings {
		var lost []LinkValue
		for _, link := range h.Lost {
			foreign := false
			if link.Navigation.ByDN {
				key := foldDN(link.Value)
				if _, known := exists[key]; !known {
					there, err := d.existsOrBeyond(ctx, link)
					if err != nil {
						return err
					}
					exists[key] = there
				}
				foreign = exists[key]
			}
			if foreign {
				h.Foreign = append(h.Foreign, link)
				continue
			}
			lost = append(lost, link)
		}
		h.Lost = lost
	}
	return nil
}

// existsOrBeyond reports whether a link by DN leads to an entry, or out of the tree of its targets.
func (d *Directory) existsOrBeyond(ctx context.Context, link LinkValue) (bool, error) {
	if !within(link.Value, d.bases[link.Navigation.Target]) {
		return true, nil
	}
	found := false
	err := d.ops.Search(ctx, &wire.SearchRequest{
		Base: link.Value, Scope: wire.ScopeBase, Filter: everything, Attributes: []string{wire.NoAttributes},
	}, func(*wire.Entry) error {
		found = true
		return nil
	})
	if hasCode(err, wire.ResultNoSuchObject) {
		return false, nil
	}
	return found, translate(err)
}

// within reports whether a DN is a base or below it.
func within(dn, base string) bool {
	inner, ok := parseDN(dn)
	outer, fits := parseDN(base)
	if !ok || !fits || len(inner.RDNs) < len(outer.RDNs) {
		return false
	}
	top := match.DN{RDNs: inner.RDNs[len(inner.RDNs)-len(outer.RDNs):]}
	return top.Key() == outer.Key()
}

// Outside counts what is below the directory's bases and no inventory knows: entries, containers left aside, by the base
// they are below, and attributes of entities that belong neither to the service nor to OpenCloud, by their names.
func (d *Directory) Outside(ctx context.Context) (entries, attributes map[string]int, err error) {
	entries, attributes = make(map[string]int), make(map[string]int)
	ours := make([]*wire.Filter, 0, len(education.EntitySets))
	for _, set := range education.EntitySets {
		ours = append(ours, wire.Equal("objectClass", set.ObjectClass))
	}
	containers := []*wire.Filter{
		wire.Equal("objectClass", "organizationalUnit"), wire.Equal("objectClass", "organization"), wire.Equal("objectClass", "domain"),
	}
	neither := wire.Not(wire.Or(append(ours, containers...)...))
	for _, set := range education.EntitySets {
		base := d.bases[set]
		err := d.ops.Search(ctx, &wire.SearchRequest{
			Base: base, Scope: wire.ScopeSubtree, Filter: neither, Attributes: []string{wire.NoAttributes},
		}, func(*wire.Entry) error {
			entries[base]++
			return nil
		})
		if err != nil {
			return nil, nil, searchFailed(set, err)
		}
		known := append(append(attributesOf(set), contentAttributes(set)...), "cn")
		request := d.searchRequest(ctx, set, everything, nil)
		request.Attributes, request.TypesOnly = []string{wire.AllUserAttributes}, true
		err = d.ops.Search(ctx, request, func(entry *wire.Entry) error {
			for _, attribute := range entry.Attributes {
				if !containsFold(known, attribute.Type) {
					attributes[attribute.Type]++
				}
			}
			return nil
		})
		if err != nil {
			return nil, nil, searchFailed(set, err)
		}
	}
	return entries, attributes, nil
}
