package education

// Address is what a path of the API addresses, as far as that can be told without asking the directory. Its zero value
// addresses nothing that is known.
type Address struct {
	// Set is the entity set at the front of the path.
	Set *EntitySet
	// Key is that of one of its entities. It has no Property if there is none, or none that can be read.
	Key Key
	// Navigation is the navigation property of that entity which the path goes on with, or nil.
	Navigation *Navigation
	// Target is the key of one of its targets, as Key.
	Target Key
	// Ref says that the path addresses links rather than what they lead to.
	Ref bool
}
