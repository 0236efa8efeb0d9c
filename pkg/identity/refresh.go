package identity

import (
	"context"
	"log/slog"
	"slices"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// RefreshKeys gives every entity the unique keys that the rules ask for. It is called when the rules have changed since
// the keys were written: a key protects a value within the scope that it names and no other. Where several entities claim
// one key, one of them keeps it, see Clash.Keeper, and the log names them all. It returns how many entities it changed; it
// can be repeated after an error.
func (d *Directory) RefreshKeys(ctx context.Context) (int, error) {
	changed := 0
	if d.isPlain() {
		return changed, nil
	}
	inventory, err := d.TakeInventory(ctx, Reading{})
	if err != nil {
		return changed, err
	}
	for _, clash := range inventory.Clashes {
		for _, claimant := range clash.Claimants {
			slog.WarnContext(ctx, "an entity shares a unique value with another one", "set", claimant.Set.Name, "id", claimant.ID, "dn", claimant.DN)
		}
	}
	for _, holding := range inventory.Holdings {
		if !slices.Contains(inventory.Tasks(holding), TaskKeys) {
			continue
		}
		refreshed, err := d.Renew(ctx, inventory, holding, TaskKeys)
		if err != nil {
			return changed, err
		}
		if refreshed {
			changed++
		}
	}
	return changed, nil
}

// Task is something that is to be done about an entry.
type Task int

const (
	// TaskKeys gives the entry the unique keys that follow from its values, a revision, and the object class that permits both.
	TaskKeys Task = iota
	// TaskStandIns puts the username in the place of blanks that stand in for a value, and notes that it does.
	TaskStandIns
	// TaskLinks takes away the links that lead to nothing.
	TaskLinks
)

// Tasks returns what Renew would do about an entry.
func (i *Inventory) Tasks(h *Holding) []Task {
	var tasks []Task
	if !h.Addressable() {
		return nil
	}
	if h.surplus || h.unrevised || slices.ContainsFunc(h.lacking, func(key string) bool { return i.Keeps(key, h.ID) }) {
		tasks = append(tasks, TaskKeys)
	}
	if h.blank {
		tasks = append(tasks, TaskStandIns)
	}
	if len(h.Lost) > 0 {
		tasks = append(tasks, TaskLinks)
	}
	return tasks
}

// Renew does the given tasks about an entry, in one write, and reports whether there was anything to do. What is in the entry
// now counts, not what was there when the inventory was taken. Of several that claim a key the keeper alone is given it, and
// none loses it. An entry that has gone needs nothing. A change that the directory does not permit is a *Refusal.
func (d *Directory) Renew(ctx context.Context, i *Inventory, h *Holding, tasks ...Task) (bool, error) {
	changed, err := attempts(ctx, func() (bool, error) { return d.renew(ctx, i, h, tasks) })
	switch {
	case odata.Is(err, odata.ItemNotFound):
		return false, nil
	case odata.Is(err, odata.InvalidRequest), odata.Is(err, odata.NameAlreadyExists):
		return false, &Refusal{"the directory refuses the change", err}
	}
	return changed, err
}

func (d *Directory) renew(ctx context.Context, i *Inventory, h *Holding, tasks []Task) (bool, error) {
	change := &education.Change{Set: h.Set}
	extra := forUpdate(change)
	for _, link := range h.Lost {
		extra = append(extra, link.Navigation.Attributes[0])
	}
	found, err := d.find(ctx, h.Set, education.Key{Property: h.Set.ID, Value: h.ID}, unique(extra))
	if err != nil {
		return false, err
	}
	p, err := d.plan(ctx, found, change, "")
	if err != nil {
		return false, err
	}
	if slices.Contains(tasks, TaskStandIns) && h.blank {
		p.replaceStandIns(d.standIns(p.next))
	}
	if slices.Contains(tasks, TaskLinks) {
		d.planLost(p, h.Lost)
	}
	have := found.entry.Values(attributeUniqueKey)
	p.keys = slices.DeleteFunc(p.keys, func(key uniqueKey) bool { return !i.Keeps(key.text, h.ID) && !slices.Contains(have, key.text) })
	want, revision := keyTexts(p.keys), revisionOf(h.Set, have)
	if len(p.changes) == 0 && len(without(want, have)) == 0 && revision != "" && len(have) == len(want)+1 {
		return false, nil
	}
	p.guarded = p.guarded || revision == ""
	_, err = d.modify(ctx, p, found.entry.DN, nil)
	if hasCode(err, wire.ResultObjectClassViolation) && h.Set == education.Classes {
		// The last member is one of those that are lost: see noMembers.
		p.add(attributeMembers, noMembers)
		_, err = d.modify(ctx, p, found.entry.DN, nil)
	}
	switch {
	case err == nil:
		return true, nil
	case hasCode(err, wire.ResultObjectClassViolation, wire.ResultUndefinedAttributeType, wire.ResultUnwillingToPerform):
		return false, refusal(err)
	}
	return false, d.whyNotChanged(ctx, p, err)
}

// noMembers are the members of a class without members in a directory where groupOfNames must have one (RFC 4519, section
// 3.5), as OpenLDAP sees to it. The empty DN is no link.
var noMembers = []string{""}

// planLost plans to take away links, as far as they are still there.
func (d *Directory) planLost(p *plan, lost []LinkValue) {
	for _, link := range lost {
		attribute := link.Navigation.Attributes[0]
		if slices.Contains(p.record.entry.Values(attribute), link.Value) {
			p.remove(attribute, link.Value)
		}
	}
	schools := slices.DeleteFunc(filled(p.record.entry.Values(attributeMemberOfSchool)), func(id string) bool {
		return slices.ContainsFunc(lost, func(link LinkValue) bool {
			return link.Navigation.Attributes[0] == attributeMemberOfSchool && link.Value == id
		})
	})
	p.setKeys(d.keysOf(p.next, schools), func(*education.Property) bool { return false })
}
