package education

import (
	"slices"
	"sync"
	"testing"
)

func TestWitness(t *testing.T) {
	t.Parallel()
	user := NewEntity(Users)
	user.SetValue(Users.ID, "01994f2e-7a31-7c4e-8d5b-3f6a1c2d4e5f")
	user.SetValue(Users.Property("externalId"), "4711")
	other := NewEntity(Users)
	other.SetValue(Users.ID, "01994f2e-7a31-7c4e-8d5b-3f6a1c2d4e60")
	key := Key{Property: Users.HumanKey, Value: "max"}
	ctx, w := WithWitness(t.Context())
	if WitnessOf(ctx) != w || WitnessOf(t.Context()) != nil {
		t.Fatal("the context does not carry the witness")
	}
	w.Found(key, user)
	if id, externalID := w.Entity(Users, key); id != user.ID() || externalID != "4711" {
		t.Errorf("entity: got %q, %q", id, externalID)
	}
	w.Found(key, other)
	if id, externalID := w.Entity(Users, key); id != other.ID() || externalID != "" {
		t.Errorf("the entity that the key meant at last: got %q, %q", id, externalID)
	}
	if id, _ := w.Entity(Classes, key); id != "" {
		t.Errorf("of another set: got %q", id)
	}
	if id, _ := w.Entity(Users, Key{Property: Users.HumanKey, Value: "tina"}); id != "" {
		t.Errorf("by another key: got %q", id)
	}
	members := NavigationOf(Classes, "members")
	var together sync.WaitGroup
	for _, id := range []string{"b", "a", "b", ""} {
		together.Go(func() { w.Linked(members, id); w.Detach() })
	}
	together.Wait()
	if got := w.Links(members); !slices.Equal(got, []string{"a", "b"}) || w.Detached() != 4 {
		t.Errorf("links: got %q, detached: %d", got, w.Detached())
	}
	if w.Wrote() {
		t.Error("nothing was written")
	}
	if w.Write(); !w.Wrote() {
		t.Error("something was written")
	}
}

// TestNoWitness shows that a directory need not ask whether anybody is looking.
func TestNoWitness(t *testing.T) {
	t.Parallel()
	var w *Witness
	w.Found(Key{}, NewEntity(Users))
	w.Linked(Navigations[0], "a")
	w.Detach()
	w.Write()
	if id, externalID := w.Entity(Users, Key{}); id != "" || externalID != "" || w.Links(Navigations[0]) != nil || w.Detached() != 0 || w.Wrote() {
		t.Error("nobody has seen something")
	}
}
